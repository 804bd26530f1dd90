// A stage of inference: a strided block or none, then blocks, around units and 1x1 convolutions.
//
// The 1x1 convolutions are matrix products of the library (`Device::multiply`). What follows them costs no pass of its
// own: bias and PReLU are applied where the unit reads, and the unit writes into the shuffled place, beside the
// channels that pass.
#pragma once

#include "../packed.h"
#include "unit.cuh"

namespace dicenet_mm::cuda {

// bias_prelu of two maps (N, left, plane) and (N, right, plane), concatenated and shuffled: y (N, left + right, plane).
template <class T>
__global__ void __launch_bounds__(kMaxThreads)
    bias_prelu_shuffle(const T* __restrict__ left, const Acc<T>* __restrict__ left_affine, int left_channels,
                       const T* __restrict__ right, const Acc<T>* __restrict__ right_affine, int right_channels,
                       T* __restrict__ y, int plane, long long count) {
  using A = Acc<T>;
  const int channels = left_channels + right_channels;
  for (long long i = (long long)blockIdx.x * kMaxThreads + threadIdx.x; i < count;
       i += (long long)gridDim.x * kMaxThreads) {
    const int place = int(i / plane % channels), voxel = int(i % plane);
    const long long image = i / plane / channels;
    const int channel = place % 2 * (channels / 2) + place / 2;  // of both, concatenated
    const bool is_left = channel < left_channels;
    const int own = is_left ? channel : channel - left_channels;
    const A* const affine = (is_left ? left_affine : right_affine) + 2 * own;
    const T* const map = is_left ? left + (image * left_channels + own) * plane
                                 : right + (image * right_channels + own) * plane;
    y[i] = static_cast<T>(prelu(static_cast<A>(map[voxel]) + affine[0], affine[1]));
  }
}

// What the branches of a strided block begin with, over the same windows of x (N, C, H, W): a depth-wise convolution
// (rows of kPaddedTaps, with bias and slope - 1) and the average, both (N, C, ceil(H / 2), ceil(W / 2)).
template <class T>
__global__ void __launch_bounds__(kMaxThreads)
    downsample(const T* __restrict__ x, const Acc<T>* __restrict__ spatial, T* __restrict__ convolved,
               T* __restrict__ averaged, Shape shape, int height, int width, long long count) {
  using A = Acc<T>;
  for (long long i = (long long)blockIdx.x * kMaxThreads + threadIdx.x; i < count;
       i += (long long)gridDim.x * kMaxThreads) {
    const int column = int(i % width), row = int(i / width % height);
    const long long plane = i / width / height;
    const A* const taps = spatial + plane % shape.channels * kPaddedTaps;
    const T* const source = x + plane * shape.plane();
    A sum = taps[9], all = 0;
#pragma unroll
    for (int t = 0; t < kTaps; ++t) {
      const int r = 2 * row - 1 + t / 3, c = 2 * column - 1 + t % 3;
      const bool inside = 0 <= r && r < shape.height && 0 <= c && c < shape.width;
      const A value = inside ? static_cast<A>(source[r * shape.width + c]) : A(0);
      sum += taps[t] * value, all += value;
    }
    convolved[i] = static_cast<T>(prelu(sum, taps[10]));
    averaged[i] = static_cast<T>(all / A(kTaps));
  }
}

// Matrices of 1x1 convolutions one after the other, each filled up to a multiple of 16 elements.
template <class T> struct Matrices {
  const T* next;
  long long left;
  const T* take(int rows, int columns) {
    const T* const matrix = next;
    const long long count = ((long long)rows * columns + 15) / 16 * 16;
    require(left >= count, "the matrices of a stage hold fewer elements than its sizes say");
    next += count, left -= count;
    return matrix;
  }
};

inline Unit<float> unit_of(const UnitWeights& w) {
  return {w.depth_taps, w.height_taps,   w.width_taps,   w.local, w.spatial, w.squeeze,
          w.excite,     w.kernel_height, w.kernel_width, w.hidden};
}

// x (N, C, H, W) -> y, of the shape that its sizes say. A Device has besides
//   void multiply(const T* matrix, const T* x, long long image_step, T* y, int rows, int columns, images, plane):
//     y (N, rows, plane) = matrix (rows, columns) . x (N, columns, plane), whose images are image_step elements apart;
//   size_t mark() and void release(size_t mark), which gives back what was lent since.
template <class T, class Device>
void dice_stage(Device& device, const T* x, Matrices<T> matrices, Reader weights, bool strided, Shape shape, T* y) {
  if (strided) {
    const int channels = weights.size(), left_channels = weights.size();
    const float* const spatial = weights.take(UnitWeights::kParameters * (int64_t)channels);
    const float* const left_affine = weights.take(2 * (int64_t)left_channels);
    const UnitWeights unit(weights, channels);
    const int right_channels = weights.size();
    const float* const right_affine = weights.take(2 * (int64_t)right_channels);
    require(channels == shape.channels, "a strided block takes ", channels, " channels, got ", shape.channels);
    const Shape half{shape.images, channels, (shape.height + 1) / 2, (shape.width + 1) / 2};
    const long long plane = half.plane(), count = (long long)half.images * channels * plane;
    const int outputs = left_channels + right_channels;
    const long long total = (long long)half.images * outputs * plane;
    T* const out = weights.done() ? y : device.template allocate<T>(total);
    const auto mark = device.mark();
    T* const left_in = device.template allocate<T>(count);
    T* const right_in = device.template allocate<T>(count);
    T* const right_mid = device.template allocate<T>(count);
    T* const left = device.template allocate<T>(half.images * plane * left_channels);
    T* const right = device.template allocate<T>(half.images * plane * right_channels);
    device.launch(downsample<T>, elementwise_blocks(count), kMaxThreads, 0, x, spatial, left_in, right_in, shape,
                  half.height, half.width, count);
    device.multiply(matrices.take(left_channels, channels), left_in, channels * plane, left, left_channels, channels,
                    half.images, plane);
    dice_unit(device, right_in, unit_of(unit), right_mid, half);
    device.multiply(matrices.take(right_channels, channels), right_mid, channels * plane, right, right_channels,
                    channels, half.images, plane);
    device.launch(bias_prelu_shuffle<T>, elementwise_blocks(total), kMaxThreads, 0, left, left_affine, left_channels,
                  right, right_affine, right_channels, out, int(plane), total);
    device.release(mark);
    x = out, shape = {half.images, outputs, half.height, half.width};
  }
  while (!weights.done()) {
    const int taken = weights.size(), channels = weights.size();
    const float* const affine = weights.take(2 * (int64_t)channels);
    const UnitWeights unit(weights, channels);
    const int passed = shape.channels - taken, outputs = passed + channels;
    require(passed > 0 && outputs % 2 == 0, "a block takes ", taken, " of ", shape.channels, " channels and gives ",
            channels, ": none pass it, or the halves differ");
    const long long plane = shape.plane();
    T* const out = weights.done() ? y : device.template allocate<T>(shape.images * plane * outputs);
    const auto mark = device.mark();
    T* const mid = device.template allocate<T>(shape.images * plane * channels);
    device.multiply(matrices.take(channels, taken), x + passed * plane, shape.channels * plane, mid, channels, taken,
                    shape.images, plane);
    dice_unit(device, mid, unit_of(unit), out, {shape.images, channels, shape.height, shape.width},
              {affine, {x, passed, shape.channels, outputs}});
    device.release(mark);
    x = out, shape.channels = outputs;
  }
  weights.check_done();
  require(matrices.left == 0, "the matrices of a stage hold ", matrices.left, " elements more than its sizes say");
}

}  // namespace dicenet_mm::cuda
