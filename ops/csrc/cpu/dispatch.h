// The instruction set that runs: the best one of this machine, unless held back.
#pragma once
#include "kernel_table.h"

namespace dicenet_mm {

// Chosen at the first call and kept. DICENET_MM_ISA=portable|avx2 in the environment holds the choice back, as
// use_instruction_set does later.
const KernelTable& kernel_table();

template <class S>
const Kernels<S>& kernels();
template <>
inline const Kernels<float>& kernels() {
  return kernel_table().of_float;
}
template <>
inline const Kernels<double>& kernels() {
  return kernel_table().of_double;
}
inline const InferenceKernels& inference_kernels() { return kernel_table().inference; }
inline const TrainingKernels& training_kernels() { return kernel_table().training; }

}  // namespace dicenet_mm

extern "C" {
// Names of those that this machine runs, the best one first, with spaces between them.
const char* dicenet_mm_instruction_sets();
const char* dicenet_mm_instruction_set();
// Changes what runs from the next operator on; 0 where the machine lacks it. Not while operators run on other threads.
int dicenet_mm_use_instruction_set(const char* name);
}
