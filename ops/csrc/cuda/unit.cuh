// The DiCE unit in inference.
#pragma once

#include "elementwise.cuh"
#include "march.cuh"
#include "resized_branch.cuh"
#include "resized_march.cuh"

namespace dicenet_mm::cuda {

constexpr int kRows = kMaxThreads / kWarp;  // of the gate's first layer in a block, a warp each

// hidden (N, hidden) = ReLU(squeeze (hidden, D) . mean of Y_G), from its sums (N, D, tiles).
template <class A>
__global__ void __launch_bounds__(kMaxThreads)
    squeeze_means(const A* __restrict__ squeeze, const A* __restrict__ sums, int tiles, A scale,
                  A* __restrict__ hidden, int channels, int count) {
  A* const means = shared_memory<A>();  // (channels)
  const int blocks = ceil_div(count, kRows), lane = threadIdx.x % kWarp;
  const int row = blockIdx.x % blocks * kRows + threadIdx.x / kWarp;
  const long long image = blockIdx.x / blocks;
  for (int i = threadIdx.x; i < channels; i += kMaxThreads) {
    A sum = 0;
    for (int tile = 0; tile < tiles; ++tile) sum += sums[(image * channels + i) * tiles + tile];
    means[i] = sum * scale;
  }
  __syncthreads();
  A sum = 0;
  if (row < count)
#pragma unroll 4  // loads ahead
    for (int i = lane; i < channels; i += kWarp) sum += squeeze[(long long)row * channels + i] * means[i];
  sum = warp_sum(sum);
  if (lane == 0 && row < count) hidden[image * count + row] = max(sum, A(0));
}

// y (N, D, H, W) from x (N, D, H, W), both in T. The coefficients are those of ops/inference.py, kept as sums are:
// local (D, 12), spatial (D, 12), squeeze (hidden, D), excite (D, hidden).
template <class A> struct Unit {
  const A *depth_weight, *height_weight, *width_weight, *local, *spatial, *squeeze, *excite;
  int height_kernels, width_kernels, hidden;
};

// What a unit stands between: bias and slope - 1 (D, 2) of the convolution that gives x, if they are to be applied;
// and the place of its result.
template <class T> struct Between {
  const Acc<T>* affine = nullptr;
  Shuffle<T> shuffle{};
};

template <class T, class Device>
void dice_unit(Device& device, const T* x, const Unit<Acc<T>>& unit, T* y, const Shape& shape,
               const Between<T>& between = {}) {
  using A = Acc<T>;
  const bool native = unit.height_kernels == shape.height && unit.width_kernels == shape.width;
  const ResizedPlan plan =
      plan_resized(shape, unit.height_kernels, unit.width_kernels, device.multiprocessors);
  const bool resized = !native && plan.serves;
  const Tiling t = resized ? plan.tiling.march : plan_march(shape, device.multiprocessors);
  const int tiles = t.row_tiles * t.column_tiles, channels = shape.channels;
  const long long planes = (long long)shape.images * channels;
  T* fused = device.template allocate<T>(planes * shape.plane());
  A* sums = device.template allocate<A>(planes * tiles);
  A* hidden = device.template allocate<A>((long long)shape.images * unit.hidden);
  Epilogue<T> first, second;
  first.local = unit.local, first.sums = sums, first.affine = between.affine;
  if (resized) {
    launch_resized_march<Pass::kFuse>(device, plan, x, unit.depth_weight, unit.height_weight, unit.width_weight,
                                      fused, shape, first);
  } else {
    if (!native) {
      if (between.affine != nullptr) {  // resized_branches reads x as it is
        T* const before = device.template allocate<T>(planes * shape.plane());
        device.launch(bias_prelu<T>, elementwise_blocks(planes * shape.plane()), kMaxThreads, 0, x, between.affine,
                      before, channels, int(shape.plane()), planes * shape.plane());
        x = before, first.affine = nullptr;
      }
      T* branches = device.template allocate<T>(2 * planes * shape.plane());
      resized_branches(device, x, unit.height_weight, unit.width_weight, branches, 2, shape,
                       unit.height_kernels, unit.width_kernels);
      first.branches = branches;
    }
    launch_march<Pass::kFuse>(device, x, unit.depth_weight, unit.height_weight, unit.width_weight, fused, shape,
                              native, first);
  }
  device.launch(squeeze_means<A>, (long long)shape.images * ceil_div(unit.hidden, kRows), kMaxThreads,
                sizeof(A) * channels, unit.squeeze, sums, tiles, A(1) / A(shape.plane()), hidden, channels,
                unit.hidden);
  second.excite = unit.excite, second.hidden = hidden, second.hidden_count = unit.hidden;
  second.shuffle = between.shuffle;
  launch_march<Pass::kSpatial>(device, fused, unit.spatial, unit.height_weight, unit.width_weight, y, shape,
                               false, second);
}

}  // namespace dicenet_mm::cuda
