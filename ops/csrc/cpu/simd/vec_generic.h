// Vectors of 16 bytes, which every 64-bit machine has, as the compiler offers them. The contract stands in vec.h.
#pragma once
#include <cstring>

#include "vec.h"

namespace {

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
  static constexpr int registers = 16;
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

}  // namespace
