// A point-wise convolution.
#pragma once
#include <algorithm>

#include "../../packed.h"
#include "../dispatch.h"
#include "../parallel.h"
#include "../plan.h"

namespace dicenet_mm {

struct PointWise {
  // weight (tiles, planes, kMR), affine (channels, 2)
  PointWise(const float* weight, const float* affine, int planes, int channels)
      : planes(planes), channels(channels), tiles((channels + kMR - 1) / kMR), weight(weight), affine(affine) {}

  PointWise(Reader& packed, int planes)
      : planes(planes),
        channels(packed.size()),
        tiles((channels + kMR - 1) / kMR),
        weight(packed.take(static_cast<int64_t>(tiles) * planes * kMR)),
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
      const double share = static_cast<double>(channels) / kMR * part / parts;
      return part == parts ? tiles : static_cast<int>(share + (panel + 0.5) / panels);
    };
    parallel_for(0, parts * groups, 1, [&](int64_t from, int64_t to) {
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
    float* panel = scratch<float>(planes * wide, ScratchSlot::panel);
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
    float* panels = scratch<float>(many * size + kMaxLanes, ScratchSlot::panel);
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

}  // namespace dicenet_mm
