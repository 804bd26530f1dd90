// A DiCE unit, the blocks of DiCENet and point-wise convolutions on the CPU, for inference in float.
#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include <algorithm>
#include <cstring>
#include <optional>

#include "../checks.h"
#include "plan.h"

namespace dicenet_mm {
namespace {

using at::Tensor;

// Images on threads of their own, as many on each; the work within one that is left over is shared out.
template <class F>
void for_each_image(int64_t images, const F& work) {
  const int64_t apart = images - images % at::get_num_threads();
  at::parallel_for(0, apart, 1, [&](int64_t from, int64_t to) {
    for (int64_t i = from; i < to; ++i) work(i);
  });
  for (int64_t i = apart; i < images; ++i) work(i);
}

// Images with small maps go together, one in each lane of a vector, as far as they fill all lanes; whatever is left,
// one by one. `work` takes how many go together, the first of them, and how often.
template <class F>
void for_each_batch(int64_t images, int64_t area, const F& work) {
  const int lanes = kernels<float>().lanes;
  const int64_t batches = area <= kSmallMap ? images / lanes : 0;
  if (batches > 0) work(lanes, 0, batches);
  if (images > batches * lanes) work(1, batches * lanes, images - batches * lanes);
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
    const int64_t panels = (area + kColumns - 1) / kColumns;
    const int64_t parts = std::min<int64_t>(sharing_threads(), tiles);
    at::parallel_for(0, panels * parts, 1, [&](int64_t from, int64_t to) {
      for (int64_t i = from; i < to; ++i) {
        const int64_t column = i % panels * kColumns, part = i / panels;
        const int columns = static_cast<int>(std::min<int64_t>(kColumns, area - column)),
                  begin = static_cast<int>(tiles * part / parts), end = static_cast<int>(tiles * (part + 1) / parts);
        if (columns == kColumns) {
          run.point_wise_planes(x, planes, weight, affine, channels, begin, end, column, target);
          continue;
        }
        float* panel = scratch<float>(planes * kColumns, Purpose::panel);
        run.pack(x, column, planes, columns, panel);
        run.point_wise(panel, planes, weight, affine, channels, begin, end, column, columns, target);
      }
    });
  }

  const float *weight, *affine;
  const int tiles, planes, channels;
};

// The input of a unit: its planes within memory that may be read; or the first of a batch's images, `image` elements
// apart, that have yet to be brought into lanes. Its output lies likewise.
struct Input {
  const float* x;
  Extent<float> extent;
  int64_t image = 0;
};

class Unit {
 public:
  // Kernels (D, 3, 3), (H_k, 3, 3), (W_k, 3, 3); local (D, 12), spatial (D, 12), squeeze (hidden, D), excite
  // (D, hidden).
  Unit(at::TensorList p, int64_t height, int64_t width, int images)
      : kernels_(inference_kernels()),
        run_(images == 1 ? kernels_.image : kernels_.batch),
        plan_({static_cast<int>(p[0].size(0)), static_cast<int>(height), static_cast<int>(width),
               static_cast<int>(p[1].size(0)), static_cast<int>(p[2].size(0)), images},
              p[0].const_data_ptr<float>(), p[1].const_data_ptr<float>(), p[2].const_data_ptr<float>(),
              false),
        local_(p[3].const_data_ptr<float>()),
        spatial_(p[4].const_data_ptr<float>()),
        squeeze_(p[5].const_data_ptr<float>()),
        excite_(p[6].const_data_ptr<float>()),
        hidden_(static_cast<int>(p[5].size(0))) {}

  int64_t margin() const { return plan_.margin(); }
  // Elements of `work` that run() needs: with margins, the map between its two passes comes first.
  int64_t work_size() const {
    const Sizes& s = plan_.sizes;
    return s.depth * (s.area() + 2 * s.images) + hidden_ * s.images + 2 * margin();
  }

