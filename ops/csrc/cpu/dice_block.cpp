// A DiCE unit, the blocks of DiCENet and point-wise convolutions on the CPU, for inference in float.
#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include <algorithm>
#include <cstring>
#include <deque>
#include <optional>

#include "../checks.h"
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

// Where each channel's plane lies.
using PlaneTable = std::vector<const float*>;

PlaneTable planes_of(const float* x, int64_t area, int count) {
  PlaneTable planes(count);
  for (int i = 0; i < count; ++i) planes[i] = x + i * area;
  return planes;
}

struct PointWise {
  // weight (tiles, planes, kRows), affine (channels, 2)
  explicit PointWise(at::TensorList p)
      : weight(p[0].const_data_ptr<float>()),
        affine(p[1].const_data_ptr<float>()),
        tiles(static_cast<int>(p[0].size(0))),
        planes(static_cast<int>(p[0].size(1))),
        channels(static_cast<int>(p[1].size(0))) {}

  void operator()(const float* const* x, int64_t area, const Target& target) const {
    const InferenceKernels& run = inference_kernels();
    const int rest = static_cast<int>(area % kColumns), stride = rest > kMaxLanes ? kColumns : rest;
    float* panel = scratch<float>(planes * kColumns, Purpose::panel);
    if (rest) run.pack(x, area - rest, planes, rest, panel, stride);
    auto block = [&](int begin, int end, int64_t column) {
      if (area - column >= kColumns)
        run.point_wise_planes(x, planes, weight, affine, channels, begin, end, column, target);
      else
        run.point_wise(panel, stride, planes, weight, affine, channels, begin, end, column, rest, target);
    };
    const int64_t panels = (area + kColumns - 1) / kColumns;
    if (channels > area) {  // what is larger is read once
      at::parallel_for(0, tiles, 1, [&](int64_t from, int64_t to) {
        for (int tile = static_cast<int>(from); tile < to; ++tile)
          for (int64_t i = 0; i < panels; ++i) block(tile, tile + 1, i * kColumns);
      });
      return;
    }
    const int64_t parts = std::min<int64_t>(sharing_threads(), tiles);
    at::parallel_for(0, panels * parts, 1, [&](int64_t from, int64_t to) {
      for (int64_t i = from; i < to; ++i) {
        const int64_t part = i / panels;
        block(static_cast<int>(tiles * part / parts), static_cast<int>(tiles * (part + 1) / parts),
              i % panels * kColumns);
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
    at::parallel_for(0, s.depth, 16, [&](int64_t from, int64_t to) {
      kernels.multiply(excite_ + from * hidden_, hidden, static_cast<int>(to - from), hidden_, gate + from);
      kernels.sigmoids(gate + from, static_cast<int>(to - from));
      for (int64_t d = from; d < to; ++d)
        kernels.spatial(y + d * area, s.height, s.width, plan_.border_masks(), spatial_ + d * kSpatial,
                        gate[d], target.plane(static_cast<int>(d)));
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

// Two packs for each group of channels.
Tensor point_wise(const Tensor& input, at::TensorList weights) {
  std::vector<PointWise> groups;
  int64_t in_channels = 0, channels = 0;
  for (size_t i = 0; i < weights.size(); i += 2) {
    groups.emplace_back(weights.slice(i, 2));
    in_channels += groups.back().planes, channels += groups.back().channels;
  }
  check_input(input, in_channels);
  const int64_t images = input.size(0), area = input.size(2) * input.size(3);
  if (area == 1 && images > 1)  // a matrix product over the images
    return point_wise(input.permute({2, 1, 3, 0}), weights).permute({3, 1, 2, 0}).contiguous();
  const Tensor x = input.contiguous();
  Tensor y = at::empty({images, channels, x.size(2), x.size(3)}, x.options());
  const float* in = x.const_data_ptr<float>();
  float* out = y.mutable_data_ptr<float>();
  for_each_image(area ? images : 0, [&](int64_t n) {
    const PlaneTable planes = planes_of(in + n * x.size(1) * area, area, static_cast<int>(x.size(1)));
    const float* const* from = planes.data();
    Target target{out + n * channels * area, area, 0, 0};
    for (const PointWise& point : groups) {
      point(from, area, target);
      from += point.planes, target.first += point.channels;
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
  const std::vector<uint32_t> masks = borders(height, width, kernels<float>().lanes);
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
      run.spatial(plane, height, width, masks.data(), prm + i % channels * kSpatial, 1, out + i * area);
    }
  });
  return y;
}

// 3x3 with stride 2, as a point-wise convolution over the windows.
Tensor strided_conv(const Tensor& input, at::TensorList weights) {
  const PointWise point(weights);
  check_input(input, point.planes / 9);
  const Tensor x = input.contiguous();
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
        run.point_wise(panel, kColumns, point.planes, point.weight, point.affine, point.channels, 0, point.tiles,
                       static_cast<int64_t>(row) * out_width + column, columns, target);
      }
    }
  });
  return y;
}

Tensor max_pool(const Tensor& input) {
  check_input(input, input.size(1));
  const Tensor x = input.contiguous();
  const int height = static_cast<int>(x.size(2)), width = static_cast<int>(x.size(3));
  Tensor y = at::empty({x.size(0), x.size(1), (height + 1) / 2, (width + 1) / 2}, x.options());
  const int64_t area = static_cast<int64_t>(height) * width, out_area = y.size(2) * y.size(3);
  const float* in = x.const_data_ptr<float>();
  float* out = y.mutable_data_ptr<float>();
  const InferenceKernels& run = inference_kernels();
  at::parallel_for(0, x.size(0) * x.size(1), 4, [&](int64_t from, int64_t to) {
    for (int64_t i = from; i < to; ++i) run.max_pool(in + i * area, height, width, out + i * out_area);
  });
  return y;
}

Tensor dice_unit(const Tensor& input, at::TensorList weights) {
  check_input(input, weights[0].size(0));
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

// A strided block's packs: left (C, 12), left_point (2), unit (7), right_point (2).
struct StridedBlock {
  static constexpr int kPacks = 12;
  StridedBlock(at::TensorList p, int height, int width)
      : left(p[0].const_data_ptr<float>()),
        left_point(p.slice(1, 2)),
        unit(p.slice(3, 7), (height + 1) / 2, (width + 1) / 2),
        right_point(p.slice(10, 2)),
        height(height),
        width(width) {}

  int64_t area() const { return static_cast<int64_t>((height + 1) / 2) * ((width + 1) / 2); }
  int64_t work_size() const { return 2 * (left_point.planes * area() + unit.margin()) + unit.work_size(); }

  // `half` as in Target.
  void run(const float* image, float* memory, float* out, int half) const {
    const InferenceKernels& kernels = inference_kernels();
    const int channels = left_point.planes;
    const int64_t in_area = static_cast<int64_t>(height) * width, size = channels * area(),
                  margin = unit.margin();
    float *average = memory + margin, *convolved = average + size + margin, *work = convolved + size;
    at::parallel_for(0, channels, 8, [&](int64_t from, int64_t to) {
      for (int64_t c = from; c < to; ++c)
        kernels.downsample(image + c * in_area, height, width, left + c * kSpatial, average + c * area(),
                           convolved + c * area());
    });
    const PlaneTable planes = planes_of(convolved, area(), channels);
    left_point(planes.data(), area(), {out, area(), 0, half});
    unit.run(average, {memory, convolved}, work, {convolved, area(), 0, 0});
    right_point(planes.data(), area(), {out, area(), left_point.channels, half});
  }

  const float* left;
  const PointWise left_point;
  const Unit unit;
  const PointWise right_point;
  const int height, width;
};

// A block's packs: point (2), unit (7).
struct Block {
  static constexpr int kPacks = 9;
  Block(at::TensorList p, int height, int width)
      : point(p.slice(0, 2)), unit(p.slice(2, 7), height, width), area(static_cast<int64_t>(height) * width) {}

  int64_t size() const { return point.channels * area; }
  int64_t work_size() const { return size() + 2 * unit.margin() + unit.work_size(); }

  void run(const float* const* planes, float* memory, const Target& target) const {
    float *reduced = memory + unit.margin(), *work = reduced + size() + unit.margin();
    point(planes, area, {reduced, area, 0, 0});
    unit.run(reduced, {memory, work}, work, target);
  }

  const PointWise point;
  const Unit unit;
  const int64_t area;
};

// Blocks in a row, a strided one first or none. Images go through all of them one by one, and channels that
// pass a block stay where they were computed.
class Stage {
 public:
  Stage(at::TensorList strided, at::TensorList blocks, int channels, int height, int width)
      : in_channels_(channels), in_area_(static_cast<int64_t>(height) * width) {
    if (!strided.empty()) {
      strided_.emplace(strided, height, width);
      height = (height + 1) / 2, width = (width + 1) / 2;
      channels = strided_->left_point.channels + strided_->right_point.channels;
      work_size_ = strided_->work_size();
      if (!blocks.empty()) kept_size_ = channels * strided_->area();
    }
    for (size_t i = 0; i < blocks.size(); i += Block::kPacks) {
      if (i > 0) kept_size_ += blocks_.back().size();
      blocks_.emplace_back(blocks.slice(i, Block::kPacks), height, width);
      channels += blocks_.back().point.channels - blocks_.back().point.planes;
      work_size_ = std::max(work_size_, blocks_.back().work_size());
    }
    this->channels = channels, this->height = height, this->width = width;
  }

  void run(const float* image, float* out) const {
    const int64_t area = static_cast<int64_t>(height) * width;
    float *memory = scratch<float>(work_size_ + kept_size_, Purpose::image), *kept = memory + work_size_;
    if (strided_ && blocks_.empty()) return strided_->run(image, memory, out, channels / 2);
    PlaneTable planes;
    if (strided_) {
      strided_->run(image, memory, kept, 0);
      const int count = strided_->left_point.channels + strided_->right_point.channels;
      planes = shuffled(planes_of(kept, area, count));
      kept += count * area;
    } else {
      planes = planes_of(image, in_area_, in_channels_);
    }
    for (const Block& block : blocks_) {
      const int passed = static_cast<int>(planes.size()) - block.point.planes, half = channels / 2;
      if (&block == &blocks_.back()) {
        const Target left{out, area, 0, half};
        for (int i = 0; i < passed; ++i) std::memcpy(left.plane(i), planes[i], area * sizeof(float));
        block.run(planes.data() + passed, memory, {out, area, passed, half});
      } else {
        block.run(planes.data() + passed, memory, {kept, area, 0, 0});
        planes.resize(passed);
        for (int i = 0; i < block.point.channels; ++i, kept += area) planes.push_back(kept);
        planes = shuffled(planes);
      }
    }
  }

  int channels, height, width;  // of the output

 private:
  static PlaneTable shuffled(const PlaneTable& planes) {
    const int count = static_cast<int>(planes.size());
    const Target order{nullptr, 0, 0, count / 2};
    PlaneTable out(count);
    for (int i = 0; i < count; ++i) out[order.place(i)] = planes[i];
    return out;
  }

  std::optional<StridedBlock> strided_;
  std::deque<Block> blocks_;  // which never moves them
  const int in_channels_;
  const int64_t in_area_;
  int64_t work_size_ = 0, kept_size_ = 0;
};

// The channels that a stage's packs are for. Half of them pass a block, rounded down where the others make up an
// even number with that.
int64_t input_channels(at::TensorList strided, at::TensorList blocks) {
  if (!strided.empty()) return strided[0].size(0);
  const PointWise point(blocks.slice(0, 2));
  return 2 * point.planes - (point.planes + point.channels) % 2;
}

Tensor dice_stage(const Tensor& input, at::TensorList strided, at::TensorList blocks) {
  check_input(input, input_channels(strided, blocks));
  const Tensor x = input.contiguous();
  const Stage stage(strided, blocks, static_cast<int>(x.size(1)), static_cast<int>(x.size(2)),
                    static_cast<int>(x.size(3)));
  Tensor y = at::empty({x.size(0), stage.channels, stage.height, stage.width}, x.options());
  const int64_t in_image = x.size(1) * x.size(2) * x.size(3), out_image = y.size(1) * y.size(2) * y.size(3);
  const float* in = x.const_data_ptr<float>();
  float* out = y.mutable_data_ptr<float>();
  for_each_image(x.size(0), [&](int64_t n) { stage.run(in + n * in_image, out + n * out_image); });
  return y;
}

Tensor dice_block(const Tensor& x, at::TensorList point, at::TensorList unit) {
  std::vector<Tensor> packs = point.vec();
  packs.insert(packs.end(), unit.begin(), unit.end());
  return dice_stage(x, {}, packs);
}

Tensor strided_dice_block(const Tensor& x, const Tensor& left, at::TensorList left_point, at::TensorList unit,
                          at::TensorList right_point) {
  std::vector<Tensor> packs{left};
  for (at::TensorList list : {left_point, unit, right_point}) packs.insert(packs.end(), list.begin(), list.end());
  return dice_stage(x, packs, {});
}

}  // namespace

TORCH_LIBRARY_IMPL(dicenet_mm, CPU, m) {
  m.impl("point_wise", &point_wise);
  m.impl("spatial_conv", &spatial_conv);
  m.impl("strided_conv", &strided_conv);
  m.impl("max_pool", &max_pool);
  m.impl("dice_unit", &dice_unit);
  m.impl("dice_stage", &dice_stage);
  m.impl("dice_block", &dice_block);
  m.impl("strided_dice_block", &strided_dice_block);
}

}  // namespace dicenet_mm
