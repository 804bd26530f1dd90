#include "kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>

#include <cstring>
// After the headers, so that nothing in them is compiled for AVX-512.
#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma"))), \
                             apply_to = function)
#else
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")
#endif
#define DICENET_MM_AVX512
#include "dim_conv_kernels.h"
#include "inference_kernels.h"
#include "training_kernels.h"

namespace dicenet_mm {

template <class S>
const Kernels<S>& avx512_kernels() {
  static constexpr Kernels<S> table = all_kernels<S>();
  return table;
}
template const Kernels<float>& avx512_kernels();
template const Kernels<double>& avx512_kernels();

const InferenceKernels& avx512_inference_kernels() {
  static constexpr InferenceKernels table = all_inference_kernels();
  return table;
}

const TrainingKernels& avx512_training_kernels() {
  static constexpr TrainingKernels table = all_training_kernels();
  return table;
}

}  // namespace dicenet_mm
#ifdef __clang__
#pragma clang attribute pop
#endif
#endif
