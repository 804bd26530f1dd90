// Inputs that do not fit their weights are refused: kernels would read and write beyond them.
#pragma once
#include <ATen/core/Tensor.h>

namespace dicenet_mm {

inline void check_input(const at::Tensor& x, int64_t channels) {
  TORCH_CHECK(x.dim() == 4 && x.size(1) == channels && x.size(2) > 0 && x.size(3) > 0,
              "the input must have the shape (N, ", channels,
              ", H, W) with at least one row and one column, got ", x.sizes());
}

}  // namespace dicenet_mm
