// 3x3 convolution of small maps in batches, where every voxel is a vector: one voxel of as many images as it has
// lanes. It slides along a line of voxels; each one adds to the outputs before it, at it and after it, so that it is
// loaded once, and nothing is masked.
#pragma once
#include "../kernel_table.h"
#include "../simd/vec.h"

namespace {

using namespace dicenet_mm;

// Three lines side by side, the outer ones where there are any; `step` elements from voxel to voxel.
template <class S>
struct Lines {
  const S *before, *middle, *after;
  int count;
  int64_t step;
};

// taps (9), `stride` apart: of the line before, the middle one, the one after. `done(i, sum)` takes the outputs along
// the middle line.
template <class S, class Done>
INLINE void slide(const Lines<S>& lines, const S* taps, int64_t stride, typename Simd<S>::V bias, const Done& done) {
  using simd = Simd<S>;
  using V = typename simd::V;
  V k[9];
#pragma GCC unroll 9
  for (int i = 0; i < 9; ++i)
    k[i] = simd::hold((i < 3 && !lines.before) || (i >= 6 && !lines.after) ? V{} : simd::splat(taps[i * stride]));
  const S *b = lines.middle, *a = lines.before ? lines.before : b, *c = lines.after ? lines.after : b;
  auto load = [&](const S* x, int i) __attribute__((always_inline)) { return simd::load_once(x + i * lines.step); };
  V x = load(a, 0), y = load(b, 0), z = load(c, 0);
  auto add = [&](int column, V sum) __attribute__((always_inline)) {
    return sum + k[column] * x + k[3 + column] * y + k[6 + column] * z;
  };
  V here = add(1, bias), next = add(0, bias);
  for (int i = 1; i < lines.count; ++i) {
    x = load(a, i), y = load(b, i), z = load(c, i);
    done(i - 1, add(2, here));
    here = add(1, next), next = add(0, bias);
  }
  done(lines.count - 1, here);
}

// The height or width branch of channel `p` of a tile to `y`.
template <class S>
INLINE void slide_branch(Branch which, const Tile<S>& t, int p, S* y) {
  using V = typename Simd<S>::V;
  constexpr int lanes = Simd<S>::lanes;
  const bool rows = which == kHeight;
  const int count = rows ? t.width : t.height, across = rows ? t.height : t.width;
  const int along = rows ? 1 : t.width, beside = rows ? t.width : 1;  // voxels from one to the next
  const int64_t padded = (static_cast<int64_t>(t.height) * t.width + kMaxLanes - 1) / kMaxLanes * kMaxLanes;
  const S* x = (rows ? t.height_in : t.width_in) + (p - t.begin) * t.stride;
  const S* taps = rows ? t.height_taps : t.width_taps;
  for (int i = 0; i < across; ++i) {
    const S* line = x + i * beside * lanes;
    S* out = y + i * beside * lanes;
    const S *before = p > 0 ? line - t.stride : nullptr, *after = p + 1 < t.depth ? line + t.stride : nullptr;
    slide<S>({before, line, after, count, along * lanes}, taps + i * beside, padded, V{}, [&](int j, V sum)
             __attribute__((always_inline)) { Simd<S>::store(out + j * along * lanes, sum); });
  }
}

}  // namespace
