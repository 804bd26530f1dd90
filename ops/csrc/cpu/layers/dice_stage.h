// Blocks of DiCENet in a row.
#pragma once
#include <deque>
#include <numeric>
#include <optional>
#include <vector>

#include "../../packed.h"
#include "dice_unit.h"
#include "images.h"
#include "point_wise.h"

namespace dicenet_mm {

// Left a depth-wise and a point-wise convolution, right the average, a unit and a point-wise convolution. Packed sizes:
// its input's channels, those of left_point, the unit's H_k, W_k and hidden, the channels of right_point.
struct StridedBlock {
  StridedBlock(Reader& packed, int height, int width, int images)
      : channels_in(packed.size()),
        left(packed.take(kSpatial * channels_in)),
        left_point(packed, channels_in),
        unit(UnitWeights(packed, channels_in), (height + 1) / 2, (width + 1) / 2, images),
        right_point(packed, channels_in),
        height(height),
        width(width),
        images(images) {}

  int64_t voxels() const { return static_cast<int64_t>((height + 1) / 2) * ((width + 1) / 2); }
  int64_t area() const { return images * voxels(); }
  int channels() const { return left_point.channels + right_point.channels; }
  int64_t work_size() const { return 2 * (channels_in * area() + unit.margin()) + unit.work_size(); }

  void run(const float* image, float* memory, float* const* out) const {
    const int64_t size = channels_in * area(), margin = unit.margin();
    float *average = memory + margin, *convolved = average + size + margin, *work = convolved + size;
    const Tiles tiles(1, channels_in, images == 1 ? 8 : 32);  // a batch is read in longer pieces
    parallel_for(0, tiles.count, 1, [&](int64_t from, int64_t to) {
      for (int64_t i = from; i < to; ++i) downsample(image, tiles.begin(i), tiles.end(i), average, convolved);
    });
    const auto planes = planes_of(convolved, area(), channels_in);
    left_point(planes.data(), area(), out);
    unit.run({average, {memory, convolved}}, work, planes.data());
    right_point(planes.data(), area(), out + left_point.channels);
  }

  // Channels [begin, end) of both, (channels, plane).
  void downsample(const float* image, int begin, int end, float* average, float* convolved) const {
    const InferenceKernels& kernels = inference_kernels();
    const int64_t in_area = static_cast<int64_t>(height) * width, size = (end - begin) * voxels();
    average += begin * area(), convolved += begin * area();
    float* apart = images > 1 ? scratch<float>(2 * images * size, ScratchSlot::tile) : nullptr;
    float *averages = apart ? apart : average, *convolutions = apart ? apart + images * size : convolved;
    for (int i = 0; i < images; ++i)
      for (int c = begin; c < end; ++c) {
        const int64_t place = i * size + (c - begin) * voxels();
        kernels.downsample(image + (static_cast<int64_t>(i) * channels_in + c) * in_area, height, width,
                           left + c * kSpatial, averages + place, convolutions + place);
      }
    if (!apart) return;
    kernels.to_lanes(averages, size, size, average);
    kernels.to_lanes(convolutions, size, size, convolved);
  }

  const int channels_in;
  const float* left;
  const PointWise left_point;
  const Unit unit;
  const PointWise right_point;
  const int height, width, images;
};

// Packed sizes: the point-wise convolution's channels in and out, the unit's H_k, W_k and hidden.
struct Block {
  Block(Reader& packed, int height, int width, int images)
      : point(packed, packed.size()),
        unit(UnitWeights(packed, point.channels), height, width, images),
        area(static_cast<int64_t>(images) * height * width) {}

  int64_t size() const { return point.channels * area; }
  int64_t work_size() const { return size() + 2 * unit.margin() + unit.work_size(); }

