// The current stream of a tensor's card, as the kernels ask for it (common.cuh).
#pragma once
#include <ATen/Dispatch.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include <limits>
#include <vector>

#include "../checks.h"
#include "common.cuh"

namespace dicenet_mm::cuda {

// Scratch memory may be freed once everything is launched: the allocator hands it on in the stream's order.
class StreamDevice {
 public:
  explicit StreamDevice(const at::Tensor& x)
      : guard_(x.device()), options_(x.options()), stream_(c10::cuda::getCurrentCUDAStream()) {
    C10_CUDA_CHECK(cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, x.get_device()));
  }

  template <class... Parameters, class... Arguments>
  void launch(void (*kernel)(Parameters...), long long blocks, int threads, size_t shared_bytes,
              Arguments... arguments) {
    TORCH_CHECK(blocks <= std::numeric_limits<int>::max(), "x is too large for one launch; split its batch");
    kernel<<<static_cast<unsigned>(blocks), threads, shared_bytes, stream_>>>(arguments...);
    C10_CUDA_KERNEL_LAUNCH_CHECK();
  }

  template <class T> T* allocate(long long count) {
    scratch_.push_back(at::empty({count * static_cast<long long>(sizeof(T))}, options_.dtype(at::kByte)));
    return reinterpret_cast<T*>(scratch_.back().mutable_data_ptr());
  }
  size_t mark() const { return scratch_.size(); }
  void release(size_t mark) { scratch_.resize(mark); }

  // y (N, rows, plane) = matrix (rows, columns) . x (N, columns, plane), by PyTorch, as its settings of precision say.
  template <class T>
  void multiply(const T* matrix, const T* x, long long image_step, T* y, int rows, int columns, long long images,
                long long plane) {
    auto view = [&](const T* data, at::IntArrayRef sizes, at::IntArrayRef strides) {
      return at::from_blob(const_cast<T*>(data), sizes, strides, options_);
    };
    at::Tensor out = view(y, {images, rows, plane}, {rows * plane, plane, 1});
    at::bmm_out(out, view(matrix, {images, rows, columns}, {0, columns, 1}),
                view(x, {images, columns, plane}, {image_step, plane, 1}));
  }

  int multiprocessors = 0;

 private:
  c10::cuda::CUDAGuard guard_;
  at::TensorOptions options_;
  c10::cuda::CUDAStream stream_;
  std::vector<at::Tensor> scratch_;
};

inline Shape shape_of(const at::Tensor& x) {
  return {static_cast<int>(x.size(0)), static_cast<int>(x.size(1)), static_cast<int>(x.size(2)),
          static_cast<int>(x.size(3))};
}

}  // namespace dicenet_mm::cuda
