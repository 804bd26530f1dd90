// Single layers on the CPU, for inference in float.
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include "../checks.h"
#include "inference.h"

namespace dicenet_mm {
namespace {

using at::Tensor;

// Two packs for each group of channels.
struct Groups {
  explicit Groups(at::TensorList weights) {
    TORCH_CHECK(!weights.empty(), "a convolution takes two packs for each group of channels, got none");
    for (size_t i = 0; i < weights.size(); i += 2) {
      all.emplace_back(weights.slice(i, 2));
      planes += all.back().planes, channels += all.back().channels;
    }
  }
  std::vector<PointWise> all;
  int64_t planes = 0, channels = 0;
};

Tensor point_wise(const Tensor& input, at::TensorList weights) {
  const Groups groups(weights);
  const int64_t in_channels = groups.planes, channels = groups.channels;
  check_input(input, in_channels);
  const int64_t images = input.size(0), area = input.size(2) * input.size(3);
  if (area == 1 && images > 1)  // a matrix product over the images
    return point_wise(input.permute({2, 1, 3, 0}), weights).permute({3, 1, 2, 0}).contiguous();
  const Tensor x = input.contiguous();
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
  check_input(input, spatial.size(0));
  const Tensor x = input.contiguous();
  const int64_t channels = x.size(1), planes = x.size(0) * channels;
  const int height = static_cast<int>(x.size(2)), width = static_cast<int>(x.size(3));
  const int64_t area = static_cast<int64_t>(height) * width, margin = width + 1 + 3 * kMaxLanes;
  const std::vector<uint32_t> masks = spatial_masks(height, width);
  Tensor y = at::empty(x.sizes(), x.options());
  const float *in = x.const_data_ptr<float>(), *prm = spatial.const_data_ptr<float>();
  float* out = y.mutable_data_ptr<float>();
  const UnitKernels& run = inference_kernels().image;
  const float open = 1;
  at::parallel_for(0, planes, 8, [&](int64_t from, int64_t to) {
    for (int64_t i = from; i < to; ++i) {
      const float* plane = in + i * area;
      if (i * area < margin || (planes - i - 1) * area < margin) {  // the kernel reads beyond the plane
        float* copy = scratch<float>(area + 2 * margin, Purpose::tile) + margin;
        std::copy(plane, plane + area, copy);
        plane = copy;
      }
      run.spatial(plane, height, width, masks.data(), prm + i % channels * kSpatial, &open, out + i * area);
    }
  });
  return y;
}

// 3x3 with stride 1; times the gate (N, C_out, 1, 1), if any. Planes with a row
// above and below them and one column between the rows, all zero, are as good as windows: each tap is such a plane
// from another voxel on, and the convolution a point-wise one.
Tensor grouped_conv(const Tensor& input, at::TensorList weights, const std::optional<Tensor>& gate) {
  const Groups groups(weights);
  const int64_t count = static_cast<int64_t>(groups.all.size()), channels = groups.channels,
                taken = groups.planes / count / 9, given = channels / count;
  check_input(input, count * taken);
  const Tensor x = input.contiguous();
  const int64_t height = x.size(2), width = x.size(3), row = width + 1, images = x.size(0);
  Tensor y = at::empty({images, channels, height, width}, x.options());
  TORCH_CHECK(!gate || gate->numel() == images * channels, "a gate for each channel of each image is wanted");
  const Tensor factors = gate ? gate->contiguous() : Tensor();
  const float *in = x.const_data_ptr<float>(), *factor = gate ? factors.const_data_ptr<float>() : nullptr;
  float* out = y.mutable_data_ptr<float>();
  const int64_t area = height * row, size = area + 2 * (row + 1);
  for_each_image(images * count, [&](int64_t i) {
    const PointWise& point = groups.all[i % count];
    float *memory = scratch<float>(taken * size + given * area, Purpose::image), *computed = memory + taken * size;
    std::vector<const float*> planes;
    at::parallel_for(0, taken, 4, [&](int64_t from, int64_t to) {
      for (int64_t c = from; c < to; ++c) {
        const float* source = in + (i * taken + c) * height * width;
        float* plane = memory + c * size;
        std::fill(plane, plane + size, 0.f);
        for (int64_t h = 0; h < height; ++h) std::copy_n(source + h * width, width, plane + (h + 1) * row + 1);
      }
    });
    for (int64_t c = 0; c < taken; ++c)
      for (int k = 0; k < 9; ++k) planes.push_back(memory + c * size + k / 3 * row + k % 3);
    point(planes.data(), area, planes_of(computed, area, given).data());
    at::parallel_for(0, given, 4, [&](int64_t from, int64_t to) {
      for (int64_t c = from; c < to; ++c) {
        const float open = factor ? factor[i * given + c] : 1;
        for (int64_t h = 0; h < height; ++h) {
          const float* source = computed + c * area + h * row;
          std::transform(source, source + width, out + ((i * given + c) * height + h) * width,
                         [open](float v) { return open * v; });
        }
      }
    });
  });
  return y;
}

int halved(int64_t size) { return static_cast<int>((size + 1) / 2); }

// 3x3 with stride 2 of an image, as a point-wise convolution over the windows.
void convolve_windows(const PointWise& point, const float* image, int height, int width, float* out) {
  const InferenceKernels& run = inference_kernels();
  const int out_height = halved(height), out_width = halved(width);
  const auto targets = planes_of(out, static_cast<int64_t>(out_height) * out_width, point.channels);
  at::parallel_for(0, out_height, 4, [&](int64_t from, int64_t to) {
    float* panel = scratch<float>(point.planes * kColumns, Purpose::panel);
    for (int row = static_cast<int>(from); row < to; ++row)
      for (int column = 0; column < out_width; column += kColumns) {
        const int columns = std::min(kColumns, out_width - column);
        run.pack_windows(image, point.planes / 9, height, width, row, column, columns, panel);
        run.point_wise(panel, kColumns, point.planes, point.weight, point.affine, point.channels, 0, point.tiles,
                       static_cast<int64_t>(row) * out_width + column, columns, targets.data());
      }
  });
}

void pool_planes(const float* in, int64_t planes, int height, int width, float* out) {
  const InferenceKernels& run = inference_kernels();
  const int64_t area = static_cast<int64_t>(height) * width,
                out_area = static_cast<int64_t>(halved(height)) * halved(width);
  at::parallel_for(0, planes, 4, [&](int64_t from, int64_t to) {
    for (int64_t i = from; i < to; ++i) run.max_pool(in + i * area, height, width, out + i * out_area);
  });
}

Tensor strided_conv(const Tensor& input, at::TensorList weights) {
  const PointWise point(weights);
  check_input(input, point.planes / 9);
  const Tensor x = input.contiguous();
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
  check_input(input, input.size(1));
  const Tensor x = input.contiguous();
  Tensor y = at::empty({x.size(0), x.size(1), halved(x.size(2)), halved(x.size(3))}, x.options());
  pool_planes(x.const_data_ptr<float>(), x.size(0) * x.size(1), static_cast<int>(x.size(2)),
              static_cast<int>(x.size(3)), y.mutable_data_ptr<float>());
  return y;
}

// 3x3 with stride 2, zeros around the map counting: as a strided block's first step, without its convolution.
Tensor average_pool(const Tensor& input) {
  check_input(input, input.size(1));
  const Tensor x = input.contiguous();
  const int height = static_cast<int>(x.size(2)), width = static_cast<int>(x.size(3));
  Tensor y = at::empty({x.size(0), x.size(1), halved(height), halved(width)}, x.options());
  const int64_t area = static_cast<int64_t>(height) * width, out_area = y.size(2) * y.size(3);
  const float* in = x.const_data_ptr<float>();
  float* out = y.mutable_data_ptr<float>();
  const auto downsample = inference_kernels().downsample;
  const float nothing[kSpatial] = {};
  at::parallel_for(0, x.size(0) * x.size(1), 4, [&](int64_t from, int64_t to) {
    float* unused = scratch<float>(out_area, Purpose::tile);
    for (int64_t i = from; i < to; ++i) downsample(in + i * area, height, width, nothing, out + i * out_area, unused);
  });
  return y;
}

// Over the whole map.
Tensor global_average_pool(const Tensor& input) {
  check_input(input, input.size(1));
  const Tensor x = input.contiguous();
  const int64_t planes = x.size(0) * x.size(1), area = x.size(2) * x.size(3);
  Tensor y = at::empty({x.size(0), x.size(1), 1, 1}, x.options());
  const std::vector<float> share(area, 1.f / static_cast<float>(area));
  const float* in = x.const_data_ptr<float>();
  float* out = y.mutable_data_ptr<float>();
  at::parallel_for(0, planes, 64, [&](int64_t from, int64_t to) {
    inference_kernels().image.multiply(in + from * area, share.data(), static_cast<int>(to - from),
                                       static_cast<int>(area), out + from);
  });
  return y;
}

// strided_conv and max_pool, one image after the other: what lies between them is larger than all else in the network.
Tensor strided_conv_pool(const Tensor& input, at::TensorList weights) {
  const PointWise point(weights);
  check_input(input, point.planes / 9);
  const Tensor x = input.contiguous();
  const int height = static_cast<int>(x.size(2)), width = static_cast<int>(x.size(3)), rows = halved(height),
            columns = halved(width);
  Tensor y = at::empty({x.size(0), point.channels, halved(rows), halved(columns)}, x.options());
  const int64_t image = x.size(1) * x.size(2) * x.size(3), out_image = y.size(1) * y.size(2) * y.size(3),
                between = static_cast<int64_t>(point.channels) * rows * columns;
  const float* in = x.const_data_ptr<float>();
  float* out = y.mutable_data_ptr<float>();
  for_each_image(x.size(0), [&](int64_t n) {
    float* convolved = scratch<float>(between, Purpose::image);
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
