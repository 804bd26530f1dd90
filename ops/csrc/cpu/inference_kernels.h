// The kernels of inference: a DiCE unit in two passes, point-wise convolutions, and the strided block's first layers.
#pragma once
#include "march.h"

namespace {

using simd = Simd<float>;
using V = simd::V;

INLINE V prelu(V u, float slope_minus_one) { return u + simd::splat(slope_minus_one) * simd::min(u, V{}); }

// Normalisation, PReLU and fusion weight of a branch: p u + r min(u, m), the constants of all three in one bias.
INLINE V branch_term(const float* prm, V u, V acc) {
  return acc + simd::splat(prm[0]) * u + simd::splat(prm[1]) * simd::min(u, simd::splat(prm[2]));
}

struct LocalFusion {
  const float* local;
  float* y;
  float* lane_sums;
  int begin;
  int64_t area;

  INLINE void emit(const LocalFusion& f, int p, int64_t at, simd::M m, V d, V h, V w) {
    const float* prm = f.local + static_cast<int64_t>(p) * kLocal;
    const int64_t channel = p - f.begin;
    const V u = branch_term(prm + 3, h, branch_term(prm, d, simd::splat(prm[9]))) + branch_term(prm + 6, w, V{});
    const V y = prelu(u, prm[10]);
    simd::store(m, f.y + channel * f.area + at, y);
    float* sums = f.lane_sums + channel * simd::lanes;
    simd::store(sums, simd::load(sums) + simd::keep(m, y));
  }
};

constexpr int kMaxChunk = 32;

template <class March>
INLINE void with_sums(const Tile<float>& t, const float* local, float* y, float* sums, const March& go) {
  alignas(64) float lane_sums[kMaxChunk * simd::lanes] = {};
  go(LocalFusion{local, y, lane_sums, t.begin, static_cast<int64_t>(t.height) * t.width});
  for (int i = 0; i < t.end - t.begin; ++i) sums[i] = total<float>(simd::load(lane_sums + i * simd::lanes));
}

void local_fusion_tile(const Tile<float>& t, const float* local, float* y, float* sums) {
  with_sums(t, local, y, sums, [&](const LocalFusion& f) __attribute__((always_inline)) {
    march<float, kDepth | kHeight | kWidth, true>(
        t, [&](int p, int64_t at, simd::M m, V d, V h, V w) __attribute__((always_inline)) {
          LocalFusion::emit(f, p, at, m, d, h, w);
        });
  });
}

void local_fusion_resized_tile(const Tile<float>& t, const float* height, const float* width, const float* local,
                               float* y, float* sums) {
  with_sums(t, local, y, sums, [&](const LocalFusion& f) __attribute__((always_inline)) {
    march<float, kDepth, true>(t, [&](int p, int64_t at, simd::M m, V d, V, V) __attribute__((always_inline)) {
      const int64_t i = (p - t.begin) * f.area + at;
      LocalFusion::emit(f, p, at, m, d, simd::load(m, height + i), simd::load(m, width + i));
    });
  });
}

void spatial_plane(const float* x, int height, int width, const uint32_t* borders, const float* spatial, float gate,
                   float* y) {
  V taps[9];
  for (int i = 0; i < 9; ++i) taps[i] = simd::splat(spatial[i]);
  const V bias = simd::splat(spatial[kBias]), scale = simd::splat(gate);
  const int area = height * width;
  for (int at = 0; at < area; at += simd::lanes, borders += 9) {
    V even = bias, odd{};
    for (int i = 0; i < 9; ++i)
      (i % 2 ? odd : even) += taps[i] * simd::load(simd::mask(borders[i]), x + at + (i / 3 - 1) * width + i % 3 - 1);
    simd::store(simd::mask(borders[4]), y + at, prelu(even + odd, spatial[kSlope]) * scale);
  }
}

void multiply_rows(const float* matrix, const float* x, int rows, int columns, float* out) {
  const simd::M tail = simd::mask(first_lanes(columns % simd::lanes));
  const int whole = columns / simd::lanes * simd::lanes;
  for (int r = 0; r < rows; ++r, matrix += columns) {
    V sum = simd::load(tail, matrix + whole) * simd::load(tail, x + whole);
    for (int i = 0; i < whole; i += simd::lanes) sum += simd::load(matrix + i) * simd::load(x + i);
    out[r] = total<float>(sum);
  }
}

void pack_panel(const float* in, int64_t area, int planes, int columns, float* panel) {
  for (int k = 0; k < planes; ++k, in += area, panel += kColumns)
    for (int j = 0; j < columns; j += simd::lanes) {
      const uint32_t inside = first_lanes(columns - j);
      simd::store(panel + j, simd::load(simd::mask(inside), in + j));
    }
}

// `rows` output channels at `vectors` vectors of voxels, summed in registers.
template <int rows, int vectors>
INLINE void point_wise_block(const float* panel, int planes, const float* weight, const float* affine, int used,
                             int channel, int64_t column, int columns, const Target& target) {
  V sum[rows][vectors] = {};
  for (int k = 0; k < planes; ++k, weight += kRows, panel += kColumns) {
    V x[vectors];
    for (int j = 0; j < vectors; ++j) x[j] = simd::load(panel + j * simd::lanes);
#pragma GCC unroll 8
    for (int r = 0; r < rows; ++r) {
      const V w = simd::splat(weight[r]);
#pragma GCC unroll 3
      for (int j = 0; j < vectors; ++j) sum[r][j] += w * x[j];
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < rows; ++r) {
    if (r >= used) return;
    float* out = target.plane(channel + r) + column;
    const float *prm = affine + 2 * (channel + r);
#pragma GCC unroll 3
    for (int j = 0; j < vectors; ++j)
      simd::store(simd::mask(first_lanes(columns - j * simd::lanes > 0 ? columns - j * simd::lanes : 0)),
                  out + j * simd::lanes, prelu(sum[r][j] + simd::splat(prm[0]), prm[1]));
  }
}

void point_wise_panel(const float* panel, int planes, const float* weight, const float* affine, int channels, int begin,
                      int end, int64_t column, int columns, const Target& target) {
  // As many sums as fit the registers beside a column of the panel and a weight.
  constexpr int rows = simd::lanes == 16 ? 8 : 4, vectors = 3, step = vectors * simd::lanes;
  for (int tile = begin; tile < end; ++tile)
    for (int r = 0; r < kRows; r += rows) {
      const int channel = tile * kRows + r, used = channels - channel;
      if (used <= 0) return;
      const float* w = weight + static_cast<int64_t>(tile) * planes * kRows + r;
      int j = 0;
      for (; columns - j > 2 * simd::lanes; j += step)
        point_wise_block<rows, 3>(panel + j, planes, w, affine, used, channel, column + j, columns - j, target);
      if (columns - j > simd::lanes)
        point_wise_block<rows, 2>(panel + j, planes, w, affine, used, channel, column + j, columns - j, target);
      else if (columns > j)
        point_wise_block<rows, 1>(panel + j, planes, w, affine, used, channel, column + j, columns - j, target);
    }
}

// Rows above, at and below are first joined along the height, for the average and for each column of the taps.
void downsample_plane(const float* x, int height, int width, const float* spatial, float* work, float* average,
                      float* convolved) {
  const int stride = width + 2 * kMaxLanes, out_width = (width + 1) / 2;
  float* joined[4];  // the average's, and those of the three columns of taps; a zero on both sides
  for (int i = 0; i < 4; ++i) {
    joined[i] = work + i * stride + kMaxLanes;
    joined[i][-1] = joined[i][width] = 0;
  }
  const float bias = spatial[kBias], slope_minus_one = spatial[kSlope];
  for (int row = 0; row < height; row += 2) {
    const float* middle = x + static_cast<int64_t>(row) * width;
    for (int j = 0; j < width; j += simd::lanes) {
      const simd::M m = simd::mask(first_lanes(width - j)), none = simd::mask(0);
      const V above = simd::load(row > 0 ? m : none, middle + j - width), here = simd::load(m, middle + j),
              below = simd::load(row + 1 < height ? m : none, middle + j + width);
      simd::store(m, joined[0] + j, above + here + below);
      for (int c = 0; c < 3; ++c)
        simd::store(m, joined[c + 1] + j, simd::splat(spatial[c]) * above + simd::splat(spatial[3 + c]) * here +
                                              simd::splat(spatial[6 + c]) * below);
    }
    for (int j = 0; j < out_width; ++j) {
      average[j] = (joined[0][2 * j - 1] + joined[0][2 * j] + joined[0][2 * j + 1]) * (1.f / 9);
      const float u = joined[1][2 * j - 1] + joined[2][2 * j] + joined[3][2 * j + 1] + bias;
      convolved[j] = u + slope_minus_one * (u < 0 ? u : 0.f);
    }
    average += out_width, convolved += out_width;
  }
}

constexpr InferenceKernels all_inference_kernels() {
  return {local_fusion_tile, local_fusion_resized_tile, spatial_plane, multiply_rows,
          pack_panel,        point_wise_panel,          downsample_plane};
}

}  // namespace
