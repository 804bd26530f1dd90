// Training on the CPU in float: batch normalisation with PReLU, and dim_conv with what follows it up to the
// local fusion.
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros.h>
#include <torch/library.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <tuple>
#include <vector>

#include "../checks.h"
#include "gradients.h"

namespace dicenet_mm {
namespace {

using at::Tensor;

// What the sums of a normalised channel give: gradients of the normalisation and of PReLU, for a factor of
// its output.
struct ChannelGrads {
  ChannelGrads(const ActSums& low_and_all, double scale, double bias, double slope) {
    const double g_high = double(low_and_all.g) - low_and_all.g_low,
                 gx_high = double(low_and_all.gx) - low_and_all.gx_low;
    negative = scale * low_and_all.gx_low + bias * low_and_all.g_low;
    output = scale * gx_high + bias * g_high + slope * negative;
    g = g_high + slope * low_and_all.g_low;
    gx = gx_high + slope * low_and_all.gx_low;
  }
  double g, gx;     // sums over voxels of the gradient of u, and times the centred value
  double negative;  // sum of the gradient times min(u, 0): of the slope
  double output;    // sum of the gradient times PReLU(u): of a factor
};

// The input has as many channels as the weight says, whose first extent these are.
void check_channels(const Tensor& x, const Tensor& weight) {
  TORCH_CHECK(weight.dim() > 0, "weight must have an entry for each channel, got a number");
  check_input(x, weight.size(0));
}

// Parameters of a normalisation with PReLU, (channels,) each.
struct NormAct {
  NormAct(const Tensor& x, int64_t channels, const Tensor& weight, const Tensor& bias, const Tensor& slope,
          const Tensor& mean, const Tensor& var)
      : weight(checked(weight, "weight", {channels}, x)),
        bias(checked(bias, "bias", {channels}, x)),
        slope(checked(slope, "slope", {channels}, x)),
        mean(checked(mean, "the mean", {channels}, x)),
        var(checked(var, "the variance", {channels}, x)),
        w(this->weight.const_data_ptr<float>()),
        b(this->bias.const_data_ptr<float>()),
        a(this->slope.const_data_ptr<float>()) {}
  const Tensor weight, bias, slope, mean, var;
  const float *w, *b, *a;  // of weight, bias and slope
};

struct Norm {
  double mean, inverse;  // of the standard deviation
};

Norm norm_of(const float* mean, const float* var, int64_t c, double eps) {
  return {mean[c], 1 / std::sqrt(var[c] + eps)};
}

std::tuple<Tensor, Tensor, Tensor> norm_act(const Tensor& input, const Tensor& weight, const Tensor& bias,
                                            const Tensor& slope, const std::optional<Tensor>& gate,
                                            const Tensor& running_mean, const Tensor& running_var,
                                            bool training, double eps) {
  check_channels(input, weight);
  const Tensor x = checked_input(input, weight.size(0));
  const NormAct parameters(x, x.size(1), weight, bias, slope, running_mean, running_var);
  const int64_t images = x.size(0), channels = x.size(1), area = x.size(2) * x.size(3);
  Tensor y = at::empty(x.sizes(), x.options()), mean = parameters.mean.clone(), var = parameters.var.clone();
  const Tensor factors = gate ? checked(*gate, "gate", {images, channels, 1, 1}, x) : Tensor();
  const float *w = parameters.w, *b = parameters.b, *a = parameters.a;
  const float *in = x.const_data_ptr<float>(), *f = gate ? factors.const_data_ptr<float>() : nullptr;
  float *out = y.mutable_data_ptr<float>(), *m = mean.mutable_data_ptr<float>(),
        *v = var.mutable_data_ptr<float>();
  const TrainingKernels& run = training_kernels();
  parallel_for(0, channels, 1, [&](int64_t from, int64_t to) {
    for (int64_t c = from; c < to; ++c) {
      auto plane = [&](int64_t n) { return (n * channels + c) * area; };
      if (training) {
        double sum = 0, squares = 0;
        for (int64_t n = 0; n < images; ++n) sum += run.sum(in + plane(n), area);
        m[c] = static_cast<float>(sum / (images * area));
        for (int64_t n = 0; n < images; ++n) squares += run.squares(in + plane(n), area, m[c]);
        v[c] = static_cast<float>(squares / (images * area));
      }
      const Norm norm = norm_of(m, v, c, eps);
      for (int64_t n = 0; n < images; ++n)
        run.norm_act(in + plane(n), area, m[c], static_cast<float>(w[c] * norm.inverse), b[c], a[c],
                     f ? f[n * channels + c] : 1.f, out + plane(n));
    }
  });
  return {y, mean, var};
}

std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor> norm_act_backward(
    const Tensor& output_grad, const Tensor& input, const Tensor& weight, const Tensor& bias,
    const Tensor& slope, const std::optional<Tensor>& gate, const Tensor& mean, const Tensor& var,
    bool training, double eps) {
  check_channels(input, weight);
  const Tensor x = checked_input(input, weight.size(0)), grad = checked(output_grad, "grad", x.sizes(), x);
  const NormAct parameters(x, x.size(1), weight, bias, slope, mean, var);
  const int64_t images = x.size(0), channels = x.size(1), area = x.size(2) * x.size(3);
  const double count = static_cast<double>(images * area);
  Tensor x_grad = at::empty(x.sizes(), x.options()), weight_grad = at::empty_like(weight),
         bias_grad = at::empty_like(bias), slope_grad = at::empty_like(slope);
  Tensor gate_grad = at::empty({gate ? images : 0, gate ? channels : 0}, x.options());
  const Tensor factors = gate ? checked(*gate, "gate", {images, channels, 1, 1}, x) : Tensor();
  const float *w = parameters.w, *b = parameters.b, *a = parameters.a;
  const float *in = x.const_data_ptr<float>(), *g = grad.const_data_ptr<float>(),
              *m = parameters.mean.const_data_ptr<float>(), *v = parameters.var.const_data_ptr<float>(), *f = gate ? factors.const_data_ptr<float>() : nullptr;
  float *out = x_grad.mutable_data_ptr<float>(), *w_out = weight_grad.mutable_data_ptr<float>(),
        *b_out = bias_grad.mutable_data_ptr<float>(), *a_out = slope_grad.mutable_data_ptr<float>(),
        *f_out = gate_grad.mutable_data_ptr<float>();
  const TrainingKernels& run = training_kernels();
  parallel_for(0, channels, 1, [&](int64_t from, int64_t to) {
    for (int64_t c = from; c < to; ++c) {
      auto plane = [&](int64_t n) { return (n * channels + c) * area; };
      const Norm norm = norm_of(m, v, c, eps);
      const double scale = w[c] * norm.inverse;
      double sum = 0, sum_x = 0, negative = 0;
      for (int64_t n = 0; n < images; ++n) {
        const ActSums sums =
            run.act_sums(in + plane(n), g + plane(n), area, m[c], static_cast<float>(scale), b[c]);
        const ChannelGrads grads(sums, scale, b[c], a[c]);
        const double factor = f ? f[n * channels + c] : 1;
        sum += factor * grads.g, sum_x += factor * grads.gx, negative += factor * grads.negative;
        if (f) f_out[n * channels + c] = static_cast<float>(grads.output);
      }
      w_out[c] = static_cast<float>(sum_x * norm.inverse);
      b_out[c] = static_cast<float>(sum);
      a_out[c] = static_cast<float>(negative);
      const double constant = training ? -scale * sum / count : 0;
      const double linear = training ? -scale * norm.inverse * norm.inverse * sum_x / count : 0;
      for (int64_t n = 0; n < images; ++n) {
        const float high = static_cast<float>(f ? scale * f[n * channels + c] : scale);
        run.act_grad(in + plane(n), g + plane(n), area,
                     {m[c], static_cast<float>(scale), b[c], high, high * a[c], static_cast<float>(constant),
                      static_cast<float>(linear), 0},
                     out + plane(n));
      }
    }
  });
  return {x_grad, weight_grad, bias_grad, slope_grad, gate_grad};
}

// The branches of dim_conv, computed again wherever they are needed.
struct Branches {
  Branches(const Tensor& x, const Tensor& height_weight, const Tensor& width_weight)
      : in(x.const_data_ptr<float>()),
        extent{in, in + x.numel()},
        sizes{static_cast<int>(x.size(1)), static_cast<int>(x.size(2)), static_cast<int>(x.size(3)),
              static_cast<int>(height_weight.size(0)), static_cast<int>(width_weight.size(0))} {}

