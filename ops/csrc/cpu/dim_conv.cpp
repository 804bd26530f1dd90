// dim_conv and its gradients on the CPU.
#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros.h>
#include <torch/library.h>

#include <algorithm>
#include <array>
#include <tuple>

#include "plan.h"

namespace dicenet_mm {
namespace {

using at::Tensor;

Sizes sizes_of(const Tensor& x, const Tensor& height_weight, const Tensor& width_weight) {
  return {static_cast<int>(x.size(1)), static_cast<int>(x.size(2)), static_cast<int>(x.size(3)),
          static_cast<int>(height_weight.size(0)), static_cast<int>(width_weight.size(0))};
}

template <class S>
void forward(const Sizes& sizes, const Tensor& x, const Tensor& kd, const Tensor& kh, const Tensor& kw, Tensor& y) {
  const Plan<S> plan(sizes, kd.const_data_ptr<S>(), kh.const_data_ptr<S>(), kw.const_data_ptr<S>(), false);
  const int chunk = plan.chunk();
  const Tiles tiles(x.size(0), sizes.depth, chunk);
  const int64_t area = sizes.area(), image = sizes.depth * area;
  const S* in = x.const_data_ptr<S>();
  S* out = y.mutable_data_ptr<S>();
  const int64_t planes = std::max({area, sizes.row_area(), sizes.column_area()}), margin = plan.margin();
  at::parallel_for(0, tiles.count, 1, [&](int64_t from, int64_t to) {
    const int64_t size = Pieces<S>::size(3, 3 * (chunk + 2) * planes, margin);
    Pieces<S> pieces(scratch<S>(size, Purpose::tile), margin);
    S *copy = pieces.take((chunk + 2) * planes), *resized = pieces.take((chunk + 2) * planes),
      *work = pieces.take(chunk * planes);
    for (int64_t i = from; i < to; ++i) {
      const int begin = tiles.begin(i), end = tiles.end(i);
      const int64_t offset = tiles.image(i) * image + begin * area;
      const S* source = plan.readable(in + offset, begin, end, area, {in, in + x.numel()}, copy);
      S* target = out + 3 * offset;
      const Tile<S> tile = plan.tile(begin, end, source, source, source, area);
      if (sizes.native()) {
        plan.run.dim_conv(tile, target);
      } else {
        plan.run.branch(kDepth, tile, target, 3 * area);
        plan.height_branch(begin, end, source, area, resized, work, target + area, 3 * area);
        plan.width_branch(begin, end, source, area, resized, work, target + 2 * area, 3 * area);
      }
    }
  });
}

// Sum of per-voxel gradients of the groups, in their order, into (kernels, 9).
template <class S>
void gather_taps(const S* sums, int64_t groups, int64_t group_stride, int height, int width, bool by_row, S* out) {
  const int64_t length = padded(static_cast<int64_t>(height) * width);
  std::fill(out, out + (by_row ? height : width) * 9, S(0));
  for (int64_t g = 0; g < groups; ++g)
    for (int k = 0; k < 9; ++k)
      for (int h = 0; h < height; ++h)
        for (int w = 0; w < width; ++w)
          out[(by_row ? h : w) * 9 + k] += sums[g * group_stride + k * length + h * width + w];
}

template <class S>
void backward(const Sizes& sizes, const Tensor& grad, const Tensor& x, const Tensor& kd, const Tensor& kh,
              const Tensor& kw, std::array<bool, 4> needed, std::array<Tensor, 4>& out) {
  const S *pd = kd.const_data_ptr<S>(), *ph = kh.const_data_ptr<S>(), *pw = kw.const_data_ptr<S>();
  const Plan<S> plan(sizes, pd, ph, pw, false), adjoint(sizes, pd, ph, pw, true);
  const int chunk = plan.chunk();
  const Tiles tiles(x.size(0), sizes.depth, chunk);
  const int64_t area = sizes.area(), image = sizes.depth * area;
  const int64_t row_length = padded(sizes.row_area()), column_length = padded(sizes.column_area());
  // The kernels' gradients are summed in groups of tiles, each of which one thread works on.
  const int64_t groups = std::min<int64_t>(tiles.count, 16);
  const bool taps_needed = needed[2] || needed[3];
  const auto options = x.options();
  Tensor depth_sums = at::zeros({needed[1] ? groups : 0, sizes.depth, 9}, options);
  Tensor height_sums = at::zeros({needed[2] ? groups : 0, 9, row_length}, options);
  Tensor width_sums = at::zeros({needed[3] ? groups : 0, 9, column_length}, options);
  const S *gradients = grad.const_data_ptr<S>(), *inputs = x.const_data_ptr<S>();
  S* x_grad = needed[0] ? out[0].mutable_data_ptr<S>() : nullptr;
  S *depth_sum = depth_sums.mutable_data_ptr<S>(), *height_sum = height_sums.mutable_data_ptr<S>(),
    *width_sum = width_sums.mutable_data_ptr<S>();
  const int64_t planes = std::max({sizes.row_area(), sizes.column_area(), area});

  const int64_t margin = plan.margin(), tile_planes = (chunk + 2) * planes;
  auto work_on = [&](int64_t i, int64_t group) {
    Pieces<S> pieces(scratch<S>(Pieces<S>::size(7, 9 * tile_planes, margin), Purpose::tile), margin);
    S *x_copy = pieces.take(tile_planes), *grad_copy = pieces.take(3 * tile_planes);
    S *grads = pieces.take(tile_planes), *resized = pieces.take(tile_planes), *work = pieces.take(tile_planes);
    S *height = pieces.take(tile_planes), *width = pieces.take(tile_planes);
    const int begin = tiles.begin(i), end = tiles.end(i);
    const int64_t offset = tiles.image(i) * image + begin * area;
    const S* in = plan.readable(inputs + offset, begin, end, area, {inputs, inputs + x.numel()}, x_copy);
    const S* g = plan.readable(gradients + 3 * offset, begin, end, 3 * area, {gradients, gradients + grad.numel()},
                               grad_copy);
    const Tile<S> forwards = plan.tile(begin, end, in, in, in, area);
    const Tile<S> backwards = adjoint.tile(begin, end, g, g + area, g + 2 * area, 3 * area);
    S* of_height = needed[2] ? height_sum + group * 9 * row_length : nullptr;
    S* of_width = needed[3] ? width_sum + group * 9 * column_length : nullptr;
    if (needed[1])
      plan.run.depth_taps_grad(forwards, g, 3 * area, depth_sum + (group * sizes.depth + begin) * 9);
    if (sizes.native()) {
      if (x_grad) plan.run.sum(backwards, x_grad + offset);
      if (taps_needed) plan.run.taps_grad(forwards, g + area, g + 2 * area, 3 * area, of_height, of_width);
      return;
    }
    if (x_grad || needed[2])
      adjoint.height_branch(begin, end, g + area, 3 * area, grads, work, height, area);
    if (needed[2]) {
      plan.resize_rows(begin, end, in, area, resized);
      plan.run.taps_grad(plan.row_tile(begin, end, resized), grads + sizes.row_area(), nullptr, sizes.row_area(),
                         of_height, nullptr);
    }
    if (x_grad || needed[3])
      adjoint.width_branch(begin, end, g + 2 * area, 3 * area, grads, work, width, area);
    if (needed[3]) {
      plan.resize_columns(begin, end, in, area, resized);
      plan.run.taps_grad(plan.column_tile(begin, end, resized), nullptr, grads + sizes.column_area(),
                         sizes.column_area(), nullptr, of_width);
    }
    if (x_grad) plan.run.depth_plus(backwards, height, width, x_grad + offset);
  };
  at::parallel_for(0, groups, 1, [&](int64_t from, int64_t to) {
    for (int64_t group = from; group < to; ++group)
      for (int64_t i = tiles.count * group / groups; i < tiles.count * (group + 1) / groups; ++i) work_on(i, group);
  });
  if (needed[1]) {
    S* total = out[1].mutable_data_ptr<S>();
    const int64_t length = sizes.depth * 9;
    std::fill(total, total + length, S(0));
    for (int64_t i = 0; i < groups * length; ++i) total[i % length] += depth_sum[i];
  }
  if (needed[2])
    gather_taps(height_sum, groups, 9 * row_length, sizes.kernel_height, sizes.width, true,
                out[2].mutable_data_ptr<S>());
  if (needed[3])
    gather_taps(width_sum, groups, 9 * column_length, sizes.height, sizes.kernel_width, false,
                out[3].mutable_data_ptr<S>());
}

// The dtype that is computed in: half and bfloat16 in float.
at::ScalarType working_dtype(const Tensor& x) {
  return x.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
}

Tensor dim_conv(const Tensor& x, const Tensor& depth_weight, const Tensor& height_weight,
                const Tensor& width_weight) {
  const auto dtype = working_dtype(x);
  const Sizes sizes = sizes_of(x, height_weight, width_weight);
  auto ready = [&](const Tensor& t) { return t.to(dtype).contiguous(); };
  Tensor y = at::empty({x.size(0), 3 * x.size(1), x.size(2), x.size(3)}, x.options().dtype(dtype));
  if (y.numel()) {
    auto run = dtype == at::kDouble ? forward<double> : forward<float>;
    run(sizes, ready(x), ready(depth_weight), ready(height_weight), ready(width_weight), y);
  }
  return y.to(x.scalar_type());
}

std::tuple<Tensor, Tensor, Tensor, Tensor> dim_conv_backward(const Tensor& grad, const Tensor& x,
                                                             const Tensor& depth_weight, const Tensor& height_weight,
                                                             const Tensor& width_weight, std::array<bool, 4> needed) {
  const auto dtype = working_dtype(x);
  const Sizes sizes = sizes_of(x, height_weight, width_weight);
  auto ready = [&](const Tensor& t) { return t.to(dtype).contiguous(); };
  const auto options = x.options().dtype(dtype);
  std::array<Tensor, 4> out;
  const Tensor* like[] = {&x, &depth_weight, &height_weight, &width_weight};
  for (int i = 0; i < 4; ++i)
    out[i] = needed[i] ? (x.numel() ? at::empty(like[i]->sizes(), options) : at::zeros(like[i]->sizes(), options))
                       : at::empty({0}, options);
  if (x.numel()) {
    auto run = dtype == at::kDouble ? backward<double> : backward<float>;
    run(sizes, ready(grad), ready(x), ready(depth_weight), ready(height_weight), ready(width_weight), needed, out);
  }
  auto done = [&](int i) { return out[i].to(x.scalar_type()); };
  return {done(0), done(1), done(2), done(3)};
}

}  // namespace

TORCH_LIBRARY_IMPL(dicenet_mm, CPU, m) {
  m.impl("dim_conv", &dim_conv);
  m.impl("dim_conv_backward", &dim_conv_backward);
}

}  // namespace dicenet_mm
