// A DiCE unit, of one image or of a batch in lanes.
#pragma once
#include <algorithm>

#include "../../packed.h"
#include "../parallel.h"
#include "../plan.h"

namespace dicenet_mm {

static_assert(kLocal == UnitWeights::kParameters && kSpatial == UnitWeights::kParameters);

// The input of a unit: its planes within memory that may be read; or the first of a batch's images, `image` elements
// apart, that have yet to be brought into lanes. Its output lies likewise.
struct Input {
  const float* x;
  ReadableRange<float> extent;
  int64_t image = 0;
};

class Unit {
 public:
  Unit(const UnitWeights& weights, int height, int width, int images)
      : kernels_(inference_kernels()),
        run_(images == 1 ? kernels_.image : kernels_.batch),
        weights_(weights),
        plan_({weights.depth, height, width, weights.kernel_height, weights.kernel_width, images}, weights.depth_taps,
              weights.height_taps, weights.width_taps, false, weights.height_table, weights.width_table) {}

  int64_t margin() const { return plan_.margin(); }
  // Elements of `work` that run() needs: with margins, the map between its two passes comes first.
  int64_t work_size() const {
    const Sizes& s = plan_.sizes;
    return s.depth * (s.area() + 2 * s.images) + weights_.hidden * s.images + 2 * margin();
  }

  void run(const Input& input, float* work, float* const* target) const {
    const Sizes& s = plan_.sizes;
    const int64_t area = s.area(), images = s.images;
    float *y = work + margin(), *sums = y + s.depth * area + margin(), *gate = sums + s.depth * images,
          *hidden = gate + s.depth * images;
    const int chunk = shared_chunk();
    const Tiles tiles(1, s.depth, chunk);
    parallel_for(0, tiles.count, 1, [&](int64_t from, int64_t to) {
      for (int64_t i = from; i < to; ++i)
        local_fusion(input, tiles.begin(i), tiles.end(i), chunk, y, sums);
    });
    for (int64_t i = 0; i < s.depth * images; ++i) sums[i] /= static_cast<float>(area / images);
    constexpr int kWorthSharing = 1 << 15;  // multiply-adds
    parallel_for(0, weights_.hidden, kWorthSharing / s.depth + 1, [&](int64_t from, int64_t to) {
      float* some = hidden + from * images;
      run_.multiply(weights_.squeeze + from * s.depth, sums, static_cast<int>(to - from), s.depth, some);
      std::transform(some, some + (to - from) * images, some, [](float v) { return std::max(v, 0.f); });
    });
    parallel_for(0, s.depth, 16, [&](int64_t from, int64_t to) {
      const int count = static_cast<int>(to - from);
      float* gates = gate + from * images;
      run_.multiply(weights_.excite + from * weights_.hidden, hidden, count, weights_.hidden, gates);
      kernels_.sigmoids(gates, count * s.images);
      auto spatial = [&](int64_t d, float* out) {
        run_.spatial(y + d * area, s.height, s.width, plan_.border_masks(), weights_.spatial + d * kSpatial,
                     gate + d * images, out);
      };
      if (!input.image) {
        for (int64_t d = from; d < to; ++d) spatial(d, target[d]);
        return;
      }
      float* vectors = scratch<float>(chunk * area, ScratchSlot::tile);
      for (int64_t d = from; d < to; d += chunk) {
        const int64_t some = std::min<int64_t>(chunk, to - d);
        for (int64_t i = 0; i < some; ++i) spatial(d + i, vectors + i * area);
        kernels_.from_lanes(vectors, some * area / images, target[d], input.image);
      }
    });
  }

 private:
  // Channels in a tile, so that all threads have as many tiles.
  int shared_chunk() const {
    const int threads = sharing_threads(), depth = plan_.sizes.depth, most = threads * plan_.chunk(),
              rounds = (depth + most - 1) / most;
    return (depth + rounds * threads - 1) / (rounds * threads);
  }

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
    Arena<float> pieces(scratch<float>(Arena<float>::size(6, 6 * planes, margin()), ScratchSlot::tile),
                         margin());
    float* copy = pieces.take(planes);
    const float* in = input.image ? in_lanes(input, begin, end, copy)
                                  : plan_.readable(input.x + begin * area, begin, end, area, input.extent, copy);
    y += begin * area, sums += static_cast<int64_t>(begin) * s.images;
    if (s.native()) return run_.local_fusion(plan_.tile(begin, end, in, in, in, area), weights_.local, y, sums);
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
      run_.local_fusion_resized(plan_.tile(p, p + each, own, own, own, area), height, width, weights_.local, y + from * area,
                                sums + from * s.images);
    }
  }

  const InferenceKernels& kernels_;
  const UnitKernels& run_;
  const UnitWeights weights_;
  const Plan<float> plan_;
};

}  // namespace dicenet_mm
