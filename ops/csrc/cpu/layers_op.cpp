// Single layers on the CPU, for inference in float.
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include <string>

#include "../checks.h"
#include "layers/convolutions.h"

namespace dicenet_mm {
namespace {

using at::Tensor;

// Two packs for each group of channels, on the device of `x`.
struct Groups {
  Groups(at::TensorList weights, const Tensor& x) {
    TORCH_CHECK(!weights.empty() && weights.size() % 2 == 0,
                "a convolution takes two packs for each group of channels, got ",
                weights.empty() ? "none" : std::to_string(weights.size()));
    for (size_t i = 0; i < weights.size(); i += 2) {
      packs.push_back(checked(weights[i + 1], "the biases and slopes of a convolution", {kSome, 2}, x));
      const Tensor affine = packs.back();
      const int64_t of_group = affine.size(0);
      packs.push_back(checked(weights[i], "the packed weights of a convolution",
                              {(of_group + kMR - 1) / kMR, kSome, kMR}, x));
      const Tensor weight = packs.back();
      TORCH_CHECK(weight.size(1) < kMaxSize && of_group < kMaxSize, "a convolution has fewer than ", kMaxSize,
                  " channels, got packs of ", weight.sizes(), " and ", affine.sizes());
      all.emplace_back(weight.const_data_ptr<float>(), affine.const_data_ptr<float>(),
                       static_cast<int>(weight.size(1)), static_cast<int>(of_group));
      planes += weight.size(1), channels += of_group;
    }
  }
  std::vector<Tensor> packs;  // which the pointers of `all` reach into
  std::vector<PointWise> all;
  int64_t planes = 0, channels = 0;
};

// A convolution of 3x3 windows.
const PointWise& windows_of(const Groups& groups) {
  TORCH_CHECK(groups.all.size() == 1 && groups.planes % 9 == 0,
              "a strided convolution takes the two packs of 3x3 windows, got ", groups.packs.size(), " of ",
              groups.planes, " planes");
  return groups.all[0];
}

Tensor point_wise(const Tensor& input, at::TensorList weights) {
  const Groups groups(weights, input);
  const int64_t in_channels = groups.planes, channels = groups.channels;
  const Tensor x = checked_input(input, in_channels);
  const int64_t images = input.size(0), area = input.size(2) * input.size(3);
  if (area == 1 && images > 1)  // a matrix product over the images
    return point_wise(input.permute({2, 1, 3, 0}), weights).permute({3, 1, 2, 0}).contiguous();
  Tensor y = at::empty({images, channels, x.size(2), x.size(3)}, x.options());
  const float* in = x.const_data_ptr<float>();
  float* out = y.mutable_data_ptr<float>();
  for_each_image(area ? images : 0, [&](int64_t n) {
    const auto sources = planes_of(in + n * in_channels * area, area, in_channels);
    const auto targets = planes_of(out + n * channels * area, area, channels);
    const float* const* from = sources.data();
    float* const* to = targets.data();
    for (const PointWise& point : groups.all) {
      point(from, area, to);
      from += point.planes, to += point.channels;
    }
  });
  return y;
}

// 3x3 with stride 1, each channel with a kernel of its own.
Tensor spatial_conv(const Tensor& input, const Tensor& spatial) {
  const Tensor x = checked_input(input, kSome),
               parameters = checked(spatial, "spatial", {x.size(1), kSpatial}, x);
  const int64_t channels = x.size(1), planes = x.size(0) * channels;
  Tensor y = at::empty(x.sizes(), x.options());
  depthwise_planes(x.const_data_ptr<float>(), planes, channels, static_cast<int>(x.size(2)), static_cast<int>(x.size(3)),
               parameters.const_data_ptr<float>(), y.mutable_data_ptr<float>());
  return y;
}

Tensor grouped_conv(const Tensor& input, at::TensorList weights, const std::optional<Tensor>& gate) {
  const Groups groups(weights, input);
  const int64_t count = static_cast<int64_t>(groups.all.size()), channels = groups.channels,
                taken = groups.all[0].planes / 9, given = groups.all[0].channels;
  for (const PointWise& group : groups.all)
    TORCH_CHECK(group.planes == 9 * taken && group.channels == given, "groups of a 3x3 convolution must have as many ",
                "channels each and 9 planes for each of their input's, got ", group.channels, " and ", group.planes,
                " where the first has ", given, " and ", groups.all[0].planes);
  const Tensor x = checked_input(input, count * taken);
  const int64_t images = x.size(0);
  Tensor y = at::empty({images, channels, x.size(2), x.size(3)}, x.options());
  const Tensor factors = gate ? checked(*gate, "gate", {images, channels, 1, 1}, x) : Tensor();
  grouped_planes(groups.all, x.const_data_ptr<float>(), images, x.size(2), x.size(3),
               gate ? factors.const_data_ptr<float>() : nullptr, y.mutable_data_ptr<float>());
  return y;
}

Tensor strided_conv(const Tensor& input, at::TensorList weights) {
  const Groups groups(weights, input);
  const PointWise& point = windows_of(groups);
  const Tensor x = checked_input(input, point.planes / 9);
  const int height = static_cast<int>(x.size(2)), width = static_cast<int>(x.size(3));
  Tensor y = at::empty({x.size(0), point.channels, halved(height), halved(width)}, x.options());
  const int64_t image = x.size(1) * x.size(2) * x.size(3), out_image = y.size(1) * y.size(2) * y.size(3);
  const float* in = x.const_data_ptr<float>();
  float* out = y.mutable_data_ptr<float>();
  for_each_image(x.size(0),
                 [&](int64_t n) { convolve_windows(point, in + n * image, height, width, out + n * out_image); });
  return y;
}

Tensor max_pool(const Tensor& input) {
  const Tensor x = checked_input(input, kSome);
  Tensor y = at::empty({x.size(0), x.size(1), halved(x.size(2)), halved(x.size(3))}, x.options());
  pool_planes(x.const_data_ptr<float>(), x.size(0) * x.size(1), static_cast<int>(x.size(2)),
              static_cast<int>(x.size(3)), y.mutable_data_ptr<float>());
  return y;
}

// 3x3 with stride 2, zeros around the map counting: as a strided block's first step, without its convolution.
Tensor average_pool(const Tensor& input) {
  const Tensor x = checked_input(input, kSome);
  const int height = static_cast<int>(x.size(2)), width = static_cast<int>(x.size(3));
  Tensor y = at::empty({x.size(0), x.size(1), halved(height), halved(width)}, x.options());
  const int64_t area = static_cast<int64_t>(height) * width, out_area = y.size(2) * y.size(3);
  const float* in = x.const_data_ptr<float>();
  float* out = y.mutable_data_ptr<float>();
  const auto downsample = inference_kernels().downsample;
  const float nothing[kSpatial] = {};
  parallel_for(0, x.size(0) * x.size(1), 4, [&](int64_t from, int64_t to) {
    float* unused = scratch<float>(out_area, ScratchSlot::tile);
    for (int64_t i = from; i < to; ++i) downsample(in + i * area, height, width, nothing, out + i * out_area, unused);
  });
  return y;
}

// Over the whole map.
Tensor global_average_pool(const Tensor& input) {
  const Tensor x = checked_input(input, kSome);
  const int64_t planes = x.size(0) * x.size(1), area = x.size(2) * x.size(3);
  Tensor y = at::empty({x.size(0), x.size(1), 1, 1}, x.options());
  const std::vector<float> share(area, 1.f / static_cast<float>(area));
  const float* in = x.const_data_ptr<float>();
  float* out = y.mutable_data_ptr<float>();
  parallel_for(0, planes, 64, [&](int64_t from, int64_t to) {
    inference_kernels().image.multiply(in + from * area, share.data(), static_cast<int>(to - from),
                                       static_cast<int>(area), out + from);
  });
  return y;
}

// strided_conv and max_pool, one image after the other: what lies between them is larger than all else in the network.
Tensor strided_conv_pool(const Tensor& input, at::TensorList weights) {
  const Groups groups(weights, input);
  const PointWise& point = windows_of(groups);
  const Tensor x = checked_input(input, point.planes / 9);
  const int height = static_cast<int>(x.size(2)), width = static_cast<int>(x.size(3)), rows = halved(height),
            columns = halved(width);
  Tensor y = at::empty({x.size(0), point.channels, halved(rows), halved(columns)}, x.options());
  const int64_t image = x.size(1) * x.size(2) * x.size(3), out_image = y.size(1) * y.size(2) * y.size(3),
                between = static_cast<int64_t>(point.channels) * rows * columns;
  const float* in = x.const_data_ptr<float>();
  float* out = y.mutable_data_ptr<float>();
  for_each_image(x.size(0), [&](int64_t n) {
    float* convolved = scratch<float>(between, ScratchSlot::image);
    convolve_windows(point, in + n * image, height, width, convolved);
    pool_planes(convolved, point.channels, rows, columns, out + n * out_image);
  });
  return y;
}

}  // namespace

TORCH_LIBRARY_IMPL(dicenet_mm, CPU, m) {
  m.impl("point_wise", &point_wise);
  m.impl("spatial_conv", &spatial_conv);
  m.impl("grouped_conv", &grouped_conv);
  m.impl("strided_conv", &strided_conv);
  m.impl("max_pool", &max_pool);
  m.impl("average_pool", &average_pool);
  m.impl("global_average_pool", &global_average_pool);
  m.impl("strided_conv_pool", &strided_conv_pool);
}

}  // namespace dicenet_mm
