// Dimension-wise convolution of one tile, marching over the channels.
//
// A vector holds consecutive voxels of the flattened plane. Their height and width taps stay in registers
// while the march goes from channel to channel; a plane adds to the outputs of the channel before it, its own
// and the one after it, so that it is loaded once. `sink.begin(offset)` is told of each new place in the
// plane, `sink.next(mask, depth, height, width)` takes the finished vectors of one channel after the other.
//
// Loads are not masked, only what is added: inputs must be readable for a margin (kReadsAround voxels and a
// row, see kernel_table.h) before and after.
#pragma once
#include "../kernel_table.h"
#include "../simd/vec.h"

namespace {

using namespace dicenet_mm;

// Three voxels in a line, the middle one always inside; taps meet those beside it where they lie in the
// plane.
template <class S>
struct Line {
  using V = typename Simd<S>::V;
  using M = typename Simd<S>::M;
  V a, b, c;
  M has_a, has_c;
  INLINE V dot(const Line& x, const V* taps, V sum) {
    sum = Simd<S>::add_product(x.has_a, taps[0], x.a, sum);
    return Simd<S>::add_product(x.has_c, taps[2], x.c, sum + taps[1] * x.b);
  }
};

// Outputs that wait for planes to come: of the next channel, with its first row of taps in, and of this one,
// with two.
template <class S>
struct Pending {
  using V = typename Simd<S>::V;
  V one{}, two{};
  INLINE V add(Pending& s, const V* taps, const Line<S>& x) {
    const V done = Line<S>::dot(x, taps + 6, s.two);
    s.two = Line<S>::dot(x, taps + 3, s.one);
    s.one = Line<S>::dot(x, taps, V{});
    return done;
  }
};

template <class S>
INLINE void load_taps(const S* taps, int64_t padded, typename Simd<S>::V* out) {
#pragma GCC unroll 9
  for (int i = 0; i < 9; ++i) out[i] = Simd<S>::load(taps + i * padded);
}

template <class S, int branches, bool shared, class Sink>
INLINE void march(const Tile<S>& t, Sink sink) {
  using simd = Simd<S>;
  using V = typename simd::V;
  constexpr bool D = branches & kDepth, H = branches & kHeight, W = branches & kWidth;
  const int64_t width = t.width, area = t.height * width, stride = t.stride;
  const int64_t padded = (area + kMaxLanes - 1) / kMaxLanes * kMaxLanes;
  const int channels = t.end - t.begin;
  const bool first = t.begin > 0, last = t.end < t.depth;  // whether there is a plane before, and one after
  const uint32_t* borders = t.borders;
  for (int64_t offset = 0; offset < area; offset += simd::lanes, borders += 9) {
    // Neighbours are named by their place in the 3x3 window, 0 to 8.
    const typename simd::M m0 = simd::mask(borders[0]), m1 = simd::mask(borders[1]),
                           m2 = simd::mask(borders[2]), m3 = simd::mask(borders[3]),
                           m5 = simd::mask(borders[5]),
                           m6 = simd::mask(borders[6]), m7 = simd::mask(borders[7]),
                           m8 = simd::mask(borders[8]);
    const typename simd::P within = simd::first(area - offset);
    V kh[9], kw[9];
    if (H) load_taps(t.height_taps + offset, padded, kh);
    if (W) load_taps(t.width_taps + offset, padded, kw);
    const S *xd = t.depth_in + offset, *xh = shared ? xd : t.height_in + offset,
            *xw = shared ? xd : t.width_in + offset;
    const S* kd = t.depth_taps + static_cast<int64_t>(t.begin) * 9;
    auto row = [&](const S* x) __attribute__((always_inline)) {
      return Line<S>{simd::load_once(x - 1), simd::load_once(x), simd::load_once(x + 1), m3, m5};
    };
    auto column = [&](const S* x) __attribute__((always_inline)) {
      return Line<S>{simd::load_once(x - width), simd::load_once(x), simd::load_once(x + width), m1, m7};
    };
    auto window = [&](const S* x, const Line<S>& r, const Line<S>& c) __attribute__((always_inline)) {
      const S *up = x - width, *down = x + width;
      auto tap = [&](int i) __attribute__((always_inline)) { return simd::splat(kd[i]); };
      V even = tap(4) * r.b, odd = simd::add_product(m1, tap(1), c.a, V{});  // two chains hide the latency
      odd = simd::add_product(m3, tap(3), r.a, odd);
      odd = simd::add_product(m5, tap(5), r.c, odd);
      odd = simd::add_product(m7, tap(7), c.c, odd);
      even = simd::add_product(m0, tap(0), simd::load(up - 1), even);
      even = simd::add_product(m2, tap(2), simd::load(up + 1), even);
      even = simd::add_product(m6, tap(6), simd::load(down - 1), even);
      even = simd::add_product(m8, tap(8), simd::load(down + 1), even);
      return even + odd;
    };
    sink.begin(offset);
    Pending<S> h, w;
    if (H && first) h.one = Line<S>::dot(row(xh - stride), kh, V{});
    if (W && first) w.one = Line<S>::dot(column(xw - stride), kw, V{});
    V depth{};  // of the channel whose height and width branches still wait for the next plane
    auto plane = [&](V& height, V& wide, V& own) __attribute__((always_inline)) {
      Line<S> r{}, c{};
      if (H || D) r = row(H ? xh : xd);
      if (W || D) c = column(W ? xw : xd);
      if (H) height = Pending<S>::add(h, kh, r);
      if (W) wide = Pending<S>::add(w, kw, c);
      if (D && !shared && H) r = row(xd);
      if (D && !shared && W) c = column(xd);
      if (D) own = window(xd, r, c);
    };
    V none;
    plane(none, none, depth);
    for (int left = channels - 1; left > 0; --left) {
      xd += stride, xh += stride, xw += stride, kd += 9;
      V height{}, wide{}, own{};
      plane(height, wide, own);
      sink.next(within, depth, height, wide);
      depth = own;
    }
    if (H && last) h.two = Line<S>::dot(row(xh + stride), kh + 6, h.two);
    if (W && last) w.two = Line<S>::dot(column(xw + stride), kw + 6, w.two);
    sink.next(within, depth, h.two, w.two);
  }
}

}  // namespace