  void run(const Input& input, float* work, const Target& target) const {
    const Sizes& s = plan_.sizes;
    const int64_t area = s.area(), images = s.images;
    float *y = work + margin(), *sums = y + s.depth * area + margin(), *gate = sums + s.depth * images,
          *hidden = gate + s.depth * images;
    const int chunk = std::min(plan_.chunk(), (s.depth + sharing_threads() - 1) / sharing_threads());
    const Tiles tiles(1, s.depth, chunk);
    at::parallel_for(0, tiles.count, 1, [&](int64_t from, int64_t to) {
      for (int64_t i = from; i < to; ++i)
        local_fusion(input, tiles.begin(i), tiles.end(i), chunk, y, sums);
    });
    for (int64_t i = 0; i < s.depth * images; ++i) sums[i] /= static_cast<float>(area / images);
    run_.multiply(squeeze_, sums, hidden_, s.depth, hidden);
    for (int64_t i = 0; i < hidden_ * images; ++i) hidden[i] = std::max(hidden[i], 0.f);
    at::parallel_for(0, s.depth, 16, [&](int64_t from, int64_t to) {
      const int count = static_cast<int>(to - from);
      float* gates = gate + from * images;
      run_.multiply(excite_ + from * hidden_, hidden, count, hidden_, gates);
      kernels_.sigmoids(gates, count * s.images);
      auto spatial = [&](int64_t d, float* out) {
        run_.spatial(y + d * area, s.height, s.width, plan_.border_masks(), spatial_ + d * kSpatial,
                     gate + d * images, out);
      };
      if (!input.image) {
        for (int64_t d = from; d < to; ++d) spatial(d, target.plane(static_cast<int>(d)));
        return;
      }
      float* vectors = scratch<float>(chunk * area, Purpose::tile);
      for (int64_t d = from; d < to; d += chunk) {
        const int64_t some = std::min<int64_t>(chunk, to - d);
        for (int64_t i = 0; i < some; ++i) spatial(d + i, vectors + i * area);
        kernels_.from_lanes(vectors, some * area / images, target.plane(static_cast<int>(d)), input.image);
      }
    });
  }

 private:
  // As Plan::readable, of a batch that is not in lanes.
  const float* in_lanes(const Input& input, int begin, int end, float* copy) const {
    const Sizes& s = plan_.sizes;
    const int before = begin > 0, after = end < s.depth;
    const int64_t voxels = s.area() / s.images;
    kernels_.to_lanes(input.x + (begin - before) * voxels, input.image, (end - begin + before + after) * voxels, copy);
    return copy + before * s.area();
  }

  void local_fusion(const Input& input, int begin, int end, int chunk, float* y, float* sums) const {
    const Sizes& s = plan_.sizes;
    const int64_t area = s.area(), planes = (chunk + 2) * std::max({area, s.row_area(), s.column_area()});
    Pieces<float> pieces(scratch<float>(Pieces<float>::size(6, 6 * planes, margin()), Purpose::tile),
                         margin());
    float* copy = pieces.take(planes);
    const float* in = input.image ? in_lanes(input, begin, end, copy)
                                  : plan_.readable(input.x + begin * area, begin, end, area, input.extent, copy);
    y += begin * area, sums += static_cast<int64_t>(begin) * s.images;
    if (s.native()) return run_.local_fusion(plan_.tile(begin, end, in, in, in, area), local_, y, sums);
    float *rows = pieces.take(planes), *columns = pieces.take(planes), *work = pieces.take(planes),
          *height = pieces.take(planes), *width = pieces.take(planes);
    plan_.resize_rows(begin, end, in, area, rows);
    plan_.resize_columns(begin, end, in, area, columns);
    // A march pays off over many channels; planes of a batch stay in the first level of cache one by one.
    const int each = s.images == 1 ? end - begin : 1;
    for (int p = begin; p < end; p += each) {
      const int64_t from = p - begin;
      plan_.height_from(p, p + each, rows + from * s.row_area(), work, height, area);
      plan_.width_from(p, p + each, columns + from * s.column_area(), work, width, area);
      const float* own = in + from * area;
      run_.local_fusion_resized(plan_.tile(p, p + each, own, own, own, area), height, width, local_, y + from * area,
                                sums + from * s.images);
    }
  }

  const InferenceKernels& kernels_;
  const UnitKernels& run_;
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
        run.point_wise(panel, point.planes, point.weight, point.affine, point.channels, 0, point.tiles,
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
  const int64_t area = x.size(2) * x.size(3), image = x.size(1) * area;
  const float* in = x.const_data_ptr<float>();
  float* out = y.mutable_data_ptr<float>();
  for_each_batch(x.size(0), area, [&](int images, int64_t begin, int64_t count) {
    const Unit unit(weights, x.size(2), x.size(3), images);
    for_each_image(count, [&](int64_t i) {
      const int64_t offset = (begin + i * images) * image;
      unit.run({in + offset, {in, in + x.numel()}, images > 1 ? image : 0},
               scratch<float>(unit.work_size(), Purpose::image), {out + offset, area, 0, 0});
    });
  });
  return y;
}

// A strided block's packs: left (C, 12), left_point (2), unit (7), right_point (2).
struct StridedBlock {
  static constexpr int kPacks = 12;
  StridedBlock(at::TensorList p, int height, int width, int images)
      : left(p[0].const_data_ptr<float>()),
        left_point(p.slice(1, 2)),
        unit(p.slice(3, 7), (height + 1) / 2, (width + 1) / 2, images),
        right_point(p.slice(10, 2)),
        height(height),
        width(width),
        images(images) {}

