// Packed weights of inference, as inference.py lays them out.
#pragma once
#include <ATen/core/Tensor.h>

namespace dicenet_mm {

// Reads packed weights that lie one after the other, each from a line of the cache on, and the sizes that tell them
// apart.
class Reader {
 public:
  Reader(const at::Tensor& weights, at::IntArrayRef sizes)
      : next_(weights.const_data_ptr<float>()), left_(weights.numel()), sizes_(sizes) {}
  bool done() const { return sizes_.empty(); }
  int size() {
    TORCH_CHECK(!sizes_.empty() && sizes_[0] > 0, "sizes of packed weights are missing or not positive");
    const int first = static_cast<int>(sizes_[0]);
    sizes_ = sizes_.slice(1);
    return first;
  }
  const float* take(int64_t count) {
    const float* piece = next_;
    const int64_t padded = (count + kPiece - 1) / kPiece * kPiece;
    next_ += padded, left_ -= padded;
    TORCH_CHECK(left_ >= 0, "packed weights hold ", -left_, " elements less than their sizes say");
    return piece;
  }

 private:
  static constexpr int kPiece = 16;  // elements
  const float* next_;
  int64_t left_;
  at::IntArrayRef sizes_;
};

struct UnitWeights {
  static constexpr int kParameters = 12;  // of a channel, in `local` and in `spatial`

  UnitWeights(Reader& packed, int depth)
      : depth(depth),
        kernel_height(packed.size()),
        kernel_width(packed.size()),
        hidden(packed.size()),
        depth_taps(packed.take(9 * depth)),
        height_taps(packed.take(9 * kernel_height)),
        width_taps(packed.take(9 * kernel_width)),
        height_table(packed.take(table_size())),
        width_table(packed.take(table_size())),
        local(packed.take(kParameters * depth)),
        spatial(packed.take(kParameters * depth)),
        squeeze(packed.take(static_cast<int64_t>(hidden) * depth)),
        excite(packed.take(static_cast<int64_t>(hidden) * depth)) {}

  const int depth, kernel_height, kernel_width, hidden;
  // Kernels (D, 3, 3), (H_k, 3, 3), (W_k, 3, 3); tables of each voxel's taps at the kernels' size (9, plane filled up
  // to a multiple of 16); local (D, 12), spatial (D, 12), squeeze (hidden, D), excite (D, hidden).
  const float *depth_taps, *height_taps, *width_taps, *height_table, *width_table, *local, *spatial, *squeeze, *excite;

 private:
  int64_t table_size() const { return 9 * ((static_cast<int64_t>(kernel_height) * kernel_width + 15) / 16 * 16); }
};

inline int64_t unit_depth(at::IntArrayRef sizes) {
  TORCH_CHECK(sizes.size() == 4, "a unit has four sizes: D, H_k, W_k and hidden, got ", sizes.size());
  return sizes[0];
}

}  // namespace dicenet_mm
