// The kernels of dim_conv and of its gradients.
#pragma once
#include "march.h"

namespace {

template <class S>
void dim_conv_tile(const Tile<S>& t, S* y) {
  const int64_t area = static_cast<int64_t>(t.height) * t.width;
  march<S, kDepth | kHeight | kWidth, true>(t, [&](int p, int64_t at, auto m, auto d, auto h, auto w) {
    S* out = y + (p - t.begin) * 3 * area + at;
    Simd<S>::store(m, out, d);
    Simd<S>::store(m, out + area, h);
    Simd<S>::store(m, out + 2 * area, w);
  });
}

template <class S, int which>
void branch_tile(const Tile<S>& t, S* y, int64_t stride) {
  march<S, which, false>(t, [&](int p, int64_t at, auto m, auto d, auto h, auto w) {
    Simd<S>::store(m, y + (p - t.begin) * stride + at, which == kDepth ? d : which == kHeight ? h : w);
  });
}

template <class S>
void any_branch_tile(Branch which, const Tile<S>& t, S* y, int64_t stride) {
  if (which == kDepth) return branch_tile<S, kDepth>(t, y, stride);
  if (which == kHeight) return branch_tile<S, kHeight>(t, y, stride);
  return branch_tile<S, kWidth>(t, y, stride);
}

template <class S>
void sum_tile(const Tile<S>& t, S* y) {
  const int64_t area = static_cast<int64_t>(t.height) * t.width;
  march<S, kDepth | kHeight | kWidth, false>(t, [&](int p, int64_t at, auto m, auto d, auto h, auto w) {
    Simd<S>::store(m, y + (p - t.begin) * area + at, d + h + w);
  });
}

template <class S>
void depth_plus_tile(const Tile<S>& t, const S* height, const S* width, S* y) {
  const int64_t area = static_cast<int64_t>(t.height) * t.width;
  march<S, kDepth, false>(t, [&](int p, int64_t at, auto m, auto d, auto, auto) {
    const int64_t i = (p - t.begin) * area + at;
    Simd<S>::store(m, y + i, d + Simd<S>::load(m, height + i) + Simd<S>::load(m, width + i));
  });
}

template <class S>
void depth_taps_grad_tile(const Tile<S>& t, const S* grad, int64_t grad_stride, S* out) {
  using simd = Simd<S>;
  using V = typename simd::V;
  const int64_t area = static_cast<int64_t>(t.height) * t.width;
  for (int p = t.begin; p < t.end; ++p) {
    const S* x = t.depth_in + (p - t.begin) * t.stride;
    const S* g = grad + (p - t.begin) * grad_stride;
    V sum[9]{};
    const uint32_t* borders = t.borders;
    for (int64_t at = 0; at < area; at += simd::lanes, borders += 9) {
      const V here = simd::load(simd::mask(borders[4]), g + at);
      for (int i = 0; i < 9; ++i)
        sum[i] += here * simd::load(simd::mask(borders[i]), x + at + (i / 3 - 1) * t.width + i % 3 - 1);
    }
    for (int i = 0; i < 9; ++i) out[(p - t.begin) * 9 + i] += total<S>(sum[i]);
  }
}

// A plane of x meets the gradients of the channel after it, its own and the one before it.
template <class S, int branches>
INLINE void taps_grad_march(const Tile<S>& t, const S* height_grad, const S* width_grad, int64_t grad_stride,
                            S* height_out, S* width_out) {
  using simd = Simd<S>;
  using V = typename simd::V;
  constexpr bool H = branches & kHeight, W = branches & kWidth;
  const int64_t area = static_cast<int64_t>(t.height) * t.width;
  const int64_t padded = (area + kMaxLanes - 1) / kMaxLanes * kMaxLanes;
  const int first = t.begin > 0 ? t.begin - 1 : 0, last = t.end < t.depth ? t.end : t.depth - 1;
  const uint32_t* borders = t.borders;
  for (int64_t at = 0; at < area; at += simd::lanes, borders += 9) {
    typename simd::M inside[9];
    for (int i = 0; i < 9; ++i) inside[i] = simd::mask(borders[i]);
    V sh[9]{}, sw[9]{}, gh[3]{}, gw[3]{};  // of the channels after, at and before the plane
    auto advance = [&](int next) __attribute__((always_inline)) {
      const bool within = next >= t.begin && next < t.end;
      const int64_t i = (next - t.begin) * grad_stride + at;
      if (H) gh[2] = gh[1], gh[1] = gh[0], gh[0] = within ? simd::load(inside[4], height_grad + i) : V{};
      if (W) gw[2] = gw[1], gw[1] = gw[0], gw[0] = within ? simd::load(inside[4], width_grad + i) : V{};
    };
    advance(first);
    for (int p = first; p <= last; ++p) {
      advance(p + 1);
      const int64_t i = (p - t.begin) * t.stride + at;
      if (H)
        for (int v = 0; v < 3; ++v) {
          const V x = neighbour<S>(t.height_in + i, inside, t.width, 3 + v);
          for (int u = 0; u < 3; ++u) sh[3 * u + v] += gh[u] * x;
        }
      if (W)
        for (int v = 0; v < 3; ++v) {
          const V x = neighbour<S>(t.width_in + i, inside, t.width, 3 * v + 1);
          for (int u = 0; u < 3; ++u) sw[3 * u + v] += gw[u] * x;
        }
    }
    for (int k = 0; k < 9; ++k) {
      if (H) simd::store(height_out + k * padded + at, simd::load(height_out + k * padded + at) + sh[k]);
      if (W) simd::store(width_out + k * padded + at, simd::load(width_out + k * padded + at) + sw[k]);
    }
  }
}

template <class S>
void taps_grad_tile(const Tile<S>& t, const S* height_grad, const S* width_grad, int64_t grad_stride, S* height_out,
                    S* width_out) {
  if (!width_out) return taps_grad_march<S, kHeight>(t, height_grad, width_grad, grad_stride, height_out, width_out);
  if (!height_out) return taps_grad_march<S, kWidth>(t, height_grad, width_grad, grad_stride, height_out, width_out);
  taps_grad_march<S, kHeight | kWidth>(t, height_grad, width_grad, grad_stride, height_out, width_out);
}

template <class S>
void resize_rows_planes(const Band<S>& b, const Planes<S>& planes) {
  using simd = Simd<S>;
  const int width = planes.across;
  for (int p = 0; p < planes.count; ++p)
    for (int i = 0; i < b.out; ++i) {
      const S* in = planes.in + p * planes.in_stride + static_cast<int64_t>(b.first[i]) * width;
      S* out = planes.out + p * planes.out_stride + static_cast<int64_t>(i) * width;
      for (int j = 0; j < width; j += simd::lanes) {
        const auto m = simd::mask(first_lanes(width - j));
        typename simd::V sum{};
        for (int k = 0; k < b.taps; ++k)
          sum += simd::splat(b.coefficients[i * b.taps + k]) * simd::load(m, in + k * width + j);
        simd::store(m, out + j, sum);
      }
    }
}

// One vector of columns at a time, its places and coefficients kept over all rows.
template <class S>
void resize_columns_planes(const Band<S>& b, const Planes<S>& planes) {
  using simd = Simd<S>;
  constexpr int lanes = simd::lanes;
  for (int j = 0; j < b.out; j += lanes) {
    const int used = b.out - j < lanes ? b.out - j : lanes;
    const auto m = simd::mask(first_lanes(used));
    for (int k = 0; k < b.taps; ++k) {
      alignas(64) int32_t place[kMaxLanes] = {};
      alignas(64) S coefficient[kMaxLanes] = {};
      for (int i = 0; i < used; ++i) {
        place[i] = b.first[j + i] + k;
        coefficient[i] = b.coefficients[(j + i) * b.taps + k];
      }
      const auto c = simd::load(coefficient);
      for (int p = 0; p < planes.count; ++p) {
        const S* in = planes.in + p * planes.in_stride;
        S* out = planes.out + p * planes.out_stride + j;
        for (int row = 0; row < planes.across; ++row, in += b.in, out += b.out) {
          auto sum = c * simd::gather(in, place);
          if (k) sum += simd::load(m, out);
          simd::store(m, out, sum);
        }
      }
    }
  }
}

template <class S>
constexpr Kernels<S> all_kernels() {
  return {Simd<S>::lanes,    dim_conv_tile<S>,  any_branch_tile<S>,    sum_tile<S>,
          depth_plus_tile<S>, depth_taps_grad_tile<S>, taps_grad_tile<S>, resize_rows_planes<S>,
          resize_columns_planes<S>};
}

}  // namespace
