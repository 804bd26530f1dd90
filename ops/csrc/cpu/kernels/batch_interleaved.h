// The kernels of inference for small maps in batches: a vector is one voxel of as many images as it has lanes (see
// slide.h). No lane is idle, no load crosses a cache line, and what is summed over an image's voxels stays in its lane.
#pragma once
#include "unit.h"

namespace {

// Rows become columns.
INLINE void transpose(V* rows) {
#pragma GCC unroll 4
  for (int done = 1; done < simd::lanes; done *= 2) {
    V half[simd::lanes];
#pragma GCC unroll 8
    for (int i = 0; i < simd::lanes / 2; ++i) {
      half[2 * i] = rows[i], half[2 * i + 1] = rows[i + simd::lanes / 2];
      simd::interleave(half[2 * i], half[2 * i + 1]);
    }
#pragma GCC unroll 16
    for (int i = 0; i < simd::lanes; ++i) rows[i] = half[i];
  }
}

// A block of `count` voxels or less of each image.
template <bool whole>
INLINE void block_to_lanes(const float* images, int64_t stride, int count, float* vectors) {
  V rows[simd::lanes];
#pragma GCC unroll 16
  for (int i = 0; i < simd::lanes; ++i)
    rows[i] = whole ? simd::load(images + i * stride) : simd::load(simd::first(count), images + i * stride);
  transpose(rows);
#pragma GCC unroll 16
  for (int i = 0; i < simd::lanes; ++i)
    if (whole || i < count) simd::store(vectors + i * simd::lanes, rows[i]);
}

template <bool whole>
INLINE void block_from_lanes(const float* vectors, int count, float* images, int64_t stride) {
  V rows[simd::lanes];
#pragma GCC unroll 16
  for (int i = 0; i < simd::lanes; ++i) rows[i] = whole || i < count ? simd::load(vectors + i * simd::lanes) : V{};
  transpose(rows);
#pragma GCC unroll 16
  for (int i = 0; i < simd::lanes; ++i)
    if (whole)
      simd::store(images + i * stride, rows[i]);
    else
      simd::store(simd::first(count), images + i * stride, rows[i]);
}

void to_lanes(const float* images, int64_t stride, int64_t count, float* vectors) {
  for (; count >= simd::lanes; count -= simd::lanes, images += simd::lanes, vectors += simd::lanes * simd::lanes)
    block_to_lanes<true>(images, stride, simd::lanes, vectors);
  if (count > 0) block_to_lanes<false>(images, stride, static_cast<int>(count), vectors);
}

void from_lanes(const float* vectors, int64_t count, float* images, int64_t stride) {
  for (; count >= simd::lanes; count -= simd::lanes, images += simd::lanes, vectors += simd::lanes * simd::lanes)
    block_from_lanes<true>(vectors, simd::lanes, images, stride);
  if (count > 0) block_from_lanes<false>(vectors, static_cast<int>(count), images, stride);
}

// 3x3 convolution of a plane; `done(at, sum)` takes its outputs.
template <class Done>
INLINE void slide_plane(const float* x, int height, int width, const float* taps, V bias, const Done& done) {
  const int64_t row = width * simd::lanes;
  for (int i = 0; i < height; ++i) {
    const float* line = x + i * row;
    const float *before = i > 0 ? line - row : nullptr, *after = i + 1 < height ? line + row : nullptr;
    slide<float>({before, line, after, width, simd::lanes}, taps, 1, bias, [&](int j, V sum)
                 __attribute__((always_inline)) { done(i * row + j * simd::lanes, sum); });
  }
}

// Local fusion of channel `p` of a tile, its other branches given.
INLINE void fuse_plane(const Tile<float>& t, int p, const float* height, const float* width, const float* local,
                       float* y, float* sum) {
  V prm[11], all{};
#pragma GCC unroll 11
  for (int i = 0; i < 11; ++i) prm[i] = simd::hold(simd::splat(local[p * kLocal + i]));
  auto term = [&](int i, V u, V acc) __attribute__((always_inline)) {
    return acc + prm[i] * u + prm[i + 1] * simd::min(u, prm[i + 2]);
  };
  slide_plane(t.depth_in + (p - t.begin) * t.stride, t.height, t.width, t.depth_taps + p * 9, V{},
              [&](int64_t at, V depth) __attribute__((always_inline)) {
                const V u = term(3, simd::load(height + at), term(0, depth, prm[9])) +
                            term(6, simd::load(width + at), V{});
                const V z = u + prm[10] * simd::min(u, V{});
                simd::store(y + at, z);
                all += z;
              });
  simd::store(sum, all);
}

// Of maps that have their kernels' size, and so are small.
void batch_local_fusion(const Tile<float>& t, const float* local, float* y, float* sums) {
  alignas(64) float height[kSmallMap * simd::lanes], width[kSmallMap * simd::lanes];
  const int64_t area = area_of(t) * simd::lanes;
  for (int p = t.begin; p < t.end; ++p, y += area, sums += simd::lanes) {
    slide_branch(kHeight, t, p, height);
    slide_branch(kWidth, t, p, width);
    fuse_plane(t, p, height, width, local, y, sums);
  }
}

void batch_local_fusion_resized(const Tile<float>& t, const float* height, const float* width, const float* local,
                                float* y, float* sums) {
  const int64_t area = area_of(t) * simd::lanes;
  for (int p = t.begin; p < t.end; ++p, height += area, width += area, y += area, sums += simd::lanes)
    fuse_plane(t, p, height, width, local, y, sums);
}

void batch_spatial(const float* x, int height, int width, const uint32_t*, const float* spatial, const float* gate,
                   float* y) {
  const V p = simd::load(gate), q = p * simd::splat(spatial[kSlope]);
  slide_plane(x, height, width, spatial, simd::splat(spatial[kBias]), [&](int64_t at, V u)
              __attribute__((always_inline)) { simd::store(y + at, p * u + q * simd::min(u, V{})); });
}

template <int many>
INLINE void batch_multiply_rows(const float* matrix, const float* x, int columns, float* out) {
  V sum[many] = {};
  for (int i = 0; i < columns; ++i) {
    const V here = simd::load_once(x + i * simd::lanes);
#pragma GCC unroll 8
    for (int r = 0; r < many; ++r) sum[r] += simd::splat(matrix[r * columns + i]) * here;
  }
#pragma GCC unroll 8
  for (int r = 0; r < many; ++r) simd::store(out + r * simd::lanes, sum[r]);
}

void batch_multiply(const float* matrix, const float* x, int rows, int columns, float* out) {
  int r = 0;
  for (; r + 8 <= rows; r += 8)
    batch_multiply_rows<8>(matrix + r * columns, x, columns, out + r * simd::lanes);
  for (; r < rows; ++r) batch_multiply_rows<1>(matrix + r * columns, x, columns, out + r * simd::lanes);
}

}  // namespace
