// Windows of 3x3 with stride 2: pooling, a depth-wise convolution, the windows of a dense one.
#pragma once
#include "unit.h"

namespace {

// Voxels at twice the place of each lane, to their left and to their right.
struct Thirds {
  V left, middle, right;
};

// Goes along a row, two vectors at a time.
struct EveryOther {
  const float* x;
  int width;    // of the row from `x` on
  V outside;    // the value there
  V last;       // whose last lane lies to the left of `x`
  EveryOther(const float* x, int width, V outside) : x(x), width(width), outside(outside), last(outside) {}
  inline __attribute__((always_inline)) V load() {
    const simd::P m = simd::first(width);
    const V v = simd::select(m, simd::load(m, x), outside);
    x += simd::lanes, width -= simd::lanes;
    return v;
  }
  inline __attribute__((always_inline)) Thirds next() {
    const V a = load(), b = load(), right = simd::odd(a, b), left = simd::after(last, right);
    last = right;
    return {left, simd::even(a, b), right};
  }
};

void downsample_plane(const float* x, int height, int width, const float* spatial, float* average,
                      float* convolved) {
  const int out_width = (width + 1) / 2;
  V taps[9];
  for (int i = 0; i < 9; ++i) taps[i] = simd::splat(spatial[i]);
  const V bias = simd::splat(spatial[kBias]), ninth = simd::splat(1.f / 9);
  for (int row = 0; row < height; row += 2, average += out_width, convolved += out_width) {
    const float* middle = x + static_cast<int64_t>(row) * width;
    EveryOther above(middle - width, row > 0 ? width : 0, V{}), here(middle, width, V{}),
        below(middle + width, row + 1 < height ? width : 0, V{});
    for (int j = 0; j < out_width; j += simd::lanes) {
      const simd::P m = simd::first(out_width - j);
      const Thirds a = above.next(), b = here.next(), c = below.next();
      simd::store(m, average + j,
                  ninth * ((a.left + a.middle + a.right) + (b.left + b.middle + b.right) +
                           (c.left + c.middle + c.right)));
      const V u = bias + taps[0] * a.left + taps[1] * a.middle + taps[2] * a.right + taps[3] * b.left +
                  taps[4] * b.middle + taps[5] * b.right + taps[6] * c.left + taps[7] * c.middle +
                  taps[8] * c.right;
      simd::store(m, convolved + j, prelu(u, spatial[kSlope]));
    }
  }
}

void pack_windows_row(const float* x, int channels, int height, int width, int row, int column, int columns,
                      float* panel) {
  for (int c = 0; c < channels; ++c)
    for (int k = -1; k <= 1; ++k, panel += 3 * kNR) {
      const int from = 2 * row + k;
      const bool within = from >= 0 && from < height;
      const float* in = x + (static_cast<int64_t>(c) * height + from) * width + 2 * column;
      EveryOther every(in, within ? width - 2 * column : 0, V{});
      if (column > 0 && within) every.last = simd::splat(in[-1]);
      for (int j = 0; j < columns; j += simd::lanes) {
        __builtin_prefetch(every.x + 2 * width);  // for the next row of windows
        __builtin_prefetch(every.x + 2 * width + simd::lanes);
        const Thirds t = every.next();
        simd::store(panel + j, t.left);
        simd::store(panel + kNR + j, t.middle);
        simd::store(panel + 2 * kNR + j, t.right);
      }
    }
}

void max_pool_plane(const float* x, int height, int width, float* y) {
  const int out_width = (width + 1) / 2;
  const V lowest = simd::splat(-__builtin_inff());
  for (int row = 0; row < height; row += 2, y += out_width) {
    const float* middle = x + static_cast<int64_t>(row) * width;
    EveryOther rows[3] = {{row > 0 ? middle - width : middle, width, lowest}, {middle, width, lowest},
                          {row + 1 < height ? middle + width : middle, width, lowest}};
    for (int j = 0; j < out_width; j += simd::lanes) {
      V highest = lowest;
#pragma GCC unroll 3
      for (EveryOther& every : rows) {
        const Thirds t = every.next();
        highest = simd::max(highest, simd::max(simd::max(t.left, t.middle), t.right));
      }
      simd::store(simd::first(out_width - j), y + j, highest);
    }
  }
}

}  // namespace
