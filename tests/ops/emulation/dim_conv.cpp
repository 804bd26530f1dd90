// Runs dim_conv.cuh, unmodified, on the host:
//   dim_conv DTYPE ORDER FAULT MULTIPROCESSORS N D H W H_k W_k FILE
// reads x, grad, the depth, height and width weights from FILE as raw DTYPE, and writes y and the gradients
// of x and of the three weights to FILE.out.
#include "cuda_on_host.h"

#include "dim_conv.cuh"

#include <cstdint>
#include <fstream>

namespace cuda = dicenet_mm::cuda;

struct BFloat16 {  // the compiler's own comes with GCC 13
  std::uint16_t bits;
  BFloat16() = default;
  explicit BFloat16(float value) {
    std::uint32_t whole;
    std::memcpy(&whole, &value, 4);
    bits = (whole + 0x7fff + (whole >> 16 & 1)) >> 16;  // to the nearest, ties to even
  }
  explicit operator float() const {
    const std::uint32_t whole = std::uint32_t(bits) << 16;
    float value;
    std::memcpy(&value, &whole, 4);
    return value;
  }
};

// Of the exact size, on the heap: the address sanitizer sees what leaves it.
template <class T> struct Array {
  std::unique_ptr<T[]> data;
  long long size;
  explicit Array(long long size) : data(new T[size]), size(size) {
    std::memset(data.get(), 0xff, size * sizeof(T));
  }
  T* get() { return data.get(); }
};

template <class T>
void run(emulation::Device& device, cuda::Shape shape, int kh, int kw, const std::string& file) {
  const long long size = shape.images * shape.channels * shape.plane();
  Array<T> x(size), grad(3 * size), kernels_d(9 * shape.channels), kernels_h(9 * kh), kernels_w(9 * kw);
  std::ifstream in(file, std::ios::binary);
  for (auto* array : {&x, &grad, &kernels_d, &kernels_h, &kernels_w})
    if (!in.read(reinterpret_cast<char*>(array->get()), array->size * sizeof(T)))
      emulation::fail("input too short");

  Array<T> y(3 * size), grad_x(size), grad_d(9 * shape.channels), grad_h(9 * kh), grad_w(9 * kw);
  cuda::forward(device, x.get(), kernels_d.get(), kernels_h.get(), kernels_w.get(), y.get(), shape, kh, kw);
  cuda::backward_input(device, grad.get(), kernels_d.get(), kernels_h.get(), kernels_w.get(), grad_x.get(),
                       shape, kh, kw);
  cuda::backward_depth_weight(device, grad.get(), x.get(), grad_d.get(), shape);
  cuda::backward_height_weight(device, grad.get(), x.get(), grad_h.get(), shape, kh);
  cuda::backward_width_weight(device, grad.get(), x.get(), grad_w.get(), shape, kw);
  std::ofstream out(file + ".out", std::ios::binary);
  for (auto* array : {&y, &grad_x, &grad_d, &grad_h, &grad_w})
    out.write(reinterpret_cast<const char*>(array->get()), array->size * sizeof(T));
}

int main(int count, char** words) {
  if (count != 12) emulation::fail("eleven arguments, see the source");
  auto number = [&](int i) { return std::atoi(words[i]); };
  emulation::Device device{words[2], words[3], number(4)};
  const std::string dtype = words[1], file = words[11];
  const cuda::Shape shape{number(5), number(6), number(7), number(8)};
  auto start = [&](auto run) { run(device, shape, number(9), number(10), file); };
  if (dtype == "float32")
    start(run<float>);
  else if (dtype == "float64")
    start(run<double>);
  else if (dtype == "float16")
    start(run<_Float16>);
  else if (dtype == "bfloat16")
    start(run<BFloat16>);
  else
    emulation::fail("unknown dtype " + dtype);
}
