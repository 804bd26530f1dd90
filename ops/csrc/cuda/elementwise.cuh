// What follows a convolution of the library, one thread an element.
#pragma once

#include "common.cuh"

namespace dicenet_mm::cuda {

constexpr long long kMaxBlocks = 1 << 20;  // of a kernel whose threads go on beyond

inline long long elementwise_blocks(long long count) {
  return min((count + kMaxThreads - 1) / kMaxThreads, kMaxBlocks);
}

// y = PReLU(x + bias) with (C, 2) of bias and slope - 1, over (N, C, plane).
template <class T>
__global__ void __launch_bounds__(kMaxThreads)
    bias_prelu(const T* __restrict__ x, const Acc<T>* __restrict__ affine, T* __restrict__ y, int channels, int plane,
               long long count) {
  using A = Acc<T>;
  for (long long i = (long long)blockIdx.x * kMaxThreads + threadIdx.x; i < count;
       i += (long long)gridDim.x * kMaxThreads) {
    const int channel = int(i / plane % channels);
    y[i] = static_cast<T>(prelu(static_cast<A>(x[i]) + affine[2 * channel], affine[2 * channel + 1]));
  }
}

}  // namespace dicenet_mm::cuda
