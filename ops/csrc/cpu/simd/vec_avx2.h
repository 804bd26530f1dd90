// Vectors of AVX2 with fused multiply-adds: 32 bytes, masks as vectors of integers. The contract stands in vec.h.
#pragma once
#include <immintrin.h>

#include "vec.h"

namespace {

template <>
struct Simd<float> {
  using V = __m256;
  using M = __m256i;
  struct P {
    M mask;
    int64_t count;
  };
  static constexpr int lanes = 8;
  static constexpr int registers = 16;
  INLINE P first(int64_t count) { return {mask(first_lanes(count)), count > 0 ? count : 0}; }
  INLINE M mask(uint32_t bits) {
    const M lane = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
    return _mm256_cmpeq_epi32(_mm256_and_si256(_mm256_set1_epi32(static_cast<int>(bits)), lane), lane);
  }
  INLINE V splat(float s) { return _mm256_set1_ps(s); }
  INLINE V hold(V v) { return v; }
  INLINE V load(const float* p) { return _mm256_loadu_ps(p); }
  INLINE V load_once(const float* p) { return load(p); }
  INLINE V load(M m, const float* p) { return _mm256_maskload_ps(p, m); }
  INLINE V load(P m, const float* p) { return load(m.mask, p); }
  INLINE void store(float* p, V v) { _mm256_storeu_ps(p, v); }
  INLINE void store(P m, float* p, V v) {  // AMD's processors take 12 cycles and more for a store with a mask
    if (m.count >= lanes) return store(p, v);
    __m128 rest = _mm256_castps256_ps128(v);
    if (m.count & 4) _mm_storeu_ps(p, rest), rest = _mm256_extractf128_ps(v, 1), p += 4;
    if (m.count & 2) _mm_storel_pi(reinterpret_cast<__m64*>(p), rest), rest = _mm_movehl_ps(rest, rest), p += 2;
    if (m.count & 1) _mm_store_ss(p, rest);
  }
  INLINE V gather(const float* p, const int32_t* i) {
    return _mm256_i32gather_ps(p, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(i)), 4);
  }
  INLINE V pick(V a, const int32_t* i) {
    return _mm256_permutevar8x32_ps(a, _mm256_load_si256(reinterpret_cast<const __m256i*>(i)));
  }
  INLINE V pick(V a, V b, const int32_t* i) {
    const __m256i lane = _mm256_load_si256(reinterpret_cast<const __m256i*>(i));
    return _mm256_blendv_ps(_mm256_permutevar8x32_ps(a, lane), _mm256_permutevar8x32_ps(b, lane),
                            _mm256_castsi256_ps(_mm256_slli_epi32(lane, 28)));
  }
  INLINE V min(V a, V b) { return _mm256_min_ps(a, b); }
  INLINE V keep(M m, V v) { return _mm256_and_ps(_mm256_castsi256_ps(m), v); }
  INLINE V keep(P m, V v) { return keep(m.mask, v); }
  INLINE V even(V a, V b) { return in_order(_mm256_shuffle_ps(a, b, 0x88)); }
  INLINE V odd(V a, V b) { return in_order(_mm256_shuffle_ps(a, b, 0xdd)); }
  INLINE V in_order(V v) { return _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(v), 0xd8)); }
  INLINE V after(V a, V b) {
    const V middle = _mm256_permute2f128_ps(a, b, 0x21);
    return _mm256_castsi256_ps(_mm256_alignr_epi8(_mm256_castps_si256(b), _mm256_castps_si256(middle), 12));
  }
  INLINE V max(V a, V b) { return _mm256_max_ps(a, b); }
  INLINE V select(P m, V a, V b) { return _mm256_blendv_ps(b, a, _mm256_castsi256_ps(m.mask)); }
  INLINE void interleave(V& a, V& b) {  // a0 b0 a1 b1 and so on
    const V even = _mm256_unpacklo_ps(a, b), odd = _mm256_unpackhi_ps(a, b);
    a = _mm256_permute2f128_ps(even, odd, 0x20), b = _mm256_permute2f128_ps(even, odd, 0x31);
  }
  INLINE V add_product(M m, V a, V b, V sum) { return sum + a * keep(m, b); }
};

template <>
struct Simd<double> {
  using V = __m256d;
  using M = __m256i;
  struct P {
    M mask;
    int64_t count;
  };
  static constexpr int lanes = 4;
  INLINE P first(int64_t count) { return {mask(first_lanes(count)), count > 0 ? count : 0}; }
  INLINE M mask(uint32_t bits) {
    const M lane = _mm256_setr_epi64x(1, 2, 4, 8);
    return _mm256_cmpeq_epi64(_mm256_and_si256(_mm256_set1_epi64x(bits), lane), lane);
  }
  INLINE V splat(double s) { return _mm256_set1_pd(s); }
  INLINE V load(const double* p) { return _mm256_loadu_pd(p); }
  INLINE V hold(V v) { return v; }
  INLINE V load_once(const double* p) { return load(p); }
  INLINE V load(M m, const double* p) { return _mm256_maskload_pd(p, m); }
  INLINE V load(P m, const double* p) { return load(m.mask, p); }
  INLINE void store(double* p, V v) { _mm256_storeu_pd(p, v); }
  INLINE void store(P m, double* p, V v) {
    if (m.count >= lanes) return store(p, v);
    __m128d rest = _mm256_castpd256_pd128(v);
    if (m.count & 2) _mm_storeu_pd(p, rest), rest = _mm256_extractf128_pd(v, 1), p += 2;
    if (m.count & 1) _mm_store_sd(p, rest);
  }
  INLINE V gather(const double* p, const int32_t* i) {
    return _mm256_i32gather_pd(p, _mm_loadu_si128(reinterpret_cast<const __m128i*>(i)), 8);
  }
  INLINE V add_product(M m, V a, V b, V sum) { return sum + a * _mm256_and_pd(_mm256_castsi256_pd(m), b); }
};

}  // namespace
