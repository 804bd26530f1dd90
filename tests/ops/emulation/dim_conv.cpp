// Runs dim_conv.cuh, unmodified, on the host:
//   dim_conv OPERATOR DTYPE ORDER FAULT MULTIPROCESSORS N D H W H_k W_k FILE
// reads the operator's arguments from FILE, one after the other as raw DTYPE, and writes its results to
// FILE.out:
//   dim_conv   x, grad, depth, height and width weight -> y, the gradients of x and of the three weights
//   dice_unit  x, then in what sums are kept in, float for half and bfloat16: depth, height and width weight, local, spatial, squeeze (D / 4, D), excite (D, D / 4) -> y
//   dice_stage  see below; it prints how many launches there were
//   bias_prelu  x, affine (D, 2) -> y
#include "cuda_on_host.h"

#include "dim_conv.cuh"
#include "stage.cuh"

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

template <class T> Arrays<T> read(std::ifstream& in, const std::vector<long long>& sizes) {
  Arrays<T> arrays(sizes.begin(), sizes.end());
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
  std::ifstream stream(file, std::ios::binary);
  auto in = read<T>(stream, {size, 3 * size, 9 * d, 9 * kh, 9 * kw});
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
  using A = cuda::Acc<T>;
  const long long size = shape.images * shape.channels * shape.plane(), d = shape.channels;
  const int hidden = shape.channels / 4;
  const std::vector<long long> sizes{9 * d, 9 * kh, 9 * kw, 12 * d, 12 * d, hidden * d, hidden * d};
  std::ifstream in(file, std::ios::binary);
  auto x = read<T>(in, {size});
  auto w = read<A>(in, sizes);
  const cuda::Unit<A> unit{w[0].get(), w[1].get(), w[2].get(), w[3].get(), w[4].get(),
                           w[5].get(), w[6].get(), kh,         kw,         hidden};
  Arrays<T> out;
  out.emplace_back(size);
  cuda::dice_unit(device, x[0].get(), unit, out[0].get(), shape);
  write(file, out);
}

// FILE begins with the numbers of sizes, matrices' elements, weights' elements and the result's, then the sizes.
template <class T>
void dice_stage(emulation::Device& device, cuda::Shape shape, int strided, int, const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  auto counts = read<std::int64_t>(in, {4});
  const std::int64_t* count = counts[0].get();
  auto sizes = read<std::int64_t>(in, {count[0]});
  auto maps = read<T>(in, {shape.images * shape.channels * shape.plane(), count[1]});
  auto weights = read<float>(in, {count[2]});
  Arrays<T> out;
  out.emplace_back(count[3]);
  const dicenet_mm::Reader reader(weights[0].get(), count[2], {sizes[0].get(), std::size_t(count[0])});
  cuda::dice_stage(device, maps[0].get(), cuda::Matrices<T>{maps[1].get(), count[1]}, reader, strided != 0, shape,
                   out[0].get());
  write(file, out);
  std::printf("%d launches\n", device.launches);
}

template <class T>
void bias_prelu(emulation::Device& device, cuda::Shape shape, int, int, const std::string& file) {
  const long long size = shape.images * shape.channels * shape.plane();
  std::ifstream in(file, std::ios::binary);
  auto x = read<T>(in, {size});
  auto affine = read<cuda::Acc<T>>(in, {2ll * shape.channels});
  Arrays<T> out;
  out.emplace_back(size);
  device.launch(cuda::bias_prelu<T>, cuda::elementwise_blocks(size), cuda::kMaxThreads, 0, x[0].get(),
                affine[0].get(), out[0].get(), shape.channels, int(shape.plane()), size);
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
  else if (what == "dice_unit float16")
    start(dice_unit<_Float16>);
  else if (what == "dice_unit bfloat16")
    start(dice_unit<BFloat16>);
  else if (what == "dice_stage float32")
    start(dice_stage<float>);
  else if (what == "dice_stage float16")
    start(dice_stage<_Float16>);
  else if (what == "bias_prelu float32")
    start(bias_prelu<float>);
  else
    emulation::fail("no " + what);
}
