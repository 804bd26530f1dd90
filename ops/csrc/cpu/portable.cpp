#include "dim_conv_kernels.h"
#include "inference_kernels.h"
#include "kernels.h"
#include "training_kernels.h"

namespace dicenet_mm {

template <class S>
const Kernels<S>& portable_kernels() {
  static constexpr Kernels<S> table = all_kernels<S>();
  return table;
}
template const Kernels<float>& portable_kernels();
template const Kernels<double>& portable_kernels();

const InferenceKernels& portable_inference_kernels() {
  static constexpr InferenceKernels table = all_inference_kernels();
  return table;
}

const TrainingKernels& portable_training_kernels() {
  static constexpr TrainingKernels table = all_training_kernels();
  return table;
}

}  // namespace dicenet_mm
