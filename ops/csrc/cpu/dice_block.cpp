// A DiCE unit, the blocks of DiCENet and point-wise convolutions on the CPU, for inference in float.
#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "plan.h"

namespace dicenet_mm {
namespace {

using at::Tensor;

// Images on threads of their own where there are enough of them; else the work within an image is shared out.
template <class F>
void for_each_image(int64_t images, const F& work) {
  if (images < at::get_num_threads()) {
    for (int64_t i = 0; i < images; ++i) work(i);
  } else {
    at::parallel_for(0, images, 1, [&](int64_t from, int64_t to) {
      for (int64_t i = from; i < to; ++i) work(i);
    });
  }
}

int sharing_threads() { return at::in_parallel_region() ? 1 : at::get_num_threads(); }

struct PointWise {
  // weight (tiles, planes, kRows), affine (channels, 2)
  explicit PointWise(at::TensorList p)
      : weight(p[0].const_data_ptr<float>()),
        affine(p[1].const_data_ptr<float>()),
        tiles(static_cast<int>(p[0].size(0))),
        planes(static_cast<int>(p[0].size(1))),
        channels(static_cast<int>(p[1].size(0))) {}

  void operator()(const float* x, int64_t area, const Target& target) const {
    const InferenceKernels& run = inference_kernels();
    const int64_t panels = (area + kColumns - 1) / kColumns;
    const int64_t parts = std::min<int64_t>(sharing_threads(), tiles);
    at::parallel_for(0, panels * parts, 1, [&](int64_t from, int64_t to) {
      float* panel = scratch<float>(planes * kColumns, Purpose::panel);
      for (int64_t i = from; i < to; ++i) {
        const int64_t column = i % panels * kColumns, part = i / panels;
        const int columns = static_cast<int>(std::min<int64_t>(kColumns, area - column));
        run.pack(x + column, area, planes, columns, panel);
        run.point_wise(panel, planes, weight, affine, channels, static_cast<int>(tiles * part / parts),
                       static_cast<int>(tiles * (part + 1) / parts), column, columns, target);
      }
    });
  }

  const float *weight, *affine;
  const int tiles, planes, channels;
};

class Unit {
 public:
  // Kernels (D, 3, 3), (H_k, 3, 3), (W_k, 3, 3); local (D, 12), spatial (D, 12), squeeze (hidden, D), excite
  // (D, hidden).
  Unit(at::TensorList p, int64_t height, int64_t width)
      : plan_({static_cast<int>(p[0].size(0)), static_cast<int>(height), static_cast<int>(width),
               static_cast<int>(p[1].size(0)), static_cast<int>(p[2].size(0))},
              p[0].const_data_ptr<float>(), p[1].const_data_ptr<float>(), p[2].const_data_ptr<float>(),
              false),
        local_(p[3].const_data_ptr<float>()),
        spatial_(p[4].const_data_ptr<float>()),
        squeeze_(p[5].const_data_ptr<float>()),
        excite_(p[6].const_data_ptr<float>()),
        hidden_(static_cast<int>(p[5].size(0))) {}

  int64_t margin() const { return plan_.margin(); }
  // Elements of `work` that run() needs: with margins, the map between its two passes comes first.
  int64_t work_size() const { return plan_.sizes.depth * (plan_.sizes.area() + 2) + hidden_ + 2 * margin(); }

  void run(const float* x, const Extent<float>& extent, float* work, const Target& target) const {
    const InferenceKernels& kernels = inference_kernels();
    const Sizes& s = plan_.sizes;
    const int64_t area = s.area();
    float *y = work + margin(), *sums = y + s.depth * area + margin(), *gate = sums + s.depth,
          *hidden = gate + s.depth;
    const int chunk = std::min(plan_.chunk(), (s.depth + sharing_threads() - 1) / sharing_threads());
    const Tiles tiles(1, s.depth, chunk);
    at::parallel_for(0, tiles.count, 1, [&](int64_t from, int64_t to) {
      for (int64_t i = from; i < to; ++i)
        local_fusion(kernels, x, extent, tiles.begin(i), tiles.end(i), chunk, y, sums);
    });
    for (int i = 0; i < s.depth; ++i) sums[i] /= static_cast<float>(area);
    kernels.multiply(squeeze_, sums, hidden_, s.depth, hidden);
    for (int i = 0; i < hidden_; ++i) hidden[i] = std::max(hidden[i], 0.f);
    kernels.multiply(excite_, hidden, s.depth, hidden_, gate);
    at::parallel_for(0, s.depth, 16, [&](int64_t from, int64_t to) {
      for (int64_t d = from; d < to; ++d)
        kernels.spatial(y + d * area, s.height, s.width, spatial_ + d * kSpatial,
                        1 / (1 + std::exp(-gate[d])), target.plane(static_cast<int>(d)));
    });
  }

