// Single layers of planes: 3x3 convolutions and pooling.
#pragma once
#include <algorithm>
#include <vector>

#include "../dispatch.h"
#include "../parallel.h"
#include "../plan.h"
#include "images.h"
#include "point_wise.h"

namespace dicenet_mm {

// The masks that UnitKernels::spatial wants of an image.
inline std::vector<uint32_t> spatial_masks(int height, int width) {
  const int lanes = kernels<float>().lanes;
  return is_narrow(width, lanes) ? borders(height, width, lanes) : std::vector<uint32_t>();
}

// 3x3 with stride 1 of planes (count, height, width), each with parameters of its channel.
inline void depthwise_planes(const float* in, int64_t planes, int64_t channels, int height, int width, const float* parameters,
                         float* out) {
  const int64_t area = static_cast<int64_t>(height) * width, margin = width + 1 + kSpatialReadsAround;
  const std::vector<uint32_t> masks = spatial_masks(height, width);
  const UnitKernels& run = inference_kernels().image;
  const float open = 1;
  parallel_for(0, planes, 8, [&](int64_t from, int64_t to) {
    for (int64_t i = from; i < to; ++i) {
      const float* plane = in + i * area;
      if (i * area < margin || (planes - i - 1) * area < margin) {  // the kernel reads beyond the plane
        float* copy = scratch<float>(area + 2 * margin, ScratchSlot::tile) + margin;
        std::copy(plane, plane + area, copy);
        plane = copy;
      }
      run.spatial(plane, height, width, masks.data(), parameters + i % channels * kSpatial, &open, out + i * area);
    }
  });
}

// 3x3 with stride 1, in groups; times `factor` (images, channels), if any. Planes with a row above and below them and one
// column between the rows, all zero, are as good as windows: each tap is such a plane from another voxel on, and the
// convolution a point-wise one.
inline void grouped_planes(const std::vector<PointWise>& groups, const float* in, int64_t images, int64_t height, int64_t width,
                         const float* factor, float* out) {
  const int64_t count = static_cast<int64_t>(groups.size()), taken = groups[0].planes / 9, given = groups[0].channels,
                row = width + 1;
  const int64_t area = height * row, size = area + 2 * (row + 1);
  for_each_image(images * count, [&](int64_t i) {
    const PointWise& point = groups[i % count];
    float *memory = scratch<float>(taken * size + given * area, ScratchSlot::image), *computed = memory + taken * size;
    std::vector<const float*> planes;
    parallel_for(0, taken, 4, [&](int64_t from, int64_t to) {
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
    parallel_for(0, given, 4, [&](int64_t from, int64_t to) {
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
}

inline int halved(int64_t size) { return static_cast<int>((size + 1) / 2); }

// 3x3 with stride 2 of an image, as a point-wise convolution over the windows.
inline void convolve_windows(const PointWise& point, const float* image, int height, int width, float* out) {
  const InferenceKernels& run = inference_kernels();
  const int out_height = halved(height), out_width = halved(width);
  const auto targets = planes_of(out, static_cast<int64_t>(out_height) * out_width, point.channels);
  parallel_for(0, out_height, 4, [&](int64_t from, int64_t to) {
    float* panel = scratch<float>(point.planes * kNR, ScratchSlot::panel);
    for (int row = static_cast<int>(from); row < to; ++row)
      for (int column = 0; column < out_width; column += kNR) {
        const int columns = std::min(kNR, out_width - column);
        run.pack_windows(image, point.planes / 9, height, width, row, column, columns, panel);
        run.point_wise(panel, kNR, point.planes, point.weight, point.affine, point.channels, 0, point.tiles,
                       static_cast<int64_t>(row) * out_width + column, columns, targets.data());
      }
  });
}

inline void pool_planes(const float* in, int64_t planes, int height, int width, float* out) {
  const InferenceKernels& run = inference_kernels();
  const int64_t area = static_cast<int64_t>(height) * width,
                out_area = static_cast<int64_t>(halved(height)) * halved(width);
  parallel_for(0, planes, 4, [&](int64_t from, int64_t to) {
    for (int64_t i = from; i < to; ++i) run.max_pool(in + i * area, height, width, out + i * out_area);
  });
}

}  // namespace dicenet_mm