  // use(tile, height, width) for channels [begin, end) of an image; height and width are null at the native
  // size.
  template <class Use>
  void with_tile(const Plan<float>& plan, int64_t image, int begin, int end, const Use& use) const {
    const int64_t area = sizes.area(), margin = plan.margin();
    const int64_t planes = (end - begin + 2) * std::max({area, sizes.row_area(), sizes.column_area()});
    Arena<float> pieces(scratch<float>(Arena<float>::size(5, 5 * planes, margin), ScratchSlot::tile), margin);
    const float* source = plan.readable(in + (image * sizes.depth + begin) * area, begin, end, area, extent,
                                        pieces.take(planes));
    const Tile<float> tile = plan.tile(begin, end, source, source, source, area);
    if (sizes.native()) return use(tile, nullptr, nullptr);
    float *resized = pieces.take(planes), *work = pieces.take(planes), *height = pieces.take(planes),
          *width = pieces.take(planes);
    plan.height_branch(begin, end, source, area, resized, work, height, area);
    plan.width_branch(begin, end, source, area, resized, work, width, area);
    use(tile, height, width);
  }

  // use(image, begin, tile, height, width) for all tiles.
  template <class Use>
  void each_tile(const Plan<float>& plan, int64_t images, const Use& use) const {
    const Tiles tiles(images, sizes.depth, plan.chunk());
    parallel_for(0, tiles.count, 1, [&](int64_t from, int64_t to) {
      for (int64_t i = from; i < to; ++i)
        with_tile(plan, tiles.image(i), tiles.begin(i), tiles.end(i),
                  [&](const Tile<float>& tile, const float* height, const float* width) {
                    use(tiles.image(i), tiles.begin(i), tile, height, width);
                  });
    });
  }

