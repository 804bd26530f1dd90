#include "gradients.h"

#include <algorithm>

namespace dicenet_mm {

template <class S>
Gradients<S>::Gradients(const Sizes& sizes, int64_t images, const S* kd, const S* kh, const S* kw, S* x_grad,
                        S* depth_grad, S* height_grad, S* width_grad)
    : plan_(sizes, kd, kh, kw, false),
      adjoint_(sizes, kd, kh, kw, true),
      tiles_(images, sizes.depth, plan_.chunk()),
      groups_(std::min<int64_t>(tiles_.count, 16)),
      x_grad_(x_grad),
      depth_grad_(depth_grad),
      height_grad_(height_grad),
      width_grad_(width_grad),
      depth_sums_(depth_grad ? groups_ * sizes.depth * 9 : 0),
      height_sums_(height_grad ? groups_ * 9 * padded(sizes.row_area()) : 0),
      width_sums_(width_grad ? groups_ * 9 * padded(sizes.column_area()) : 0) {}

template <class S>
void Gradients<S>::tile(int64_t i, int64_t group, const Place<S>& x, const Place<S>& grad) {
  const Sizes& s = plan_.sizes;
  const Kernels<S>& run = plan_.run;
  const int begin = tiles_.begin(i), end = tiles_.end(i);
  const int64_t area = s.area(), margin = plan_.margin();
  const int64_t planes = (plan_.chunk() + 2) * std::max({area, s.row_area(), s.column_area()});
  Arena<S> pieces(scratch<S>(Arena<S>::size(7, 9 * planes, margin), ScratchSlot::tile), margin);
  const S* in = plan_.readable(x.at, begin, end, area, x.extent, pieces.take(planes));
  const S* g = plan_.readable(grad.at, begin, end, 3 * area, grad.extent, pieces.take(3 * planes));
  const Tile<S> forwards = plan_.tile(begin, end, in, in, in, area);
  const Tile<S> backwards = adjoint_.tile(begin, end, g, g + area, g + 2 * area, 3 * area);
  S* x_grad = x_grad_ ? x_grad_ + (tiles_.image(i) * s.depth + begin) * area : nullptr;
  S* height_sums = height_grad_ ? &height_sums_[group * 9 * padded(s.row_area())] : nullptr;
  S* width_sums = width_grad_ ? &width_sums_[group * 9 * padded(s.column_area())] : nullptr;

  if (depth_grad_) run.depth_taps_grad(forwards, g, 3 * area, &depth_sums_[(group * s.depth + begin) * 9]);
  if (s.native()) {
    if (x_grad) run.sum(backwards, x_grad);
    if (height_sums || width_sums)
      run.taps_grad(forwards, g + area, g + 2 * area, 3 * area, height_sums, width_sums);
    return;
  }
  S *grads = pieces.take(planes), *resized = pieces.take(planes), *work = pieces.take(planes);
  S *height = pieces.take(planes), *width = pieces.take(planes);
  if (x_grad || height_sums)
    adjoint_.height_branch(begin, end, g + area, 3 * area, grads, work, height, area);
  if (height_sums) {
    plan_.resize_rows(begin, end, in, area, resized);
    run.taps_grad(plan_.row_tile(begin, end, resized), grads + s.row_area(), nullptr, s.row_area(),
                  height_sums, nullptr);
  }
  if (x_grad || width_sums)
    adjoint_.width_branch(begin, end, g + 2 * area, 3 * area, grads, work, width, area);
  if (width_sums) {
    plan_.resize_columns(begin, end, in, area, resized);
    run.taps_grad(plan_.column_tile(begin, end, resized), nullptr, grads + s.column_area(), s.column_area(),
                  nullptr, width_sums);
  }
  if (x_grad) run.depth_plus(backwards, height, width, x_grad);
}

namespace {

// Per-voxel sums of the groups, in their order, to (kernels, 9).
template <class S>
void gather_taps(const std::vector<S>& sums, int64_t groups, int height, int width, bool by_row, S* out) {
  const int64_t length = padded(static_cast<int64_t>(height) * width);
  std::fill(out, out + (by_row ? height : width) * 9, S(0));
  for (int64_t g = 0; g < groups; ++g)
    for (int k = 0; k < 9; ++k)
      for (int h = 0; h < height; ++h)
        for (int w = 0; w < width; ++w)
          out[(by_row ? h : w) * 9 + k] += sums[(g * 9 + k) * length + h * width + w];
}

}  // namespace

template <class S>
void Gradients<S>::finish() {
  const Sizes& s = plan_.sizes;
  if (depth_grad_) {
    const size_t length = static_cast<size_t>(s.depth) * 9;
    std::fill(depth_grad_, depth_grad_ + length, S(0));
    for (size_t i = 0; i < depth_sums_.size(); ++i) depth_grad_[i % length] += depth_sums_[i];
  }
  if (height_grad_) gather_taps(height_sums_, groups_, s.kernel_height, s.width, true, height_grad_);
  if (width_grad_) gather_taps(width_sums_, groups_, s.height, s.kernel_width, false, width_grad_);
}

template class Gradients<float>;
template class Gradients<double>;

}  // namespace dicenet_mm
