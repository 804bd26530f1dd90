// The table of one instruction set, whose vec_<isa>.h the translation unit includes first.
#pragma once
#include "batch_interleaved.h"
#include "dim_conv.h"
#include "point_wise.h"
#include "resize.h"
#include "strided.h"
#include "training.h"
#include "unit.h"

namespace {

template <class S>
constexpr Kernels<S> dim_conv_kernels() {
  return {
      .lanes = Simd<S>::lanes,
      .dim_conv = dim_conv_tile<S>,
      .branch = any_branch_tile<S>,
      .batch_branch = batch_branch_tile<S>,
      .sum = sum_tile<S>,
      .depth_plus = depth_plus_tile<S>,
      .depth_taps_grad = depth_taps_grad_tile<S>,
      .taps_grad = taps_grad_tile<S>,
      .resize_rows = resize_rows_planes<S>,
      .resize_columns = resize_columns_planes<S>,
      .batch_resize = batch_resize_planes<S>,
  };
}

constexpr KernelTable table_of(const char* name) {
  return {
      .name = name,
      .of_float = dim_conv_kernels<float>(),
      .of_double = dim_conv_kernels<double>(),
      .inference =
          {
              .image = {.local_fusion = local_fusion_tile,
                        .local_fusion_resized = local_fusion_resized_tile,
                        .spatial = spatial_plane,
                        .multiply = multiply_rows},
              .batch = {.local_fusion = batch_local_fusion,
                        .local_fusion_resized = batch_local_fusion_resized,
                        .spatial = batch_spatial,
                        .multiply = batch_multiply},
              .to_lanes = to_lanes,
              .from_lanes = from_lanes,
              .sigmoids = sigmoids,
              .pack = pack_panel,
              .point_wise = point_wise_panel,
              .point_wise_planes = kPacks ? nullptr : point_wise_planes,
              .wide = kWide,
              .pack_windows = pack_windows_row,
              .max_pool = max_pool_plane,
              .downsample = downsample_plane,
          },
      .training = {.sum = sum_of,
                   .squares = squares_of,
                   .norm_act = norm_act_plane,
                   .act_sums = act_sums_plane,
                   .act_grad = act_grad_plane,
                   .fuse = fuse_tile,
                   .moments = moments_tile,
                   .branch_sums = branch_sums_tile,
                   .branch_grads = branch_grads_tile},
  };
}

}  // namespace