  void run(const float* const* planes, float* memory, float* const* target) const {
    float *reduced = memory + unit.margin(), *work = reduced + size() + unit.margin();
    point(planes, area, planes_of(reduced, area, point.channels).data());
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

// What a stage's packed sizes say.
constexpr int kStridedSizes = 6, kBlockSizes = 5;

inline Numbers block_sizes(bool strided, Numbers sizes) { return sizes.from(strided ? kStridedSizes : 0); }

inline void check_sizes(bool strided, Numbers sizes) {
  const size_t first = strided ? kStridedSizes : 0;
  require(sizes.count >= std::max<size_t>(first, 1) && (sizes.count - first) % kBlockSizes == 0,
              "a stage has ", kStridedSizes, " sizes of its strided block, if any, and ", kBlockSizes,
              " of each block, got ", sizes.count);
  for (size_t i = 0; i < sizes.count; ++i)
    require(sizes[i] > 0 && sizes[i] < kMaxSize, "sizes of packed weights are missing or not positive, or of ", kMaxSize,
                " and more: ", sizes[i]);
}

// Half of the channels pass a block, rounded down where the others make up an even number with that.
inline int64_t input_channels(bool strided, Numbers sizes) {
  return strided ? sizes[0] : 2 * sizes[0] - (sizes[0] + sizes[1]) % 2;
}

inline Shape output_shape(const Shape& in, bool strided, Numbers sizes) {
  Shape out = in;
  if (strided) out = {static_cast<int>(sizes[1] + sizes[5]), (in.height + 1) / 2, (in.width + 1) / 2};
  const Numbers blocks = block_sizes(strided, sizes);
  for (size_t i = 0; i < blocks.count; i += kBlockSizes) out.channels += static_cast<int>(blocks[i + 1] - blocks[i]);
  return out;
}

// Blocks in a row, a strided one first or none. Images, or batches that fill the lanes of vectors, go through all
// of them one by one. Channels are numbered as they are computed; those that pass a block stay where they are, and
// those that pass all blocks to come are written where they belong in the output.
class Stage {
 public:
  Stage(Reader packed, bool strided, const Shape& in, const Shape& out, int images)
      : in_(in), out_(out), images_(images) {
    if (strided) {
      strided_.emplace(packed, in.height, in.width, images);
      work_size_ = strided_->work_size();
    }
    count_ = strided ? strided_->channels() : in.channels;
    order_.resize(count_);
    std::iota(order_.begin(), order_.end(), 0);
    if (strided) shuffle();
    while (!packed.done()) {
      const Block& block = blocks_.emplace_back(packed, out.height, out.width, images).block;
      work_size_ = std::max(work_size_, block.work_size());
      const int passed = static_cast<int>(order_.size()) - block.point.planes;
      require(passed >= 0, "a block takes ", block.point.planes, " of ", order_.size(), " channels");
      blocks_.back().inputs.assign(order_.begin() + passed, order_.end());
      order_.resize(passed);
      for (int i = 0; i < block.point.channels; ++i) order_.push_back(count_++);
      shuffle();
    }
    packed.check_done();
  }

  // Of the first image to the first image.
  void run(const float* in, float* out) const {
    float *memory = scratch<float>(work_size_ + count_ * area(), ScratchSlot::image), *kept = memory + work_size_;
    const bool in_lanes = images_ > 1;
    std::vector<float*> to = planes_of(kept, area(), count_);
    if (!in_lanes)
      for (int c = 0; c < out_.channels; ++c) to[order_[c]] = out + c * area();
    std::vector<const float*> from(to.begin(), to.end());
    int next = strided_ ? strided_->channels() : in_.channels;
    if (strided_)
      strided_->run(in, memory, to.data());
    else if (in_lanes)
      parallel_for(0, in_.channels, 8, [&](int64_t begin, int64_t end) {
        inference_kernels().to_lanes(in + begin * in_.voxels(), in_.size(), (end - begin) * in_.voxels(), to[begin]);
      });
    else
      for (int c = 0; c < in_.channels; ++c) from[c] = in + c * area();
    for (const Step& step : blocks_) {
      std::vector<const float*> inputs;
      for (int i : step.inputs) inputs.push_back(from[i]);
      step.block.run(inputs.data(), memory, &to[next]);
      next += step.block.point.channels;
    }
    parallel_for(0, out_.channels, 8, [&](int64_t begin, int64_t end) {
      for (int64_t c = begin; c < end; ++c) {
        float* plane = out + c * out_.voxels();
        const float* computed = from[order_[c]];
        if (in_lanes)
          inference_kernels().from_lanes(computed, out_.voxels(), plane, out_.size());
        else if (computed != plane)  // it passed all blocks
          std::copy(computed, computed + area(), plane);
      }
    });
  }

 private:
  struct Step {
    Step(Reader& packed, int height, int width, int images) : block(packed, height, width, images) {}
    const Block block;
    std::vector<int> inputs;
  };

  int64_t area() const { return images_ * out_.voxels(); }

  // ChannelShuffle(2)
  void shuffle() {
    const size_t half = order_.size() / 2;
    require(order_.size() % 2 == 0, "an odd number of channels, ", order_.size(), ", cannot be shuffled");
    std::vector<int> shuffled;
    for (size_t i = 0; i < half; ++i) shuffled.push_back(order_[i]), shuffled.push_back(order_[half + i]);
    order_ = shuffled;
  }

  std::optional<StridedBlock> strided_;
  std::deque<Step> blocks_;  // which never moves them
  const Shape in_, out_;
  const int images_;
  int64_t work_size_ = 0;
  int count_;
  std::vector<int> order_;  // of the channels as they are numbered
};

}  // namespace dicenet_mm
