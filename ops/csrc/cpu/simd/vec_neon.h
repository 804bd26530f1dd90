// Vectors of NEON, which every 64-bit ARM processor has: 32 registers of 16 bytes. There are no masked loads and stores:
// the first lanes are loaded and stored by halves, and a product is masked by clearing one of its factors. The contract
// stands in vec.h.
#pragma once
#include <arm_neon.h>

#include "vec.h"

namespace {

template <>
struct Simd<float> {
  using V = float32x4_t;
  using M = uint32x4_t;  // all bits of the lanes that count
  struct P {
    M mask;
    int64_t count;
  };
  static constexpr int lanes = 4;
  static constexpr int registers = 32;
  INLINE P first(int64_t count) { return {mask(first_lanes(count)), count > 0 ? count : 0}; }
  INLINE M mask(uint32_t bits) {
    const M lane = {1, 2, 4, 8};
    return vtstq_u32(vdupq_n_u32(bits), lane);
  }
  INLINE V splat(float s) { return vdupq_n_f32(s); }
  INLINE V hold(V v) { return v; }
  INLINE V load(const float* p) { return vld1q_f32(p); }
  INLINE V load_once(const float* p) { return load(p); }
  INLINE V load(M m, const float* p) {
    V v = vdupq_n_f32(0);
    if (vgetq_lane_u32(m, 0)) v = vld1q_lane_f32(p, v, 0);
    if (vgetq_lane_u32(m, 1)) v = vld1q_lane_f32(p + 1, v, 1);
    if (vgetq_lane_u32(m, 2)) v = vld1q_lane_f32(p + 2, v, 2);
    if (vgetq_lane_u32(m, 3)) v = vld1q_lane_f32(p + 3, v, 3);
    return v;
  }
  INLINE V load(P m, const float* p) {
    if (m.count >= lanes) return load(p);
    const float32x2_t none = vdup_n_f32(0);
    if (m.count < 2) return vcombine_f32(m.count == 1 ? vld1_lane_f32(p, none, 0) : none, none);
    return vcombine_f32(vld1_f32(p), m.count == 3 ? vld1_lane_f32(p + 2, none, 0) : none);
  }
  INLINE void store(float* p, V v) { vst1q_f32(p, v); }
  INLINE void store(P m, float* p, V v) {
    if (m.count >= lanes) return store(p, v);
    float32x2_t rest = vget_low_f32(v);
    if (m.count & 2) vst1_f32(p, rest), rest = vget_high_f32(v), p += 2;
    if (m.count & 1) vst1_lane_f32(p, rest, 0);
  }
  INLINE V gather(const float* p, const int32_t* i) {
    const V v = vld1q_lane_f32(p + i[1], vld1q_dup_f32(p + i[0]), 1);
    return vld1q_lane_f32(p + i[3], vld1q_lane_f32(p + i[2], v, 2), 3);
  }
  INLINE uint8x16_t bytes(const int32_t* i) {  // of the lanes that are picked
    return vreinterpretq_u8_u32(
        vmlaq_n_u32(vdupq_n_u32(0x03020100), vreinterpretq_u32_s32(vld1q_s32(i)), 0x04040404));
  }
  INLINE V pick(V a, const int32_t* i) {
    return vreinterpretq_f32_u8(vqtbl1q_u8(vreinterpretq_u8_f32(a), bytes(i)));
  }
  INLINE V pick(V a, V b, const int32_t* i) {
    const uint8x16x2_t both = {{vreinterpretq_u8_f32(a), vreinterpretq_u8_f32(b)}};
    return vreinterpretq_f32_u8(vqtbl2q_u8(both, bytes(i)));
  }
  INLINE V min(V a, V b) { return vminq_f32(a, b); }  // no number where either is none
  INLINE V max(V a, V b) { return vmaxq_f32(a, b); }
  INLINE V keep(M m, V v) { return vreinterpretq_f32_u32(vandq_u32(m, vreinterpretq_u32_f32(v))); }
  INLINE V keep(P m, V v) { return keep(m.mask, v); }
  INLINE V select(P m, V a, V b) { return vbslq_f32(m.mask, a, b); }
  INLINE V even(V a, V b) { return vuzp1q_f32(a, b); }
  INLINE V odd(V a, V b) { return vuzp2q_f32(a, b); }
  INLINE V after(V a, V b) { return vextq_f32(a, b, 3); }
  INLINE void interleave(V& a, V& b) {
    const V first = vzip1q_f32(a, b);
    b = vzip2q_f32(a, b), a = first;
  }
  INLINE V add_product(M m, V a, V b, V sum) { return vfmaq_f32(sum, a, keep(m, b)); }
};

template <>
struct Simd<double> {
  using V = float64x2_t;
  using M = uint64x2_t;
  struct P {
    M mask;
    int64_t count;
  };
  static constexpr int lanes = 2;
  INLINE P first(int64_t count) { return {mask(first_lanes(count)), count > 0 ? count : 0}; }
  INLINE M mask(uint32_t bits) {
    const M lane = {1, 2};
    return vtstq_u64(vdupq_n_u64(bits), lane);
  }
  INLINE V splat(double s) { return vdupq_n_f64(s); }
  INLINE V hold(V v) { return v; }
  INLINE V load(const double* p) { return vld1q_f64(p); }
  INLINE V load_once(const double* p) { return load(p); }
  INLINE V load(M m, const double* p) {
    V v = vdupq_n_f64(0);
    if (vgetq_lane_u64(m, 0)) v = vld1q_lane_f64(p, v, 0);
    if (vgetq_lane_u64(m, 1)) v = vld1q_lane_f64(p + 1, v, 1);
    return v;
  }
  INLINE V load(P m, const double* p) {
    if (m.count >= lanes) return load(p);
    return m.count == 1 ? vld1q_lane_f64(p, vdupq_n_f64(0), 0) : vdupq_n_f64(0);
  }
  INLINE void store(double* p, V v) { vst1q_f64(p, v); }
  INLINE void store(P m, double* p, V v) {
    if (m.count >= lanes) return store(p, v);
    if (m.count == 1) vst1q_lane_f64(p, v, 0);
  }
  INLINE V gather(const double* p, const int32_t* i) { return vld1q_lane_f64(p + i[1], vld1q_dup_f64(p + i[0]), 1); }
  INLINE V keep(M m, V v) { return vreinterpretq_f64_u64(vandq_u64(m, vreinterpretq_u64_f64(v))); }
  INLINE V keep(P m, V v) { return keep(m.mask, v); }
  INLINE V add_product(M m, V a, V b, V sum) { return vfmaq_f64(sum, a, keep(m, b)); }
};

}  // namespace
