// What the translation unit of each instruction set offers to the rest: tables of its kernels, and the memory that
// these may read beside what they are given.
#pragma once
#include <cstdint>

namespace dicenet_mm {

// The longest vector of any instruction set, in elements: tables with an entry per voxel are padded to this.
constexpr int kMaxLanes = 16;

// Elements before and after their planes that kernels may read, beside a row and a voxel: a march reads whole vectors
// around the neighbours of each voxel, columns are picked from two vectors.
constexpr int64_t kReadsAround = 2 * kMaxLanes;
// The 3x3 convolution of a plane goes over up to three vectors beside each other.
constexpr int64_t kSpatialReadsAround = 3 * kMaxLanes;

// Channels [begin, end) of one image whose planes have height x width voxels. Each branch reads planes of its
// own.
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
struct ResizeMatrix {
  int in, out, taps;
  const int32_t* first;
  const S* coefficients;
};

// Planes to resize along one axis.
template <class S>
struct PlaneBatch {
  const S* in;
  S* out;
  int count;
  int64_t in_stride, out_stride;
  int across;  // extent of the axis that stays
};

// Of a plane of a batch, elements between voxels along the axis that is resized and across it.
struct Steps {
  int64_t along, in_across, out_across;
};

enum Branch { kDepth = 1, kHeight = 2, kWidth = 4 };

template <class S>
struct Kernels {
  int lanes;
  // y (channels, 3, plane): all three branches of one input.
  void (*dim_conv)(const Tile<S>&, S* y);
  // y (channels, plane), `stride` elements apart: one branch.
  void (*branch)(Branch, const Tile<S>&, S* y, int64_t stride);
  // The height or width branch of a batch (see UnitKernels).
  void (*batch_branch)(Branch, const Tile<S>&, S* y, int64_t stride);
  // y (channels, plane): the sum of the branches, each of its own input.
  void (*sum)(const Tile<S>&, S* y);
  // y (channels, plane): the depth branch plus two (channels, plane).
  void (*depth_plus)(const Tile<S>&, const S* height, const S* width, S* y);
  // out (channels, 9): gradients of the depth kernels are added; `grad` as `depth_in`, `grad_stride` apart.
  void (*depth_taps_grad)(const Tile<S>&, const S* grad, int64_t grad_stride, S* out);
  // out (9, padded plane) of each branch: gradients of each voxel's taps are added.
  void (*taps_grad)(const Tile<S>&, const S* height_grad, const S* width_grad, int64_t grad_stride,
                    S* height_out, S* width_out);
  void (*resize_rows)(const ResizeMatrix<S>&, const PlaneBatch<S>&);
  void (*resize_columns)(const ResizeMatrix<S>&, const PlaneBatch<S>&);
  // Along either axis, of a batch.
  void (*batch_resize)(const ResizeMatrix<S>&, const PlaneBatch<S>&, const Steps&);
};

// The most voxels of a map that goes with others in batches. Larger ones leave few lanes idle by themselves.
constexpr int kSmallMap = 100;

constexpr int kMR = 16;  // output channels that lie together in the weights of a point-wise convolution
constexpr int kNR = 48;  // windows of a strided convolution that lie together
// Of a channel of the spatial convolution: 9 taps, the bias, the PReLU's slope - 1.
constexpr int kSpatial = 12, kBias = 9, kSlope = 10;
// Whether rows would leave most lanes idle: such planes are flattened, and take masks of their borders. Static, as each
// instruction set compiles its own.
static constexpr bool is_narrow(int width, int lanes) { return 2 * width <= lanes; }
// Of a channel of the local fusion, in each branch u -> p u + r min(u, m); then the bias and the PReLU's
// slope - 1.
constexpr int kLocal = 12;

// A unit of one image, or of a batch of as many as a vector has lanes, where each scalar of an image (voxels,
// sums, gates) is such a vector.
struct UnitKernels {
  // y (channels, plane): local fusion of the branches of one tile; sums (channels) of y.
  void (*local_fusion)(const Tile<float>&, const float* local, float* y, float* sums);
  // The same, the height and width branches given as (channels, plane).
  void (*local_fusion_resized)(const Tile<float>&, const float* height, const float* width, const float* local,
                               float* y, float* sums);
  // 3x3 convolution of a plane, PReLU, times the gate; `borders` as in Tile, where rows are narrow.
  void (*spatial)(const float* x, int height, int width, const uint32_t* borders, const float* spatial,
                  const float* gate, float* y);
  // out (rows) = matrix (rows, columns) . x
  void (*multiply)(const float* matrix, const float* x, int rows, int columns, float* out);
};

// What only inference needs, in float.
struct InferenceKernels {
  UnitKernels image, batch;
  // `count` scalars of each image of a batch, images `stride` apart, to vectors; and back.
  void (*to_lanes)(const float* images, int64_t stride, int64_t count, float* vectors);
  void (*from_lanes)(const float* vectors, int64_t count, float* images, int64_t stride);
  // x = 1 / (1 + exp(-x))
  void (*sigmoids)(float* x, int count);
  // Voxels [column, column + columns) of planes that lie anywhere to a panel (planes, stride).
  void (*pack)(const float* const* in, int64_t column, int planes, int columns, float* panel, int stride);
  // Output channels [kMR begin, kMR end) of a point-wise convolution at the voxels [column, column + columns);
  // weight (tiles, planes, kMR), affine (channels, 2): bias, PReLU's slope - 1; out: each channel's plane.
  void (*point_wise)(const float* panel, int stride, int planes, const float* weight, const float* affine,
                     int channels, int begin, int end, int64_t column, int columns,
                     float* const* out);
  // The same at `wide` voxels of planes that lie anywhere; none where planes are better copied to a panel first.
  void (*point_wise_planes)(const float* const* in, int planes, const float* weight, const float* affine,
                            int channels, int begin, int end, int64_t column, float* const* out);
  int wide;  // voxels that a point-wise convolution works on at a time, of as many channels as fit the registers
  // Windows of 3x3 with stride 2, of output voxels [column, column + columns) of a row, to a panel (9
  // channels, kNR).
  void (*pack_windows)(const float* x, int channels, int height, int width, int row, int column, int columns,
                       float* panel);
  // 3x3 maxima of a plane with stride 2.
  void (*max_pool)(const float* x, int height, int width, float* y);
  // Of a plane, 3x3 with stride 2: average, and convolution with PReLU.
  void (*downsample)(const float* x, int height, int width, const float* spatial, float* average,
                     float* convolved);
};

// Sums over voxels with a gradient g and a centred value x whose normalised value u is PReLU's input: of g
// and of g x, over all voxels and over those with u <= 0.
struct ActSums {
  float g, g_low, gx, gx_low;
};

// Of a branch of a channel, for training: u = scale (v - mean) + bias, and the gradient of v is
// (u > 0 ? high : low) g + constant + linear (v - mean).
struct BranchParameters {
  float mean, scale, bias, high, low, constant, linear, unused;
};

// What training needs, in float; the decoder of inference takes norm_act, too.
struct TrainingKernels {
  float (*sum)(const float* x, int64_t count);
  float (*squares)(const float* x, int64_t count, float mean);
  // y = PReLU(scale (x - mean) + bias) times a factor
  void (*norm_act)(const float* x, int64_t count, float mean, float scale, float bias, float slope,
                   float factor, float* y);
  ActSums (*act_sums)(const float* x, const float* g, int64_t count, float mean, float scale, float bias);
  void (*act_grad)(const float* x, const float* g, int64_t count, const BranchParameters&, float* x_grad);
  // z (channels, plane): the sum of (u > 0 ? high : low) u over the branches of one tile.
  void (*fuse)(const Tile<float>&, const float* height, const float* width, const BranchParameters* prm,
               float* z);
  // out (channels, 6): sum and sum of squares of each branch of one tile. Branches that are given as
  // (channels, plane) are not computed; both or none.
  void (*moments)(const Tile<float>&, const float* height, const float* width, float* out);
  // out (channels, 3): sums of each branch; prm (D, 3), g (channels, plane).
  void (*branch_sums)(const Tile<float>&, const float* height, const float* width,
                      const BranchParameters* prm, const float* g, ActSums* out);
  // out (channels, 3, plane): gradients of the branches.
  void (*branch_grads)(const Tile<float>&, const float* height, const float* width,
                       const BranchParameters* prm, const float* g, float* out);
};

// All kernels of an instruction set.
struct KernelTable {
  const char* name;
  Kernels<float> of_float;
  Kernels<double> of_double;
  InferenceKernels inference;
  TrainingKernels training;
};

// One in each file of isa/.
const KernelTable& portable_table();
const KernelTable& avx2_table();
const KernelTable& avx512_table();
const KernelTable& neon_table();

}  // namespace dicenet_mm
