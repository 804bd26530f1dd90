// The kernels of inference for small maps in batches: a vector is one voxel of as many images as it has lanes.
// Voxels outside a plane are whole vectors then, no lane is idle, no load crosses a cache line, and what is
// summed over the voxels of an image stays in its lane.
#pragma once
#include "unit_kernels.h"

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
  for (int i = 0; i < simd::lanes; ++i) __builtin_prefetch(images + i * stride + 64);
#pragma GCC unroll 16
  for (int i = 0; i < simd::lanes; ++i)
    rows[i] = whole ? simd::load(images + i * stride) : simd::load(simd::mask(first_lanes(count)), images + i * stride);
  transpose(rows);
#pragma GCC unroll 16
  for (int i = 0; i < simd::lanes; ++i)
    if (whole || i < count) simd::store(vectors + i * simd::lanes, rows[i]);
}

template <bool whole>
INLINE void block_from_lanes(const float* vectors, int count, float* images, int64_t stride) {
  V rows[simd::lanes];
#pragma GCC unroll 16
  for (int i = 0; i < simd::lanes; ++i) __builtin_prefetch(images + i * stride + 64, 1);
#pragma GCC unroll 16
  for (int i = 0; i < simd::lanes; ++i) rows[i] = whole || i < count ? simd::load(vectors + i * simd::lanes) : V{};
  transpose(rows);
#pragma GCC unroll 16
  for (int i = 0; i < simd::lanes; ++i)
    if (whole)
      simd::store(images + i * stride, rows[i]);
    else
      simd::store(simd::mask(first_lanes(count)), images + i * stride, rows[i]);
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

LocalFusion batch_fusion_of(const Tile<float>& t, const float* local, float* y, float* sums) {
  std::memset(sums, 0, (t.end - t.begin) * sizeof(V));
  LocalFusion fusion = local_fusion_of(t, local, y, sums);
  fusion.area *= simd::lanes;
  return fusion;
}

void batch_local_fusion(const Tile<float>& t, const float* local, float* y, float* sums) {
  march<float, kDepth | kHeight | kWidth, true, simd::lanes>(t, batch_fusion_of(t, local, y, sums));
}

void batch_local_fusion_resized(const Tile<float>& t, const float* height, const float* width, const float* local,
                                float* y, float* sums) {
  const LocalFusion fusion = batch_fusion_of(t, local, y, sums);
  march<float, kDepth, true, simd::lanes>(t, Resized<LocalFusion>{fusion, height, width, fusion.area});
}

void batch_spatial(const float* x, int height, int width, const uint32_t*, const float* spatial, const float* gate,
                   float* y) {
  const V bias = simd::splat(spatial[kBias]), p = simd::load(gate), q = p * simd::splat(spatial[kSlope]);
  constexpr int lanes = simd::lanes;
  int column = 0;
  for (; column + 3 <= width; column += 3)
    spatial_columns<3, lanes>(x, height, width * lanes, column * lanes, spatial, bias, p, q, y);
  if (column + 2 == width)
    spatial_columns<2, lanes>(x, height, width * lanes, column * lanes, spatial, bias, p, q, y);
  else if (column < width)
    spatial_columns<1, lanes>(x, height, width * lanes, column * lanes, spatial, bias, p, q, y);
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

constexpr UnitKernels batch_kernels() {
  return {batch_local_fusion, batch_local_fusion_resized, batch_spatial, batch_multiply};
}

}  // namespace
