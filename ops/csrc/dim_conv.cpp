// The operators' schemas. Each device registers its kernels for them; shapes and dtypes are checked in Python.
#include <torch/library.h>

TORCH_LIBRARY(dicenet_mm, m) {
  // x (N, D, H, W), kernels (D, 3, 3), (H_k, 3, 3), (W_k, 3, 3) -> (N, 3D, H, W)
  m.def("dim_conv(Tensor x, Tensor depth_weight, Tensor height_weight, Tensor width_weight) -> Tensor");
  // Gradients of x and of the kernels; a tensor without elements stands for one that is not needed.
  m.def(
      "dim_conv_backward(Tensor grad, Tensor x, Tensor depth_weight, Tensor height_weight, Tensor width_weight, "
      "bool[4] needed) -> (Tensor, Tensor, Tensor, Tensor)");
}
