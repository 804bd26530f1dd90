// Dimension-wise convolution of one tile, marching over the channels.
//
// A vector holds consecutive voxels of the flattened plane. Their height and width taps stay in registers while the march goes
// from channel to channel; a plane adds to the outputs of the channel before it, its own and the one after it, so that
// it is loaded once. `emit(channel, offset, mask, depth, height, width)` takes each finished vector.
#pragma once
#include "kernels.h"
#include "simd.h"

namespace {

using namespace dicenet_mm;

// acc + taps . (a, b, c)
template <class V>
INLINE V dot3(const V* taps, V a, V b, V c, V acc) {
  return acc + taps[0] * a + taps[1] * b + taps[2] * c;
}

// The voxels of a plane beside each lane: row above, own row, row below.
template <class S>
INLINE typename Simd<S>::V neighbour(const S* at, const typename Simd<S>::M* inside, int width, int i) {
  return Simd<S>::load(inside[i], at + (i / 3 - 1) * width + i % 3 - 1);
}

template <class S, int branches, bool shared, class Emit>
INLINE void march(const Tile<S>& t, const Emit& emit) {
  using simd = Simd<S>;
  using V = typename simd::V;
  constexpr bool D = branches & kDepth, H = branches & kHeight, W = branches & kWidth;
  const int64_t area = static_cast<int64_t>(t.height) * t.width;
  const int64_t padded = (area + kMaxLanes - 1) / kMaxLanes * kMaxLanes;
  const uint32_t* borders = t.borders;
  for (int64_t offset = 0; offset < area; offset += simd::lanes, borders += 9) {
    typename simd::M inside[9];
    for (int i = 0; i < 9; ++i) inside[i] = simd::mask(borders[i]);
    V kh[9], kw[9];
    for (int i = 0; i < 9; ++i) {
      if (H) kh[i] = simd::load(t.height_taps + i * padded + offset);
      if (W) kw[i] = simd::load(t.width_taps + i * padded + offset);
    }
    // Of the channel that comes: its first row of taps is in; of the one before: two rows.
    V h1{}, h2{}, w1{}, w2{}, depth{};
    const S* xh = t.height_in + offset;
    const S* xw = t.width_in + offset;
    const S* xd = t.depth_in + offset;
    auto across = [&](const S* x, int i) __attribute__((always_inline)) {
      return neighbour<S>(x, inside, t.width, i);
    };
    if (t.begin > 0) {
      if (H) h1 = dot3(kh, across(xh - t.stride, 3), across(xh - t.stride, 4), across(xh - t.stride, 5), V{});
      if (W) w1 = dot3(kw, across(xw - t.stride, 1), across(xw - t.stride, 4), across(xw - t.stride, 7), V{});
    }
    for (int p = t.begin; p < t.end; ++p, xh += t.stride, xw += t.stride, xd += t.stride) {
      V x[9], height{}, width{}, own{};
      if (H || (D && shared))
        for (int i = 3; i < 6; ++i) x[i] = across(shared ? xd : xh, i);
      if (H) {
        height = dot3(kh + 6, x[3], x[4], x[5], h2);
        h2 = dot3(kh + 3, x[3], x[4], x[5], h1);
        h1 = dot3(kh, x[3], x[4], x[5], V{});
      }
      if (W || (D && shared)) {
        if (!(shared && (H || D))) x[4] = across(shared ? xd : xw, 4);
        for (int i = 1; i < 9; i += 6) x[i] = across(shared ? xd : xw, i);
      }
      if (W) {
        width = dot3(kw + 6, x[1], x[4], x[7], w2);
        w2 = dot3(kw + 3, x[1], x[4], x[7], w1);
        w1 = dot3(kw, x[1], x[4], x[7], V{});
      }
      if (D) {
        const S* k = t.depth_taps + static_cast<int64_t>(p) * 9;
        if (!shared)
          for (int i = 1; i < 8; i += i == 1 || i == 5 ? 2 : 1) x[i] = across(xd, i);
        for (int i = 0; i < 9; i += i == 2 ? 4 : 2) x[i] = across(xd, i);
        V even{}, odd{};  // two chains of additions, to hide their latency
        for (int i = 0; i < 9; ++i) (i % 2 ? odd : even) += simd::splat(k[i]) * x[i];
        own = even + odd;
      }
      if (p > t.begin) emit(p - 1, offset, inside[4], depth, height, width);
      depth = own;
    }
    if (t.end < t.depth) {
      if (H) h2 = dot3(kh + 6, across(xh, 3), across(xh, 4), across(xh, 5), h2);
      if (W) w2 = dot3(kw + 6, across(xw, 1), across(xw, 4), across(xw, 7), w2);
    }
    emit(t.end - 1, offset, inside[4], depth, h2, w2);
  }
}

}  // namespace