 private:
  void local_fusion(const InferenceKernels& kernels, const float* x, const Extent<float>& extent, int begin,
                    int end, int chunk, float* y, float* sums) const {
    const Sizes& s = plan_.sizes;
    const int64_t area = s.area(), planes = (chunk + 2) * std::max({area, s.row_area(), s.column_area()});
    Pieces<float> pieces(scratch<float>(Pieces<float>::size(5, 5 * planes, margin()), Purpose::tile),
                         margin());
    const float* in = plan_.readable(x + begin * area, begin, end, area, extent, pieces.take(planes));
    const Tile<float> tile = plan_.tile(begin, end, in, in, in, area);
    if (s.native()) return kernels.local_fusion(tile, local_, y + begin * area, sums + begin);
    float *resized = pieces.take(planes), *work = pieces.take(planes), *height = pieces.take(planes),
          *width = pieces.take(planes);
    plan_.height_branch(begin, end, in, area, resized, work, height, area);
    plan_.width_branch(begin, end, in, area, resized, work, width, area);
    kernels.local_fusion_resized(tile, height, width, local_, y + begin * area, sums + begin);
  }

  const Plan<float> plan_;
  const float *local_, *spatial_, *squeeze_, *excite_;
  const int hidden_;
};

Tensor point_wise(const Tensor& input, at::TensorList weights) {
  const Tensor x = input.contiguous();
  const PointWise point(weights);
  Tensor y = at::empty({x.size(0), point.channels, x.size(2), x.size(3)}, x.options());
  const int64_t area = x.size(2) * x.size(3);
  const float* in = x.const_data_ptr<float>();
  float* out = y.mutable_data_ptr<float>();
  for_each_image(area ? x.size(0) : 0, [&](int64_t n) {
    point(in + n * point.planes * area, area, {out + n * point.channels * area, area, 0, 0});
  });
  return y;
}

// 3x3 with stride 1, each channel with a kernel of its own.
Tensor spatial_conv(const Tensor& input, const Tensor& spatial) {
  const Tensor x = input.contiguous();
  const int64_t channels = x.size(1), planes = x.size(0) * channels;
  const int height = static_cast<int>(x.size(2)), width = static_cast<int>(x.size(3));
  const int64_t area = static_cast<int64_t>(height) * width, margin = width + 1 + 3 * kMaxLanes;
  Tensor y = at::empty(x.sizes(), x.options());
  const float *in = x.const_data_ptr<float>(), *prm = spatial.const_data_ptr<float>();
  float* out = y.mutable_data_ptr<float>();
  const InferenceKernels& run = inference_kernels();
  at::parallel_for(0, planes, 8, [&](int64_t from, int64_t to) {
    for (int64_t i = from; i < to; ++i) {
      const float* plane = in + i * area;
      if (i * area < margin || (planes - i - 1) * area < margin) {  // the kernel reads beyond the plane
        float* copy = scratch<float>(area + 2 * margin, Purpose::tile) + margin;
        std::copy(plane, plane + area, copy);
        plane = copy;
      }
      run.spatial(plane, height, width, prm + i % channels * kSpatial, 1, out + i * area);
    }
  });
  return y;
}

// 3x3 with stride 2, as a point-wise convolution over the windows.
Tensor strided_conv(const Tensor& input, at::TensorList weights) {
  const Tensor x = input.contiguous();
  const PointWise point(weights);
  const int channels = static_cast<int>(x.size(1)), height = static_cast<int>(x.size(2)),
            width = static_cast<int>(x.size(3)), out_height = (height + 1) / 2, out_width = (width + 1) / 2;
  Tensor y = at::empty({x.size(0), point.channels, out_height, out_width}, x.options());
  const int64_t area = static_cast<int64_t>(out_height) * out_width;
  const float* in = x.const_data_ptr<float>();
  float* out = y.mutable_data_ptr<float>();
  const InferenceKernels& run = inference_kernels();
  at::parallel_for(0, x.size(0) * out_height, 4, [&](int64_t from, int64_t to) {
    float* panel = scratch<float>(point.planes * kColumns, Purpose::panel);
    for (int64_t i = from; i < to; ++i) {
      const int64_t n = i / out_height;
      const int row = static_cast<int>(i % out_height);
      const float* image = in + n * channels * height * width;
      const Target target{out + n * point.channels * area, area, 0, 0};
      for (int column = 0; column < out_width; column += kColumns) {
        const int columns = std::min(kColumns, out_width - column);
        run.pack_windows(image, channels, height, width, row, column, columns, panel);
        run.point_wise(panel, point.planes, point.weight, point.affine, point.channels, 0, point.tiles,
                       static_cast<int64_t>(row) * out_width + column, columns, target);
      }
    }
  });
  return y;
}

Tensor max_pool(const Tensor& input) {
  const Tensor x = input.contiguous();
  const int height = static_cast<int>(x.size(2)), width = static_cast<int>(x.size(3));
  Tensor y = at::empty({x.size(0), x.size(1), (height + 1) / 2, (width + 1) / 2}, x.options());
  const int64_t area = static_cast<int64_t>(height) * width, out_area = y.size(2) * y.size(3);
  const float* in = x.const_data_ptr<float>();
  float* out = y.mutable_data_ptr<float>();
  const InferenceKernels& run = inference_kernels();
  at::parallel_for(0, x.size(0) * x.size(1), 4, [&](int64_t from, int64_t to) {
    float* work = scratch<float>(width + 2 * kMaxLanes, Purpose::panel);
    for (int64_t i = from; i < to; ++i) run.max_pool(in + i * area, height, width, work, out + i * out_area);
  });
  return y;
}

Tensor dice_unit(const Tensor& input, at::TensorList weights) {
  const Tensor x = input.contiguous();
  Tensor y = at::empty(x.sizes(), x.options());
  const Unit unit(weights, x.size(2), x.size(3));
  const int64_t area = x.size(2) * x.size(3), image = x.size(1) * area;
  const float* in = x.const_data_ptr<float>();
  float* out = y.mutable_data_ptr<float>();
  for_each_image(x.size(0), [&](int64_t n) {
    unit.run(in + n * image, {in, in + x.numel()}, scratch<float>(unit.work_size(), Purpose::image),
             {out + n * image, area, 0, 0});
  });
  return y;
}

Tensor dice_block(const Tensor& input, at::TensorList point_weights, at::TensorList unit_weights) {
  const Tensor x = input.contiguous();
  const PointWise point(point_weights);
  const Unit unit(unit_weights, x.size(2), x.size(3));
  const int channels = static_cast<int>(x.size(1)), passed = channels - point.planes,
            out_channels = passed + point.channels, half = out_channels / 2;
  const int64_t area = x.size(2) * x.size(3);
  Tensor y = at::empty({x.size(0), out_channels, x.size(2), x.size(3)}, x.options());
  const float* in = x.const_data_ptr<float>();
  float* out = y.mutable_data_ptr<float>();
  for_each_image(x.size(0), [&](int64_t n) {
    const float* image = in + n * channels * area;
    float* target = out + n * out_channels * area;
    const int64_t size = point.channels * area, margin = unit.margin();
    float* memory = scratch<float>(size + 2 * margin + unit.work_size(), Purpose::image);
    float *reduced = memory + margin, *work = reduced + size + margin;
    const Target left{target, area, 0, half};
    for (int i = 0; i < passed; ++i) std::memcpy(left.plane(i), image + i * area, area * sizeof(float));
    point(image + passed * area, area, {reduced, area, 0, 0});
    unit.run(reduced, {memory, work}, work, {target, area, passed, half});
  });
  return y;
}

Tensor strided_dice_block(const Tensor& input, const Tensor& left, at::TensorList left_weights,
                          at::TensorList unit_weights, at::TensorList right_weights) {
  const Tensor x = input.contiguous();
  const PointWise left_point(left_weights), right_point(right_weights);
  const int64_t channels = x.size(1);
  const int height = static_cast<int>(x.size(2)), width = static_cast<int>(x.size(3)),
            out_height = (height + 1) / 2, out_width = (width + 1) / 2;
  const Unit unit(unit_weights, out_height, out_width);
  const int64_t in_area = static_cast<int64_t>(height) * width,
                area = static_cast<int64_t>(out_height) * out_width;
  const int out_channels = left_point.channels + right_point.channels, half = out_channels / 2;
  Tensor y = at::empty({x.size(0), out_channels, out_height, out_width}, x.options());
  const float *in = x.const_data_ptr<float>(), *taps = left.const_data_ptr<float>();
  float* out = y.mutable_data_ptr<float>();
  const InferenceKernels& kernels = inference_kernels();
  for_each_image(x.size(0), [&](int64_t n) {
    const float* image = in + n * channels * in_area;
    float* target = out + n * out_channels * area;
    const int64_t size = channels * area, margin = unit.margin();
    float* memory = scratch<float>(2 * (size + margin) + unit.work_size(), Purpose::image);
    float *average = memory + margin, *convolved = average + size + margin, *work = convolved + size;
    at::parallel_for(0, channels, 8, [&](int64_t from, int64_t to) {
      float* rows = scratch<float>(4 * (width + 2 * kMaxLanes), Purpose::panel);
      for (int64_t c = from; c < to; ++c)
        kernels.downsample(image + c * in_area, height, width, taps + c * kSpatial, rows, average + c * area,
                           convolved + c * area);
    });
    left_point(convolved, area, {target, area, 0, half});
    unit.run(average, {memory, convolved}, work, {convolved, area, 0, 0});
    right_point(convolved, area, {target, area, left_point.channels, half});
  });
  return y;
}

}  // namespace

TORCH_LIBRARY_IMPL(dicenet_mm, CPU, m) {
  m.impl("point_wise", &point_wise);
  m.impl("spatial_conv", &spatial_conv);
  m.impl("strided_conv", &strided_conv);
  m.impl("max_pool", &max_pool);
  m.impl("dice_unit", &dice_unit);
  m.impl("dice_block", &dice_block);
  m.impl("strided_dice_block", &strided_dice_block);
}

}  // namespace dicenet_mm
