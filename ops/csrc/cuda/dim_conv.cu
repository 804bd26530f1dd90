// dim_conv, its gradients and the DiCE unit of inference on CUDA: what torch sees of dim_conv.cuh.
#include <ATen/Dispatch.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros_like.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <torch/library.h>

#include <array>
#include <limits>
#include <tuple>
#include <vector>

#include "../checks.h"
#include "dim_conv.cuh"

namespace dicenet_mm::cuda {
namespace {

using at::Tensor;

// The current stream of a tensor's card, as dim_conv.cuh asks for it. Scratch memory may be freed once
// everything is launched: the allocator hands it on in the stream's order.
class StreamDevice {
 public:
  explicit StreamDevice(const Tensor& x)
      : guard_(x.device()), bytes_(x.options().dtype(at::kByte)), stream_(c10::cuda::getCurrentCUDAStream()) {
    C10_CUDA_CHECK(cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, x.get_device()));
  }

  template <class... Parameters, class... Arguments>
  void launch(void (*kernel)(Parameters...), long long blocks, int threads, size_t shared_bytes,
              Arguments... arguments) {
    TORCH_CHECK(blocks <= std::numeric_limits<int>::max(),
                "dim_conv: x is too large for one launch; split its batch");
    kernel<<<static_cast<unsigned>(blocks), threads, shared_bytes, stream_>>>(arguments...);
    C10_CUDA_KERNEL_LAUNCH_CHECK();
  }

  template <class T> T* allocate(long long count) {
    scratch_.push_back(at::empty({count * static_cast<long long>(sizeof(T))}, bytes_));
    return reinterpret_cast<T*>(scratch_.back().mutable_data_ptr());
  }

  int multiprocessors = 0;

 private:
  c10::cuda::CUDAGuard guard_;
  at::TensorOptions bytes_;
  c10::cuda::CUDAStream stream_;
  std::vector<Tensor> scratch_;
};

void check(const Tensor& x, const Tensor& depth_weight, const Tensor& height_weight,
           const Tensor& width_weight) {
  check_kernels(x, depth_weight, height_weight, width_weight);
  TORCH_CHECK(fits(x.size(2), height_weight.size(0)), "height_weight has ", height_weight.size(0),
              " kernels, too many for an x of ", x.size(2), " rows on CUDA: one row may share at most ",
              kMaxThreads);
  TORCH_CHECK(fits(x.size(3), width_weight.size(0)), "width_weight has ", width_weight.size(0),
              " kernels, too many for an x of ", x.size(3), " columns on CUDA: one column may share at most ",
              kMaxThreads);
}

Shape shape_of(const Tensor& x) {
  return {static_cast<int>(x.size(0)), static_cast<int>(x.size(1)), static_cast<int>(x.size(2)),
          static_cast<int>(x.size(3))};
}

Tensor dim_conv(const Tensor& x, const Tensor& depth_weight, const Tensor& height_weight,
                const Tensor& width_weight) {
  check(x, depth_weight, height_weight, width_weight);
  Tensor y = at::empty({x.size(0), 3 * x.size(1), x.size(2), x.size(3)}, x.options());
  if (x.numel() == 0) return y;
  const Tensor input = x.contiguous(), kd = depth_weight.contiguous(), kh = height_weight.contiguous(),
               kw = width_weight.contiguous();
  StreamDevice device(x);
  AT_DISPATCH_FLOATING_TYPES_AND2(at::kHalf, at::kBFloat16, x.scalar_type(), "dim_conv", [&] {
    forward(device, input.const_data_ptr<scalar_t>(), kd.const_data_ptr<scalar_t>(),
            kh.const_data_ptr<scalar_t>(), kw.const_data_ptr<scalar_t>(), y.mutable_data_ptr<scalar_t>(),
            shape_of(x), kh.size(0), kw.size(0));
  });
  return y;
}

std::tuple<Tensor, Tensor, Tensor, Tensor> dim_conv_backward(const Tensor& grad, const Tensor& x,
                                                             const Tensor& depth_weight,
                                                             const Tensor& height_weight,
                                                             const Tensor& width_weight,
                                                             std::array<bool, 4> needed) {
  check(x, depth_weight, height_weight, width_weight);
  checked(grad, "grad", {x.size(0), 3 * x.size(1), x.size(2), x.size(3)}, x);
  const bool nothing = x.numel() == 0;
  auto result = [&](int i, const Tensor& like) {
    if (!needed[i]) return at::empty({0}, like.options());
    return nothing ? at::zeros_like(like, at::MemoryFormat::Contiguous)
                   : at::empty_like(like, at::MemoryFormat::Contiguous);
  };
  auto results = std::make_tuple(result(0, x), result(1, depth_weight), result(2, height_weight),
                                 result(3, width_weight));
  if (nothing) return results;
  const Tensor gradient = grad.contiguous(), input = x.contiguous(), kd = depth_weight.contiguous(),
               kh = height_weight.contiguous(), kw = width_weight.contiguous();
  const Shape shape = shape_of(x);
  const int height_kernels = kh.size(0), width_kernels = kw.size(0);
  StreamDevice device(x);
  AT_DISPATCH_FLOATING_TYPES_AND2(at::kHalf, at::kBFloat16, x.scalar_type(), "dim_conv_backward", [&] {
    const scalar_t *from = gradient.const_data_ptr<scalar_t>(), *in = input.const_data_ptr<scalar_t>();
    if (needed[0])
      backward_input(device, from, kd.const_data_ptr<scalar_t>(), kh.const_data_ptr<scalar_t>(),
                     kw.const_data_ptr<scalar_t>(), std::get<0>(results).mutable_data_ptr<scalar_t>(), shape,
                     height_kernels, width_kernels);
    if (needed[1])
      backward_depth_weight(device, from, in, std::get<1>(results).mutable_data_ptr<scalar_t>(), shape);
    if (needed[2])
      backward_height_weight(device, from, in, std::get<2>(results).mutable_data_ptr<scalar_t>(), shape,
                             height_kernels);
    if (needed[3])
      backward_width_weight(device, from, in, std::get<3>(results).mutable_data_ptr<scalar_t>(), shape,
                            width_kernels);
  });
  return results;
}

Tensor dice_unit_inference(const Tensor& x, const Tensor& weights, at::IntArrayRef sizes) {
  const Tensor input = checked_input(x, unit_depth(sizes)), packed = checked(weights, "weights", {kMaybe}, x);
  Reader reader = reader_of(packed, sizes);
  const UnitWeights w(reader, reader.size());
  reader.check_done();
  Tensor y = at::empty(x.sizes(), x.options());
  if (x.numel() == 0) return y;
  const Unit<float> unit{w.depth_taps, w.height_taps,   w.width_taps,   w.local, w.spatial, w.squeeze,
                         w.excite,     w.kernel_height, w.kernel_width, w.hidden};
  StreamDevice device(x);
  dice_unit(device, input.const_data_ptr<float>(), unit, y.mutable_data_ptr<float>(), shape_of(x));
  return y;
}

}  // namespace

TORCH_LIBRARY_IMPL(dicenet_mm, CUDA, m) {
  m.impl("dim_conv", &dim_conv);
  m.impl("dim_conv_backward", &dim_conv_backward);
  m.impl("dice_unit", &dice_unit_inference);
}

}  // namespace dicenet_mm::cuda
