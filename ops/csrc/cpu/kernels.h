// What the translation unit of each instruction set offers to the rest: a table of kernels over float or double.
#pragma once
#include <cstdint>

namespace dicenet_mm {

// The longest vector of any instruction set, in elements: tables with an entry per voxel are padded to this.
constexpr int kMaxLanes = 16;

// Channels [begin, end) of one image whose planes have height x width voxels. Each branch reads planes of its own.
template <class S>
struct Tile {
  int depth, height, width;
  int begin, end;
  const S *depth_in, *height_in, *width_in;  // the plane of channel `begin`
  int64_t stride;                            // elements from the plane of a channel to that of the next
  const S* depth_taps;                       // (D, 9)
  const S *height_taps, *width_taps;         // (9, padded plane): each voxel's own taps
  const uint32_t* borders;                   // (vectors, 9): lanes whose neighbour lies in the plane
};

// Resizing of an axis as a banded matrix: out[i] = sum over t of coefficients[i, t] * in[first[i] + t].
template <class S>
struct Band {
  int in, out, taps;
  const int32_t* first;
  const S* coefficients;
};

// Planes to resize along one axis.
template <class S>
struct Planes {
  const S* in;
  S* out;
  int count;
  int64_t in_stride, out_stride;
  int across;  // extent of the axis that stays
};

enum Branch { kDepth = 1, kHeight = 2, kWidth = 4 };

template <class S>
struct Kernels {
  int lanes;
  // y (channels, 3, plane): all three branches of one input.
  void (*dim_conv)(const Tile<S>&, S* y);
  // y (channels, plane), `stride` elements apart: one branch.
  void (*branch)(Branch, const Tile<S>&, S* y, int64_t stride);
  // y (channels, plane): the sum of the branches, each of its own input.
  void (*sum)(const Tile<S>&, S* y);
  // y (channels, plane): the depth branch plus two (channels, plane).
  void (*depth_plus)(const Tile<S>&, const S* height, const S* width, S* y);
  // out (channels, 9): gradients of the depth kernels are added; `grad` as `depth_in`, `grad_stride` apart.
  void (*depth_taps_grad)(const Tile<S>&, const S* grad, int64_t grad_stride, S* out);
  // out (9, padded plane) of each branch: gradients of each voxel's taps are added.
  void (*taps_grad)(const Tile<S>&, const S* height_grad, const S* width_grad, int64_t grad_stride, S* height_out,
                    S* width_out);
  void (*resize_rows)(const Band<S>&, const Planes<S>&);
  void (*resize_columns)(const Band<S>&, const Planes<S>&);
};

template <class S>
const Kernels<S>& portable_kernels();
template <class S>
const Kernels<S>& avx2_kernels();
template <class S>
const Kernels<S>& avx512_kernels();

// The best ones that this machine runs.
template <class S>
const Kernels<S>& kernels();

}  // namespace dicenet_mm
