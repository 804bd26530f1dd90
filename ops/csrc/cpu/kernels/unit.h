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
// Whether the registers hold the taps of the height and the width branch at once. Else each branch has a pass of its own:
// loads of spilled taps and masks would take longer than all sums.
constexpr bool kBranchesTogether = simd::registers >= 32;

void add_lanes(const float* lane_sums, int channels, float* sums) {
  for (int i = 0; i < channels; ++i) sums[i] = total<float>(simd::load(lane_sums + i * simd::lanes));
}

LocalFusion local_fusion_of(const Tile<float>& t, const float* local, float* y, float* lane_sums) {
  return {local + t.begin * kLocal, t.depth_in + (t.end - t.begin) * t.stride, y, lane_sums, area_of(t)};
}

// 3x3 convolution: `vectors` vectors beside each other go down the rows together; each row adds to the outputs above, at
// and below it. `done(place, lanes that count, sum)` takes the outputs.
template <int vectors, class Done>
INLINE void slide_down(const float* x, int height, int width, int column, const float* kernel, V bias,
                       const Done& done) {
  V taps[9];
#pragma GCC unroll 9
  for (int i = 0; i < 9; ++i) taps[i] = simd::hold(simd::splat(kernel[i]));
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
  int64_t at = column;
  for (int row = 0; row <= height; ++row, at += width) {
#pragma GCC unroll 4
    for (int j = 0; j < vectors; ++j) {
      V sum = two[j];
      if (row < height) {
        const float* here = x + at + j * simd::lanes;
        const V a = simd::load_once(here - 1), b = simd::load_once(here), c = simd::load_once(here + 1);
        sum = simd::add_product(left[j], taps[6], a, sum + taps[7] * b);
        sum = simd::add_product(right[j], taps[8], c, sum);
        two[j] = simd::add_product(left[j], taps[3], a, one[j] + taps[4] * b);
        two[j] = simd::add_product(right[j], taps[5], c, two[j]);
        one[j] = simd::add_product(left[j], taps[0], a, bias + taps[1] * b);
        one[j] = simd::add_product(right[j], taps[2], c, one[j]);
      }
      if (row > 0) done(at - width + j * simd::lanes, here[j], sum);
    }
  }
}

// All columns of a plane, up to `most` vectors at a time.
template <int most, class Done>
INLINE void slide_plane_down(const float* x, int height, int width, const float* kernel, V bias, const Done& done) {
  int column = 0;
  for (; width - column > (most - 1) * simd::lanes; column += most * simd::lanes)
    slide_down<most>(x, height, width, column, kernel, bias, done);
  if constexpr (most > 2)
    if (width - column > simd::lanes) return slide_down<2>(x, height, width, column, kernel, bias, done);
  if constexpr (most > 1)
    if (width > column) slide_down<1>(x, height, width, column, kernel, bias, done);
}

// The height or the width branch alone as its term of the fusion, to `y` or added to what lies there.
template <int which>
struct BranchTerm {
  const float* local;
  float* y;
  int64_t area;
  const float* prm = nullptr;
  float* out = nullptr;
  INLINE_METHOD begin(int64_t offset) { prm = local, out = y + offset; }
  INLINE_METHOD next(simd::P m, V, V height, V width) {
    if (which == kHeight)
      simd::store(m, out, branch_term(prm + 3, height, simd::splat(prm[9])));
    else
      simd::store(m, out, branch_term(prm + 6, width, simd::load(m, out)));
    prm += kLocal, out += area;
  }
};

// Local fusion channel by channel; others(p, place, lanes that count) gives the terms of the other branches.
template <class Others>
INLINE void fuse_down(const Tile<float>& t, const float* local, float* y, float* sums, const Others& others) {
  const int64_t area = area_of(t);
  for (int p = t.begin; p < t.end; ++p, y += area) {
    const float* prm = local + p * kLocal;
    const V scale = simd::splat(prm[0]), low = simd::splat(prm[1]), knee = simd::splat(prm[2]),
            slope = simd::splat(prm[10]);
    V all{};
    slide_plane_down<2>(t.depth_in + (p - t.begin) * t.stride, t.height, t.width, t.depth_taps + p * 9, V{},
                        [&](int64_t at, simd::P m, V depth) __attribute__((always_inline)) {
                          const V u = others(p, at, m) + scale * depth + low * simd::min(depth, knee);
                          const V z = u + slope * simd::min(u, V{});
                          simd::store(m, y + at, z);
                          all += simd::keep(m, z);
                        });
    *sums++ = total<float>(all);
  }
}

void local_fusion_tile(const Tile<float>& t, const float* local, float* y, float* sums) {
  if (kBranchesTogether || is_narrow(t.width, simd::lanes)) {
    alignas(64) float lane_sums[kMaxChunk * simd::lanes] = {};
    march<float, kDepth | kHeight | kWidth, true>(t, local_fusion_of(t, local, y, lane_sums));
    return add_lanes(lane_sums, t.end - t.begin, sums);
  }
  const int64_t area = area_of(t);
  march<float, kHeight, false>(t, BranchTerm<kHeight>{local + t.begin * kLocal, y, area});
  march<float, kWidth, false>(t, BranchTerm<kWidth>{local + t.begin * kLocal, y, area});
  fuse_down(t, local, y, sums, [&](int p, int64_t at, simd::P m) __attribute__((always_inline)) {
    return simd::load(m, y + (p - t.begin) * area + at);
  });
}

void local_fusion_resized_tile(const Tile<float>& t, const float* height, const float* width,
                               const float* local, float* y, float* sums) {
  if (kBranchesTogether || is_narrow(t.width, simd::lanes)) {
    alignas(64) float lane_sums[kMaxChunk * simd::lanes] = {};
    const LocalFusion fusion = local_fusion_of(t, local, y, lane_sums);
    march<float, kDepth, true>(t, Resized<LocalFusion>{fusion, height, width, area_of(t)});
    return add_lanes(lane_sums, t.end - t.begin, sums);
  }
  const int64_t area = area_of(t);
  fuse_down(t, local, y, sums, [&](int p, int64_t at, simd::P m) __attribute__((always_inline)) {
    const int64_t i = (p - t.begin) * area + at;
    const float* prm = local + p * kLocal;
    return branch_term(prm + 3, simd::load(m, height + i), branch_term(prm + 6, simd::load(m, width + i), simd::splat(prm[9])));
  });
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
  slide_plane_down<3>(x, height, width, spatial, bias, [&](int64_t at, simd::P m, V u) __attribute__((always_inline)) {
    simd::store(m, y + at, p * u + q * simd::min(u, V{}));
  });
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
