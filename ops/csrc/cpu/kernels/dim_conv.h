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

}  // namespace
