// Packed weights of inference, as inference.py lays them out.
#pragma once
#include <cstddef>
#include <cstdint>
#include <sstream>
#include <stdexcept>

namespace dicenet_mm {

// What does not fit is refused in one sentence, made of the parts.
template <class... Parts>
void require(bool fits, const Parts&... parts) {
  if (fits) return;
  std::ostringstream text;
  (text << ... << parts);
  throw std::runtime_error(text.str());
}

struct Numbers {
  const int64_t* data;
  size_t count;
  int64_t operator[](size_t i) const { return data[i]; }
  Numbers from(size_t first) const { return {data + first, count - first}; }
};

// Channels and kernels are fewer, so that products of two sizes and a number of taps fit 64 bits by far, and 9 times a
// size 32.
constexpr int64_t kMaxSize = 1 << 24;

// Reads packed weights that lie one after the other, each from a line of the cache on, and the sizes that tell them
// apart.
class Reader {
 public:
  Reader(const float* weights, int64_t count, Numbers sizes) : next_(weights), left_(count), sizes_(sizes) {}
  bool done() const { return sizes_.count == 0; }
  // All weights have been read.
  void check_done() const {
    require(left_ == 0, "packed weights hold ", left_, " elements more than their sizes say");
  }
  int size() {
    require(!done() && sizes_[0] > 0 && sizes_[0] < kMaxSize,
                "sizes of packed weights are missing or not positive, or of ", kMaxSize, " and more");
    const int first = static_cast<int>(sizes_[0]);
    sizes_ = sizes_.from(1);
    return first;
  }
  const float* take(int64_t count) {
    const float* piece = next_;
    const int64_t padded = (count + kPiece - 1) / kPiece * kPiece;
    left_ -= padded;
    require(left_ >= 0, "packed weights hold ", -left_, " elements less than their sizes say");
    next_ += padded;
    return piece;
  }

 private:
  static constexpr int kPiece = 16;  // elements
  const float* next_;
  int64_t left_;
  Numbers sizes_;
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

}  // namespace dicenet_mm
