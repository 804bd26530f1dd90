// Operators refuse what does not fit: kernels would read and write beyond it.
#pragma once
#include <ATen/core/Tensor.h>

#include <sstream>

#include "packed.h"

namespace dicenet_mm {

// Extents that a shape leaves open: one or more, and none or more.
constexpr int64_t kSome = -1, kMaybe = -2;
// Planes have fewer elements, so that those of a vector's lanes together can be counted in 32 bits.
constexpr int64_t kMaxPlane = int64_t{1} << 26;

// The tensor, contiguous, once it has this shape and the dtype and device that are wanted of it.
inline at::Tensor checked(const at::Tensor& tensor, const char* name, at::IntArrayRef shape, at::ScalarType dtype,
                          at::Device device) {
  bool fits = tensor.dim() == static_cast<int64_t>(shape.size());
  for (size_t i = 0; fits && i < shape.size(); ++i)
    fits = shape[i] == kMaybe || (shape[i] == kSome ? tensor.size(i) > 0 : tensor.size(i) == shape[i]);
  if (!fits) {
    std::ostringstream wanted;
    for (size_t i = 0; i < shape.size(); ++i) {
      wanted << (i ? ", " : "");
      if (shape[i] >= 0)
        wanted << shape[i];
      else
        wanted << (shape[i] == kSome ? "1 or more" : "any");
    }
    TORCH_CHECK(false, name, " must have the shape (", wanted.str(), "), got ", tensor.sizes());
  }
  TORCH_CHECK(tensor.layout() == at::kStrided, name, " must be a dense tensor, got one of layout ", tensor.layout());
  TORCH_CHECK(tensor.scalar_type() == dtype, name, " must be of dtype ", dtype, ", got ", tensor.scalar_type());
  TORCH_CHECK(tensor.device() == device, name, " must be on ", device, ", where x is, got ", tensor.device());
  return tensor.contiguous();
}

// A parameter of an operator over `x`.
inline at::Tensor checked(const at::Tensor& tensor, const char* name, at::IntArrayRef shape, const at::Tensor& x) {
  return checked(tensor, name, shape, x.scalar_type(), x.device());
}

// The input (N, channels, H, W), in place: kernels that keep channels apart pass kSome.
inline void check_input(const at::Tensor& x, int64_t channels, const char* name = "x") {
  TORCH_CHECK(x.dim() == 4 && (channels < 0 ? x.size(1) > 0 : x.size(1) == channels) && x.size(2) > 0 && x.size(3) > 0,
              name, " must have the shape (N, ", channels < 0 ? std::string("C") : std::to_string(channels),
              ", H, W) with at least one row and one column, got ", x.sizes());
  TORCH_CHECK(x.layout() == at::kStrided, name, " must be a dense tensor, got one of layout ", x.layout());
  TORCH_CHECK(x.size(2) < kMaxPlane && x.size(3) < kMaxPlane && x.size(2) * x.size(3) < kMaxPlane, name,
              " must have fewer than ", kMaxPlane, " voxels a channel, got ", x.sizes());
}

// The input of an operator that serves float32 alone.
inline at::Tensor checked_input(const at::Tensor& x, int64_t channels, const char* name = "x") {
  check_input(x, channels, name);
  TORCH_CHECK(x.scalar_type() == at::kFloat, name, " must be of float32, got ", x.scalar_type());
  return x.contiguous();
}

// Kernels (count, 3, 3) of dim_conv.
inline void check_kernels(const at::Tensor& x, const at::Tensor& depth_weight, const at::Tensor& height_weight,
                          const at::Tensor& width_weight) {
  TORCH_CHECK(depth_weight.dim() == 3, "depth_weight must have the shape (D, 3, 3), got ", depth_weight.sizes());
  check_input(x, depth_weight.size(0));
  checked(depth_weight, "depth_weight", {depth_weight.size(0), 3, 3}, x);
  checked(height_weight, "height_weight", {kSome, 3, 3}, x);
  checked(width_weight, "width_weight", {kSome, 3, 3}, x);
  TORCH_CHECK(height_weight.size(0) < kMaxPlane / x.size(3) && width_weight.size(0) < kMaxPlane / x.size(2),
              "height_weight and width_weight hold too many kernels for x, ", x.sizes(), ": ", height_weight.size(0),
              " and ", width_weight.size(0));
}

// Packed weights of an operator, and the sizes that tell them apart.
inline Reader reader_of(const at::Tensor& weights, at::IntArrayRef sizes) {
  return {weights.const_data_ptr<float>(), weights.numel(), {sizes.data(), sizes.size()}};
}

inline int64_t unit_depth(at::IntArrayRef sizes) {
  TORCH_CHECK(sizes.size() == 4, "a unit has four sizes: D, H_k, W_k and hidden, got ", sizes.size());
  TORCH_CHECK(sizes[0] > 0, "a unit has one channel or more, got ", sizes[0]);
  return sizes[0];
}

}  // namespace dicenet_mm
