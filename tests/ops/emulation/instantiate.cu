// Every kernel of dim_conv.cuh in every dtype, as the launches name them; compiled for its registers, never
// run.
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "dim_conv.cuh"
#include "stage.cuh"

using namespace dicenet_mm::cuda;

struct Device {
  template <class... Parameters, class... Arguments>
  void launch(void (*kernel)(Parameters...), long long blocks, int threads, size_t shared,
              Arguments... arguments) {
    kernel<<<unsigned(blocks), threads, shared>>>(arguments...);
  }
  template <class T> T* allocate(long long) { return nullptr; }
  template <class T> void multiply(const T*, const T*, long long, T*, int, int, long long, long long) {}
  size_t mark() { return 0; }
  void release(size_t) {}
  int multiprocessors;
};

template <class T> void instantiate(Device& device, T* data, const Shape& shape) {
  forward(device, data, data, data, data, data, shape, 1, 1);
  backward_input(device, data, data, data, data, data, shape, 1, 1);
  backward_depth_weight(device, data, data, data, shape);
  if constexpr (sizeof(Acc<T>) == 4) {  // inference: not in double
    dice_stage<T>(device, data, {data, 0}, {nullptr, 0, {nullptr, 0}}, true, shape, data);
    device.launch(bias_prelu<T>, 1, 1, 0, data, nullptr, data, 1, 1, 1ll);
  }
}

void instantiate(Device& device, const Shape& shape) {
  instantiate<float>(device, nullptr, shape);
  instantiate<double>(device, nullptr, shape);
  instantiate<__half>(device, nullptr, shape);
  instantiate<__nv_bfloat16>(device, nullptr, shape);
}