  int64_t voxels() const { return static_cast<int64_t>((height + 1) / 2) * ((width + 1) / 2); }
  int64_t area() const { return images * voxels(); }
  int channels() const { return left_point.channels + right_point.channels; }
  int64_t work_size() const { return 2 * (left_point.planes * area() + unit.margin()) + unit.work_size(); }

  // `half` as in Target.
  void run(const float* image, float* memory, float* out, int half) const {
    const int channels = left_point.planes;
    const int64_t size = channels * area(), margin = unit.margin();
    float *average = memory + margin, *convolved = average + size + margin, *work = convolved + size;
    const Tiles tiles(1, channels, images == 1 ? 8 : 32);  // which images of a batch are read in longer pieces for
    at::parallel_for(0, tiles.count, 1, [&](int64_t from, int64_t to) {
      for (int64_t i = from; i < to; ++i) downsample(image, tiles.begin(i), tiles.end(i), average, convolved);
    });
    const PlaneTable planes = planes_of(convolved, area(), channels);
    left_point(planes.data(), area(), {out, area(), 0, half});
    unit.run({average, {memory, convolved}}, work, {convolved, area(), 0, 0});
    right_point(planes.data(), area(), {out, area(), left_point.channels, half});
  }

  // Channels [begin, end) of both, (channels, plane).
  void downsample(const float* image, int begin, int end, float* average, float* convolved) const {
    const InferenceKernels& kernels = inference_kernels();
    const int64_t in_area = static_cast<int64_t>(height) * width, size = (end - begin) * voxels();
    average += begin * area(), convolved += begin * area();
    float* apart = images > 1 ? scratch<float>(2 * images * size, Purpose::tile) : nullptr;
    float *averages = apart ? apart : average, *convolutions = apart ? apart + images * size : convolved;
    for (int i = 0; i < images; ++i)
      for (int c = begin; c < end; ++c) {
        const int64_t place = i * size + (c - begin) * voxels();
        kernels.downsample(image + (static_cast<int64_t>(i) * left_point.planes + c) * in_area, height, width,
                           left + c * kSpatial, averages + place, convolutions + place);
      }
    if (!apart) return;
    kernels.to_lanes(averages, size, size, average);
    kernels.to_lanes(convolutions, size, size, convolved);
  }

  const float* left;
  const PointWise left_point;
  const Unit unit;
  const PointWise right_point;
  const int height, width, images;
};

// A block's packs: point (2), unit (7).
struct Block {
  static constexpr int kPacks = 9;
  Block(at::TensorList p, int height, int width, int images)
      : point(p.slice(0, 2)),
        unit(p.slice(2, 7), height, width, images),
        area(static_cast<int64_t>(images) * height * width) {}

  int64_t size() const { return point.channels * area; }
  int64_t work_size() const { return size() + 2 * unit.margin() + unit.work_size(); }

  void run(const float* const* planes, float* memory, const Target& target) const {
    float *reduced = memory + unit.margin(), *work = reduced + size() + unit.margin();
    point(planes, area, {reduced, area, 0, 0});
    unit.run({reduced, {memory, work}}, work, target);
  }

  const PointWise point;
  const Unit unit;
  const int64_t area;
};

// Of an image.
struct Shape {
  int channels, height, width;
  int64_t voxels() const { return static_cast<int64_t>(height) * width; }
  int64_t size() const { return channels * voxels(); }
};

// Blocks in a row, a strided one first or none. Images, or batches that fill the lanes of vectors, go through all
// of them one by one, and channels that pass a block stay where they were computed.
class Stage {
 public:
  Stage(at::TensorList strided, at::TensorList blocks, const Shape& in, const Shape& out, int images)
      : in_(in), out_(out), images_(images) {
    if (!strided.empty()) {
      strided_.emplace(strided, in.height, in.width, images);
      work_size_ = strided_->work_size();
      kept_size_ = strided_->channels() * area();
    } else if (images > 1) {
      kept_size_ = in.channels * area();
    }
    blocks_.reserve(blocks.size() / Block::kPacks);
    for (size_t i = 0; i < blocks.size(); i += Block::kPacks) {
      blocks_.emplace_back(blocks.slice(i, Block::kPacks), out.height, out.width, images);
      work_size_ = std::max(work_size_, blocks_.back().work_size());
      kept_size_ += blocks_.back().size();
    }
  }