  const float* in;
  const ReadableRange<float> extent;
  const Sizes sizes;
};

std::tuple<Tensor, Tensor, Tensor> dim_conv_fuse(const Tensor& input, const Tensor& depth_weight,
                                                 const Tensor& height_weight, const Tensor& width_weight,
                                                 const Tensor& weight, const Tensor& bias,
                                                 const Tensor& slope, const Tensor& fusion,
                                                 const Tensor& running_mean, const Tensor& running_var,
                                                 bool training, double eps) {
  check_kernels(input, depth_weight, height_weight, width_weight);
  const Tensor x = checked_input(input, depth_weight.size(0)), kd = depth_weight.contiguous(),
               kh = height_weight.contiguous(), kw = width_weight.contiguous(),
               fused = checked(fusion, "fusion", {x.size(1), 3}, x);
  const NormAct parameters(x, 3 * x.size(1), weight, bias, slope, running_mean, running_var);
  const Branches branches(x, kh, kw);
  const Sizes& sizes = branches.sizes;
  const Plan<float> plan(sizes, kd.const_data_ptr<float>(), kh.const_data_ptr<float>(),
                         kw.const_data_ptr<float>(), false);
  const int64_t images = x.size(0), area = sizes.area();
  Tensor z = at::empty(x.sizes(), x.options()), mean = parameters.mean.clone(), var = parameters.var.clone();
  float *m = mean.mutable_data_ptr<float>(), *v = var.mutable_data_ptr<float>();
  const TrainingKernels& run = training_kernels();
  if (training) {
    std::vector<float> moments(images * sizes.depth * 6);
    branches.each_tile(plan, images,
                       [&](int64_t n, int begin, const Tile<float>& tile, const float* h, const float* w) {
                         run.moments(tile, h, w, &moments[(n * sizes.depth + begin) * 6]);
                       });
    const double count = static_cast<double>(images * area);
    for (int64_t c = 0; c < 3 * sizes.depth; ++c) {
      double sum = 0, squares = 0;
      for (int64_t n = 0; n < images; ++n) {
        sum += moments[(n * 3 * sizes.depth + c) * 2];
        squares += moments[(n * 3 * sizes.depth + c) * 2 + 1];
      }
      m[c] = static_cast<float>(sum / count);
      v[c] = static_cast<float>(std::max(0., squares / count - sum / count * (sum / count)));
    }
  }
  const float *w = parameters.w, *b = parameters.b, *a = parameters.a;
  const float* f = fused.const_data_ptr<float>();
  std::vector<BranchParameters> prm(3 * sizes.depth);
  for (int64_t c = 0; c < 3 * sizes.depth; ++c)
    prm[c] = {m[c], static_cast<float>(w[c] * norm_of(m, v, c, eps).inverse), b[c], f[c], f[c] * a[c], 0, 0,
              0};
  float* out = z.mutable_data_ptr<float>();
  branches.each_tile(plan, images,
                     [&](int64_t n, int begin, const Tile<float>& tile, const float* h, const float* wide) {
                       run.fuse(tile, h, wide, prm.data(), out + (n * sizes.depth + begin) * area);
                     });
  return {z, mean, var};
}

std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor> dim_conv_fuse_backward(
    const Tensor& output_grad, const Tensor& input, const Tensor& depth_weight, const Tensor& height_weight,
    const Tensor& width_weight, const Tensor& weight, const Tensor& bias, const Tensor& slope,
    const Tensor& fusion, const Tensor& mean, const Tensor& var, bool training, double eps) {
  check_kernels(input, depth_weight, height_weight, width_weight);
  const Tensor x = checked_input(input, depth_weight.size(0)), grad = checked(output_grad, "grad", x.sizes(), x),
               kd = depth_weight.contiguous(), kh = height_weight.contiguous(), kw = width_weight.contiguous(),
               fused = checked(fusion, "fusion", {x.size(1), 3}, x);
  const NormAct parameters(x, 3 * x.size(1), weight, bias, slope, mean, var);
  const Branches branches(x, kh, kw);
  const Sizes& sizes = branches.sizes;
  const int64_t images = x.size(0), area = sizes.area(), image = sizes.depth * area;
  Tensor x_grad = at::empty(x.sizes(), x.options()), kd_grad = at::empty(kd.sizes(), x.options()),
         kh_grad = at::empty(kh.sizes(), x.options()), kw_grad = at::empty(kw.sizes(), x.options()),
         weight_grad = at::empty_like(weight), bias_grad = at::empty_like(bias),
         slope_grad = at::empty_like(slope), fusion_grad = at::empty(fused.sizes(), x.options());
  const float* g = grad.const_data_ptr<float>();
  Gradients<float> gradients(sizes, images, kd.const_data_ptr<float>(), kh.const_data_ptr<float>(),
                             kw.const_data_ptr<float>(), x_grad.mutable_data_ptr<float>(),
                             kd_grad.mutable_data_ptr<float>(), kh_grad.mutable_data_ptr<float>(),
                             kw_grad.mutable_data_ptr<float>());
  const Plan<float>& plan = gradients.plan();
  const float *w = parameters.w, *b = parameters.b, *a = parameters.a;
  const float *f = fused.const_data_ptr<float>(), *m = parameters.mean.const_data_ptr<float>(),
              *v = parameters.var.const_data_ptr<float>();
  const TrainingKernels& run = training_kernels();

  const int64_t channels = 3 * sizes.depth;
  std::vector<BranchParameters> prm(channels);
  for (int64_t c = 0; c < channels; ++c)
    prm[c] = {m[c], static_cast<float>(w[c] * norm_of(m, v, c, eps).inverse), b[c], 0, 0, 0, 0, 0};
  std::vector<ActSums> sums(images * channels);
  branches.each_tile(plan, images,
                     [&](int64_t n, int begin, const Tile<float>& tile, const float* h, const float* wide) {
                       run.branch_sums(tile, h, wide, prm.data(), g + n * image + begin * area,
                                       &sums[n * channels + 3 * begin]);
                     });
  float *w_out = weight_grad.mutable_data_ptr<float>(), *b_out = bias_grad.mutable_data_ptr<float>(),
        *a_out = slope_grad.mutable_data_ptr<float>(), *f_out = fusion_grad.mutable_data_ptr<float>();
  const double count = static_cast<double>(images * area);
  for (int64_t c = 0; c < channels; ++c) {
    const double inverse = norm_of(m, v, c, eps).inverse, scale = w[c] * inverse;
    double sum = 0, sum_x = 0, negative = 0, output = 0;
    for (int64_t n = 0; n < images; ++n) {
      const ChannelGrads grads(sums[n * channels + c], scale, b[c], a[c]);
      sum += grads.g, sum_x += grads.gx, negative += grads.negative, output += grads.output;
    }
    w_out[c] = static_cast<float>(f[c] * sum_x * inverse);
    b_out[c] = static_cast<float>(f[c] * sum);
    a_out[c] = static_cast<float>(f[c] * negative);
    f_out[c] = static_cast<float>(output);
    prm[c].high = static_cast<float>(scale * f[c]);
    prm[c].low = prm[c].high * a[c];
    if (training) {
      prm[c].constant = static_cast<float>(-scale * f[c] * sum / count);
      prm[c].linear = static_cast<float>(-scale * inverse * inverse * f[c] * sum_x / count);
    }
  }
  gradients.run([&](int64_t n, int begin, int end, const auto& work) {
    // Gradients of the branches, also of the two channels beside the tile.
    const int first = std::max(begin - 1, 0), last = std::min(end + 1, sizes.depth);
    const int64_t length = (last - first) * 3 * area, margin = plan.margin();
    float* memory = scratch<float>(length + 2 * margin, ScratchSlot::image);
    float* branch_grads = memory + margin;
    branches.with_tile(plan, n, first, last, [&](const Tile<float>& tile, const float* h, const float* wide) {
      run.branch_grads(tile, h, wide, prm.data(), g + n * image + first * area, branch_grads);
    });
    work({branches.in + n * image + begin * area, branches.extent},
         {branch_grads + (begin - first) * 3 * area, {memory, branch_grads + length + margin}});
  });
  return {x_grad, kd_grad, kh_grad, kw_grad, weight_grad, bias_grad, slope_grad, fusion_grad};
}

// A depth-wise convolution is the depth branch alone: planes that know nothing of each other, one to a tile.
class DepthWise {
 public:
  DepthWise(const Tensor& x, const float* weight, bool turned)
      : channels_(x.size(1)),
        height_(static_cast<int>(x.size(2))),
        width_(static_cast<int>(x.size(3))),
        taps_(weight, weight + channels_ * 9),
        borders_(borders(height_, width_, kernels<float>().lanes)) {
    if (turned)
      for (int64_t c = 0; c < channels_; ++c) std::reverse(&taps_[c * 9], &taps_[c * 9] + 9);
  }

