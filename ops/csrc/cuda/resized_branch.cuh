// The height or the width branch at another size than its kernels'.
#pragma once

#include "resize.cuh"

namespace dicenet_mm::cuda {

struct BranchTiling {
  int outputs, kernels, across, output_tiles, across_tiles, chunk, chunks, threads;
};

// The resized axis is "along" (H for the height branch, W for the width branch), the other one "across". In
// each step a block resizes its part of a plane into `kernels` rows, convolves, and resizes the finished
// channel back.
//
// The adjoint has the transposed matrices and reversed taps, and adds to its target.
template <class T, class W, bool kAlongWidth>
__global__ void __launch_bounds__(kMaxThreads, kOtherBlocks<T>)
    resized_branch(const T* __restrict__ source, int source_step, const W* __restrict__ weight,
                   T* __restrict__ target, int target_step, Band<Acc<T>> to_kernels, Band<Acc<T>> back,
                   Shape shape, BranchTiling tiling, bool adjoint) {
  using A = Acc<T>;
  constexpr int kCopies = 3;  // (across + 2) / across at most
  const int along_size = kAlongWidth ? shape.width : shape.height, along_step = kAlongWidth ? 1 : shape.width;
  const int across_size = kAlongWidth ? shape.height : shape.width,
            across_step = kAlongWidth ? shape.width : 1;
  const int points = tiling.kernels * tiling.across, cells = tiling.kernels * (tiling.across + 2);
  A* const tiles = shared_memory<A>();   // (2, kernels, across + 2): the resized planes
  A* const results = tiles + 2 * cells;  // (2, kernels, across): the convolved ones
  // The order within tiles is the plane's, so that neighbouring threads have neighbouring columns.
  auto along_of = [](int i, int along, int across) { return kAlongWidth ? i % along : i / across; };
  auto across_of = [](int i, int along, int across) { return kAlongWidth ? i / along : i % across; };
  auto index = [](int a, int b, int along, int across) {
    return kAlongWidth ? b * along + a : a * across + b;
  };

  int block = blockIdx.x;
  const int output0 = block % tiling.output_tiles * tiling.outputs;
  block /= tiling.output_tiles;
  const int across0 = block % tiling.across_tiles * tiling.across;
  block /= tiling.across_tiles;
  const int begin = block % tiling.chunks * tiling.chunk;
  const int end = min(begin + tiling.chunk, shape.channels);
  const long long image = (long long)(block / tiling.chunks) * shape.channels;
  const int outputs = min(tiling.outputs, along_size - output0);
  const int kernel0 = back.first[output0];
  const int kernels = back.first[output0 + outputs - 1] + back.width - kernel0;

  A ahead[kCopies];
  auto fetch = [&](int channel) {
    const bool inside = 0 <= channel && channel < shape.channels;
    const T* plane = source + (image + channel) * source_step * shape.plane();
#pragma unroll
    for (int k = 0; k < kCopies; ++k) {
      const int cell = threadIdx.x + k * blockDim.x;
      const int kernel = along_of(cell, tiling.kernels, tiling.across + 2);
      const int across = across0 - 1 + across_of(cell, tiling.kernels, tiling.across + 2);
      ahead[k] = inside && cell < cells && kernel < kernels && 0 <= across && across < across_size
                     ? to_kernels.apply(kernel0 + kernel, plane + across * across_step, along_step)
                     : A(0);
    }
  };
  auto put = [&](int buffer) {
#pragma unroll
    for (int k = 0; k < kCopies; ++k) {
      const int cell = threadIdx.x + k * blockDim.x;
      if (cell < cells) tiles[buffer * cells + cell] = ahead[k];
    }
  };

  const int point = min(int(threadIdx.x), points - 1);
  const int kernel = along_of(point, tiling.kernels, tiling.across);
  const int across = across_of(point, tiling.kernels, tiling.across);
  const int neighbour = kAlongWidth ? tiling.kernels : 1;
  const int own = index(kernel, across + 1, tiling.kernels, tiling.across + 2);
  A taps[kTaps];
  load_taps(taps, weight + (kernel0 + min(kernel, kernels - 1)) * kTaps, adjoint);
  fetch(begin - 1);
  put(0);
  __syncthreads();

  A sum_own = 0, sum_next = 0;
  for (int channel = begin - 1, buffer = 0; channel <= end; ++channel, buffer ^= 1) {
    if (channel < end) fetch(channel + 1);
    A sum = sum_own;
    sum_own = sum_next, sum_next = 0;
#pragma unroll
    for (int j = 0; j < 3; ++j) {
      const A value = tiles[buffer * cells + own + (j - 1) * neighbour];
      sum_next += taps[j] * value, sum_own += taps[3 + j] * value, sum += taps[6 + j] * value;
    }
    if (point == int(threadIdx.x)) results[buffer * points + point] = sum;
    if (channel < end) put(buffer ^ 1);
    __syncthreads();  // the one of a step, as in march: results too alternate

    if (channel <= begin) continue;  // the channel before belongs to another block
    T* const plane = target + (image + channel - 1) * target_step * shape.plane();
    for (int i = threadIdx.x; i < outputs * tiling.across; i += blockDim.x) {
      const int output = along_of(i, outputs, tiling.across), b = across_of(i, outputs, tiling.across);
      if (across0 + b >= across_size) continue;
      const A* result = results + buffer * points + index(0, b, tiling.kernels, tiling.across);
      const int result_step = kAlongWidth ? 1 : tiling.across;
      const A value = back.apply(output0 + output, result - kernel0 * result_step, result_step);
      T* const out = plane + (output0 + output) * along_step + (across0 + b) * across_step;
      *out = static_cast<T>(adjoint ? static_cast<A>(*out) + value : value);
    }
  }
}

inline BranchTiling plan_branch(const Shape& shape, bool along_width, const Matrix& back,
                                int multiprocessors) {
  const int across_size = along_width ? shape.height : shape.width;
  BranchTiling t;
  // A warp's lanes lie along the width, whichever axis that is here.
  const int most = along_width ? kMaxThreads / kMaxEdge : kMaxEdge;
  t.across = even_part(across_size, max(1, min(most, kMaxThreads / back.width)));
  t.outputs = min(back.rows(), kMaxOutputs);
  while (t.outputs > 1 && kernels_under(back, t.outputs) * t.across > kMaxThreads) --t.outputs;
  t.outputs = even_part(back.rows(), t.outputs);
  t.kernels = kernels_under(back, t.outputs);
  t.output_tiles = ceil_div(back.rows(), t.outputs);
  t.across_tiles = ceil_div(across_size, t.across);
  t.chunk =
      plan_chunk(shape.channels, (long long)shape.images * t.output_tiles * t.across_tiles, multiprocessors);
  t.chunks = ceil_div(shape.channels, t.chunk);
  t.threads = round_to_warps(max(t.kernels * t.across, ceil_div(t.kernels * (t.across + 2), 3)));
  return t;
}

template <class T, class W, class Device>
void launch_branch(Device& device, const T* source, int source_step, const W* weight, T* target,
                   int target_step, const Matrix& to_kernels, const Matrix& back, const Shape& shape,
                   bool along_width, bool adjoint) {
  const BranchTiling t = plan_branch(shape, along_width, back, device.multiprocessors);
  device.launch(along_width ? resized_branch<T, W, true> : resized_branch<T, W, false>,
                (long long)shape.images * t.chunks * t.output_tiles * t.across_tiles, t.threads,
                sizeof(Acc<T>) * 2 * t.kernels * (t.across + 2 + t.across), source, source_step, weight,
                target, target_step, make_band<Acc<T>>(device, to_kernels), make_band<Acc<T>>(device, back),
                shape, t, adjoint);
}

// The height and the width branch of x, one after the other, in every `target_step` planes of `target`.
template <class T, class W, class Device>
void resized_branches(Device& device, const T* x, const W* height_weight, const W* width_weight, T* target,
                      int target_step, const Shape& shape, int height_kernels, int width_kernels) {
  launch_branch(device, x, 1, height_weight, target, target_step,
                Matrix({shape.height, height_kernels}, false), Matrix({height_kernels, shape.height}, false),
                shape, false, false);
  launch_branch(device, x, 1, width_weight, target + shape.plane(), target_step,
                Matrix({shape.width, width_kernels}, false), Matrix({width_kernels, shape.width}, false),
                shape, true, false);
}

}  // namespace dicenet_mm::cuda
