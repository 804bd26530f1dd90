// Runs a layer of the engine: `engine_kernels NAME SIZES...`, float32 from standard input to standard output. It is
// compiled for ARM and run by an emulator, and for this machine under the address sanitizer; test_engine.py makes inputs
// and references.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "layers/convolutions.h"
#include "layers/decoder.h"
#include "layers/dice_stage.h"
#include "plan.h"
#if defined(__aarch64__)
#include "simd/vec_neon.h"
#elif defined(__AVX2__)
#include "simd/vec_avx2.h"
#else
#include "simd/vec_generic.h"
#endif

using namespace dicenet_mm;
using Floats = std::vector<float>;

namespace {

int argument(char** argv, int i) { return std::atoi(argv[i]); }

Floats take(int64_t count) {
  Floats out(count);
  if (std::fread(out.data(), sizeof(float), count, stdin) != static_cast<size_t>(count)) std::exit(2);
  return out;
}

void give(const float* values, int64_t count) { std::fwrite(values, sizeof(float), count, stdout); }

// Memory whose ends kernels may read beyond; NaN there shows whether it counts.
struct Framed {
  Framed(int64_t count, int64_t margin) : all(count + 2 * margin, __builtin_nanf("")), at(all.data() + margin) {}
  Framed(const Floats& values, int64_t margin) : Framed(static_cast<int64_t>(values.size()), margin) {
    std::copy(values.begin(), values.end(), at);
  }
  Floats all;
  float* at;
};

// D H W H_k W_k chunk: y (D, 3, H, W), `chunk` channels at a time.
void dim_conv(char** argv) {
  const Sizes s{argument(argv, 2), argument(argv, 3), argument(argv, 4), argument(argv, 5), argument(argv, 6)};
  const int chunk = argument(argv, 7);
  const int64_t area = s.area();
  const Floats x = take(s.depth * area), depth = take(s.depth * 9), height = take(s.kernel_height * 9),
               width = take(s.kernel_width * 9);
  const Plan<float> plan(s, depth.data(), height.data(), width.data(), false);
  const Framed in(x, plan.margin());
  Floats y(3 * x.size());
  for (int begin = 0; begin < s.depth; begin += chunk) {
    const int end = std::min(begin + chunk, s.depth), planes = end - begin;
    const float* from = in.at + begin * area;
    float* out = y.data() + 3 * begin * area;
    const Tile<float> tile = plan.tile(begin, end, from, from, from, area);
    if (s.native()) {
      plan.run.dim_conv(tile, out);
      continue;
    }
    plan.run.branch(kDepth, tile, out, 3 * area);
    const Framed rows((planes + 2) * s.row_area(), plan.margin()), columns((planes + 2) * s.column_area(), plan.margin());
    Floats work((planes + 2) * std::max(s.row_area(), s.column_area()) + kMaxLanes);
    plan.height_branch(begin, end, from, area, rows.at, work.data(), out + area, 3 * area);
    plan.width_branch(begin, end, from, area, columns.at, work.data(), out + 2 * area, 3 * area);
  }
  give(y.data(), y.size());
}

// images C H W strided weights sizes...: blocks in a row.
void dice_stage(int count, char** argv) {
  const int images = argument(argv, 2);
  const Shape from{argument(argv, 3), argument(argv, 4), argument(argv, 5)};
  const bool strided = argument(argv, 6);
  std::vector<int64_t> sizes;
  for (int i = 8; i < count; ++i) sizes.push_back(argument(argv, i));
  const Numbers numbers{sizes.data(), sizes.size()};
  const Shape to = output_shape(from, strided, numbers);
  const Floats x = take(images * from.size()), weights = take(argument(argv, 7));
  Floats y(images * to.size());
  for_each_batch(images, to.voxels(), [&](int together, int64_t begin, int64_t batches) {
    const Stage stage(Reader(weights.data(), weights.size(), numbers), strided, from, to, together);
    for_each_image(batches, [&](int64_t i) {
      const int64_t n = begin + i * together;
      stage.run(x.data() + n * from.size(), y.data() + n * to.size());
    });
  });
  give(y.data(), y.size());
}

// images D H W H_k W_k hidden weights: a unit.
void dice_unit(char** argv) {
  const int images = argument(argv, 2), depth = argument(argv, 3), height = argument(argv, 4), width = argument(argv, 5);
  const int64_t sizes[] = {argument(argv, 6), argument(argv, 7), argument(argv, 8)}, area = height * width;
  const Floats x = take(images * depth * area), weights = take(argument(argv, 9));
  Floats y(x.size());
  for_each_batch(images, area, [&](int together, int64_t begin, int64_t batches) {
    Reader packed(weights.data(), weights.size(), {sizes, 3});
    const Unit unit(UnitWeights(packed, depth), height, width, together);
    for (int64_t i = 0; i < batches; ++i) {
      const int64_t at = (begin + i * together) * depth * area;
      unit.run({x.data() + at, {x.data(), x.data() + x.size()}, together > 1 ? depth * area : 0},
               scratch<float>(unit.work_size(), ScratchSlot::image), planes_of(y.data() + at, area, depth).data());
    }
  });
  give(y.data(), y.size());
}

// planes channels voxels: y (channels, voxels) of x (planes, voxels).
void pointwise(char** argv) {
  const int planes = argument(argv, 2), channels = argument(argv, 3), voxels = argument(argv, 4);
  const Floats x = take(planes * voxels), weight = take((channels + kMR - 1) / kMR * planes * kMR),
               affine = take(2 * channels);
  Floats y(channels * voxels, __builtin_nanf(""));
  PointWise(weight.data(), affine.data(), planes, channels)(planes_of(x.data(), voxels, planes).data(), voxels,
                                                            planes_of(y.data(), voxels, channels).data());
  give(y.data(), y.size());
}

// C H W channels: 3x3 of stride 2, (channels, ceil(H / 2), ceil(W / 2)), and the maxima of x.
void strided(char** argv) {
  const int count = argument(argv, 2), height = argument(argv, 3), width = argument(argv, 4), channels = argument(argv, 5);
  const Floats x = take(count * height * width), weight = take((channels + kMR - 1) / kMR * 9 * count * kMR),
               affine = take(2 * channels);
  const int64_t area = halved(height) * halved(width);
  Floats y((channels + count) * area);
  convolve_windows(PointWise(weight.data(), affine.data(), 9 * count, channels), x.data(), height, width, y.data());
  pool_planes(x.data(), count, height, width, y.data() + channels * area);
  give(y.data(), y.size());
}

// C H W: a depth-wise convolution.
void depthwise(char** argv) {
  const int count = argument(argv, 2), height = argument(argv, 3), width = argument(argv, 4);
  const Floats x = take(count * height * width), parameters = take(count * kSpatial);
  Floats y(x.size());
  depthwise_planes(x.data(), count, count, height, width, parameters.data(), y.data());
  give(y.data(), y.size());
}

// C H W, then height and width of each branch.
void pyramid_pool(int count, char** argv) {
  const int channels = argument(argv, 2);
  const Map outer(argument(argv, 3), argument(argv, 4));
  std::vector<PoolBranch> branches;
  for (int i = 5; i < count; i += 2) branches.emplace_back(outer, argument(argv, i), argument(argv, i + 1));
  const Floats x = take(channels * outer.area()), parameters = take(channels * branches.size() * 2 * kSpatial);
  Floats y(x.size());
  pyramid_pool_planes(x.data(), 1, channels, outer, branches, parameters.data(), y.data());
  give(y.data(), y.size());
}

// C h w H W
void upsample_add(char** argv) {
  const int channels = argument(argv, 2);
  const Map small(argument(argv, 3), argument(argv, 4)), large(argument(argv, 5), argument(argv, 6));
  const Floats low = take(channels * small.area()), high = take(channels * large.area()), prm = take(channels * 3);
  Floats y(high.size());
  upsample_add_planes(low.data(), high.data(), 1, channels, small, large, prm.data(), y.data());
  give(y.data(), y.size());
}

// Every function of Simd<S> against what it says, lane by lane; exits with the line that fails.
#define CHECK(what) \
  if (!(what)) std::exit((std::fprintf(stderr, "line %d: %s\n", __LINE__, #what), 1))

template <class S, class Vector>
std::vector<S> lanes_of(Vector v) {
  std::vector<S> out(Simd<S>::lanes);
  Simd<S>::store(out.data(), v);
  return out;
}

template <class S>
void check_vectors() {
  using simd = Simd<S>;
  constexpr int n = simd::lanes;
  S memory[4 * n];
  for (int i = 0; i < 4 * n; ++i) memory[i] = static_cast<S>(i * i % 13 - 6);
  const typename simd::V a = simd::load(memory), b = simd::load(memory + n), c = simd::splat(3);
  int32_t places[n];
  for (int i = 0; i < n; ++i) places[i] = (5 * i + 2) % (4 * n);
  const auto gathered = lanes_of<S>(simd::gather(memory, places));
  for (int i = 0; i < n; ++i) CHECK(gathered[i] == memory[places[i]]);
  for (uint32_t bits = 0; bits < 1u << n; ++bits) {
    const auto loaded = lanes_of<S>(simd::load(simd::mask(bits), memory));
    const auto sum = lanes_of<S>(simd::add_product(simd::mask(bits), a, b, c));
    for (int i = 0; i < n; ++i) {
      const bool in = bits >> i & 1;
      CHECK(loaded[i] == (in ? memory[i] : 0));
      CHECK(sum[i] == 3 + (in ? memory[i] * memory[n + i] : 0));
    }
  }
  for (int64_t count = -1; count <= n + 1; ++count) {
    S out[n + 1];
    for (S& s : out) s = 99;
    simd::store(simd::first(count), out, a);
    const auto loaded = lanes_of<S>(simd::load(simd::first(count), memory));
    for (int i = 0; i < n; ++i) {
      CHECK(out[i] == (i < count ? memory[i] : 99));
      CHECK(loaded[i] == (i < count ? memory[i] : 0));
    }
    CHECK(out[n] == 99);
  }
  S sum = 0;
  for (int i = 0; i < n; ++i) sum += memory[i];
  CHECK(total<S>(a) == sum);
}

void check_float_vectors() {
  using simd = Simd<float>;
  constexpr int n = simd::lanes;
  float x[2 * n];
  for (int i = 0; i < 2 * n; ++i) x[i] = static_cast<float>(i * i % 17 - 8);
  const simd::V a = simd::load(x), b = simd::load(x + n);
  for (int i = 0; i < n; ++i) {
    CHECK(lanes_of<float>(simd::min(a, b))[i] == std::min(x[i], x[n + i]));
    CHECK(lanes_of<float>(simd::max(a, b))[i] == std::max(x[i], x[n + i]));
    CHECK(lanes_of<float>(simd::even(a, b))[i] == x[2 * i] && lanes_of<float>(simd::odd(a, b))[i] == x[2 * i + 1]);
    CHECK(lanes_of<float>(simd::after(a, b))[i] == x[n - 1 + i]);
    for (int64_t count = -1; count <= n; ++count) {
      CHECK(lanes_of<float>(simd::select(simd::first(count), a, b))[i] == x[i < count ? i : n + i]);
      CHECK(lanes_of<float>(simd::keep(simd::first(count), a))[i] == (i < count ? x[i] : 0));
    }
    for (uint32_t bits = 0; bits < 1u << n; ++bits)
      CHECK(lanes_of<float>(simd::keep(simd::mask(bits), a))[i] == (bits >> i & 1 ? x[i] : 0));
  }
  simd::V even = a, odd = b;
  simd::interleave(even, odd);
  for (int i = 0; i < 2 * n; ++i)
    CHECK(lanes_of<float>(i < n ? even : odd)[i % n] == x[i / 2 + (i % 2) * n]);
  for (int shift = 0; shift < 2 * n; ++shift) {
    alignas(64) int32_t one[n], two[n];
    for (int i = 0; i < n; ++i) one[i] = (i * 3 + shift) % n, two[i] = (i * 3 + shift) % (2 * n);
    for (int i = 0; i < n; ++i)
      CHECK(lanes_of<float>(simd::pick(a, one))[i] == x[one[i]] && lanes_of<float>(simd::pick(a, b, two))[i] == x[two[i]]);
  }
}

}  // namespace

int main(int count, char** argv) {
  const std::string name = argv[1];
  if (name == "vectors") check_vectors<float>(), check_vectors<double>(), check_float_vectors();
  if (name == "dim_conv") dim_conv(argv);
  if (name == "dice_unit") dice_unit(argv);
  if (name == "dice_stage") dice_stage(count, argv);
  if (name == "pointwise") pointwise(argv);
  if (name == "strided") strided(argv);
  if (name == "depthwise") depthwise(argv);
  if (name == "pyramid_pool") pyramid_pool(count, argv);
  if (name == "upsample_add") upsample_add(argv);
}
