// Products of packed weights with the planes of a map.
#pragma once
#include "unit.h"

namespace {

// Voxels that a point-wise convolution works on at a time: as many sums as fit the registers, of this many channels each.
constexpr int kWide = 3 * simd::lanes, kBlockRows = simd::registers / 4;
// Sixteen vectors hold less than half as many sums as 32, so that each plane is read twice as often, a vector at a time:
// planes that lie far apart are then copied beside each other first.
constexpr bool kPacks = simd::lanes < 16;

void pack_panel(const float* const* in, int64_t column, int planes, int columns, float* panel, int stride) {
  if (columns == kWide && stride == kWide) {
    for (int k = 0; k < planes; ++k, panel += kWide)
      for (int j = 0; j < kWide; j += simd::lanes) simd::store(panel + j, simd::load(in[k] + column + j));
    return;
  }
  for (int k = 0; k < planes; ++k, panel += stride)
    for (int j = 0; j < columns; j += simd::lanes)
      simd::store(simd::first(stride - j), panel + j,
                  simd::load(simd::first(columns - j), in[k] + column + j));
}

// Input of a point-wise convolution: a panel, or planes that lie anywhere.
struct Panel {
  const float* at;
  int stride;
  inline __attribute__((always_inline)) const float* plane(int k) const { return at + k * stride; }
};
struct WidePanel {  // of kWide voxels a plane
  const float* at;
  inline __attribute__((always_inline)) const float* plane(int k) const { return at + static_cast<int64_t>(k) * kWide; }
};
struct Anywhere {
  const float* const* in;
  int64_t column;
  inline __attribute__((always_inline)) const float* plane(int k) const { return in[k] + column; }
};

// `rows` output channels at `vectors` vectors of voxels, summed in registers. Meanwhile every so many lines of `soon` are
// fetched to the second level of cache, as many as there are planes for all rows of a tile.
template <int rows, int vectors, class Source>
INLINE void point_wise_block(const Source& source, int planes, const float* weight, const float* affine,
                             int used, int channel, int64_t column, int columns, float* const* target) {
  V sum[rows][vectors] = {};
  auto add = [&](int k) __attribute__((always_inline)) {
    const float *at = source.plane(k), *w = weight + static_cast<int64_t>(k) * kMR;
    V x[vectors];
    for (int j = 0; j < vectors; ++j) x[j] = simd::load_once(at + j * simd::lanes);
#pragma GCC unroll 16
    for (int r = 0; r < rows; ++r) {
      const V a = simd::splat(w[r]);
#pragma GCC unroll 3
      for (int j = 0; j < vectors; ++j) sum[r][j] += a * x[j];
    }
  };
  // Weights come from memory or the last level of cache: those of the next tile are fetched meanwhile, each line by one
  // of the blocks that this tile has.
  constexpr int blocks = kMR / rows;
  const float* soon = weight + static_cast<int64_t>(planes) * kMR;
  int k = 0;
  for (; k + blocks <= planes; k += blocks, soon += blocks * kMR) {
    __builtin_prefetch(soon, 0, 2);
#pragma GCC unroll 4
    for (int i = 0; i < blocks; ++i) add(k + i);
  }
  for (; k < planes; ++k) add(k);
#pragma GCC unroll 16
  for (int r = 0; r < rows; ++r) {
    if (r >= used) return;
    float* out = target[channel + r] + column;
    const float* prm = affine + 2 * (channel + r);
#pragma GCC unroll 3
    for (int j = 0; j < vectors; ++j)
      simd::store(simd::first(columns - j * simd::lanes),
                  out + j * simd::lanes, prelu(sum[r][j] + simd::splat(prm[0]), prm[1]));
  }
}

// All rows of a tile at `vectors` vectors, `rows` of them at a time.
template <int rows, int vectors, class Source>
INLINE void point_wise_rows(const Source& source, int planes, const float* weight, const float* affine,
                            int used, int channel, int64_t column, int columns, float* const* target) {
  int r = 0;
  for (; used - r > rows / 2; r += rows)
    point_wise_block<rows, vectors>(source, planes, weight + r, affine, used - r, channel + r, column, columns,
                                    target);
  if (used > r)
    point_wise_block<rows / 2, vectors>(source, planes, weight + r, affine, used - r, channel + r, column,
                                        columns, target);
}

// Too few voxels for a vector: lanes are the output channels of a tile. `count` voxels are computed, the first
// `columns` of which count.
template <int count>
INLINE void point_wise_voxels(const Panel& panel, int planes, const float* weight, const float* affine,
                              int used, int channel, int64_t column, int columns, float* const* target) {
  constexpr int vectors = kMR / simd::lanes, chains = count * vectors < 4 ? 4 / (count * vectors) : 1;
  V sum[chains][count][vectors] = {};  // at least four chains of additions, to hide their latency
  auto add = [&](int k, V(*sum)[vectors]) __attribute__((always_inline)) {
    const float* w = weight + static_cast<int64_t>(k) * kMR;
    __builtin_prefetch(w + kAhead);
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v) {
      const V lanes = simd::load(w + v * simd::lanes);
#pragma GCC unroll 8
      for (int i = 0; i < count; ++i) sum[i][v] += lanes * simd::splat(panel.plane(k)[i]);
    }
  };
  int k = 0;
  for (; k + chains <= planes; k += chains)
#pragma GCC unroll 4
    for (int c = 0; c < chains; ++c) add(k + c, sum[c]);
  for (; k < planes; ++k) add(k, sum[0]);
  for (int i = 0; i < columns; ++i) {
    alignas(64) float out[kMR];
    for (int v = 0; v < vectors; ++v) {
      V all = sum[0][i][v];
      for (int c = 1; c < chains; ++c) all += sum[c][i][v];
      simd::store(out + v * simd::lanes, all);
    }
    for (int r = 0; r < used; ++r) {
      const float u = out[r] + affine[2 * (channel + r)];
      target[channel + r][column + i] = u + affine[2 * (channel + r) + 1] * (u < 0 ? u : 0.f);
    }
  }
}

