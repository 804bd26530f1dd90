// Gradients of dim_conv, tile by tile, from the gradient of its output.
#pragma once
#include "parallel.h"
#include "plan.h"

namespace dicenet_mm {

// The plane of a tile's first channel, and the memory around it that may be read.
template <class S>
struct Place {
  const S* at;
  ReadableRange<S> extent;
};

template <class S>
class Gradients {
 public:
  // Results are (N, D, H, W), (D, 3, 3), (H_k, 3, 3), (W_k, 3, 3), null where not needed.
  Gradients(const Sizes& sizes, int64_t images, const S* kd, const S* kh, const S* kw, S* x_grad,
            S* depth_grad, S* height_grad, S* width_grad);

  // Calls each_tile(image, begin, end, work) for all tiles; it calls work(x, grad) with the planes of the
  // tile's input and of the gradient of its output (3 a channel).
  template <class EachTile>
  void run(const EachTile& each_tile) {
    // The kernels' gradients are summed in groups of tiles, each of which one thread works on: the same sums
    // whatever the number of threads.
    parallel_for(0, groups_, 1, [&](int64_t from, int64_t to) {
      for (int64_t group = from; group < to; ++group)
        for (int64_t i = tiles_.count * group / groups_; i < tiles_.count * (group + 1) / groups_; ++i)
          each_tile(tiles_.image(i), tiles_.begin(i), tiles_.end(i),
                    [&](const Place<S>& x, const Place<S>& grad) { tile(i, group, x, grad); });
    });
    finish();
  }

  const Plan<S>& plan() const { return plan_; }

 private:
  void tile(int64_t i, int64_t group, const Place<S>& x, const Place<S>& grad);
  void finish();

  const Plan<S> plan_, adjoint_;
  const Tiles tiles_;
  const int64_t groups_;
  S *x_grad_, *depth_grad_, *height_grad_, *width_grad_;
  std::vector<S> depth_sums_, height_sums_,
      width_sums_;  // (groups, D, 9), (groups, 9, padded plane) of the resized input
};

}  // namespace dicenet_mm
