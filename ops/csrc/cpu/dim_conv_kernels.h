// The kernels of dim_conv and of its gradients.
#pragma once
#include "march.h"
#include "slide.h"

namespace {

// The voxel beside each lane, `i` as in the 3x3 window.
template <class S>
INLINE typename Simd<S>::V neighbour(const S* at, const typename Simd<S>::M* inside, int width, int i) {
  return Simd<S>::load(inside[i], at + (i / 3 - 1) * width + i % 3 - 1);
}

template <class S>
struct AllBranches {
  using P = typename Simd<S>::P;
  using V = typename Simd<S>::V;
  S* y;
  int64_t area;
  S* out = nullptr;
  INLINE_METHOD begin(int64_t offset) { out = y + offset; }
  INLINE_METHOD next(P m, V depth, V height, V width) {
    Simd<S>::store(m, out, depth);
    Simd<S>::store(m, out + area, height);
    Simd<S>::store(m, out + 2 * area, width);
    out += 3 * area;
  }
};

template <class S, int which>
struct OneBranch {
  using P = typename Simd<S>::P;
  using V = typename Simd<S>::V;
  S* y;
  int64_t stride;
  S* out = nullptr;
  INLINE_METHOD begin(int64_t offset) { out = y + offset; }
  INLINE_METHOD next(P m, V depth, V height, V width) {
    Simd<S>::store(m, out, which == kDepth ? depth : which == kHeight ? height : width);
    out += stride;
  }
};

template <class S>
struct Sum {
  using P = typename Simd<S>::P;
  using V = typename Simd<S>::V;
  S* y;
  int64_t area;
  S* out = nullptr;
  INLINE_METHOD begin(int64_t offset) { out = y + offset; }
  INLINE_METHOD next(P m, V depth, V height, V width) {
    Simd<S>::store(m, out, depth + height + width);
    out += area;
  }
};

template <class S>
struct DepthPlus {
  using P = typename Simd<S>::P;
  using V = typename Simd<S>::V;
  const S *height, *width;
  S* y;
  int64_t area;
  int64_t i = 0;
  INLINE_METHOD begin(int64_t offset) { i = offset; }
  INLINE_METHOD next(P m, V depth, V, V) {
    Simd<S>::store(m, y + i, depth + Simd<S>::load(m, height + i) + Simd<S>::load(m, width + i));
    i += area;
  }
};

template <class S>
int64_t area_of(const Tile<S>& t) {
  return static_cast<int64_t>(t.height) * t.width;
}

template <class S>
void dim_conv_tile(const Tile<S>& t, S* y) {
  march<S, kDepth | kHeight | kWidth, true>(t, AllBranches<S>{y, area_of(t)});
}

template <class S>
void any_branch_tile(Branch which, const Tile<S>& t, S* y, int64_t stride) {
  if (which == kDepth) return march<S, kDepth, true>(t, OneBranch<S, kDepth>{y, stride});
  if (which == kHeight) return march<S, kHeight, false>(t, OneBranch<S, kHeight>{y, stride});
  march<S, kWidth, false>(t, OneBranch<S, kWidth>{y, stride});
}

template <class S>
void batch_branch_tile(Branch which, const Tile<S>& t, S* y, int64_t stride) {
  for (int p = t.begin; p < t.end; ++p, y += stride) slide_branch(which, t, p, y);
}

template <class S>
void sum_tile(const Tile<S>& t, S* y) {
  march<S, kDepth | kHeight | kWidth, false>(t, Sum<S>{y, area_of(t)});
}

template <class S>
void depth_plus_tile(const Tile<S>& t, const S* height, const S* width, S* y) {
  march<S, kDepth, true>(t, DepthPlus<S>{height, width, y, area_of(t)});
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
      const V here = simd::load(simd::first(area - at), g + at);
#pragma GCC unroll 9
      for (int i = 0; i < 9; ++i)
        sum[i] = simd::add_product(simd::mask(borders[i]), here,
                                   simd::load(x + at + (i / 3 - 1) * t.width + i % 3 - 1), sum[i]);
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
    const typename simd::P here = simd::first(area - at);
    V sh[9]{}, sw[9]{}, gh[3]{}, gw[3]{};  // of the channels after, at and before the plane
    auto advance = [&](int next) __attribute__((always_inline)) {
      const bool within = next >= t.begin && next < t.end;
      const int64_t i = (next - t.begin) * grad_stride + at;
      if (H) gh[2] = gh[1], gh[1] = gh[0], gh[0] = within ? simd::load(here, height_grad + i) : V{};
      if (W) gw[2] = gw[1], gw[1] = gw[0], gw[0] = within ? simd::load(here, width_grad + i) : V{};
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
void taps_grad_tile(const Tile<S>& t, const S* height_grad, const S* width_grad, int64_t grad_stride,
                    S* height_out, S* width_out) {
  if (!width_out)
    return taps_grad_march<S, kHeight>(t, height_grad, width_grad, grad_stride, height_out, width_out);
  if (!height_out)
    return taps_grad_march<S, kWidth>(t, height_grad, width_grad, grad_stride, height_out, width_out);
  taps_grad_march<S, kHeight | kWidth>(t, height_grad, width_grad, grad_stride, height_out, width_out);
}

// One vector of columns at a time goes down the rows; `taps` rows of the input make one of the output.
template <class S, int taps>
INLINE void resize_rows_by(const Band<S>& b, const Planes<S>& planes) {
  using simd = Simd<S>;
  const int64_t width = planes.across;
  for (int64_t j = 0; j < width; j += simd::lanes) {
    const auto m = simd::first(width - j);
    for (int p = 0; p < planes.count; ++p) {
      const S *in = planes.in + p * planes.in_stride + j, *c = b.coefficients;
      S* out = planes.out + p * planes.out_stride + j;
      for (int i = 0; i < b.out; ++i, out += width, c += b.taps) {
        const S* row = in + b.first[i] * width;
        typename simd::V sum = simd::splat(c[0]) * simd::load(row);
        for (int k = 1; k < (taps ? taps : b.taps); ++k)
          sum += simd::splat(c[k]) * simd::load(row + k * width);
        simd::store(m, out, sum);
      }
    }
  }
}

template <class S>
void resize_rows_planes(const Band<S>& b, const Planes<S>& planes) {
  if (b.taps == 2) return resize_rows_by<S, 2>(b, planes);
  if (b.taps == 3) return resize_rows_by<S, 3>(b, planes);
  resize_rows_by<S, 0>(b, planes);
}

// Every voxel is a vector; the first `taps` coefficients stay in registers. Structures come by value: for all the
// compiler knows, stores could change them.
template <class S, int taps>
INLINE void batch_resize_by(const Band<S> b, const Planes<S> planes, const Steps steps) {
  using simd = Simd<S>;
  for (int p = 0; p < planes.count; ++p)
    for (int i = 0; i < b.out; ++i) {
      const S *in = planes.in + p * planes.in_stride + b.first[i] * steps.along, *c = b.coefficients + i * b.taps;
      S* out = planes.out + p * planes.out_stride + i * steps.along;
      typename simd::V held[taps];
      for (int k = 0; k < taps; ++k) held[k] = simd::hold(simd::splat(c[k]));
      for (int j = 0; j < planes.across; ++j, in += steps.in_across, out += steps.out_across) {
        typename simd::V sum = held[0] * simd::load(in);
        for (int k = 1; k < taps; ++k) sum += held[k] * simd::load(in + k * steps.along);
        for (int k = taps; k < b.taps; ++k) sum += simd::splat(c[k]) * simd::load(in + k * steps.along);
        simd::store(out, sum);
      }
    }
}

template <class S>
void batch_resize_planes(const Band<S>& b, const Planes<S>& planes, const Steps& steps) {
  if (b.taps == 1) return batch_resize_by<S, 1>(b, planes, steps);
  if (b.taps == 2) return batch_resize_by<S, 2>(b, planes, steps);
  batch_resize_by<S, 3>(b, planes, steps);
}

// One vector of columns at a time, its places and coefficients kept over all rows. `pick` takes the lanes'
// inputs.
template <class S, int taps, class Pick>
INLINE void resize_columns_by(const Band<S>& b, const Planes<S>& planes, int column, int used,
                              const Pick& pick) {
  using simd = Simd<S>;
  using V = typename simd::V;
  const int base = b.first[column];
  const auto m = simd::first(used);
  for (int from = 0; from < b.taps; from += taps) {
    alignas(64) int32_t place[taps][kMaxLanes] = {};
    alignas(64) S coefficient[taps][kMaxLanes] = {};
    for (int k = 0; k < taps && from + k < b.taps; ++k)
      for (int i = 0; i < used; ++i) {
        place[k][i] = b.first[column + i] - base + from + k;
        coefficient[k][i] = b.coefficients[(column + i) * b.taps + from + k];
      }
    V c[taps];
    for (int k = 0; k < taps; ++k) c[k] = simd::load(coefficient[k]);
    for (int p = 0; p < planes.count; ++p) {
      const S* in = planes.in + p * planes.in_stride + base;
      S* out = planes.out + p * planes.out_stride + column;
      for (int row = 0; row < planes.across; ++row, in += b.in, out += b.out) {
        V sum = from ? simd::load(m, out) : V{};
        pick(in, place, c, sum);
        simd::store(m, out, sum);
      }
    }
  }
}

template <class S, int taps>
INLINE void gather_columns(const Band<S>& b, const Planes<S>& planes, int column, int used) {
  using V = typename Simd<S>::V;
  resize_columns_by<S, taps>(b, planes, column, used, [](const S* in, const auto& place, const V* c, V& sum) {
    for (int k = 0; k < taps; ++k) sum += c[k] * Simd<S>::gather(in, place[k]);
  });
}

template <class S>
void resize_columns_planes(const Band<S>& b, const Planes<S>& planes) {
  constexpr int lanes = Simd<S>::lanes;
  for (int column = 0; column < b.out; column += lanes)
    gather_columns<S, 1>(b, planes, column, b.out - column < lanes ? b.out - column : lanes);
}

// Inputs that lie within one vector, or two, are permuted.
template <int taps, int vectors>
INLINE void permute_columns(const Band<float>& b, const Planes<float>& planes, int column, int used) {
  using simd = Simd<float>;
  using V = simd::V;
  resize_columns_by<float, taps>(
      b, planes, column, used,
      [](const float* in, const auto& place, const V* c, V& sum) __attribute__((always_inline)) {
        const V low = simd::load(in), high = vectors == 2 ? simd::load(in + simd::lanes) : low;
#pragma GCC unroll 4
        for (int k = 0; k < taps; ++k)
          sum += c[k] * (vectors == 2 ? simd::pick(low, high, place[k]) : simd::pick(low, place[k]));
      });
}

template <int taps>
INLINE void columns_within(const Band<float>& b, const Planes<float>& planes, int column, int used, int extent) {
  if (extent <= Simd<float>::lanes)
    permute_columns<taps, 1>(b, planes, column, used);
  else
    permute_columns<taps, 2>(b, planes, column, used);
}

template <>
void resize_columns_planes(const Band<float>& b, const Planes<float>& planes) {
  constexpr int lanes = Simd<float>::lanes;
  for (int column = 0, used; column < b.out; column += used) {
    auto extent = [&] { return b.first[column + used - 1] + b.taps - b.first[column]; };
    used = b.out - column < lanes ? b.out - column : lanes;
    if (extent() > 2 * lanes && used > lanes / 2) used = lanes / 2;  // half a vector, whose inputs lie closer together
    if (extent() > 2 * lanes)
      gather_columns<float, 1>(b, planes, column, used);
    else if (b.taps == 1)
      columns_within<1>(b, planes, column, used, extent());
    else if (b.taps == 2)
      columns_within<2>(b, planes, column, used, extent());
    else if (b.taps == 3)
      columns_within<3>(b, planes, column, used, extent());
    else
      columns_within<4>(b, planes, column, used, extent());
  }
}

template <class S>
constexpr Kernels<S> all_kernels() {
  return {Simd<S>::lanes,
          dim_conv_tile<S>,
          any_branch_tile<S>,
          batch_branch_tile<S>,
          sum_tile<S>,
          depth_plus_tile<S>,
          depth_taps_grad_tile<S>,
          taps_grad_tile<S>,
          resize_rows_planes<S>,
          resize_columns_planes<S>,
          batch_resize_planes<S>};
}

}  // namespace