void point_wise_panel(const float* panel, int stride, int planes, const float* weight, const float* affine,
                      int channels, int begin, int end, int64_t column, int columns, float* const* target) {
  constexpr int rows = kBlockRows, most = simd::lanes / 2;
  static_assert(kMR % simd::lanes == 0 && kMR % rows == 0, "tiles are whole vectors, and whole blocks");
  const int few = columns % simd::lanes <= most ? columns % simd::lanes : 0, many = columns - few;
  for (int tile = begin; tile < end; ++tile) {
    const int channel = tile * kMR, used = channels - channel < kMR ? channels - channel : kMR;
    const float* w = weight + static_cast<int64_t>(tile) * planes * kMR;
    if (columns == kWide && stride == kWide) {
      point_wise_rows<rows, 3>(WidePanel{panel}, planes, w, affine, used, channel, column, kWide, target);
      continue;
    }
    int j = 0;
    for (; many - j > 2 * simd::lanes; j += 3 * simd::lanes)
      point_wise_rows<rows, 3>(Panel{panel + j, stride}, planes, w, affine, used, channel, column + j, many - j, target);
    if (many - j > simd::lanes)
      point_wise_rows<rows, 2>(Panel{panel + j, stride}, planes, w, affine, used, channel, column + j, many - j, target);
    else if (many > j)
      point_wise_rows<2 * rows, 1>(Panel{panel + j, stride}, planes, w, affine, used, channel, column + j, many - j, target);
    if (few > 4)
      point_wise_voxels<most>({panel + many, stride}, planes, w, affine, used, channel, column + many, few, target);
    else if (few > 2)
      point_wise_voxels<4>({panel + many, stride}, planes, w, affine, used, channel, column + many, few, target);
    else if (few == 2)
      point_wise_voxels<2>({panel + many, stride}, planes, w, affine, used, channel, column + many, few, target);
    else if (few == 1)
      point_wise_voxels<1>({panel + many, stride}, planes, w, affine, used, channel, column + many, few, target);
  }
}

// The same for kWide voxels, which need not be packed.
void point_wise_planes(const float* const* in, int planes, const float* weight, const float* affine,
                       int channels, int begin, int end, int64_t column, float* const* target) {
  for (int tile = begin; tile < end; ++tile) {
    const int channel = tile * kMR, used = channels - channel < kMR ? channels - channel : kMR;
    point_wise_rows<kBlockRows, 3>(Anywhere{in, column}, planes, weight + static_cast<int64_t>(tile) * planes * kMR,
                                   affine, used, channel, column, kWide, target);
  }
}

}  // namespace
