// What the tiles of one call share: tables made from its sizes and kernels, and the way of a tile through
// resizing.
#pragma once
#include <algorithm>
#include <memory>
#include <optional>
#include <vector>

#include "dispatch.h"

namespace dicenet_mm {

struct Sizes {
  int depth, height, width;
  int kernel_height, kernel_width;  // H_k, W_k
  int images = 1;                   // that lie in the lanes of a vector, which then is a voxel
  bool native() const { return kernel_height == height && kernel_width == width; }
  // Elements of a plane.
  int64_t area() const { return static_cast<int64_t>(images) * height * width; }
  int64_t row_area() const { return static_cast<int64_t>(images) * kernel_height * width; }
  int64_t column_area() const { return static_cast<int64_t>(images) * height * kernel_width; }
};

inline int64_t padded(int64_t area) { return (area + kMaxLanes - 1) / kMaxLanes * kMaxLanes; }

// Tiles of an image and channels. Their number does not depend on the threads, so neither does any sum over
// them.
struct Tiles {
  Tiles(int64_t images, int depth, int chunk)
      : depth(depth), each((depth + chunk - 1) / chunk), count(images * each) {}
  int64_t image(int64_t i) const { return i / each; }
  int begin(int64_t i) const { return static_cast<int>(depth * (i % each) / each); }
  int end(int64_t i) const { return static_cast<int>(depth * (i % each + 1) / each); }
  int64_t depth, each, count;
};

// For each vector of a flattened plane and each of the 9 neighbours, the lanes whose neighbour lies in the
// plane.
std::vector<uint32_t> borders(int height, int width, int lanes);

// Linear interpolation between aligned corners to grow, adaptive averaging to shrink; or the transposed map.
template <class S>
class Resize {
 public:
  Resize(int in, int out, bool transposed);
  ResizeMatrix<S> matrix() const { return {in_, out_, taps_, first_.data(), coefficients_.data()}; }

 private:
  int in_, out_, taps_;
  std::vector<int32_t> first_;
  std::vector<S> coefficients_;
};

// Memory that a thread keeps, in lines of its cache: one block for each slot, valid until asked for again.
enum class ScratchSlot { image, tile, panel, count };
template <class S>
S* scratch(int64_t size, ScratchSlot slot);

// Pieces of one block of memory, each with `margin` elements before and after it that may be read.
template <class S>
class Arena {
 public:
  Arena(S* memory, int64_t margin) : next_(memory), margin_(margin) {}
  static int64_t size(int count, int64_t elements, int64_t margin) { return elements + (count + 1) * margin; }
  S* take(int64_t elements) {
    S* piece = next_ + margin_;
    next_ = piece + elements;
    return piece;
  }

 private:
  S* next_;
  const int64_t margin_;
};

// Memory that may be read.
template <class S>
struct ReadableRange {
  const S *begin, *end;
};

// The way to the sizes of the kernels and back; of the adjoint, the way back transposed comes first.
template <class S>
struct Resizing {
  Resizing(const Sizes& sizes, bool adjoint, int lanes);
  const Resize<S> rows_to, rows_back, columns_to, columns_back;
  const std::vector<uint32_t> row_borders, column_borders;
};

// The operator, or the one that takes a gradient of its output back to its input: kernels turned by half a
// turn, resizing transposed and in reverse order. Tables of the taps of each voxel at the kernels' size spare it
// making them; these and `depth_taps` outlive the plan.
template <class S>
class Plan {
 public:
  Plan(const Sizes& sizes, const S* depth_taps, const S* height_taps, const S* width_taps, bool adjoint,
       const S* height_table = nullptr, const S* width_table = nullptr);

  const Sizes sizes;
  const Kernels<S>& run;

  // How far before and after their planes the kernels read; those of batches do not.
  int64_t margin() const {
    return sizes.images > 1 ? 0 : std::max(sizes.width, sizes.kernel_width) + 1 + kReadsAround;
  }

  // Planes of channels [begin, end) and of the two beside them, `stride` apart: where they are if their
  // margins lie within `extent`, else copied to `copy`, which takes end - begin + 2 planes. Points to channel
  // `begin`.
  const S* readable(const S* in, int begin, int end, int64_t stride, const ReadableRange<S>& extent, S* copy) const;

  // Channels [begin, end); the inputs point to channel `begin`.
  Tile<S> tile(int begin, int end, const S* depth_in, const S* height_in, const S* width_in,
               int64_t stride) const;

  // Height branch through its resizing; as all below, not at native sizes. `in` points to channel `begin`.
  // `resized` takes end - begin + 2 planes of H_k x W, the first that of channel begin - 1; `work` end - begin
  // of them; `out` is (channels, plane).
  void height_branch(int begin, int end, const S* in, int64_t in_stride, S* resized, S* work, S* out,
                     int64_t out_stride) const;
  // Width branch likewise, with planes of H x W_k.
  void width_branch(int begin, int end, const S* in, int64_t in_stride, S* resized, S* work, S* out,
                    int64_t out_stride) const;
  // The first step of each alone, and what follows it.
  void resize_rows(int begin, int end, const S* in, int64_t in_stride, S* resized) const;
  void resize_columns(int begin, int end, const S* in, int64_t in_stride, S* resized) const;
  void height_from(int begin, int end, const S* resized, S* work, S* out, int64_t out_stride) const;
  void width_from(int begin, int end, const S* resized, S* work, S* out, int64_t out_stride) const;

  Tile<S> row_tile(int begin, int end, const S* resized) const;
  Tile<S> column_tile(int begin, int end, const S* resized) const;

  const uint32_t* border_masks() const { return borders_.data(); }

  // Channels in a tile: enough to pay for its two neighbours, few enough to stay in the second level of
  // cache.
  int chunk() const;

 private:
  // Kernels for one image, or for a batch.
  void branch(Branch which, const Tile<S>& tile, S* y, int64_t stride) const;
  void resize_rows(const Resize<S>& resize, const PlaneBatch<S>& planes) const;
  void resize_columns(const Resize<S>& resize, const PlaneBatch<S>& planes) const;

  std::vector<S> turned_;
  std::unique_ptr<const S[]> made_height_taps_, made_width_taps_;
  const S *depth_taps_, *height_taps_, *width_taps_;
  const std::vector<uint32_t> borders_;
  const std::optional<Resizing<S>> resizing_;  // none at native sizes
};

}  // namespace dicenet_mm
