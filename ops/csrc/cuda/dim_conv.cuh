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

namespace dicenet_mm::cuda {

constexpr int kTaps = 9;
constexpr int kPaddedTaps = 12;  // three loads of four instead of nine of one
constexpr int kWarp = 32;
constexpr int kMaxThreads = 256;
constexpr int kMaxEdge = 32;  // of a tile, px
constexpr int kMinChunk = 4;  // channels that a block marches over; it reads two more
constexpr int kMaxChunk = kWarp;
constexpr int kMaxOutputs = 64;  // rows (columns) of a tile behind the resize back
constexpr int kGateLanes = 8;    // threads that share a row of the gate's matrices
constexpr int kMarch = 16;       // steps in which a thread of the weights' gradient slides its window
constexpr int kBlocksPerMultiprocessor = 8;

template <class T> struct Accumulator {
  using type = float;
};
template <> struct Accumulator<double> {
  using type = double;
};
template <class T> using Acc = typename Accumulator<T>::type;

// Blocks that a multiprocessor of 65536 registers is to hold: 64 or 80 registers a thread, 128 in double,
// which suffices without spills on every architecture (tests/ops/test_cuda_build.py).
template <class T> constexpr int kMarchBlocks = sizeof(Acc<T>) == 8 ? 2 : 4;
template <class T> constexpr int kOtherBlocks = sizeof(Acc<T>) == 8 ? 2 : 3;

struct Shape {
  int images, channels, height, width;
  __host__ __device__ long long plane() const { return (long long)height * width; }
};

__host__ __device__ inline int ceil_div(long long a, long long b) { return int((a + b - 1) / b); }

// The largest part when `whole` is cut evenly into as few parts of at most `most` as will do.
inline int even_part(int whole, int most) { return ceil_div(whole, ceil_div(whole, most)); }

template <class A> __device__ A* shared_memory() {
  alignas(16) extern __shared__ unsigned char shared_bytes[];
  return reinterpret_cast<A*>(shared_bytes);
}

template <class A, class T> __device__ void load_taps(A (&taps)[kTaps], const T* weight, bool reversed) {
#pragma unroll
  for (int t = 0; t < kTaps; ++t) taps[t] = static_cast<A>(weight[reversed ? kTaps - 1 - t : t]);
}

// ---- Resizing of one axis: linear between aligned corners to grow, adaptive averages to shrink ----

struct Span {
  int first, last;  // last is one past the end
};

struct Resize {
  long long in, out;

  __host__ __device__ Span sources(int i) const {  // the inputs that output i reads
    if (out > in) {
      if (in == 1) return {0, 1};
      return {int(i * (in - 1) / (out - 1)), ceil_div(i * (in - 1), out - 1) + 1};
    }
    return {int(i * in / out), ceil_div((i + 1) * in, out)};
  }

  __host__ __device__ Span readers(int j) const {  // the outputs that read input j
    if (out > in) {
      if (in == 1) return {0, int(out)};
      const int first = j == 0 ? 0 : int((j - 1) * (out - 1) / (in - 1)) + 1;
      const int last = ceil_div((j + 1) * (out - 1), in - 1);
      return {first, last < out ? last : int(out)};
    }
    return {int(j * out / in), ceil_div((j + 1) * out, in)};
  }

  // How much of input j output i holds, for j among its sources.
  template <class A> __host__ __device__ A share(int i, int j) const {
    if (out > in) {
      const long long apart = i * (in - 1) - j * (out - 1);
      return in == 1 ? A(1) : A(1) - A(apart < 0 ? -apart : apart) / A(out - 1);
    }
    const Span bin = sources(i);
    return A(1) / A(bin.last - bin.first);
  }
};

// A resize, or its transpose, as a matrix: row i reads `width` sources from first(i) on.
struct Matrix {
  Resize resize;
  bool transposed;
  int width;

