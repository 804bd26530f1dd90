// Layers of ESPNetv2's decoder that keep channels apart, on the CPU, for inference in float: plane by plane.
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include "../checks.h"
#include "layers/decoder.h"

namespace dicenet_mm {
namespace {

using at::Tensor;

Tensor pyramid_pool(const Tensor& input, const Tensor& weights, at::IntArrayRef sizes) {
  const Tensor x = checked_input(input, kSome),
               packed = checked(weights, "weights", {x.size(1), kSome, 2, kSpatial}, x);
  const int64_t channels = packed.size(0), count = packed.size(1);
  TORCH_CHECK(sizes.size() == 2 * static_cast<size_t>(count), "each of ", count,
              " branches has a height and a width, got ", sizes.size(), " sizes");
  Tensor y = at::empty(x.sizes(), x.options());
  const Map outer(x.size(2), x.size(3));
  std::vector<PoolBranch> branches;
  for (int64_t i = 0; i < count; ++i) {
    const int64_t height = sizes[2 * i], width = sizes[2 * i + 1];
    TORCH_CHECK(height > 0 && width > 0 && std::max(height, int64_t{outer.height}) < kMaxPlane / std::max(width, int64_t{outer.width}),
                "sizes of branches must be positive, and their maps of fewer than ", kMaxPlane, " voxels, got ", sizes);
    branches.emplace_back(outer, height, width);
  }
  pyramid_pool_planes(x.const_data_ptr<float>(), x.size(0), channels, outer, branches, packed.const_data_ptr<float>(),
               y.mutable_data_ptr<float>());
  return y;
}

Tensor upsample_add(const Tensor& coarse, const Tensor& fine, const Tensor& parameters) {
  const Tensor to = checked_input(fine, kSome, "fine"), from = checked_input(coarse, to.size(1), "coarse"),
               packed = checked(parameters, "parameters", {to.size(1), 3}, to);
  const int64_t channels = to.size(1);
  TORCH_CHECK(coarse.size(0) == fine.size(0) && coarse.size(2) <= fine.size(2) && coarse.size(3) <= fine.size(3),
              "the coarser map, ", coarse.sizes(), ", must have as many images as the finer one, ", fine.sizes(),
              ", and be no larger");
  Tensor y = at::empty(to.sizes(), to.options());
  upsample_add_planes(from.const_data_ptr<float>(), to.const_data_ptr<float>(), to.size(0), channels,
               Map(from.size(2), from.size(3)), Map(to.size(2), to.size(3)), packed.const_data_ptr<float>(),
               y.mutable_data_ptr<float>());
  return y;
}

}  // namespace

TORCH_LIBRARY_IMPL(dicenet_mm, CPU, m) {
  m.impl("pyramid_pool", &pyramid_pool);
  m.impl("upsample_add", &upsample_add);
}

}  // namespace dicenet_mm
