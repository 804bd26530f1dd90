// Vectors of AVX-512: 64 bytes, and masks in registers of their own. The contract stands in vec.h.
#pragma once
#include <immintrin.h>

#include "vec.h"

namespace {

template <>
struct Simd<float> {
  using V = __m512;
  using M = __mmask16;
  using P = __mmask16;
  static constexpr int lanes = 16;
  static constexpr int registers = 32;
  INLINE M mask(uint32_t bits) { return static_cast<M>(bits); }
  INLINE P first(int64_t count) { return mask(first_lanes(count)); }
  INLINE V splat(float s) { return _mm512_set1_ps(s); }
  INLINE V load(const float* p) { return _mm512_loadu_ps(p); }
  INLINE V hold(V v) {  // in a register; the compiler would repeat loads as operands of several instructions
    asm("" : "+v"(v));
    return v;
  }
  INLINE V load_once(const float* p) { return hold(_mm512_loadu_ps(p)); }
  INLINE V load(M m, const float* p) { return _mm512_maskz_loadu_ps(m, p); }
  INLINE void store(float* p, V v) { _mm512_storeu_ps(p, v); }
  INLINE void store(M m, float* p, V v) { _mm512_mask_storeu_ps(p, m, v); }
  INLINE V gather(const float* p, const int32_t* i) {
    return _mm512_i32gather_ps(_mm512_loadu_si512(i), p, 4);
  }
  // Lanes by their number, of a vector or of two that follow each other; `i` aligned as vectors are.
  INLINE V pick(V a, const int32_t* i) { return _mm512_permutexvar_ps(_mm512_load_si512(i), a); }
  INLINE V pick(V a, V b, const int32_t* i) { return _mm512_permutex2var_ps(a, _mm512_load_si512(i), b); }
  INLINE V min(V a, V b) { return _mm512_min_ps(a, b); }
  INLINE V add_product(M m, V a, V b, V sum) { return _mm512_mask3_fmadd_ps(a, b, sum, m); }
  INLINE V keep(M m, V v) { return _mm512_maskz_mov_ps(m, v); }
  INLINE V even(V a, V b) {
    return _mm512_permutex2var_ps(
        a, _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30), b);
  }
  INLINE V odd(V a, V b) {
    return _mm512_permutex2var_ps(
        a, _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31), b);
  }
  INLINE V after(V a, V b) {
    return _mm512_permutex2var_ps(
        a, _mm512_setr_epi32(15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30), b);
  }
  INLINE V max(V a, V b) { return _mm512_max_ps(a, b); }
  INLINE V select(M m, V a, V b) { return _mm512_mask_mov_ps(b, m, a); }
  INLINE void interleave(V& a, V& b) {  // a0 b0 a1 b1 and so on
    const V first = _mm512_permutex2var_ps(
        a, _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23), b);
    b = _mm512_permutex2var_ps(
        a, _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31), b);
    a = first;
  }
};

template <>
struct Simd<double> {
  using V = __m512d;
  using M = __mmask8;
  using P = __mmask8;
  static constexpr int lanes = 8;
  INLINE M mask(uint32_t bits) { return static_cast<M>(bits); }
  INLINE P first(int64_t count) { return mask(first_lanes(count)); }
  INLINE V splat(double s) { return _mm512_set1_pd(s); }
  INLINE V load(const double* p) { return _mm512_loadu_pd(p); }
  INLINE V hold(V v) {
    asm("" : "+v"(v));
    return v;
  }
  INLINE V load_once(const double* p) { return load(p); }
  INLINE V load(M m, const double* p) { return _mm512_maskz_loadu_pd(m, p); }
  INLINE void store(double* p, V v) { _mm512_storeu_pd(p, v); }
  INLINE void store(M m, double* p, V v) { _mm512_mask_storeu_pd(p, m, v); }
  INLINE V gather(const double* p, const int32_t* i) {
    return _mm512_i32gather_pd(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(i)), p, 8);
  }
  INLINE V add_product(M m, V a, V b, V sum) { return _mm512_mask3_fmadd_pd(a, b, sum, m); }
};

template <>
inline __attribute__((always_inline)) float total<float>(__m512 v) {
  return _mm512_reduce_add_ps(v);
}

}  // namespace
