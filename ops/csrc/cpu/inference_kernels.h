// The kernels of inference: a DiCE unit in two passes, point-wise convolutions, and the strided block's first
// layers.
#pragma once
#include "march.h"

namespace {

using simd = Simd<float>;
using V = simd::V;

INLINE V prelu(V u, float slope_minus_one) { return u + simd::splat(slope_minus_one) * simd::min(u, V{}); }

// Normalisation, PReLU and fusion weight of a branch: p u + r min(u, m), the constants of all three in one
// bias.
INLINE V branch_term(const float* prm, V u, V acc) {
  return acc + simd::splat(prm[0]) * u + simd::splat(prm[1]) * simd::min(u, simd::splat(prm[2]));
}

struct LocalFusion {
  const float* local;
  const float* input;  // of the tile after this one, which is fetched meanwhile
  float* y;
  float* sums;  // (channels, lanes)
  int64_t area;
  const float* prm = nullptr;
  const float* soon = nullptr;
  float *out = nullptr, *sum = nullptr;
  INLINE_METHOD begin(int64_t offset) { prm = local, soon = input + offset, out = y + offset, sum = sums; }
  INLINE_METHOD next(simd::M m, V depth, V height, V width) {
    const V u = branch_term(prm + 3, height, branch_term(prm, depth, simd::splat(prm[9]))) +
                branch_term(prm + 6, width, V{});
    const V z = prelu(u, prm[10]);
    simd::store(m, out, z);
    simd::store(sum, simd::load(sum) + simd::keep(m, z));
    __builtin_prefetch(soon, 0, 2);
    prm += kLocal, soon += area, out += area, sum += simd::lanes;
  }
};

// Passes on to a sink the height and width branches that were computed before.
template <class Sink>
struct Resized {
  Sink sink;
  const float *height, *width;
  int64_t area;
  int64_t i = 0;
  INLINE_METHOD begin(int64_t offset) { sink.begin(offset), i = offset; }
  INLINE_METHOD next(simd::M m, V depth, V, V) {
    sink.next(m, depth, simd::load(m, height + i), simd::load(m, width + i));
    i += area;
  }
};

constexpr int kMaxChunk = 32;

void add_lanes(const float* lane_sums, int channels, float* sums) {
  for (int i = 0; i < channels; ++i) sums[i] = total<float>(simd::load(lane_sums + i * simd::lanes));
}

LocalFusion local_fusion_of(const Tile<float>& t, const float* local, float* y, float* lane_sums) {
  return {local + t.begin * kLocal, t.depth_in + (t.end - t.begin) * t.stride, y, lane_sums, area_of(t)};
}

void local_fusion_tile(const Tile<float>& t, const float* local, float* y, float* sums) {
  alignas(64) float lane_sums[kMaxChunk * simd::lanes] = {};
  march<float, kDepth | kHeight | kWidth, true>(t, local_fusion_of(t, local, y, lane_sums));
  add_lanes(lane_sums, t.end - t.begin, sums);
}

void local_fusion_resized_tile(const Tile<float>& t, const float* height, const float* width,
                               const float* local, float* y, float* sums) {
  alignas(64) float lane_sums[kMaxChunk * simd::lanes] = {};
  const LocalFusion fusion = local_fusion_of(t, local, y, lane_sums);
  march<float, kDepth, true>(t, Resized<LocalFusion>{fusion, height, width, area_of(t)});
  add_lanes(lane_sums, t.end - t.begin, sums);
}

// `vectors` vectors beside each other go down the rows together; each row adds to the outputs above, at and
// below it.
template <int vectors>
INLINE void spatial_columns(const float* x, int height, int width, int column, const float* spatial, V bias,
                            V p, V q, float* y) {
  V taps[9];
#pragma GCC unroll 9
  for (int i = 0; i < 9; ++i) taps[i] = simd::hold(simd::splat(spatial[i]));
  V one[vectors], two[vectors];  // outputs of the row that comes, with one row of taps in, and of the one
                                 // before, with two
  simd::M left[vectors], here[vectors], right[vectors];
#pragma GCC unroll 4
  for (int j = 0; j < vectors; ++j) {
    const int start = column + j * simd::lanes, lanes = width - start;
    const uint32_t inside = first_lanes(lanes);
    here[j] = simd::mask(inside);
    left[j] = simd::mask(start == 0 ? inside & ~1u : inside);
    right[j] = simd::mask(lanes <= simd::lanes ? inside & ~(1u << (lanes - 1)) : inside);
    one[j] = two[j] = bias;
  }
  x += column, y += column;
  for (int row = 0; row <= height; ++row, x += width, y += width) {
#pragma GCC unroll 4
    for (int j = 0; j < vectors; ++j) {
      V done = two[j];
      if (row < height) {
        const float* at = x + j * simd::lanes;
        const V a = simd::load_once(at - 1), b = simd::load_once(at), c = simd::load_once(at + 1);
        done = simd::add_product(left[j], taps[6], a, done + taps[7] * b);
        done = simd::add_product(right[j], taps[8], c, done);
        two[j] = simd::add_product(left[j], taps[3], a, one[j] + taps[4] * b);
        two[j] = simd::add_product(right[j], taps[5], c, two[j]);
        one[j] = simd::add_product(left[j], taps[0], a, bias + taps[1] * b);
        one[j] = simd::add_product(right[j], taps[2], c, one[j]);
      }
      if (row > 0) simd::store(here[j], y - width + j * simd::lanes, p * done + q * simd::min(done, V{}));
    }
  }
}

// Maps so narrow that their rows would leave most lanes idle: the plane is flattened, as in the march.
INLINE void spatial_flat(const float* x, int64_t area, int width, const uint32_t* borders,
                         const float* spatial, V bias, V p, V q, float* y) {
  V taps[9];
#pragma GCC unroll 9
  for (int i = 0; i < 9; ++i) taps[i] = simd::hold(simd::splat(spatial[i]));
  for (int64_t at = 0; at < area; at += simd::lanes, borders += 9) {
    V sum[2] = {bias, V{}};  // two chains hide the latency
#pragma GCC unroll 9
    for (int i = 0; i < 9; ++i)
      sum[i % 2] = simd::add_product(simd::mask(borders[i]), taps[i],
                                     simd::load(x + at + (i / 3 - 1) * width + i % 3 - 1), sum[i % 2]);
    const V done = sum[0] + sum[1];
    simd::store(simd::mask(borders[4]), y + at, p * done + q * simd::min(done, V{}));
  }
}

void spatial_plane(const float* x, int height, int width, const uint32_t* borders, const float* spatial,
                   float gate, float* y) {
  const V bias = simd::splat(spatial[kBias]), p = simd::splat(gate), q = simd::splat(gate * spatial[kSlope]);
  if (2 * width <= simd::lanes)
    return spatial_flat(x, static_cast<int64_t>(height) * width, width, borders, spatial, bias, p, q, y);
  int column = 0;
  for (; width - column > 2 * simd::lanes; column += 3 * simd::lanes)
    spatial_columns<3>(x, height, width, column, spatial, bias, p, q, y);
  if (width - column > simd::lanes)
    spatial_columns<2>(x, height, width, column, spatial, bias, p, q, y);
  else if (width > column)
    spatial_columns<1>(x, height, width, column, spatial, bias, p, q, y);
}

// Products with a vector come at the speed of memory, whose latency this many weights cover.
constexpr int kAhead = 512;

template <int many>
INLINE void multiply_some_rows(const float* matrix, const float* x, int columns, float* out) {
  const simd::M tail = simd::mask(first_lanes(columns % simd::lanes));
  const int whole = columns / simd::lanes * simd::lanes;
  const V last = simd::load(tail, x + whole);
  V sum[many];
#pragma GCC unroll 4
  for (int r = 0; r < many; ++r) sum[r] = simd::load(tail, matrix + r * columns + whole) * last;
  for (int i = 0; i < whole; i += simd::lanes) {
    const V here = simd::load(x + i);
#pragma GCC unroll 4
    for (int r = 0; r < many; ++r) {
      __builtin_prefetch(matrix + r * columns + i + kAhead);
      __builtin_prefetch(matrix + r * columns + i + 8 * kAhead, 0, 2);
      sum[r] += simd::load(matrix + r * columns + i) * here;
    }
  }
#pragma GCC unroll 4
  for (int r = 0; r < many; ++r) out[r] = total<float>(sum[r]);
}

void multiply_rows(const float* matrix, const float* x, int rows, int columns, float* out) {
  int r = 0;
  for (; r + 4 <= rows; r += 4) multiply_some_rows<4>(matrix + r * columns, x, columns, out + r);
  for (; r < rows; ++r) multiply_some_rows<1>(matrix + r * columns, x, columns, out + r);
}

// 1 / (1 + exp(-x)), to some units in the last place.
INLINE V sigmoid(V x) {
  typedef int32_t Integers __attribute__((vector_size(sizeof(V))));
  // exp(v) = 2^n exp(r), n the nearest integer of v / ln 2, which lands in the last bits of `shifted`.
  const V v = simd::max(simd::splat(-87), simd::min(simd::splat(87), V{} - x)), shift = simd::splat(0x1.8p23f),
          shifted = v * simd::splat(1.44269504f) + shift, n = shifted - shift,
          r = v - n * simd::splat(0.693359375f) + n * simd::splat(2.12194440e-4f);
  constexpr float series[] = {1.f / 720, 1.f / 120, 1.f / 24, 1.f / 6, 1.f / 2, 1, 1};
  V sum = simd::splat(1.f / 5040);
#pragma GCC unroll 7
  for (int i = 0; i < 7; ++i) sum = sum * r + simd::splat(series[i]);
  const V power = (V)((Integers)sum + ((Integers)shifted << 23));
  return simd::splat(1) / (simd::splat(1) + power);
}

void sigmoids(float* x, int count) {
  for (int i = 0; i < count; i += simd::lanes) {
    const simd::M m = simd::mask(first_lanes(count - i));
    simd::store(m, x + i, sigmoid(simd::load(m, x + i)));
  }
}

void pack_panel(const float* const* in, int64_t column, int planes, int columns, float* panel, int stride) {
  for (int k = 0; k < planes; ++k, panel += stride)
    for (int j = 0; j < columns; j += simd::lanes)
      simd::store(simd::mask(first_lanes(stride - j)), panel + j,
                  simd::load(simd::mask(first_lanes(columns - j)), in[k] + column + j));
}


// Input of a point-wise convolution: a panel, or planes that lie anywhere.
struct Panel {
  const float* at;
  int stride;
  inline __attribute__((always_inline)) const float* plane(int k) const { return at + k * stride; }
};
struct Anywhere {
  const float* const* in;
  int64_t column;
  inline __attribute__((always_inline)) const float* plane(int k) const { return in[k] + column; }
};

// `rows` output channels at `vectors` vectors of voxels, summed in registers.
template <int rows, int vectors, class Source>
INLINE void point_wise_block(const Source& source, int planes, const float* weight, const float* affine,
                             int used, int channel, int64_t column, int columns, const Target& target) {
  V sum[rows][vectors] = {};
  for (int k = 0; k < planes; ++k, weight += kRows) {
    // Weights come from memory or the last level of cache: those of the next tile are fetched meanwhile.
    __builtin_prefetch(weight + static_cast<int64_t>(planes) * kRows, 0, 2);
    __builtin_prefetch(weight + 16 * kRows);
    const float* at = source.plane(k);
    V x[vectors];
    for (int j = 0; j < vectors; ++j) x[j] = simd::load_once(at + j * simd::lanes);
#pragma GCC unroll 16
    for (int r = 0; r < rows; ++r) {
      const V w = simd::splat(weight[r]);
#pragma GCC unroll 3
      for (int j = 0; j < vectors; ++j) sum[r][j] += w * x[j];
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < rows; ++r) {
    if (r >= used) return;
    float* out = target.plane(channel + r) + column;
    const float* prm = affine + 2 * (channel + r);
#pragma GCC unroll 3
    for (int j = 0; j < vectors; ++j)
      simd::store(simd::mask(first_lanes(columns - j * simd::lanes > 0 ? columns - j * simd::lanes : 0)),
                  out + j * simd::lanes, prelu(sum[r][j] + simd::splat(prm[0]), prm[1]));
  }
}

// All rows of a tile at `vectors` vectors, `rows` of them at a time.
template <int rows, int vectors, class Source>
INLINE void point_wise_rows(const Source& source, int planes, const float* weight, const float* affine,
                            int used, int channel, int64_t column, int columns, const Target& target) {
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
                              int used, int channel, int64_t column, int columns, const Target& target) {
  constexpr int vectors = kRows / simd::lanes, chains = count * vectors < 4 ? 4 / (count * vectors) : 1;
  V sum[chains][count][vectors] = {};  // at least four chains of additions, to hide their latency
  auto add = [&](int k, V(*sum)[vectors]) __attribute__((always_inline)) {
    const float* w = weight + static_cast<int64_t>(k) * kRows;
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
    alignas(64) float out[kRows];
    for (int v = 0; v < vectors; ++v) {
      V all = sum[0][i][v];
      for (int c = 1; c < chains; ++c) all += sum[c][i][v];
      simd::store(out + v * simd::lanes, all);
    }
    for (int r = 0; r < used; ++r) {
      const float u = out[r] + affine[2 * (channel + r)];
      target.plane(channel + r)[column + i] = u + affine[2 * (channel + r) + 1] * (u < 0 ? u : 0.f);
    }
  }
}

void point_wise_panel(const float* panel, int stride, int planes, const float* weight, const float* affine,
                      int channels, int begin, int end, int64_t column, int columns, const Target& target) {
  // As many sums as fit the registers beside a column of the panel and a weight.
  constexpr int rows = simd::lanes == 16 ? 8 : 4, most = simd::lanes / 2;
  static_assert(kRows % simd::lanes == 0 && kRows % rows == 0, "tiles are whole vectors, and whole blocks");
  const int few = columns % simd::lanes <= most ? columns % simd::lanes : 0, many = columns - few;
  for (int tile = begin; tile < end; ++tile) {
    const int channel = tile * kRows, used = channels - channel < kRows ? channels - channel : kRows;
    const float* w = weight + static_cast<int64_t>(tile) * planes * kRows;
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

// The same for kColumns voxels, which need not be packed.
void point_wise_planes(const float* const* in, int planes, const float* weight, const float* affine,
                       int channels, int begin, int end, int64_t column, const Target& target) {
  constexpr int rows = simd::lanes == 16 ? 8 : 4;
  for (int tile = begin; tile < end; ++tile) {
    const int channel = tile * kRows, used = channels - channel < kRows ? channels - channel : kRows;
    for (int j = 0; j < kColumns; j += 3 * simd::lanes)
      point_wise_rows<rows, 3>(Anywhere{in, column + j}, planes,
                               weight + static_cast<int64_t>(tile) * planes * kRows, affine, used, channel,
                               column + j, kColumns - j, target);
  }
}

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
    const simd::M m = simd::mask(first_lanes(width > 0 ? width : 0));
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
      const simd::M m = simd::mask(first_lanes(out_width - j));
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
    for (int k = -1; k <= 1; ++k, panel += 3 * kColumns) {
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
        simd::store(panel + kColumns + j, t.middle);
        simd::store(panel + 2 * kColumns + j, t.right);
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
      simd::store(simd::mask(first_lanes(out_width - j)), y + j, highest);
    }
  }
}

constexpr InferenceKernels all_inference_kernels() {
  return {local_fusion_tile, local_fusion_resized_tile, spatial_plane,  multiply_rows, sigmoids,  pack_panel,
          point_wise_panel, point_wise_planes,  pack_windows_row,          max_pool_plane, downsample_plane};
}

}  // namespace
