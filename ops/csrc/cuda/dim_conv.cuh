// Dimension-wise convolution on CUDA: the kernels and the plan of their launches.
//
// Nothing of torch and no inline assembly stands here, so that the tests run this very file on a host that
// has no card. Whoever includes it provides a Device (see forward() below), which launches kernels and lends
// scratch memory.
//
// x is (N, D, H, W), the result y and its gradient (N, 3D, H, W), channels interleaved: 3d depth, 3d + 1
// height, 3d + 2 width. The weights are (D, 3, 3) over (H, W), (H_k, 3, 3) over (D, W) and (W_k, 3, 3) over
// (D, H). Everything is contiguous. Sums are kept in float (double for double); no atomics: two runs give the
// same bits.
#pragma once

#include "march.cuh"
#include "resized_branch.cuh"
#include "resized_march.cuh"
#include "weight_gradient.cuh"

namespace dicenet_mm::cuda {

// y (N, 3D, H, W) from x (N, D, H, W); nothing may be empty. height_kernels is H_k, width_kernels W_k.
template <class T, class Device>
void forward(Device& device, const T* x, const T* depth_weight, const T* height_weight, const T* width_weight,
             T* y, const Shape& shape, int height_kernels, int width_kernels) {
  const bool native = height_kernels == shape.height && width_kernels == shape.width;
  const ResizedPlan plan = plan_resized(shape, height_kernels, width_kernels, device.multiprocessors);
  if (!native && plan.serves) {
    launch_resized_march<Pass::kForward>(device, plan, x, depth_weight, height_weight, width_weight, y, shape);
    return;
  }
  launch_march<Pass::kForward>(device, x, depth_weight, height_weight, width_weight, y, shape, native);
  if (!native)
    resized_branches(device, x, height_weight, width_weight, y + shape.plane(), 3, shape, height_kernels,
                     width_kernels);
}

// The gradient of x, (N, D, H, W), from that of y.
template <class T, class Device>
void backward_input(Device& device, const T* grad, const T* depth_weight, const T* height_weight,
                    const T* width_weight, T* grad_x, const Shape& shape, int height_kernels,
                    int width_kernels) {
  const bool native = height_kernels == shape.height && width_kernels == shape.width;
  launch_march<Pass::kAdjoint>(device, grad, depth_weight, height_weight, width_weight, grad_x, shape,
                               native);
  if (native) return;
  launch_branch(device, grad + shape.plane(), 3, height_weight, grad_x, 1,
                Matrix({height_kernels, shape.height}, true), Matrix({shape.height, height_kernels}, true),
                shape, false, true);
  launch_branch(device, grad + 2 * shape.plane(), 3, width_weight, grad_x, 1,
                Matrix({width_kernels, shape.width}, true), Matrix({shape.width, width_kernels}, true), shape,
                true, true);
}

// The gradients of the weights, each in its weight's shape.
template <class T, class Device>
void backward_depth_weight(Device& device, const T* grad, const T* x, T* gradient, const Shape& shape) {
  const long long plane = shape.plane();
  const Axes axes{shape.channels, shape.height, shape.width, plane, shape.width, 1, 3 * plane, shape.width};
  launch_weight_gradient(device, grad, x, gradient, axes, shape, shape.channels);
}

template <class T, class Device>
void backward_height_weight(Device& device, const T* grad, const T* x, T* gradient, const Shape& shape,
                            int kernels) {
  const long long plane = shape.plane();
  const Axes axes{kernels, shape.channels, shape.width, shape.width, plane, 1, shape.width, 3 * plane};
  launch_weight_gradient(device, grad + plane, x, gradient, axes, shape, shape.height);
}

template <class T, class Device>
void backward_width_weight(Device& device, const T* grad, const T* x, T* gradient, const Shape& shape,
                           int kernels) {
  const long long plane = shape.plane();
  const Axes axes{kernels, shape.channels, shape.height, 1, plane, shape.width, 1, 3 * plane};
  launch_weight_gradient(device, grad + 2 * plane, x, gradient, axes, shape, shape.width);
}

}  // namespace dicenet_mm::cuda
