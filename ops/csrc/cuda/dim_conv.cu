// dim_conv and its gradients on CUDA: what torch sees of dim_conv.cuh.
#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros_like.h>
#include <torch/library.h>

#include <array>
#include <tuple>

#include "dim_conv.cuh"
#include "stream_device.h"

namespace dicenet_mm::cuda {
namespace {

using at::Tensor;

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

}  // namespace

TORCH_LIBRARY_IMPL(dicenet_mm, CUDA, m) {
  m.impl("dim_conv", &dim_conv);
  m.impl("dim_conv_backward", &dim_conv_backward);
}

}  // namespace dicenet_mm::cuda
