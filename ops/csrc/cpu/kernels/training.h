// The kernels of training: batch normalisation with PReLU, and the DiCE unit up to its local fusion.
#pragma once
#include "unit.h"

namespace {

float sum_of(const float* x, int64_t count) {
  V sum{};
  for (int64_t i = 0; i < count; i += simd::lanes)
    sum += simd::load(simd::first(count - i), x + i);
  return total<float>(sum);
}

float squares_of(const float* x, int64_t count, float mean) {
  V sum{};
  for (int64_t i = 0; i < count; i += simd::lanes) {
    const simd::P m = simd::first(count - i);
    const V d = simd::keep(m, simd::load(m, x + i) - simd::splat(mean));
    sum += d * d;
  }
  return total<float>(sum);
}

void norm_act_plane(const float* x, int64_t count, float mean, float scale, float bias, float slope,
                    float factor, float* y) {
  const V p = simd::splat(factor), q = simd::splat(factor * (slope - 1));
  for (int64_t i = 0; i < count; i += simd::lanes) {
    const simd::P m = simd::first(count - i);
    const V u = simd::splat(scale) * (simd::load(m, x + i) - simd::splat(mean)) + simd::splat(bias);
    simd::store(m, y + i, p * u + q * simd::min(u, V{}));
  }
}

struct LaneSums {
  V g{}, g_low{}, gx{}, gx_low{};
};

// `x` is centred.
INLINE void add_sums(LaneSums& s, V x, V g, V u) {
  const V gx = g * x;
  s.g += g, s.gx += gx;
  s.g_low += u > V{} ? V{} : g;
  s.gx_low += u > V{} ? V{} : gx;
}

INLINE V centred_grad(const BranchParameters& b, V x, V g) {
  const V u = simd::splat(b.scale) * x + simd::splat(b.bias);
  return g * (u > V{} ? simd::splat(b.high) : simd::splat(b.low)) + simd::splat(b.constant) +
         simd::splat(b.linear) * x;
}

ActSums act_sums_plane(const float* x, const float* g, int64_t count, float mean, float scale, float bias) {
  LaneSums sums;
  for (int64_t i = 0; i < count; i += simd::lanes) {
    const simd::P m = simd::first(count - i);
    const V d = simd::load(m, x + i) - simd::splat(mean);
    add_sums(sums, d, simd::load(m, g + i), simd::splat(scale) * d + simd::splat(bias));
  }
  return {total<float>(sums.g), total<float>(sums.g_low), total<float>(sums.gx), total<float>(sums.gx_low)};
}

void act_grad_plane(const float* x, const float* g, int64_t count, const BranchParameters& b, float* x_grad) {
  for (int64_t i = 0; i < count; i += simd::lanes) {
    const simd::P m = simd::first(count - i);
    simd::store(m, x_grad + i,
                centred_grad(b, simd::load(m, x + i) - simd::splat(b.mean), simd::load(m, g + i)));
  }
}

// Sums kept in memory, (channels, sums, lanes), while a march goes over the channels.
INLINE void add_to(float*& sums, V v) {
  simd::store(sums, simd::load(sums) + v);
  sums += simd::lanes;
}

struct Moments {
  float* sums;
  float* at = nullptr;
  INLINE_METHOD begin(int64_t) { at = sums; }
  INLINE_METHOD next(simd::P m, V depth, V height, V width) {
    const V d = simd::keep(m, depth), h = simd::keep(m, height), w = simd::keep(m, width);
    add_to(at, d), add_to(at, d * d);
    add_to(at, h), add_to(at, h * h);
    add_to(at, w), add_to(at, w * w);
  }
};

struct Fusion {
  const BranchParameters* parameters;
  float* z;
  int64_t area;
  const BranchParameters* prm = nullptr;
  float* out = nullptr;
  INLINE_METHOD begin(int64_t offset) { prm = parameters, out = z + offset; }
  INLINE_METHOD add(V v, V& sum) {
    const V u = simd::splat(prm->scale) * (v - simd::splat(prm->mean)) + simd::splat(prm->bias);
    sum += u * (u > V{} ? simd::splat(prm->high) : simd::splat(prm->low));
    ++prm;
  }
  INLINE_METHOD next(simd::P m, V depth, V height, V width) {
    V sum{};
    add(depth, sum), add(height, sum), add(width, sum);
    simd::store(m, out, sum);
    out += area;
  }
};

struct BranchSums {
  const BranchParameters* parameters;
  const float* g;
  float* sums;
  int64_t area;
  const BranchParameters* prm = nullptr;
  const float* grad = nullptr;
  float* at = nullptr;
  INLINE_METHOD begin(int64_t offset) { prm = parameters, grad = g + offset, at = sums; }
  INLINE_METHOD add(V v, V here) {
    LaneSums s;
    const V d = v - simd::splat(prm->mean);
    add_sums(s, d, here, simd::splat(prm->scale) * d + simd::splat(prm->bias));
    add_to(at, s.g), add_to(at, s.g_low), add_to(at, s.gx), add_to(at, s.gx_low);
    ++prm;
  }
  INLINE_METHOD next(simd::P m, V depth, V height, V width) {
    const V here = simd::load(m, grad);
    add(simd::keep(m, depth), here), add(simd::keep(m, height), here), add(simd::keep(m, width), here);
    grad += area;
  }
};

struct BranchGrads {
  const BranchParameters* parameters;
  const float* g;
  float* y;
  int64_t area;
  const BranchParameters* prm = nullptr;
  const float* grad = nullptr;
  float* out = nullptr;
  INLINE_METHOD begin(int64_t offset) { prm = parameters, grad = g + offset, out = y + offset; }
  INLINE_METHOD next(simd::P m, V depth, V height, V width) {
    const V here = simd::load(m, grad);
    simd::store(m, out, centred_grad(prm[0], depth - simd::splat(prm[0].mean), here));
    simd::store(m, out + area, centred_grad(prm[1], height - simd::splat(prm[1].mean), here));
    simd::store(m, out + 2 * area, centred_grad(prm[2], width - simd::splat(prm[2].mean), here));
    grad += area, prm += 3, out += 3 * area;
  }
};

template <class Sink>
INLINE void march_into(const Tile<float>& t, const float* height, const float* width, const Sink& sink) {
  if (height)
    march<float, kDepth, true>(t, Resized<Sink>{sink, height, width, area_of(t)});
  else
    march<float, kDepth | kHeight | kWidth, true>(t, sink);
}

template <int count>
INLINE void total_lanes(const float* sums, int channels, float* out) {
  for (int i = 0; i < channels * count; ++i) out[i] = total<float>(simd::load(sums + i * simd::lanes));
}

void fuse_tile(const Tile<float>& t, const float* height, const float* width, const BranchParameters* prm,
               float* z) {
  march_into(t, height, width, Fusion{prm + 3 * t.begin, z, area_of(t)});
}

void moments_tile(const Tile<float>& t, const float* height, const float* width, float* out) {
  alignas(64) float sums[kMaxChunk * 6 * simd::lanes] = {};
  march_into(t, height, width, Moments{sums});
  total_lanes<6>(sums, t.end - t.begin, out);
}

void branch_sums_tile(const Tile<float>& t, const float* height, const float* width,
                      const BranchParameters* prm, const float* g, ActSums* out) {
  alignas(64) float sums[kMaxChunk * 12 * simd::lanes] = {};
  march_into(t, height, width, BranchSums{prm + 3 * t.begin, g, sums, area_of(t)});
  total_lanes<12>(sums, t.end - t.begin, &out->g);
}

void branch_grads_tile(const Tile<float>& t, const float* height, const float* width,
                       const BranchParameters* prm, const float* g, float* out) {
  march_into(t, height, width, BranchGrads{prm + 3 * t.begin, g, out, area_of(t)});
}

}  // namespace