  Matrix(Resize resize, bool transposed) : resize(resize), transposed(transposed), width(0) {
    for (int i = 0; i < rows(); ++i) {
      const Span s = span(i);
      if (s.last - s.first > width) width = s.last - s.first;
    }
  }
  __host__ __device__ int rows() const { return int(transposed ? resize.in : resize.out); }
  __host__ __device__ int columns() const { return int(transposed ? resize.out : resize.in); }
  __host__ __device__ Span span(int i) const { return transposed ? resize.readers(i) : resize.sources(i); }
  __host__ __device__ int first(int i) const {  // pulled back where the last rows would read past the axis
    const int start = span(i).first, latest = columns() - width;
    return start < latest ? start : latest;
  }
  template <class A> __device__ A share(int i, int j) const {
    const Span s = span(i);
    if (j < s.first || j >= s.last) return A(0);
    return transposed ? resize.share<A>(j, i) : resize.share<A>(i, j);
  }
};

// The same, written out: shares (rows, width), zero where the span is narrower.
template <class A> struct Band {
  const int* first;
  const A* shares;
  int width;

  template <class T> __device__ A apply(int row, const T* source, int step) const {
    A sum = 0;
    const A* share = shares + row * width;
    source += (long long)first[row] * step;
#pragma unroll 1  // two or three turns as a rule
    for (int j = 0; j < width; ++j) sum += share[j] * static_cast<A>(source[j * step]);
    return sum;
  }
};

template <class A>
__global__ void __launch_bounds__(kMaxThreads, kOtherBlocks<A>)
    write_band(Matrix matrix, int* first, A* shares) {
  const int i = blockIdx.x * kMaxThreads + threadIdx.x;
  if (i >= matrix.rows()) return;
  first[i] = matrix.first(i);
  for (int k = 0; k < matrix.width; ++k) shares[i * matrix.width + k] = matrix.share<A>(i, first[i] + k);
}

// ---- All branches at the kernels' own size, or the depth branch alone ----

// How blocks share the work: each marches over a chunk of channels within one tile of the plane.
struct Tiling {
  int rows, columns, row_tiles, column_tiles, chunk, chunks, threads;
};

// What the march is for. The gradient of x has the taps reversed and reads three planes per channel into one.
// The two passes of inference, X -> Y_G and Y_G -> Y, give one plane per channel too.
enum class Pass { kForward, kAdjoint, kFuse, kSpatial };

// What inference does with the branches' responses; ops/inference.py packs the coefficients.
template <class T> struct Epilogue {
  const T* coefficients;  // (D, kPaddedTaps): of the local fusion; or nine taps, bias, slope - 1 of kSpatial
  const T* branches;      // (N, 2D, H, W): height and width responses, where march itself has none
  Acc<T>* sums;           // (N, D, tiles): sums of Y_G
  const Acc<T>* gate;     // (N, D)
};

template <class A, class T> __device__ A prelu(A value, T slope_minus_one) {
  return value + static_cast<A>(slope_minus_one) * min(value, A(0));
}

// Local fusion of the three responses: p u + r min(u, knee) for each, the bias, PReLU.
template <class A, class T> __device__ A fuse(A depth, A height, A width, const T* local) {
  const A response[3] = {depth, height, width};
  A sum = static_cast<A>(local[9]);
#pragma unroll
  for (int b = 0; b < 3; ++b)
    sum += static_cast<A>(local[3 * b]) * response[b] +
           static_cast<A>(local[3 * b + 1]) * min(response[b], static_cast<A>(local[3 * b + 2]));
  return prelu(sum, local[10]);
}

// One thread per voxel of the tile. It holds the taps of its row and its column, reads each plane once and
// adds it to three channels at a time: the one before (now complete), its own and the next.
template <class T, bool kNative, Pass kPass>
__global__ void __launch_bounds__(kMaxThreads, kMarchBlocks<T>)
    march(const T* __restrict__ source, const T* __restrict__ depth_weight,
          const T* __restrict__ height_weight, const T* __restrict__ width_weight, T* __restrict__ target,
          Shape shape, Tiling tiling, Epilogue<T> epilogue) {
  using A = Acc<T>;
  constexpr bool kAdjoint = kPass == Pass::kAdjoint;
  constexpr int kPlanes = kAdjoint && kNative ? 3 : 1;  // that are read per channel
  constexpr int kCopies = 2;                            // of each plane by a thread; see plan_march
  constexpr int kSourceStep = kAdjoint ? 3 : 1, kTargetStep = kPass == Pass::kForward ? 3 : 1;
  constexpr int kDepthStep = kPass == Pass::kSpatial ? kPaddedTaps : kTaps;
  constexpr int kReach = kNative ? 1 : 0;  // the depth branch needs no other channel
  const int pitch = tiling.columns + 2, area = pitch * (tiling.rows + 2);
  A* const depth_taps = shared_memory<A>();                  // (chunk, kPaddedTaps)
  A* const tiles = depth_taps + tiling.chunk * kPaddedTaps;  // (2, kPlanes, rows + 2, columns + 2)
  A* const values = tiles + 2 * kPlanes * area;              // kFuse: (2, threads)
  A* const lane_sums = values + 2 * blockDim.x;              // kFuse: (chunk, kWarp)

  int block = blockIdx.x;
  const int tiles_per_plane = tiling.row_tiles * tiling.column_tiles, tile_index = block % tiles_per_plane;
  const int column0 = block % tiling.column_tiles * tiling.columns;
  block /= tiling.column_tiles;
  const int row0 = block % tiling.row_tiles * tiling.rows;
  block /= tiling.row_tiles;
  const int begin = block % tiling.chunks * tiling.chunk;
  const int end = min(begin + tiling.chunk, shape.channels);
  const long long image = (long long)(block / tiling.chunks) * shape.channels;

  int offsets[kCopies];  // of what this thread copies, in the plane; -1 outside
#pragma unroll
  for (int k = 0; k < kCopies; ++k) {
    const int cell = threadIdx.x + k * blockDim.x, row = row0 - 1 + cell / pitch,
              column = column0 - 1 + cell % pitch;
    const bool inside = cell < area && 0 <= row && row < shape.height && 0 <= column && column < shape.width;
    offsets[k] = inside ? row * shape.width + column : -1;
  }
  A ahead[kPlanes][kCopies];
  auto fetch = [&](int channel) {
    const bool inside = 0 <= channel && channel < shape.channels;
    const T* plane = source + (image + channel) * kSourceStep * shape.plane();
#pragma unroll
    for (int b = 0; b < kPlanes; ++b, plane += shape.plane())
#pragma unroll
      for (int k = 0; k < kCopies; ++k)
        ahead[b][k] = inside && offsets[k] >= 0 ? static_cast<A>(plane[offsets[k]]) : A(0);
  };
  auto put = [&](int buffer) {
#pragma unroll
    for (int b = 0; b < kPlanes; ++b)
#pragma unroll
      for (int k = 0; k < kCopies; ++k) {
        const int cell = threadIdx.x + k * blockDim.x;
        if (cell < area) tiles[(buffer * kPlanes + b) * area + cell] = ahead[b][k];
      }
  };

  const int voxel = min(int(threadIdx.x), tiling.rows * tiling.columns - 1);
  const int tile_row = voxel / tiling.columns, tile_column = voxel % tiling.columns;
  const int row = row0 + tile_row, column = column0 + tile_column,
            own = (tile_row + 1) * pitch + tile_column + 1;
  const bool writes = voxel == int(threadIdx.x) && row < shape.height && column < shape.width;
  T* const out = target + row * shape.width + column;

  A height_taps[kTaps], width_taps[kTaps];
  if (kNative) {
    load_taps(height_taps, height_weight + min(row, shape.height - 1) * kTaps, kAdjoint);
    load_taps(width_taps, width_weight + min(column, shape.width - 1) * kTaps, kAdjoint);
  }
  for (int i = threadIdx.x; i < (end - begin) * kTaps; i += blockDim.x) {
    const int t = kAdjoint ? kTaps - 1 - i % kTaps : i % kTaps;
    const int channel = i / kTaps;
    depth_taps[channel * kPaddedTaps + t] =
        static_cast<A>(depth_weight[(begin + channel) * kDepthStep + i % kTaps]);
  }
  fetch(begin - kReach);
  put(0);
  __syncthreads();

  A height_own = 0, height_next = 0, width_own = 0, width_next = 0, depth_before = 0;
  const int last = end - 1 + kReach;
  for (int channel = begin - kReach, buffer = 0; channel <= last; ++channel, buffer ^= 1) {
    if (channel < last) fetch(channel + 1);
    const A* const tile = tiles + buffer * kPlanes * area + own;
    A window[kTaps];
#pragma unroll
    for (int t = 0; t < kTaps; ++t) window[t] = tile[(t / 3 - 1) * pitch + t % 3 - 1];

    const bool mine = begin <= channel && channel < end;
    A depth = 0;
    if (mine) {
      const A* taps = depth_taps + (channel - begin) * kPaddedTaps;
#pragma unroll
      for (int t = 0; t < kTaps; ++t) depth += taps[t] * window[t];
    }
    A height = height_own, width = width_own;  // of the channel before
    if (kNative) {
      height_own = height_next, width_own = width_next, height_next = width_next = 0;
#pragma unroll
      for (int j = 0; j < 3; ++j) {
        const A across = kAdjoint ? tile[area * (kPlanes / 3) + j - 1] : window[3 + j];
        const A down = kAdjoint ? tile[area * (kPlanes / 3) * 2 + (j - 1) * pitch] : window[3 * j + 1];
        height_next += height_taps[j] * across, width_next += width_taps[j] * down;
        height_own += height_taps[3 + j] * across, width_own += width_taps[3 + j] * down;
        height += height_taps[6 + j] * across, width += width_taps[6 + j] * down;
      }
    }
    if (channel < last) put(buffer ^ 1);

    const int done = channel - kReach;  // whose sums are complete
    T* const plane = out + (image + done) * kTargetStep * shape.plane();
    if constexpr (kPass == Pass::kForward) {
      if (mine && writes) plane[kReach * 3 * shape.plane()] = static_cast<T>(depth);
      if (kNative && done >= begin && writes) {
        plane[shape.plane()] = static_cast<T>(height);
        plane[2 * shape.plane()] = static_cast<T>(width);
      }
    } else if (done >= begin) {
      A value = kNative ? depth_before : depth;
      if constexpr (kAdjoint && kNative) value += height + width;
      if constexpr (kPass == Pass::kFuse) {
        if (!kNative && writes) {
          const T* branch =
              epilogue.branches + (image + done) * 2 * shape.plane() + row * shape.width + column;
          height = static_cast<A>(branch[0]), width = static_cast<A>(branch[shape.plane()]);
        }
        value = fuse(value, height, width, epilogue.coefficients + done * kPaddedTaps);
        values[buffer * blockDim.x + threadIdx.x] = writes ? value : A(0);
      }
      if constexpr (kPass == Pass::kSpatial) {
        const T* coefficients = epilogue.coefficients + done * kPaddedTaps;
        value =
            prelu(value + static_cast<A>(coefficients[9]), coefficients[10]) * epilogue.gate[image + done];
      }
      if (writes) plane[0] = static_cast<T>(value);
    }
    depth_before = depth;
    __syncthreads();  // the one of a step: the tile it filled is read next, the one it read is filled next
    if (kPass == Pass::kFuse && done >= begin && threadIdx.x < kWarp) {
      A sum = 0;
      for (int i = threadIdx.x; i < int(blockDim.x); i += kWarp) sum += values[buffer * blockDim.x + i];
      lane_sums[(done - begin) * kWarp + threadIdx.x] = sum;
    }
  }
  if constexpr (kPass == Pass::kFuse) {
    __syncthreads();
    if (int(threadIdx.x) < end - begin) {  // a chunk is no longer than a warp
      A sum = 0;
      for (int lane = 0; lane < kWarp; ++lane) sum += lane_sums[threadIdx.x * kWarp + lane];
      epilogue.sums[(image + begin + threadIdx.x) * tiles_per_plane + tile_index] = sum;
    }
  }
}

// output (N, outputs) = activation(weight (outputs, inputs) . input), where input i is `scale` times the sum
// of `parts` numbers: one of the gate's layers, ReLU or sigmoid.
template <class T, bool kSigmoid>
__global__ void __launch_bounds__(kMaxThreads)
    gate_layer(const T* __restrict__ weight, const Acc<T>* __restrict__ input, int parts, Acc<T> scale,
               Acc<T>* __restrict__ output, int inputs, int outputs) {
  using A = Acc<T>;
  constexpr int kRows = kMaxThreads / kGateLanes;
  A* const sums = shared_memory<A>();  // (threads)
  const int tiles = ceil_div(outputs, kRows), lane = threadIdx.x % kGateLanes;
  const int row = blockIdx.x % tiles * kRows + threadIdx.x / kGateLanes;
  const long long image = blockIdx.x / tiles;
  A sum = 0;
  for (int i = lane; i < inputs && row < outputs; i += kGateLanes) {
    A value = 0;
    for (int part = 0; part < parts; ++part) value += input[(image * inputs + i) * parts + part];
    sum += static_cast<A>(weight[row * inputs + i]) * value;
  }
  sums[threadIdx.x] = sum;
  __syncthreads();
  if (lane != 0 || row >= outputs) return;
  for (int i = 1; i < kGateLanes; ++i) sum += sums[threadIdx.x + i];
  sum *= scale;
  output[image * outputs + row] = kSigmoid ? A(1) / (A(1) + exp(-sum)) : max(sum, A(0));
}

// ---- The height or the width branch at another size than its kernels' ----

struct BranchTiling {
  int outputs, kernels, across, output_tiles, across_tiles, chunk, chunks, threads;
};

// The resized axis is "along" (H for the height branch, W for the width branch), the other one "across". In
// each step a block resizes its part of a plane into `kernels` rows, convolves, and resizes the finished
// channel back.
//
// The adjoint has the transposed matrices and reversed taps, and adds to its target.
template <class T, bool kAlongWidth>
__global__ void __launch_bounds__(kMaxThreads, kOtherBlocks<T>)
    resized_branch(const T* __restrict__ source, int source_step, const T* __restrict__ weight,
                   T* __restrict__ target, int target_step, Band<Acc<T>> to_kernels, Band<Acc<T>> back,
                   Shape shape, BranchTiling tiling, bool adjoint) {
  using A = Acc<T>;
  constexpr int kCopies = 3;  // (across + 2) / across at most
  const int along_size = kAlongWidth ? shape.width : shape.height, along_step = kAlongWidth ? 1 : shape.width;
  const int across_size = kAlongWidth ? shape.height : shape.width,
            across_step = kAlongWidth ? shape.width : 1;
  const int points = tiling.kernels * tiling.across, cells = tiling.kernels * (tiling.across + 2);
  A* const tiles = shared_memory<A>();   // (2, kernels, across + 2): the resized planes
  A* const results = tiles + 2 * cells;  // (2, kernels, across): the convolved ones
  // The order within tiles is the plane's, so that neighbouring threads have neighbouring columns.
  auto along_of = [](int i, int along, int across) { return kAlongWidth ? i % along : i / across; };
  auto across_of = [](int i, int along, int across) { return kAlongWidth ? i / along : i % across; };
  auto index = [](int a, int b, int along, int across) {
    return kAlongWidth ? b * along + a : a * across + b;
  };

  int block = blockIdx.x;
  const int output0 = block % tiling.output_tiles * tiling.outputs;
  block /= tiling.output_tiles;
  const int across0 = block % tiling.across_tiles * tiling.across;
  block /= tiling.across_tiles;
  const int begin = block % tiling.chunks * tiling.chunk;
  const int end = min(begin + tiling.chunk, shape.channels);
  const long long image = (long long)(block / tiling.chunks) * shape.channels;
  const int outputs = min(tiling.outputs, along_size - output0);
  const int kernel0 = back.first[output0];
  const int kernels = back.first[output0 + outputs - 1] + back.width - kernel0;

  A ahead[kCopies];
  auto fetch = [&](int channel) {
    const bool inside = 0 <= channel && channel < shape.channels;
    const T* plane = source + (image + channel) * source_step * shape.plane();
#pragma unroll
    for (int k = 0; k < kCopies; ++k) {
      const int cell = threadIdx.x + k * blockDim.x;
      const int kernel = along_of(cell, tiling.kernels, tiling.across + 2);
      const int across = across0 - 1 + across_of(cell, tiling.kernels, tiling.across + 2);
      ahead[k] = inside && cell < cells && kernel < kernels && 0 <= across && across < across_size
                     ? to_kernels.apply(kernel0 + kernel, plane + across * across_step, along_step)
                     : A(0);
    }
  };
  auto put = [&](int buffer) {
#pragma unroll
    for (int k = 0; k < kCopies; ++k) {
      const int cell = threadIdx.x + k * blockDim.x;
      if (cell < cells) tiles[buffer * cells + cell] = ahead[k];
    }
  };

  const int point = min(int(threadIdx.x), points - 1);
  const int kernel = along_of(point, tiling.kernels, tiling.across);
  const int across = across_of(point, tiling.kernels, tiling.across);
  const int neighbour = kAlongWidth ? tiling.kernels : 1;
  const int own = index(kernel, across + 1, tiling.kernels, tiling.across + 2);
  A taps[kTaps];
  load_taps(taps, weight + (kernel0 + min(kernel, kernels - 1)) * kTaps, adjoint);
  fetch(begin - 1);
  put(0);
  __syncthreads();

  A sum_own = 0, sum_next = 0;
  for (int channel = begin - 1, buffer = 0; channel <= end; ++channel, buffer ^= 1) {
    if (channel < end) fetch(channel + 1);
    A sum = sum_own;
    sum_own = sum_next, sum_next = 0;
#pragma unroll
    for (int j = 0; j < 3; ++j) {
      const A value = tiles[buffer * cells + own + (j - 1) * neighbour];
      sum_next += taps[j] * value, sum_own += taps[3 + j] * value, sum += taps[6 + j] * value;
    }
    if (point == int(threadIdx.x)) results[buffer * points + point] = sum;
    if (channel < end) put(buffer ^ 1);
    __syncthreads();  // the one of a step, as in march: results too alternate

    if (channel <= begin) continue;  // the channel before belongs to another block
    T* const plane = target + (image + channel - 1) * target_step * shape.plane();
    for (int i = threadIdx.x; i < outputs * tiling.across; i += blockDim.x) {
      const int output = along_of(i, outputs, tiling.across), b = across_of(i, outputs, tiling.across);
      if (across0 + b >= across_size) continue;
      const A* result = results + buffer * points + index(0, b, tiling.kernels, tiling.across);
      const int result_step = kAlongWidth ? 1 : tiling.across;
      const A value = back.apply(output0 + output, result - kernel0 * result_step, result_step);
      T* const out = plane + (output0 + output) * along_step + (across0 + b) * across_step;
      *out = static_cast<T>(adjoint ? static_cast<A>(*out) + value : value);
    }
  }
}

// ---- The gradient of the weights ----

// One branch seen as "kernel p slides over the plane (a, b)": sizes, and the distance between neighbours in
// elements, where grad, with three planes to one of x, differs.
struct Axes {
  int kernels, a, b;
  long long kernel_step, a_step, b_step, grad_kernel_step, grad_a_step;
};

struct WeightTiling {
  int lanes, columns, kernel_tiles, splits;  // lanes of a block over kernels, columns over what is summed
};

// partial[split, p, i, j] = sum over n, a, b of grad[n, p, a, b] x[n, p, a + i - 1, b + j - 1]. Each thread
// slides a window along a, in steps of kMarch; the block then adds up its columns, sum_splits the blocks.
// With kResized, grad and x are resized to the kernels on the way.
template <class T, bool kResized>
__global__ void __launch_bounds__(kMaxThreads, kOtherBlocks<T>)
    weight_gradient(const T* __restrict__ grad, const T* __restrict__ x, Acc<T>* __restrict__ partial,
                    Axes axes, Shape shape, Band<Acc<T>> grad_to_kernels, Band<Acc<T>> x_to_kernels,
                    WeightTiling tiling) {
  using A = Acc<T>;
  A* const sums = shared_memory<A>();  // (kTaps, threads)
  const int lane = threadIdx.x % tiling.lanes, own_column = threadIdx.x / tiling.lanes;
  const int split = blockIdx.x / tiling.kernel_tiles;
  const int p = blockIdx.x % tiling.kernel_tiles * tiling.lanes + lane;
  const long long image_size = shape.channels * shape.plane();
  const int stretches = ceil_div(axes.a, kMarch);
  const long long items = p < axes.kernels ? (long long)shape.images * stretches * axes.b : 0;

  A sum[kTaps] = {};
  for (long long item = (long long)split * tiling.columns + own_column; item < items;
       item += (long long)tiling.splits * tiling.columns) {
    const int b = int(item % axes.b), begin = int(item / axes.b % stretches) * kMarch;
    const int end = min(begin + kMarch, axes.a);
    const long long image = item / axes.b / stretches;
    const T* const grad_column = grad + image * image_size * 3 + b * axes.b_step;
    const T* const x_column = x + image * image_size + b * axes.b_step;
    auto read_grad = [&](int a) -> A {
      const T* at = grad_column + a * axes.grad_a_step;
      return kResized ? grad_to_kernels.apply(p, at, int(axes.grad_kernel_step))
                      : static_cast<A>(at[p * axes.grad_kernel_step]);
    };
    auto read_x = [&](int a, int shift) -> A {
      if (a < 0 || a >= axes.a || b + shift < 0 || b + shift >= axes.b) return A(0);
      const T* at = x_column + a * axes.a_step + shift * axes.b_step;
      return kResized ? x_to_kernels.apply(p, at, int(axes.kernel_step))
                      : static_cast<A>(at[p * axes.kernel_step]);
    };
    A before[3], here[3], after[3];
#pragma unroll
    for (int j = 0; j < 3; ++j) before[j] = read_x(begin - 1, j - 1), here[j] = read_x(begin, j - 1);
    for (int a = begin; a < end; ++a) {
      const A value = read_grad(a);
#pragma unroll
      for (int j = 0; j < 3; ++j) {
        after[j] = read_x(a + 1, j - 1);
        sum[j] += value * before[j], sum[3 + j] += value * here[j], sum[6 + j] += value * after[j];
        before[j] = here[j], here[j] = after[j];
      }
    }
  }

#pragma unroll
  for (int t = 0; t < kTaps; ++t) sums[t * blockDim.x + threadIdx.x] = sum[t];
  for (int left = tiling.columns; left > 1;) {
    const int half = (left + 1) / 2;
    __syncthreads();
    if (own_column + half < left)
#pragma unroll
      for (int t = 0; t < kTaps; ++t)
        sums[t * blockDim.x + threadIdx.x] += sums[t * blockDim.x + threadIdx.x + half * tiling.lanes];
    left = half;
  }
  if (own_column == 0 && p < axes.kernels)
#pragma unroll
    for (int t = 0; t < kTaps; ++t)
      partial[((long long)split * axes.kernels + p) * kTaps + t] = sums[t * blockDim.x + threadIdx.x];
}

template <class T>
__global__ void __launch_bounds__(kMaxThreads)
    sum_splits(const Acc<T>* __restrict__ partial, T* __restrict__ gradient, int size, int splits) {
  const int i = blockIdx.x * kMaxThreads + threadIdx.x;
  if (i >= size) return;
  Acc<T> sum = 0;
  for (int s = 0; s < splits; ++s) sum += partial[(long long)s * size + i];
  gradient[i] = static_cast<T>(sum);
}

// ---- The plan of the launches ----

inline int round_to_warps(int threads) { return ceil_div(threads, kWarp) * kWarp; }

// Channels per block: few enough that the blocks fill the card also for one image.
inline int plan_chunk(int channels, long long blocks_per_chunk, int multiprocessors) {
  const int wanted = ceil_div((long long)kBlocksPerMultiprocessor * multiprocessors, blocks_per_chunk);
  const int chunk = even_part(channels, kMaxChunk), spread = ceil_div(channels, wanted);
  return min(chunk, max(spread, kMinChunk));
}

inline Tiling plan_march(const Shape& shape, int multiprocessors) {
  Tiling t;
  t.columns = even_part(shape.width, kMaxEdge);
  t.rows = even_part(shape.height, min(kMaxEdge, kMaxThreads / t.columns));
  t.row_tiles = ceil_div(shape.height, t.rows);
  t.column_tiles = ceil_div(shape.width, t.columns);
  t.chunk =
      plan_chunk(shape.channels, (long long)shape.images * t.row_tiles * t.column_tiles, multiprocessors);
  t.chunks = ceil_div(shape.channels, t.chunk);
  // A voxel each, and with the border two copies each.
  t.threads = round_to_warps(max(t.rows * t.columns, ceil_div((t.rows + 2) * (t.columns + 2), 2)));
  return t;
}

// Kernels that a tile of `outputs` rows reads at most.
inline int kernels_under(const Matrix& back, int outputs) {
  int most = 0;
  for (int i = 0; i < back.rows(); i += outputs)
    most = max(most, back.first(min(i + outputs, back.rows()) - 1) + back.width - back.first(i));
  return most;
}

inline BranchTiling plan_branch(const Shape& shape, bool along_width, const Matrix& back,
                                int multiprocessors) {
  const int across_size = along_width ? shape.height : shape.width;
  BranchTiling t;
  // A warp's lanes lie along the width, whichever axis that is here.
  const int most = along_width ? kMaxThreads / kMaxEdge : kMaxEdge;
  t.across = even_part(across_size, max(1, min(most, kMaxThreads / back.width)));
  t.outputs = min(back.rows(), kMaxOutputs);
  while (t.outputs > 1 && kernels_under(back, t.outputs) * t.across > kMaxThreads) --t.outputs;
  t.outputs = even_part(back.rows(), t.outputs);
  t.kernels = kernels_under(back, t.outputs);
  t.output_tiles = ceil_div(back.rows(), t.outputs);
  t.across_tiles = ceil_div(across_size, t.across);
  t.chunk =
      plan_chunk(shape.channels, (long long)shape.images * t.output_tiles * t.across_tiles, multiprocessors);
  t.chunks = ceil_div(shape.channels, t.chunk);
  t.threads = round_to_warps(max(t.kernels * t.across, ceil_div(t.kernels * (t.across + 2), 3)));
  return t;
}

// Whether a size can be resized to and from the kernels' on the way: a block holds all kernels that one row
// reads.
inline bool fits(int size, int kernels) {
  return Matrix({kernels, size}, false).width <= kMaxThreads &&
         Matrix({size, kernels}, true).width <= kMaxThreads;
}

// A Device has
//   void launch(kernel, long long blocks, int threads, size_t shared_bytes, arguments...), in order;
//   T* allocate<T>(long long count), scratch memory that lives until all that was launched is done;
//   int multiprocessors.
template <class A, class Device> Band<A> make_band(Device& device, const Matrix& matrix) {
  int* first = device.template allocate<int>(matrix.rows());
  A* shares = device.template allocate<A>((long long)matrix.rows() * matrix.width);
  device.launch(write_band<A>, ceil_div(matrix.rows(), kMaxThreads), kMaxThreads, 0, matrix, first, shares);
  return {first, shares, matrix.width};
}

template <Pass kPass, class T, class Device>
void launch_march(Device& device, const T* source, const T* depth_weight, const T* height_weight,
                  const T* width_weight, T* target, const Shape& shape, bool native,
                  const Epilogue<T>& epilogue = {}) {
  const Tiling t = plan_march(shape, device.multiprocessors);
  const int planes = native && kPass == Pass::kAdjoint ? 3 : 1, area = (t.rows + 2) * (t.columns + 2);
  const int sums = kPass == Pass::kFuse ? 2 * t.threads + t.chunk * kWarp : 0;
  device.launch(native ? march<T, kPass != Pass::kSpatial, kPass> : march<T, false, kPass>,
                (long long)shape.images * t.chunks * t.row_tiles * t.column_tiles, t.threads,
                sizeof(Acc<T>) * (t.chunk * kPaddedTaps + 2 * planes * area + sums), source, depth_weight,
                height_weight, width_weight, target, shape, t, epilogue);
}

template <class T, class Device>
void launch_branch(Device& device, const T* source, int source_step, const T* weight, T* target,
                   int target_step, const Matrix& to_kernels, const Matrix& back, const Shape& shape,
                   bool along_width, bool adjoint) {
  const BranchTiling t = plan_branch(shape, along_width, back, device.multiprocessors);
  device.launch(along_width ? resized_branch<T, true> : resized_branch<T, false>,
                (long long)shape.images * t.chunks * t.output_tiles * t.across_tiles, t.threads,
                sizeof(Acc<T>) * 2 * t.kernels * (t.across + 2 + t.across), source, source_step, weight,
                target, target_step, make_band<Acc<T>>(device, to_kernels), make_band<Acc<T>>(device, back),
                shape, t, adjoint);
}

template <class T, class Device>
void launch_weight_gradient(Device& device, const T* grad, const T* x, T* gradient, const Axes& axes,
                            const Shape& shape, int own_size) {
  WeightTiling t;
  t.lanes = axes.kernel_step == 1 ? even_part(axes.kernels, kWarp) : 1;  // lanes lie along the width
  const long long items = (long long)shape.images * ceil_div(axes.a, kMarch) * axes.b;
  t.columns = int(min((long long)(kMaxThreads / t.lanes), items));
  t.kernel_tiles = ceil_div(axes.kernels, t.lanes);
  t.splits = min(ceil_div(items, t.columns),
                 ceil_div((long long)kBlocksPerMultiprocessor * device.multiprocessors, t.kernel_tiles));
  const int size = axes.kernels * kTaps, threads = t.lanes * t.columns;
  Acc<T>* partial = device.template allocate<Acc<T>>((long long)t.splits * size);
  const bool resized = own_size != axes.kernels;
  Band<Acc<T>> grad_band{}, x_band{};
  if (resized) {
    grad_band = make_band<Acc<T>>(device, Matrix({axes.kernels, own_size}, true));
    x_band = make_band<Acc<T>>(device, Matrix({own_size, axes.kernels}, false));
  }
  device.launch(resized ? weight_gradient<T, true> : weight_gradient<T, false>,
                (long long)t.splits * t.kernel_tiles, threads, sizeof(Acc<T>) * kTaps * threads, grad, x,
                partial, axes, shape, grad_band, x_band, t);
  device.launch(sum_splits<T>, ceil_div(size, kMaxThreads), kMaxThreads, 0, partial, gradient, size,
                t.splits);
}

// The height and the width branch of x, one after the other, in every `target_step` planes of `target`.
template <class T, class Device>
void resized_branches(Device& device, const T* x, const T* height_weight, const T* width_weight, T* target,
                      int target_step, const Shape& shape, int height_kernels, int width_kernels) {
  launch_branch(device, x, 1, height_weight, target, target_step,
                Matrix({shape.height, height_kernels}, false), Matrix({height_kernels, shape.height}, false),
                shape, false, false);
  launch_branch(device, x, 1, width_weight, target + shape.plane(), target_step,
                Matrix({shape.width, width_kernels}, false), Matrix({width_kernels, shape.width}, false),
                shape, true, false);
}

// y (N, 3D, H, W) from x (N, D, H, W); nothing may be empty. height_kernels is H_k, width_kernels W_k.
template <class T, class Device>
void forward(Device& device, const T* x, const T* depth_weight, const T* height_weight, const T* width_weight,
             T* y, const Shape& shape, int height_kernels, int width_kernels) {
  const bool native = height_kernels == shape.height && width_kernels == shape.width;
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

// The DiCE unit in inference: y (N, D, H, W) from x (N, D, H, W). The coefficients are those of
// ops/inference.py: local (D, 12), spatial (D, 12), squeeze (hidden, D), excite (D, hidden).
template <class T> struct Unit {
  const T *depth_weight, *height_weight, *width_weight, *local, *spatial, *squeeze, *excite;
  int height_kernels, width_kernels, hidden;
};

template <class T, class Device>
void dice_unit(Device& device, const T* x, const Unit<T>& unit, T* y, const Shape& shape) {
  using A = Acc<T>;
  const bool native = unit.height_kernels == shape.height && unit.width_kernels == shape.width;
  const Tiling t = plan_march(shape, device.multiprocessors);
  const int tiles = t.row_tiles * t.column_tiles, channels = shape.channels;
  const long long planes = (long long)shape.images * channels;
  T* fused = device.template allocate<T>(planes * shape.plane());
  T* branches = native ? nullptr : device.template allocate<T>(2 * planes * shape.plane());
  A* sums = device.template allocate<A>(planes * tiles);
  A* hidden = device.template allocate<A>((long long)shape.images * unit.hidden);
  A* gate = device.template allocate<A>(planes);
  if (!native)
    resized_branches(device, x, unit.height_weight, unit.width_weight, branches, 2, shape,
                     unit.height_kernels, unit.width_kernels);
  launch_march<Pass::kFuse>(device, x, unit.depth_weight, unit.height_weight, unit.width_weight, fused, shape,
                            native, {unit.local, branches, sums, nullptr});
  constexpr int kRows = kMaxThreads / kGateLanes;
  device.launch(gate_layer<T, false>, (long long)shape.images * ceil_div(unit.hidden, kRows), kMaxThreads,
                sizeof(A) * kMaxThreads, unit.squeeze, sums, tiles, A(1) / A(shape.plane()), hidden, channels,
                unit.hidden);
  device.launch(gate_layer<T, true>, (long long)shape.images * ceil_div(channels, kRows), kMaxThreads,
                sizeof(A) * kMaxThreads, unit.excite, hidden, 1, A(1), gate, unit.hidden, channels);
  launch_march<Pass::kSpatial>(device, fused, unit.spatial, unit.height_weight, unit.width_weight, y, shape,
                               false, {unit.spatial, nullptr, nullptr, gate});
}

}  // namespace dicenet_mm::cuda
