// Every kernel of dim_conv.cuh in every dtype, as the launches name them; compiled for its registers, never
// run.
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "dim_conv.cuh"

using namespace dicenet_mm::cuda;

struct Device {
  template <class... Parameters, class... Arguments>
  void launch(void (*kernel)(Parameters...), long long blocks, int threads, size_t shared,
              Arguments... arguments) {
    kernel<<<unsigned(blocks), threads, shared>>>(arguments...);
  }
  template <class T> T* allocate(long long) { return nullptr; }
  int multiprocessors;
};

template <class T> void instantiate(Device& device, T* data, const Shape& shape) {
  forward(device, data, data, data, data, data, shape, 1, 1);
  backward_input(device, data, data, data, data, data, shape, 1, 1);
  backward_depth_weight(device, data, data, data, shape);
}

void instantiate(Device& device, const Shape& shape) {
  instantiate<float>(device, nullptr, shape);
  instantiate<double>(device, nullptr, shape);
  instantiate<__half>(device, nullptr, shape);
  instantiate<__nv_bfloat16>(device, nullptr, shape);
  dice_unit<float>(device, nullptr, {}, nullptr, shape);  // inference is in float alone
}
