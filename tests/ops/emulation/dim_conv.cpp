// Runs dim_conv.cuh, unmodified, on the host:
//   dim_conv OPERATOR DTYPE ORDER FAULT MULTIPROCESSORS N D H W H_k W_k FILE
// reads the operator's arguments from FILE, one after the other as raw DTYPE, and writes its results to
// FILE.out:
//   dim_conv   x, grad, depth, height and width weight -> y, the gradients of x and of the three weights
//   dice_unit  x, depth, height and width weight, local, spatial, squeeze (D / 4, D), excite (D, D / 4) -> y
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

template <class T> using Arrays = std::vector<Array<T>>;

template <class T> Arrays<T> read(const std::string& file, const std::vector<long long>& sizes) {
  Arrays<T> arrays(sizes.begin(), sizes.end());
  std::ifstream in(file, std::ios::binary);
  for (auto& array : arrays)
    if (!in.read(reinterpret_cast<char*>(array.get()), array.size * sizeof(T)))
      emulation::fail("input too short");
  return arrays;
}

template <class T> void write(const std::string& file, Arrays<T>& arrays) {
  std::ofstream out(file + ".out", std::ios::binary);
  for (auto& array : arrays) out.write(reinterpret_cast<const char*>(array.get()), array.size * sizeof(T));
}

template <class T>
void dim_conv(emulation::Device& device, cuda::Shape shape, int kh, int kw, const std::string& file) {
  const long long size = shape.images * shape.channels * shape.plane(), d = shape.channels;
  auto in = read<T>(file, {size, 3 * size, 9 * d, 9 * kh, 9 * kw});
  const std::vector<long long> sizes{3 * size, size, 9 * d, 9 * kh, 9 * kw};
  Arrays<T> out(sizes.begin(), sizes.end());
  T *x = in[0].get(), *grad = in[1].get(), *kernels[] = {in[2].get(), in[3].get(), in[4].get()};
  cuda::forward(device, x, kernels[0], kernels[1], kernels[2], out[0].get(), shape, kh, kw);
  cuda::backward_input(device, grad, kernels[0], kernels[1], kernels[2], out[1].get(), shape, kh, kw);
  cuda::backward_depth_weight(device, grad, x, out[2].get(), shape);
  cuda::backward_height_weight(device, grad, x, out[3].get(), shape, kh);
  cuda::backward_width_weight(device, grad, x, out[4].get(), shape, kw);
  write(file, out);
}

template <class T>
void dice_unit(emulation::Device& device, cuda::Shape shape, int kh, int kw, const std::string& file) {
  const long long size = shape.images * shape.channels * shape.plane(), d = shape.channels;
  const int hidden = shape.channels / 4;
  auto in = read<T>(file, {size, 9 * d, 9 * kh, 9 * kw, 12 * d, 12 * d, hidden * d, hidden * d});
  const cuda::Unit<T> unit{in[1].get(), in[2].get(), in[3].get(), in[4].get(), in[5].get(),
                           in[6].get(), in[7].get(), kh,          kw,          hidden};
  Arrays<T> out;
  out.emplace_back(size);
  cuda::dice_unit(device, in[0].get(), unit, out[0].get(), shape);
  write(file, out);
}

int main(int count, char** words) {
  if (count != 13) emulation::fail("twelve arguments, see the source");
  auto number = [&](int i) { return std::atoi(words[i]); };
  emulation::Device device{words[3], words[4], number(5)};
  const std::string what = std::string(words[1]) + " " + words[2], file = words[12];
  const cuda::Shape shape{number(6), number(7), number(8), number(9)};
  auto start = [&](auto run) { run(device, shape, number(10), number(11), file); };
  if (what == "dim_conv float32")
    start(dim_conv<float>);
  else if (what == "dim_conv float64")
    start(dim_conv<double>);
  else if (what == "dim_conv float16")
    start(dim_conv<_Float16>);
  else if (what == "dim_conv bfloat16")
    start(dim_conv<BFloat16>);
  else if (what == "dice_unit float32")
    start(dice_unit<float>);
  else if (what == "dice_unit float64")
    start(dice_unit<double>);
  else
    emulation::fail("no " + what);
}
