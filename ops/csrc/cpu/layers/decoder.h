// Layers of ESPNetv2's decoder that keep channels apart: plane by plane.
#pragma once
#include <algorithm>
#include <vector>

#include "../parallel.h"
#include "../plan.h"
#include "convolutions.h"

namespace dicenet_mm {

// Of a convolution's parameters, after the slope of its own PReLU: the slope - 1 of the one that comes later.
constexpr int kLaterSlope = 11;

struct Map {
  Map(int64_t height, int64_t width)
      : height(static_cast<int>(height)),
        width(static_cast<int>(width)),
        masks(spatial_masks(this->height, this->width)) {}
  int64_t area() const { return static_cast<int64_t>(height) * width; }
  void convolve(const float* x, const float* spatial, float* y) const {
    const float open = 1;
    run.image.spatial(x, height, width, masks.data(), spatial, &open, y);
  }
  const int height, width;
  const std::vector<uint32_t> masks;
  const InferenceKernels& run = inference_kernels();
};

// Of one plane at a time; the margins of `x` and `between` are read.
class Resizer {
 public:
  Resizer(const Map& from, const Map& to)
      : rows_(from.height, to.height, false), columns_(from.width, to.width, false) {}
  void operator()(const float* x, float* between, float* y) const {
    const ResizeMatrix<float> rows = rows_.matrix(), columns = columns_.matrix();
    run_.resize_rows(rows, {x, between, 1, 0, 0, columns.in});
    run_.resize_columns(columns, {between, y, 1, 0, 0, rows.out});
  }

 private:
  const Resize<float> rows_, columns_;
  const Kernels<float>& run_ = kernels<float>();
};

struct PoolBranch {
  PoolBranch(const Map& outer, int64_t height, int64_t width)
      : inner(height, width), resized(inner.height != outer.height || inner.width != outer.width),
        there(outer, inner), back(inner, outer) {}
  const Map inner;
  const bool resized;
  const Resizer there, back;
};

// What lies between the point-wise convolutions of an efficient pyramid pool. parameters (channels, branches, 2, kSpatial):
// of a channel's convolution at the branch's size, whose later PReLU comes at the input's size, and of the one after that,
// whose later PReLU is that of the sum over the branches.
inline void pyramid_pool_planes(const float* in, int64_t images, int64_t channels, const Map& outer,
                         const std::vector<PoolBranch>& branches, const float* parameters, float* out) {
  const int64_t count = static_cast<int64_t>(branches.size());
  int64_t rows = outer.height, columns = outer.width;
  for (const PoolBranch& branch : branches)
    rows = std::max<int64_t>(rows, branch.inner.height), columns = std::max<int64_t>(columns, branch.inner.width);
  const int64_t area = outer.area(), largest = rows * columns, margin = columns + 1 + kSpatialReadsAround;
  const auto norm_act = training_kernels().norm_act;
  auto prelu = [&](const float* from, float slope_less_one, float* to) {
    norm_act(from, area, 0, 1, 0, slope_less_one + 1, 1, to);
  };
  parallel_for(0, images * channels, 1, [&](int64_t from, int64_t to) {
    Arena<float> pieces(scratch<float>(Arena<float>::size(4, 2 * (area + largest), margin), ScratchSlot::tile), margin);
    float *plane = pieces.take(area), *merged = pieces.take(area), *a = pieces.take(largest), *b = pieces.take(largest);
    for (int64_t i = from; i < to; ++i) {
      std::copy(in + i * area, in + (i + 1) * area, plane);
      float* sum = out + i * area;
      std::fill(sum, sum + area, 0.f);
      const float* first = parameters + i % channels * count * 2 * kSpatial;
      for (int64_t k = 0; k < count; ++k) {
        const PoolBranch& branch = branches[k];
        const float *before = first + k * 2 * kSpatial, *after = before + kSpatial;
        if (branch.resized) {
          branch.there(plane, a, b);
          branch.inner.convolve(b, before, a);
          branch.back(a, b, a);
        } else {
          outer.convolve(plane, before, a);
        }
        prelu(a, before[kLaterSlope], b);
        outer.convolve(b, after, merged);
        for (int64_t j = 0; j < area; ++j) sum[j] += merged[j];
      }
      prelu(sum, first[kSpatial + kLaterSlope], sum);
    }
  });
}

// The coarser map at the size of the finer one, plus that, normalised; parameters (channels, 3): scale, shift, the PReLU's
// slope - 1.
inline void upsample_add_planes(const float* low, const float* high, int64_t images, int64_t channels, const Map& small,
                         const Map& large, const float* prm, float* out) {
  const Resizer resizer(small, large);
  const int64_t margin = kSpatialReadsAround;
  const auto norm_act = training_kernels().norm_act;
  parallel_for(0, images * channels, 1, [&](int64_t begin, int64_t end) {
    Arena<float> pieces(scratch<float>(Arena<float>::size(3, small.area() + 2 * large.area(), margin), ScratchSlot::tile),
                         margin);
    float *plane = pieces.take(small.area()), *between = pieces.take(large.area()), *sum = pieces.take(large.area());
    for (int64_t i = begin; i < end; ++i) {
      std::copy_n(low + i * small.area(), small.area(), plane);
      resizer(plane, between, sum);
      const float *own = high + i * large.area(), *p = prm + i % channels * 3;
      for (int64_t j = 0; j < large.area(); ++j) sum[j] += own[j];
      norm_act(sum, large.area(), 0, p[0], p[1], p[2] + 1, 1, out + i * large.area());
    }
  });
}

}  // namespace dicenet_mm
