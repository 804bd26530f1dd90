// What kernels ask of an instruction set: Simd<float> and Simd<double>, one specialisation in each vec_<isa>.h, of which a
// translation unit includes one. Everything has internal linkage: a template or inline function that the linker could
// share would carry one file's instructions into another.
//
//   V, lanes         a vector with the operators + - * / < >, and how many elements it holds (at most kMaxLanes)
//   registers        how many vectors the processor's registers hold (of float)
//   M                masks any lanes: mask(bits), bit i for lane i
//   P                masks the first lanes: first(count), none for count < 1, all for count >= lanes
//   splat(s)         s in every lane
//   load(p)          unaligned; load_once(p) also keeps the compiler from loading again, hold(v) from computing again
//   load(M or P, p)  zeros in the other lanes, whose memory is not touched
//   store(p, v), store(P, p, v)
//   gather(p, i)     lane j is p[i[j]]
//   add_product(M, a, b, sum)   sum + a * b in the lanes of the mask, sum in the others
// Of float alone:
//   keep(M or P, v)  zeros in the other lanes
//   min, max         of two vectors; the second operand, or no number, where one is no number
//   select(P, a, b)  a in the first lanes, b in the others
//   pick(a, i)       lane j is a[i[j]], i aligned as vectors are; pick(a, b, i) of two vectors that follow each other
//   even(a, b), odd(a, b)       every other element of two vectors that follow each other
//   after(a, b)      the last element of a, then all but the last of b
//   interleave(a, b) in place: a0 b0 a1 b1 and so on
#pragma once
#include <cstdint>

#define INLINE static inline __attribute__((always_inline))
#define INLINE_METHOD inline __attribute__((always_inline)) void

namespace {

// Bits of the first lanes, none for a count below one.
INLINE uint32_t first_lanes(int64_t count) { return count >= 32 ? ~0u : count > 0 ? (1u << count) - 1 : 0; }

template <class S>
struct Simd;

// The sum over the lanes.
template <class S>
INLINE S total(typename Simd<S>::V v) {
  S lane[Simd<S>::lanes], sum = 0;
  Simd<S>::store(lane, v);
  for (S s : lane) sum += s;
  return sum;
}

}  // namespace