  // use(tile) with plane i of x, its margins readable.
  template <class Use>
  void with_plane(const Tensor& x, int64_t i, const Use& use) const {
    const int64_t area = static_cast<int64_t>(height_) * width_, margin = width_ + 1 + kMaxLanes;
    const float *begin = x.const_data_ptr<float>(), *in = begin + i * area;
    if (in - begin < margin || begin + x.numel() - in - area < margin) {
      float* copy = scratch<float>(area + 2 * margin, ScratchSlot::tile) + margin;
      std::copy(in, in + area, copy);
      in = copy;
    }
    use(Tile<float>{1, height_, width_, 0, 1, in, in, in, area, &taps_[i % channels_ * 9], nullptr, nullptr,
                    borders_.data()});
  }

  void convolve(const Tensor& x, Tensor& y) const {
    const int64_t area = static_cast<int64_t>(height_) * width_;
    float* out = y.mutable_data_ptr<float>();
    parallel_for(0, x.size(0) * channels_, 8, [&](int64_t from, int64_t to) {
      for (int64_t i = from; i < to; ++i)
        with_plane(x, i, [&](const Tile<float>& tile) {
          kernels<float>().branch(kDepth, tile, out + i * area, area);
        });
    });
  }

 private:
  const int64_t channels_;
  const int height_, width_;
  std::vector<float> taps_;
  const std::vector<uint32_t> borders_;
};

Tensor depth_wise_conv(const Tensor& input, const Tensor& weight) {
  check_channels(input, weight);
  const Tensor x = checked_input(input, weight.size(0)), k = checked(weight, "weight", {x.size(1), 3, 3}, x);
  Tensor y = at::empty(x.sizes(), x.options());
  DepthWise(x, k.const_data_ptr<float>(), false).convolve(x, y);
  return y;
}

std::tuple<Tensor, Tensor> depth_wise_conv_backward(const Tensor& output_grad, const Tensor& input,
                                                    const Tensor& weight) {
  check_channels(input, weight);
  const Tensor x = checked_input(input, weight.size(0)), grad = checked(output_grad, "grad", x.sizes(), x),
               k = checked(weight, "weight", {x.size(1), 3, 3}, x);
  const int64_t images = x.size(0), channels = x.size(1), area = x.size(2) * x.size(3);
  Tensor x_grad = at::empty(x.sizes(), x.options()), k_grad = at::zeros(k.sizes(), k.options());
  DepthWise(x, k.const_data_ptr<float>(), true).convolve(grad, x_grad);
  const DepthWise forwards(x, k.const_data_ptr<float>(), false);
  const float* g = grad.const_data_ptr<float>();
  float* out = k_grad.mutable_data_ptr<float>();
  parallel_for(0, channels, 1, [&](int64_t from, int64_t to) {
    for (int64_t c = from; c < to; ++c)
      for (int64_t n = 0; n < images; ++n)
        forwards.with_plane(x, n * channels + c, [&](const Tile<float>& tile) {
          kernels<float>().depth_taps_grad(tile, g + (n * channels + c) * area, area, out + c * 9);
        });
  });
  return {x_grad, k_grad};
}

}  // namespace

TORCH_LIBRARY_IMPL(dicenet_mm, CPU, m) {
  m.impl("norm_act", &norm_act);
  m.impl("norm_act_backward", &norm_act_backward);
  m.impl("depth_wise_conv", &depth_wise_conv);
  m.impl("depth_wise_conv_backward", &depth_wise_conv_backward);
  m.impl("dim_conv_fuse", &dim_conv_fuse);
  m.impl("dim_conv_fuse_backward", &dim_conv_fuse_backward);
}

}  // namespace dicenet_mm
