// dim_conv and its gradients on the CPU.
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros.h>
#include <torch/library.h>

#include <algorithm>
#include <array>
#include <tuple>

#include "../checks.h"
#include "gradients.h"

namespace dicenet_mm {
namespace {

using at::Tensor;

Sizes sizes_of(const Tensor& x, const Tensor& height_weight, const Tensor& width_weight) {
  return {static_cast<int>(x.size(1)), static_cast<int>(x.size(2)), static_cast<int>(x.size(3)),
          static_cast<int>(height_weight.size(0)), static_cast<int>(width_weight.size(0))};
}

template <class S>
void forward(const Sizes& sizes, const Tensor& x, const Tensor& kd, const Tensor& kh, const Tensor& kw,
             Tensor& y) {
  const Plan<S> plan(sizes, kd.const_data_ptr<S>(), kh.const_data_ptr<S>(), kw.const_data_ptr<S>(), false);
  const int chunk = plan.chunk();
  const Tiles tiles(x.size(0), sizes.depth, chunk);
  const int64_t area = sizes.area(), image = sizes.depth * area;
  const S* in = x.const_data_ptr<S>();
  S* out = y.mutable_data_ptr<S>();
  const int64_t planes = std::max({area, sizes.row_area(), sizes.column_area()}), margin = plan.margin();
  parallel_for(0, tiles.count, 1, [&](int64_t from, int64_t to) {
    const int64_t size = Arena<S>::size(3, 3 * (chunk + 2) * planes, margin);
    Arena<S> pieces(scratch<S>(size, ScratchSlot::tile), margin);
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

template <class S>
void backward(const Sizes& sizes, const Tensor& grad, const Tensor& x, const Tensor& kd, const Tensor& kh,
              const Tensor& kw, std::array<bool, 4> needed, std::array<Tensor, 4>& out) {
  const S *in = x.const_data_ptr<S>(), *g = grad.const_data_ptr<S>();
  auto result = [&](int i) { return needed[i] ? out[i].mutable_data_ptr<S>() : nullptr; };
  Gradients<S> gradients(sizes, x.size(0), kd.const_data_ptr<S>(), kh.const_data_ptr<S>(),
                         kw.const_data_ptr<S>(), result(0), result(1), result(2), result(3));
  const int64_t area = sizes.area(), image = sizes.depth * area;
  const ReadableRange<S> inputs{in, in + x.numel()}, grads{g, g + grad.numel()};
  gradients.run([&](int64_t n, int begin, int end, const auto& work) {
    const int64_t offset = n * image + begin * area;
    work({in + offset, inputs}, {g + 3 * offset, grads});
  });
}

void check_dtype(const Tensor& x) {
  TORCH_CHECK(x.is_floating_point(), "x must be of a floating point dtype, got ", x.scalar_type());
}

// The dtype that is computed in: half and bfloat16 in float.
at::ScalarType working_dtype(const Tensor& x) {
  return x.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
}

Tensor dim_conv(const Tensor& x, const Tensor& depth_weight, const Tensor& height_weight,
                const Tensor& width_weight) {
  check_dtype(x);
  check_kernels(x, depth_weight, height_weight, width_weight);
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
                                                             const Tensor& depth_weight,
                                                             const Tensor& height_weight,
                                                             const Tensor& width_weight,
                                                             std::array<bool, 4> needed) {
  check_dtype(x);
  check_kernels(x, depth_weight, height_weight, width_weight);
  checked(grad, "grad", {x.size(0), 3 * x.size(1), x.size(2), x.size(3)}, x);
  const auto dtype = working_dtype(x);
  const Sizes sizes = sizes_of(x, height_weight, width_weight);
  auto ready = [&](const Tensor& t) { return t.to(dtype).contiguous(); };
  const auto options = x.options().dtype(dtype);
  std::array<Tensor, 4> out;
  const Tensor* like[] = {&x, &depth_weight, &height_weight, &width_weight};
  for (int i = 0; i < 4; ++i)
    out[i] = needed[i]
                 ? (x.numel() ? at::empty(like[i]->sizes(), options) : at::zeros(like[i]->sizes(), options))
                 : at::empty({0}, options);
  if (x.numel()) {
    auto run = dtype == at::kDouble ? backward<double> : backward<float>;
    run(sizes, ready(grad), ready(x), ready(depth_weight), ready(height_weight), ready(width_weight), needed,
        out);
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
