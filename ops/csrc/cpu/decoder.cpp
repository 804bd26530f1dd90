// Layers of ESPNetv2's decoder that keep channels apart, on the CPU, for inference in float: plane by plane.
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include "../checks.h"
#include "inference.h"

namespace dicenet_mm {
namespace {

using at::Tensor;

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
    const Band<float> rows = rows_.band(), columns = columns_.band();
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

// weights (C, branches, 2, kSpatial): of a channel's convolution at the branch's size, whose later PReLU comes at the
// input's size, and of the one after that, whose later PReLU is that of the sum over the branches.
Tensor pyramid_pool(const Tensor& input, const Tensor& weights, at::IntArrayRef sizes) {
  const int64_t channels = weights.size(0), count = weights.size(1);
  check_input(input, channels);
  TORCH_CHECK(sizes.size() == 2 * static_cast<size_t>(count), "each of ", count,
              " branches has a height and a width, got ", sizes.size(), " sizes");
  const Tensor x = input.contiguous(), packed = weights.contiguous();
  Tensor y = at::empty(x.sizes(), x.options());
  const Map outer(x.size(2), x.size(3));
  std::vector<PoolBranch> branches;
  int64_t rows = outer.height, columns = outer.width;
  for (int64_t i = 0; i < count; ++i) {
    TORCH_CHECK(sizes[2 * i] > 0 && sizes[2 * i + 1] > 0, "sizes of branches must be positive, got ", sizes);
    branches.emplace_back(outer, sizes[2 * i], sizes[2 * i + 1]);
    rows = std::max(rows, sizes[2 * i]), columns = std::max(columns, sizes[2 * i + 1]);
  }
  const int64_t area = outer.area(), largest = rows * columns, margin = columns + 1 + 3 * kMaxLanes;
  const float *in = x.const_data_ptr<float>(), *parameters = packed.const_data_ptr<float>();
  float* out = y.mutable_data_ptr<float>();
  const auto norm_act = training_kernels().norm_act;
  auto prelu = [&](const float* from, float slope_less_one, float* to) {
    norm_act(from, area, 0, 1, 0, slope_less_one + 1, 1, to);
  };
  at::parallel_for(0, x.size(0) * channels, 1, [&](int64_t from, int64_t to) {
    Pieces<float> pieces(scratch<float>(Pieces<float>::size(4, 2 * (area + largest), margin), Purpose::tile), margin);
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
  return y;
}

// The coarser map at the size of the finer one, plus that, normalised; parameters (C, 3): scale, shift, the PReLU's
// slope - 1.
Tensor upsample_add(const Tensor& coarse, const Tensor& fine, const Tensor& parameters) {
  const int64_t channels = parameters.size(0);
  check_input(coarse, channels);
  check_input(fine, channels);
  TORCH_CHECK(coarse.size(0) == fine.size(0) && coarse.size(2) <= fine.size(2) && coarse.size(3) <= fine.size(3),
              "the coarser map, ", coarse.sizes(), ", must have as many images as the finer one, ", fine.sizes(),
              ", and be no larger");
  const Tensor from = coarse.contiguous(), to = fine.contiguous(), packed = parameters.contiguous();
  Tensor y = at::empty(to.sizes(), to.options());
  const Map small(from.size(2), from.size(3)), large(to.size(2), to.size(3));
  const Resizer resizer(small, large);
  const float *low = from.const_data_ptr<float>(), *high = to.const_data_ptr<float>(),
              *prm = packed.const_data_ptr<float>();
  float* out = y.mutable_data_ptr<float>();
  const int64_t margin = 3 * kMaxLanes;
  const auto norm_act = training_kernels().norm_act;
  at::parallel_for(0, to.size(0) * channels, 1, [&](int64_t begin, int64_t end) {
    Pieces<float> pieces(scratch<float>(Pieces<float>::size(3, small.area() + 2 * large.area(), margin), Purpose::tile),
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
  return y;
}

}  // namespace

TORCH_LIBRARY_IMPL(dicenet_mm, CPU, m) {
  m.impl("pyramid_pool", &pyramid_pool);
  m.impl("upsample_add", &upsample_add);
}

}  // namespace dicenet_mm
