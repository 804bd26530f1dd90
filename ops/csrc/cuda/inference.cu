// The operators of inference on CUDA: what torch sees of unit.cuh and stage.cuh. Maps are of float32, float16 or
// bfloat16; parameters other than matrices are of float32, as sums are.
#include <ATen/core/grad_mode.h>
#include <c10/core/impl/LocalDispatchKeySet.h>
#include <torch/library.h>

#include "stage.cuh"
#include "stream_device.h"

namespace dicenet_mm::cuda {
namespace {

using at::Tensor;

Tensor input_of(const Tensor& x, int64_t channels) {
  check_input(x, channels);
  TORCH_CHECK(x.scalar_type() == at::kFloat || x.scalar_type() == at::kHalf || x.scalar_type() == at::kBFloat16,
              "x must be of float32, float16 or bfloat16, got ", x.scalar_type());
  return x.contiguous();
}

Tensor parameters_of(const Tensor& weights, const char* name, at::IntArrayRef shape, const Tensor& x) {
  return checked(weights, name, shape, at::kFloat, x.device());
}

template <class Run> void with_type(const Tensor& x, const Run& run) {
  AT_DISPATCH_SWITCH(x.scalar_type(), "inference", AT_DISPATCH_CASE(at::kFloat, [&] { run(scalar_t()); })
                     AT_DISPATCH_CASE(at::kHalf, [&] { run(scalar_t()); })
                     AT_DISPATCH_CASE(at::kBFloat16, [&] { run(scalar_t()); }));
}

Tensor dice_unit_inference(const Tensor& x, const Tensor& weights, at::IntArrayRef sizes) {
  const Tensor input = input_of(x, unit_depth(sizes)), packed = parameters_of(weights, "weights", {kMaybe}, x);
  Reader reader = reader_of(packed, sizes);
  const UnitWeights w(reader, reader.size());
  reader.check_done();
  Tensor y = at::empty(x.sizes(), x.options());
  if (x.numel() == 0) return y;
  StreamDevice device(x);
  with_type(x, [&](auto zero) {
    using T = decltype(zero);
    dice_unit(device, input.const_data_ptr<T>(), unit_of(w), y.mutable_data_ptr<T>(), shape_of(x));
  });
  return y;
}

// The matrices are of the dtype of x, and what PyTorch multiplies stays out of autocast.
Tensor dice_stage_rows(const Tensor& x, const Tensor& matrices, const Tensor& weights, bool strided,
                       at::IntArrayRef sizes) {
  const Tensor input = input_of(x, kSome), packed = parameters_of(weights, "weights", {kMaybe}, x);
  const Tensor rows = checked(matrices, "matrices", {kMaybe}, x);
  TORCH_CHECK(sizes.size() % 5 == (strided ? 1u : 0u) && sizes.size() >= 5,
              "a strided block has six sizes and each other block five, got ", sizes.size(), " in all");
  int64_t channels = x.size(1);
  size_t first = 0;
  if (strided) channels = sizes[1] + sizes[5], first = 6;
  for (size_t i = first; i < sizes.size(); i += 5) channels += sizes[i + 1] - sizes[i];
  TORCH_CHECK(channels > 0, "a stage gives one channel or more, got ", channels);
  auto halved = [&](int64_t size) { return strided ? (size + 1) / 2 : size; };
  Tensor y = at::empty({x.size(0), channels, halved(x.size(2)), halved(x.size(3))}, x.options());
  if (x.numel() == 0) return y;
  const at::NoGradGuard no_grad;
  const c10::impl::ExcludeDispatchKeyGuard no_autocast(c10::autocast_dispatch_keyset);
  StreamDevice device(x);
  with_type(x, [&](auto zero) {
    using T = decltype(zero);
    dice_stage(device, input.const_data_ptr<T>(), Matrices<T>{rows.const_data_ptr<T>(), rows.numel()},
               reader_of(packed, sizes), strided, shape_of(x), y.mutable_data_ptr<T>());
  });
  return y;
}

Tensor bias_prelu_inference(const Tensor& x, const Tensor& affine) {
  const Tensor input = input_of(x, kSome), packed = parameters_of(affine, "affine", {x.size(1), 2}, x);
  Tensor y = at::empty(x.sizes(), x.options());
  if (x.numel() == 0) return y;
  StreamDevice device(x);
  with_type(x, [&](auto zero) {
    using T = decltype(zero);
    device.launch(bias_prelu<T>, elementwise_blocks(x.numel()), kMaxThreads, 0, input.const_data_ptr<T>(),
                  packed.const_data_ptr<float>(), y.mutable_data_ptr<T>(), static_cast<int>(x.size(1)),
                  static_cast<int>(x.size(2) * x.size(3)), x.numel());
  });
  return y;
}

}  // namespace

// Operators that CUDA alone has.
TORCH_LIBRARY_FRAGMENT(dicenet_mm, m) {
  // PReLU(x + bias), with bias and slope less one (C, 2).
  m.def("bias_prelu(Tensor x, Tensor affine) -> Tensor");
  // dice_stage with its 1x1 convolutions as matrices by rows, in the dtype of x.
  m.def("dice_stage_rows(Tensor x, Tensor matrices, Tensor weights, bool strided, int[] sizes) -> Tensor");
}

TORCH_LIBRARY_IMPL(dicenet_mm, Autograd, m) {
  for (const char* name : {"bias_prelu", "dice_stage_rows"})
    m.impl(name, torch::CppFunction::makeFallthrough());
}

TORCH_LIBRARY_IMPL(dicenet_mm, CUDA, m) {
  m.impl("dice_unit", &dice_unit_inference);
  m.impl("dice_stage_rows", &dice_stage_rows);
  m.impl("bias_prelu", &bias_prelu_inference);
}

}  // namespace dicenet_mm::cuda
