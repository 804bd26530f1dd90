// What the operators of inference share: images and batches on threads, packed weights, a point-wise convolution and
// a DiCE unit.
#pragma once
#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>

#include <algorithm>
#include <vector>

#include "../packed.h"
#include "plan.h"

namespace dicenet_mm {

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

inline int sharing_threads() { return at::in_parallel_region() ? 1 : at::get_num_threads(); }

// Where each channel's plane lies, `area` elements apart.
template <class S>
std::vector<S*> planes_of(S* x, int64_t area, int64_t count) {
  std::vector<S*> planes(count);
  for (int64_t i = 0; i < count; ++i) planes[i] = x + i * area;
  return planes;
}

// The masks that UnitKernels::spatial wants of an image.
inline std::vector<uint32_t> spatial_masks(int height, int width) {
  const int lanes = kernels<float>().lanes;
  return is_narrow(width, lanes) ? borders(height, width, lanes) : std::vector<uint32_t>();
}

static_assert(kLocal == UnitWeights::kParameters && kSpatial == UnitWeights::kParameters);

struct PointWise {
  // weight (tiles, planes, kRows), affine (channels, 2)
  explicit PointWise(at::TensorList p)
      : planes(static_cast<int>(p.at(0).size(1))),
        channels(static_cast<int>(p.at(1).size(0))),
        tiles(static_cast<int>(p[0].size(0))),
        weight(p[0].const_data_ptr<float>()),
        affine(p[1].const_data_ptr<float>()) {}

  PointWise(Reader& packed, int planes)
      : planes(planes),
        channels(packed.size()),
        tiles((channels + kRows - 1) / kRows),
        weight(packed.take(static_cast<int64_t>(tiles) * planes * kRows)),
        affine(packed.take(2 * channels)) {}

  void operator()(const float* const* x, int64_t area, float* const* target) const {
    const InferenceKernels& run = inference_kernels();
    const int wide = run.wide, panels = static_cast<int>((area + wide - 1) / wide), threads = sharing_threads();
    // Threads share the panels where each gets several, the tiles, or both.
    int groups = 1;
    if (!run.point_wise_planes)
      for (groups = std::clamp(panels / 4, 1, threads); threads % groups;) --groups;
    const int parts = std::min((threads + groups - 1) / groups, tiles);
    groups = (threads + parts - 1) / parts;
    // Where the tiles of a part begin: at the nearest to its share, or from panel to panel at those beside it, so that
    // all parts have as much to do.
    auto first = [&](int part, int panel) {
      const double share = static_cast<double>(channels) / kRows * part / parts;
      return part == parts ? tiles : static_cast<int>(share + (panel + 0.5) / panels);
    };
    at::parallel_for(0, parts * groups, 1, [&](int64_t from, int64_t to) {
      for (int i = static_cast<int>(from); i < to; ++i) {
        const int part = i / groups, begin = panels * (i % groups) / groups, end = panels * (i % groups + 1) / groups;
        if (run.point_wise_planes)
          in_place(x, area, target, part, begin, end, first);
        else
          packed(x, area, target, part, begin, end, first);
      }
    });
  }

  const int planes, channels, tiles;
  const float *weight, *affine;

 private:
  // Panels [begin, end), of each the tiles [first(part, panel), first(part + 1, panel)).
  template <class First>
  void in_place(const float* const* x, int64_t area, float* const* target, int part, int begin, int end,
                const First& first) const {
    const InferenceKernels& run = inference_kernels();
    const int wide = run.wide, rest = static_cast<int>(area % wide), stride = rest > kMaxLanes ? wide : rest;
    float* panel = scratch<float>(planes * wide, Purpose::panel);
    if (rest && end * static_cast<int64_t>(wide) > area) run.pack(x, area - rest, planes, rest, panel, stride);
    auto block = [&](int from, int to, int64_t column) {
      if (area - column >= wide)
        run.point_wise_planes(x, planes, weight, affine, channels, from, to, column, target);
      else
        run.point_wise(panel, stride, planes, weight, affine, channels, from, to, column, rest, target);
    };
    if (channels > area)  // what is larger is read once
      each_tile(part, begin, end, first, [&](int tile, int p) { block(tile, tile + 1, static_cast<int64_t>(p) * wide); });
    else
      for (int p = begin; p < end; ++p) block(first(part, p), first(part + 1, p), static_cast<int64_t>(p) * wide);
  }

  // The same with copies of the panels, as many at a time as stay in the second level of cache beside the weights.
  template <class First>
  void packed(const float* const* x, int64_t area, float* const* target, int part, int begin, int end,
              const First& first) const {
    constexpr int kPanelBytes = 1 << 18;
    const InferenceKernels& run = inference_kernels();
    const int wide = run.wide;
    const int64_t size = static_cast<int64_t>(planes) * wide;
    const int many = static_cast<int>(std::clamp<int64_t>(kPanelBytes / sizeof(float) / size, 1, end - begin));
    float* panels = scratch<float>(many * size + kMaxLanes, Purpose::panel);
    auto columns = [&](int p) { return static_cast<int>(std::min<int64_t>(wide, area - static_cast<int64_t>(p) * wide)); };
    auto stride = [&](int p) { return columns(p) > kMaxLanes ? wide : columns(p); };
    for (; begin < end; begin += many) {
      const int stop = std::min(begin + many, end);
      for (int p = begin; p < stop; ++p)
        run.pack(x, static_cast<int64_t>(p) * wide, planes, columns(p), panels + (p - begin) * size, stride(p));
      each_tile(part, begin, stop, first, [&](int tile, int p) {
        run.point_wise(panels + (p - begin) * size, stride(p), planes, weight, affine, channels, tile, tile + 1,
                       static_cast<int64_t>(p) * wide, columns(p), target);
      });
    }
  }

  // One tile of weights after the other meets all panels.
  template <class First, class Work>
  static void each_tile(int part, int begin, int end, const First& first, const Work& work) {
    for (int tile = first(part, begin); tile < first(part + 1, end - 1); ++tile)
      for (int p = begin; p < end; ++p)
        if (first(part, p) <= tile && tile < first(part + 1, p)) work(tile, p);
  }
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
    at::parallel_for(0, tiles.count, 1, [&](int64_t from, int64_t to) {
      for (int64_t i = from; i < to; ++i)
        local_fusion(input, tiles.begin(i), tiles.end(i), chunk, y, sums);
    });
    for (int64_t i = 0; i < s.depth * images; ++i) sums[i] /= static_cast<float>(area / images);
    constexpr int kWorthSharing = 1 << 15;  // multiply-adds
    at::parallel_for(0, weights_.hidden, kWorthSharing / s.depth + 1, [&](int64_t from, int64_t to) {
      float* some = hidden + from * images;
      run_.multiply(weights_.squeeze + from * s.depth, sums, static_cast<int>(to - from), s.depth, some);
      std::transform(some, some + (to - from) * images, some, [](float v) { return std::max(v, 0.f); });
    });
    at::parallel_for(0, s.depth, 16, [&](int64_t from, int64_t to) {
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
      float* vectors = scratch<float>(chunk * area, Purpose::tile);
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
    Pieces<float> pieces(scratch<float>(Pieces<float>::size(6, 6 * planes, margin()), Purpose::tile),
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
