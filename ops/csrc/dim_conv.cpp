// The operators' schemas. Each device registers its kernels for them; shapes and dtypes are checked in Python.
#include <torch/library.h>

TORCH_LIBRARY(dicenet_mm, m) {
  // x (N, D, H, W), kernels (D, 3, 3), (H_k, 3, 3), (W_k, 3, 3) -> (N, 3D, H, W)
  m.def("dim_conv(Tensor x, Tensor depth_weight, Tensor height_weight, Tensor width_weight) -> Tensor");
  // Gradients of x and of the kernels; a tensor without elements stands for one that is not needed.
  m.def(
      "dim_conv_backward(Tensor grad, Tensor x, Tensor depth_weight, Tensor height_weight, Tensor width_weight, "
      "bool[4] needed) -> (Tensor, Tensor, Tensor, Tensor)");

  // Inference, with normalisation folded into the weights, which inference.py packs and describes.
  m.def("point_wise(Tensor x, Tensor[] point) -> Tensor");
  m.def("strided_conv(Tensor x, Tensor[] point) -> Tensor");
  m.def("max_pool(Tensor x) -> Tensor");
  m.def("dice_unit(Tensor x, Tensor[] unit) -> Tensor");
  m.def("dice_block(Tensor x, Tensor[] point, Tensor[] unit) -> Tensor");
  m.def(
      "strided_dice_block(Tensor x, Tensor left, Tensor[] left_point, Tensor[] unit, Tensor[] right_point) -> "
      "Tensor");
}
