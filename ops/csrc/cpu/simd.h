// Vectors of float and double of the instruction set that the including file chose. Everything here has
// internal linkage: a template or inline function that the linker could share would carry one file's
// instructions into another.
#pragma once
#include <cstdint>
#include <cstring>

#define INLINE static inline __attribute__((always_inline))
#define INLINE_METHOD inline __attribute__((always_inline)) void

namespace {

// Bits of as many lanes, none of less than one.
INLINE uint32_t first_lanes(int64_t count) { return count >= 32 ? ~0u : count > 0 ? (1u << count) - 1 : 0; }

// Of each vector type V: M masks any lanes, P the first ones, as many as `count` if it has that many.
template <class S>
struct Simd;

#if defined(DICENET_MM_AVX512)

template <>
struct Simd<float> {
  using V = __m512;
  using M = __mmask16;
  using P = __mmask16;
  static constexpr int lanes = 16;
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

#elif defined(DICENET_MM_AVX2)

template <>
struct Simd<float> {
  using V = __m256;
  using M = __m256i;
  struct P {
    M mask;
    int64_t count;
  };
  static constexpr int lanes = 8;
  INLINE P first(int64_t count) { return {mask(first_lanes(count)), count}; }
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
  INLINE P first(int64_t count) { return {mask(first_lanes(count)), count}; }
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

#else

// 16 bytes, which every 64-bit machine has.
template <class S>
struct Simd {
  typedef S V __attribute__((vector_size(16)));
  typedef decltype(V{} < V{}) M;  // integers, all bits set in the lanes that count
  struct P {
    M mask;
    int64_t count;
  };
  static constexpr int lanes = 16 / sizeof(S);
  INLINE P first(int64_t count) { return {mask(first_lanes(count)), count}; }
  INLINE M mask(uint32_t bits) {
    M m;
    for (int i = 0; i < lanes; ++i) m[i] = bits >> i & 1 ? -1 : 0;
    return m;
  }
  INLINE V splat(S s) { return s - V{}; }
  INLINE V hold(V v) { return v; }
  INLINE V load(const S* p) {
    V v;
    std::memcpy(&v, p, sizeof v);
    return v;
  }
  INLINE V load_once(const S* p) { return load(p); }
  INLINE V load(M m, const S* p) {  // what is masked out may lie outside the tensor
    V v{};
    for (int i = 0; i < lanes; ++i)
      if (m[i]) v[i] = p[i];
    return v;
  }
  INLINE V load(P m, const S* p) {
    if (m.count >= lanes) return load(p);
    V v{};
    for (int i = 0; i < m.count; ++i) v[i] = p[i];
    return v;
  }
  INLINE void store(S* p, V v) { std::memcpy(p, &v, sizeof v); }
  INLINE void store(P m, S* p, V v) {
    if (m.count >= lanes) return store(p, v);
    for (int i = 0; i < m.count; ++i) p[i] = v[i];
  }
  INLINE V gather(const S* p, const int32_t* index) {
    V v;
    for (int i = 0; i < lanes; ++i) v[i] = p[index[i]];
    return v;
  }
  INLINE V pick(V a, const int32_t* index) {
    V v;
    for (int i = 0; i < lanes; ++i) v[i] = a[index[i]];
    return v;
  }
  INLINE V pick(V a, V b, const int32_t* index) {
    V v;
    for (int i = 0; i < lanes; ++i) v[i] = index[i] < lanes ? a[index[i]] : b[index[i] - lanes];
    return v;
  }
  INLINE V min(V a, V b) { return a < b ? a : b; }
  INLINE V keep(M m, V v) { return m ? v : V{}; }
  INLINE V keep(P m, V v) { return keep(m.mask, v); }
  INLINE V every_other(V a, V b, int from) {
    V v;
    for (int i = 0; i < lanes / 2; ++i) v[i] = a[2 * i + from], v[lanes / 2 + i] = b[2 * i + from];
    return v;
  }
  INLINE V even(V a, V b) { return every_other(a, b, 0); }  // of two vectors that follow each other
  INLINE V odd(V a, V b) { return every_other(a, b, 1); }
  INLINE V after(V a, V b) {  // the last lane of a, and all but the last of b
    V v;
    v[0] = a[lanes - 1];
    for (int i = 1; i < lanes; ++i) v[i] = b[i - 1];
    return v;
  }
  INLINE V max(V a, V b) { return a > b ? a : b; }
  INLINE V select(P m, V a, V b) { return m.mask ? a : b; }
  INLINE void interleave(V& a, V& b) {  // a0 b0 a1 b1 and so on
    V both[2];
    for (int i = 0; i < lanes; ++i) {
      both[2 * i / lanes][2 * i % lanes] = a[i];
      both[2 * i / lanes][2 * i % lanes + 1] = b[i];
    }
    a = both[0], b = both[1];
  }
  INLINE V add_product(M m, V a, V b, V sum) { return sum + a * keep(m, b); }
};

#endif

template <class S>
INLINE S total(typename Simd<S>::V v) {
  S lane[Simd<S>::lanes], sum = 0;
  Simd<S>::store(lane, v);
  for (S s : lane) sum += s;
  return sum;
}

#if defined(DICENET_MM_AVX512)
template <>
inline __attribute__((always_inline)) float total<float>(__m512 v) {
  return _mm512_reduce_add_ps(v);
}
#endif

}  // namespace