  // Of the first image to the first image.
  void run(const float* in, float* out) const {
    float *memory = scratch<float>(work_size_ + kept_size_, Purpose::image), *kept = memory + work_size_;
    const bool in_lanes = images_ > 1;
    const int half = out_.channels / 2;
    PlaneTable planes;
    if (strided_) {
      if (blocks_.empty() && !in_lanes) return strided_->run(in, memory, out, half);
      strided_->run(in, memory, kept, 0);
      planes = shuffled(planes_of(kept, area(), strided_->channels()));
      kept += strided_->channels() * area();
    } else if (in_lanes) {
      at::parallel_for(0, in_.channels, 8, [&](int64_t from, int64_t to) {
        inference_kernels().to_lanes(in + from * in_.voxels(), in_.size(), (to - from) * in_.voxels(),
                                     kept + from * area());
      });
      planes = planes_of(kept, area(), in_.channels);
      kept += in_.channels * area();
    } else {
      planes = planes_of(in, area(), in_.channels);
    }
    for (const Block& block : blocks_) {
      const int passed = static_cast<int>(planes.size()) - block.point.planes;
      if (&block == &blocks_.back() && !in_lanes) {
        const Target left{out, area(), 0, half};
        for (int i = 0; i < passed; ++i) std::memcpy(left.plane(i), planes[i], area() * sizeof(float));
        block.run(planes.data() + passed, memory, {out, area(), passed, half});
      } else {
        block.run(planes.data() + passed, memory, {kept, area(), 0, 0});
        planes.resize(passed);
        for (int i = 0; i < block.point.channels; ++i, kept += area()) planes.push_back(kept);
        planes = shuffled(planes);
      }
    }
    if (in_lanes)
      at::parallel_for(0, out_.channels, 8, [&](int64_t from, int64_t to) {
        for (int64_t c = from; c < to; ++c)
          inference_kernels().from_lanes(planes[c], out_.voxels(), out + c * out_.voxels(), out_.size());
      });
  }

 private:
  int64_t area() const { return images_ * out_.voxels(); }

  static PlaneTable shuffled(const PlaneTable& planes) {
    const int count = static_cast<int>(planes.size());
    const Target order{nullptr, 0, 0, count / 2};
    PlaneTable out(count);
    for (int i = 0; i < count; ++i) out[order.place(i)] = planes[i];
    return out;
  }

  std::optional<StridedBlock> strided_;
  std::vector<Block> blocks_;
  const Shape in_, out_;
  const int images_;
  int64_t work_size_ = 0, kept_size_ = 0;
};

// The channels that a stage's packs are for. Half of them pass a block, rounded down where the others make up an
// even number with that.
int64_t input_channels(at::TensorList strided, at::TensorList blocks) {
  if (!strided.empty()) return strided[0].size(0);
  const PointWise point(blocks.slice(0, 2));
  return 2 * point.planes - (point.planes + point.channels) % 2;
}

Shape output_shape(const Shape& in, at::TensorList strided, at::TensorList blocks) {
  Shape out = in;
  if (!strided.empty()) {
    const PointWise left(strided.slice(1, 2)), right(strided.slice(10, 2));
    out = {left.channels + right.channels, (in.height + 1) / 2, (in.width + 1) / 2};
  }
  for (size_t i = 0; i < blocks.size(); i += Block::kPacks) {
    const PointWise point(blocks.slice(i, 2));
    out.channels += point.channels - point.planes;
  }
  return out;
}

Tensor dice_stage(const Tensor& input, at::TensorList strided, at::TensorList blocks) {
  check_input(input, input_channels(strided, blocks));
  const Tensor x = input.contiguous();
  const Shape from{static_cast<int>(x.size(1)), static_cast<int>(x.size(2)), static_cast<int>(x.size(3))},
      to = output_shape(from, strided, blocks);
  Tensor y = at::empty({x.size(0), to.channels, to.height, to.width}, x.options());
  const float* in = x.const_data_ptr<float>();
  float* out = y.mutable_data_ptr<float>();
  for_each_batch(x.size(0), to.voxels(), [&](int images, int64_t begin, int64_t count) {
    const Stage stage(strided, blocks, from, to, images);
    for_each_image(count, [&](int64_t i) {
      const int64_t n = begin + i * images;
      stage.run(in + n * from.size(), out + n * to.size());
    });
  });
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
