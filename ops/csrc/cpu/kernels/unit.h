// The kernels of inference for a DiCE unit, in two passes.
#pragma once
#include "dim_conv.h"

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
  INLINE_METHOD next(simd::P m, V depth, V height, V width) {
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
  INLINE_METHOD next(simd::P m, V depth, V, V) {
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
  simd::M left[vectors], right[vectors];
  simd::P here[vectors];
#pragma GCC unroll 4
  for (int j = 0; j < vectors; ++j) {
    const int start = column + j * simd::lanes, lanes = width - start;
    const uint32_t inside = first_lanes(lanes);
    here[j] = simd::first(lanes);
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
    simd::store(simd::first(area - at), y + at, p * done + q * simd::min(done, V{}));
  }
}

void spatial_plane(const float* x, int height, int width, const uint32_t* borders, const float* spatial,
                   const float* gate, float* y) {
  const V bias = simd::splat(spatial[kBias]), p = simd::splat(*gate), q = p * simd::splat(spatial[kSlope]);
  if (is_narrow(width, simd::lanes))
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
  const simd::P tail = simd::first(columns % simd::lanes);
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
  int64_t r = 0;
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
    const simd::P m = simd::first(count - i);
    simd::store(m, x + i, sigmoid(simd::load(m, x + i)));
  }
}

}  // namespace
