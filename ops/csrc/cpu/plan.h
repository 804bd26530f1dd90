// What the tiles of one call share: tables made from its sizes and kernels, and the way of a tile through resizing.
#pragma once
#include <vector>

#include "kernels.h"

namespace dicenet_mm {

struct Sizes {
  int depth, height, width;
  int kernel_height, kernel_width;  // H_k, W_k
  bool native() const { return kernel_height == height && kernel_width == width; }
  int64_t area() const { return static_cast<int64_t>(height) * width; }
  int64_t row_area() const { return static_cast<int64_t>(kernel_height) * width; }
  int64_t column_area() const { return static_cast<int64_t>(height) * kernel_width; }
};

inline int64_t padded(int64_t area) { return (area + kMaxLanes - 1) / kMaxLanes * kMaxLanes; }

// Tiles of an image and channels. Their number does not depend on the threads, so neither does any sum over them.
struct Tiles {
  Tiles(int64_t images, int depth, int chunk) : depth(depth), each((depth + chunk - 1) / chunk), count(images * each) {}
  int64_t image(int64_t i) const { return i / each; }
  int begin(int64_t i) const { return static_cast<int>(depth * (i % each) / each); }
  int end(int64_t i) const { return static_cast<int>(depth * (i % each + 1) / each); }
  int64_t depth, each, count;
};

// For each vector of a flattened plane and each of the 9 neighbours, the lanes whose neighbour lies in the plane.
std::vector<uint32_t> borders(int height, int width, int lanes);

// Linear interpolation between aligned corners to grow, adaptive averaging to shrink; or the transposed map.
template <class S>
class Resize {
 public:
  Resize(int in, int out, bool transposed);
  Band<S> band() const { return {in_, out_, taps_, first_.data(), coefficients_.data()}; }

 private:
  int in_, out_, taps_;
  std::vector<int32_t> first_;
  std::vector<S> coefficients_;
};

// Memory that a thread keeps, in lines of its cache: one piece for each purpose, valid until asked for again.
enum class Purpose { image, tile, panel, count };
template <class S>
S* scratch(int64_t size, Purpose purpose);

// The operator, or the one that takes a gradient of its output back to its input: kernels turned by half a turn, resizing
// transposed and in reverse order.
template <class S>
class Plan {
 public:
  Plan(const Sizes& sizes, const S* depth_taps, const S* height_taps, const S* width_taps, bool adjoint);

  const Sizes sizes;
  const Kernels<S>& run;

  // Channels [begin, end); the inputs point to channel `begin`.
  Tile<S> tile(int begin, int end, const S* depth_in, const S* height_in, const S* width_in, int64_t stride) const;

  // Height branch through its resizing. `in` points to channel `begin`. `resized` takes end - begin + 2 planes of
  // H_k x W, the first that of channel begin - 1; `work` end - begin of them; `out` is (channels, plane).
  void height_branch(int begin, int end, const S* in, int64_t in_stride, S* resized, S* work, S* out,
                     int64_t out_stride) const;
  // Width branch likewise, with planes of H x W_k.
  void width_branch(int begin, int end, const S* in, int64_t in_stride, S* resized, S* work, S* out,
                    int64_t out_stride) const;
  // The first step of each alone.
  void resize_rows(int begin, int end, const S* in, int64_t in_stride, S* resized) const;
  void resize_columns(int begin, int end, const S* in, int64_t in_stride, S* resized) const;

  const uint32_t* plane_borders() const { return borders_.data(); }
  Tile<S> row_tile(int begin, int end, const S* resized) const;
  Tile<S> column_tile(int begin, int end, const S* resized) const;

  // Channels in a tile: enough to pay for its two neighbours, few enough to stay in the second level of cache.
  int chunk() const;

 private:
  std::vector<S> depth_taps_, height_taps_, width_taps_;
  std::vector<uint32_t> borders_, row_borders_, column_borders_;
  Resize<S> rows_to_, rows_back_, columns_to_, columns_back_;
};

}  // namespace dicenet_mm
