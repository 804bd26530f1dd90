// The operators' schemas. Each device registers its kernels for them; shapes and dtypes are checked in
// Python.
#include <torch/library.h>

TORCH_LIBRARY(dicenet_mm, m) {
  // x (N, D, H, W), kernels (D, 3, 3), (H_k, 3, 3), (W_k, 3, 3) -> (N, 3D, H, W)
  m.def("dim_conv(Tensor x, Tensor depth_weight, Tensor height_weight, Tensor width_weight) -> Tensor");
  // Gradients of x and of the kernels; a tensor without elements stands for one that is not needed.
  m.def(
      "dim_conv_backward(Tensor grad, Tensor x, Tensor depth_weight, Tensor height_weight, Tensor "
      "width_weight, "
      "bool[4] needed) -> (Tensor, Tensor, Tensor, Tensor)");

  // Training: batch normalisation with PReLU (and a factor per image and channel), also between dim_conv and
  // the local fusion. Mean and variance come out as they were used: the batch's in training, else the running
  // ones.
  m.def(
      "norm_act(Tensor x, Tensor weight, Tensor bias, Tensor slope, Tensor? gate, Tensor running_mean, "
      "Tensor running_var, bool training, float eps) -> (Tensor, Tensor, Tensor)");
  m.def(
      "norm_act_backward(Tensor grad, Tensor x, Tensor weight, Tensor bias, Tensor slope, Tensor? gate, "
      "Tensor mean, "
      "Tensor var, bool training, float eps) -> (Tensor, Tensor, Tensor, Tensor, Tensor)");
  m.def(
      "dim_conv_fuse(Tensor x, Tensor depth_weight, Tensor height_weight, Tensor width_weight, Tensor "
      "weight, "
      "Tensor bias, Tensor slope, Tensor fusion, Tensor running_mean, Tensor running_var, bool training, "
      "float eps) -> "
      "(Tensor, Tensor, Tensor)");
  m.def(
      "dim_conv_fuse_backward(Tensor grad, Tensor x, Tensor depth_weight, Tensor height_weight, Tensor "
      "width_weight, "
      "Tensor weight, Tensor bias, Tensor slope, Tensor fusion, Tensor mean, Tensor var, bool training, "
      "float eps) -> "
      "(Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor)");
  m.def("depth_wise_conv(Tensor x, Tensor weight) -> Tensor");
  m.def("depth_wise_conv_backward(Tensor grad, Tensor x, Tensor weight) -> (Tensor, Tensor)");

  // Inference, with normalisation folded into the weights, which inference.py packs and describes.
  m.def("point_wise(Tensor x, Tensor[] point) -> Tensor");
  m.def("spatial_conv(Tensor x, Tensor spatial) -> Tensor");
  m.def("grouped_conv(Tensor x, Tensor[] point, Tensor? gate) -> Tensor");
  m.def("strided_conv(Tensor x, Tensor[] point) -> Tensor");
  m.def("max_pool(Tensor x) -> Tensor");
  m.def("average_pool(Tensor x) -> Tensor");
  m.def("global_average_pool(Tensor x) -> Tensor");
  m.def("strided_conv_pool(Tensor x, Tensor[] point) -> Tensor");
  // `sizes`: height and width of each branch.
  m.def("pyramid_pool(Tensor x, Tensor weights, SymInt[] sizes) -> Tensor");
  m.def("upsample_add(Tensor coarse, Tensor fine, Tensor parameters) -> Tensor");
  // Packed in one tensor, with the sizes that tell the parts apart.
  m.def("dice_unit(Tensor x, Tensor weights, int[] sizes) -> Tensor");
  // A strided block or none, then blocks.
  m.def("dice_stage(Tensor x, Tensor weights, bool strided, int[] sizes) -> Tensor");
}

// Inference has no gradients: callers take other operators where any are wanted.
TORCH_LIBRARY_IMPL(dicenet_mm, Autograd, m) {
  for (const char* name : {"point_wise", "spatial_conv", "grouped_conv", "strided_conv", "max_pool",
                           "average_pool", "global_average_pool", "strided_conv_pool", "pyramid_pool",
                           "upsample_add", "dice_unit", "dice_stage"})
    m.impl(name, torch::CppFunction::makeFallthrough());
}
