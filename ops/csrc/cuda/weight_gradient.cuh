// The gradient of the weights.
#pragma once

#include "resize.cuh"

namespace dicenet_mm::cuda {

// One branch seen as "kernel p slides over the plane (a, b)": sizes, and the distance between neighbours in
// elements, where grad, with three planes to one of x, differs.
struct Axes {
  int kernels, a, b;
  long long kernel_step, a_step, b_step, grad_kernel_step, grad_a_step;
};

struct WeightTiling {
  int lanes, columns, kernel_tiles, splits;  // lanes of a block over kernels, columns over what is summed
};

// partial[split, p, i, j] = sum over n, a, b of grad[n, p, a, b] x[n, p, a + i - 1, b + j - 1]. Each thread
// slides a window along a, in steps of kMarch; the block then adds up its columns, sum_splits the blocks.
// With kResized, grad and x are resized to the kernels on the way.
template <class T, bool kResized>
__global__ void __launch_bounds__(kMaxThreads, kOtherBlocks<T>)
    weight_gradient(const T* __restrict__ grad, const T* __restrict__ x, Acc<T>* __restrict__ partial,
                    Axes axes, Shape shape, Band<Acc<T>> grad_to_kernels, Band<Acc<T>> x_to_kernels,
                    WeightTiling tiling) {
  using A = Acc<T>;
  A* const sums = shared_memory<A>();  // (kTaps, threads)
  const int lane = threadIdx.x % tiling.lanes, own_column = threadIdx.x / tiling.lanes;
  const int split = blockIdx.x / tiling.kernel_tiles;
  const int p = blockIdx.x % tiling.kernel_tiles * tiling.lanes + lane;
  const long long image_size = shape.channels * shape.plane();
  const int stretches = ceil_div(axes.a, kMarch);
  const long long items = p < axes.kernels ? (long long)shape.images * stretches * axes.b : 0;

  A sum[kTaps] = {};
  for (long long item = (long long)split * tiling.columns + own_column; item < items;
       item += (long long)tiling.splits * tiling.columns) {
    const int b = int(item % axes.b), begin = int(item / axes.b % stretches) * kMarch;
    const int end = min(begin + kMarch, axes.a);
    const long long image = item / axes.b / stretches;
    const T* const grad_column = grad + image * image_size * 3 + b * axes.b_step;
    const T* const x_column = x + image * image_size + b * axes.b_step;
    auto read_grad = [&](int a) -> A {
      const T* at = grad_column + a * axes.grad_a_step;
      return kResized ? grad_to_kernels.apply(p, at, int(axes.grad_kernel_step))
                      : static_cast<A>(at[p * axes.grad_kernel_step]);
    };
    auto read_x = [&](int a, int shift) -> A {
      if (a < 0 || a >= axes.a || b + shift < 0 || b + shift >= axes.b) return A(0);
      const T* at = x_column + a * axes.a_step + shift * axes.b_step;
      return kResized ? x_to_kernels.apply(p, at, int(axes.kernel_step))
                      : static_cast<A>(at[p * axes.kernel_step]);
    };
    A before[3], here[3], after[3];
#pragma unroll
    for (int j = 0; j < 3; ++j) before[j] = read_x(begin - 1, j - 1), here[j] = read_x(begin, j - 1);
    for (int a = begin; a < end; ++a) {
      const A value = read_grad(a);
#pragma unroll
      for (int j = 0; j < 3; ++j) {
        after[j] = read_x(a + 1, j - 1);
        sum[j] += value * before[j], sum[3 + j] += value * here[j], sum[6 + j] += value * after[j];
        before[j] = here[j], here[j] = after[j];
      }
    }
  }

#pragma unroll
  for (int t = 0; t < kTaps; ++t) sums[t * blockDim.x + threadIdx.x] = sum[t];
  for (int left = tiling.columns; left > 1;) {
    const int half = (left + 1) / 2;
    __syncthreads();
    if (own_column + half < left)
#pragma unroll
      for (int t = 0; t < kTaps; ++t)
        sums[t * blockDim.x + threadIdx.x] += sums[t * blockDim.x + threadIdx.x + half * tiling.lanes];
    left = half;
  }
  if (own_column == 0 && p < axes.kernels)
#pragma unroll
    for (int t = 0; t < kTaps; ++t)
      partial[((long long)split * axes.kernels + p) * kTaps + t] = sums[t * blockDim.x + threadIdx.x];
}

template <class T>
__global__ void __launch_bounds__(kMaxThreads)
    sum_splits(const Acc<T>* __restrict__ partial, T* __restrict__ gradient, int size, int splits) {
  const int i = blockIdx.x * kMaxThreads + threadIdx.x;
  if (i >= size) return;
  Acc<T> sum = 0;
  for (int s = 0; s < splits; ++s) sum += partial[(long long)s * size + i];
  gradient[i] = static_cast<T>(sum);
}

template <class T, class Device>
void launch_weight_gradient(Device& device, const T* grad, const T* x, T* gradient, const Axes& axes,
                            const Shape& shape, int own_size) {
  WeightTiling t;
  t.lanes = axes.kernel_step == 1 ? even_part(axes.kernels, kWarp) : 1;  // lanes lie along the width
  const long long items = (long long)shape.images * ceil_div(axes.a, kMarch) * axes.b;
  t.columns = int(min((long long)(kMaxThreads / t.lanes), items));
  t.kernel_tiles = ceil_div(axes.kernels, t.lanes);
  t.splits = min(ceil_div(items, t.columns),
                 ceil_div((long long)kBlocksPerMultiprocessor * device.multiprocessors, t.kernel_tiles));
  const int size = axes.kernels * kTaps, threads = t.lanes * t.columns;
  Acc<T>* partial = device.template allocate<Acc<T>>((long long)t.splits * size);
  const bool resized = own_size != axes.kernels;
  Band<Acc<T>> grad_band{}, x_band{};
  if (resized) {
    grad_band = make_band<Acc<T>>(device, Matrix({axes.kernels, own_size}, true));
    x_band = make_band<Acc<T>>(device, Matrix({own_size, axes.kernels}, false));
  }
  device.launch(resized ? weight_gradient<T, true> : weight_gradient<T, false>,
                (long long)t.splits * t.kernel_tiles, threads, sizeof(Acc<T>) * kTaps * threads, grad, x,
                partial, axes, shape, grad_band, x_band, t);
  device.launch(sum_splits<T>, ceil_div(size, kMaxThreads), kMaxThreads, 0, partial, gradient, size,
                t.splits);
}

}  // namespace dicenet_mm::cuda
