// All branches at the kernels' own size, or the depth branch alone.
#pragma once

#include "common.cuh"

namespace dicenet_mm::cuda {

// How blocks share the work: each marches over a chunk of channels within one tile of the plane.
struct Tiling {
  int rows, columns, row_tiles, column_tiles, chunk, chunks, threads;
};

// What the march is for. The gradient of x has the taps reversed and reads three planes per channel into one.
// The two passes of inference, X -> Y_G and Y_G -> Y, give one plane per channel too.
enum class Pass { kForward, kAdjoint, kFuse, kSpatial };

// Where a block of the network puts its result: alone, or after the channels that pass it by, halves in turn.
template <class T> struct Shuffle {
  const T* passed = nullptr;
  int count = 0;               // of channels that pass
  int source_planes = 0;       // of an image of `passed`
  int target_planes = 0;       // of an image of the result
  __host__ __device__ int place(int channel) const {  // of a channel of both, those that pass first
    if (count == 0) return channel;
    const int half = target_planes / 2;
    return channel < half ? 2 * channel : 2 * (channel - half) + 1;
  }
};

// What inference does before and after; ops/inference.py packs the coefficients. `A` is what sums are kept in.
template <class T> struct Epilogue {
  using A = Acc<T>;
  // kFuse. Bias and slope - 1 of what comes before, (D, 2), or none; the local fusion, (D, kPaddedTaps); height and
  // width responses (N, 2D, H, W), where march itself has none; the sums of Y_G, (N, D, tiles).
  const A *affine = nullptr, *local = nullptr;
  const T* branches = nullptr;
  A* sums = nullptr;
  // kSpatial, whose taps are rows of kPaddedTaps with bias and slope - 1 after them. The gate's last layer,
  // (D, hidden), and what it is applied to, (N, hidden).
  const A *excite = nullptr, *hidden = nullptr;
  int hidden_count = 0;
  Shuffle<T> shuffle{};
};

// Local fusion of the three responses: p u + r min(u, knee) for each, the bias, PReLU.
template <class A> __device__ A fuse(A depth, A height, A width, const A* local) {
  const A response[3] = {depth, height, width};
  A sum = local[9];
#pragma unroll
  for (int b = 0; b < 3; ++b)
    sum += local[3 * b] * response[b] + local[3 * b + 1] * min(response[b], local[3 * b + 2]);
  return prelu(sum, local[10]);
}

// The sum of a channel's values, one of each thread, in two steps: the first warp adds them up in its lanes; once all
// channels are through, a thread a channel adds the lanes. A chunk is no longer than a warp.
template <class A> __device__ void add_lanes(const A* values, A* lane_sums) {
  if (threadIdx.x >= kWarp) return;
  A sum = 0;
  for (int i = threadIdx.x; i < int(blockDim.x); i += kWarp) sum += values[i];
  lane_sums[threadIdx.x] = sum;
}

template <class A> __device__ void store_sums(const A* lane_sums, int channels, A* sums, int step) {
  if (int(threadIdx.x) >= channels) return;
  A sum = 0;
  for (int lane = 0; lane < kWarp; ++lane) sum += lane_sums[threadIdx.x * kWarp + lane];
  sums[threadIdx.x * step] = sum;
}

// One thread per voxel of the tile. It holds the taps of its row and its column, reads each plane once and
// adds it to three channels at a time: the one before (now complete), its own and the next.
// Storage is in T, weights are of type W: T itself, or in inference what sums are kept in.
template <class T, class W, bool kNative, Pass kPass>
__global__ void __launch_bounds__(kMaxThreads, kPass == Pass::kFuse ? kOtherBlocks<T> : kMarchBlocks<T>)
    march(const T* __restrict__ source, const W* __restrict__ depth_weight,
          const W* __restrict__ height_weight, const W* __restrict__ width_weight, T* __restrict__ target,
          Shape shape, Tiling tiling, Epilogue<T> epilogue) {
  using A = Acc<T>;
  constexpr bool kAdjoint = kPass == Pass::kAdjoint;
  constexpr int kPlanes = kAdjoint && kNative ? 3 : 1;  // that are read per channel
  constexpr int kCopies = 2;                            // of each plane by a thread; see plan_march
  constexpr int kSourceStep = kAdjoint ? 3 : 1, kTargetStep = kPass == Pass::kForward ? 3 : 1;
  constexpr int kReach = kNative ? 1 : 0;  // the depth branch needs no other channel
  const int pitch = tiling.columns + 2, area = pitch * (tiling.rows + 2);
  A* const depth_taps = shared_memory<A>();                   // (chunk, kPaddedTaps)
  A* const local = depth_taps + tiling.chunk * kPaddedTaps;   // kFuse: (chunk, kPaddedTaps)
  A* const tiles = local + (kPass == Pass::kFuse ? tiling.chunk * kPaddedTaps : 0);
  A* const rest = tiles + 2 * kPlanes * area;                 // tiles: (2, kPlanes, rows + 2, columns + 2)
  A* const values = rest;                                     // kFuse: (2, threads)
  A* const lane_sums = values + 2 * blockDim.x;               // kFuse: (chunk, kWarp)
  A* const gate = rest;                                       // kSpatial: (chunk)

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
  auto put = [&](int buffer, int channel) {
    if (kPass == Pass::kFuse && epilogue.affine != nullptr && 0 <= channel && channel < shape.channels) {
      const A bias = epilogue.affine[2 * channel], slope = epilogue.affine[2 * channel + 1];
#pragma unroll
      for (int k = 0; k < kCopies; ++k)
        if (offsets[k] >= 0) ahead[0][k] = prelu(ahead[0][k] + bias, slope);
    }
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
  if constexpr (kPass == Pass::kSpatial) {
    for (int i = threadIdx.x; i < (end - begin) * kPaddedTaps; i += blockDim.x)
      depth_taps[i] = static_cast<A>(depth_weight[begin * kPaddedTaps + i]);
    const int warps = blockDim.x / kWarp, lane = threadIdx.x % kWarp;
    const A* const hidden = epilogue.hidden + image / shape.channels * epilogue.hidden_count;
    for (int first = 0; first < end - begin; first += warps) {  // the gate's last layer, a warp a channel
      const int channel = first + threadIdx.x / kWarp;
      A sum = 0;
      if (channel < end - begin)
        for (int i = lane; i < epilogue.hidden_count; i += kWarp)
          sum += epilogue.excite[(long long)(begin + channel) * epilogue.hidden_count + i] * hidden[i];
      sum = warp_sum(sum);
      if (lane == 0 && channel < end - begin) gate[channel] = A(1) / (A(1) + exp(-sum));
    }
    const Shuffle<T>& shuffle = epilogue.shuffle;  // this chunk's part of the channels that pass
    const int chunk = begin / tiling.chunk;
    const long long own_image = image / shape.channels;
    for (int p = int((long long)shuffle.count * chunk / tiling.chunks);
         p < int((long long)shuffle.count * (chunk + 1) / tiling.chunks); ++p)
      if (writes)
        out[(own_image * shuffle.target_planes + shuffle.place(p)) * shape.plane()] =
            shuffle.passed[(own_image * shuffle.source_planes + p) * shape.plane() + row * shape.width + column];
  } else {
    for (int i = threadIdx.x; i < (end - begin) * kTaps; i += blockDim.x) {
      const int t = kAdjoint ? kTaps - 1 - i % kTaps : i % kTaps;
      depth_taps[i / kTaps * kPaddedTaps + t] = static_cast<A>(depth_weight[begin * kTaps + i]);
    }
  }
  if constexpr (kPass == Pass::kFuse)
    for (int i = threadIdx.x; i < (end - begin) * kPaddedTaps; i += blockDim.x)
      local[i] = epilogue.local[begin * kPaddedTaps + i];
  fetch(begin - kReach);
  put(0, begin - kReach);
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
    if (channel < last) put(buffer ^ 1, channel + 1);

    const int done = channel - kReach;  // whose sums are complete
    T* plane = out + (image + done) * kTargetStep * shape.plane();
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
        value = fuse(value, height, width, local + (done - begin) * kPaddedTaps);
        values[buffer * blockDim.x + threadIdx.x] = writes ? value : A(0);
      }
      if constexpr (kPass == Pass::kSpatial) {
        const A* const after = depth_taps + (done - begin) * kPaddedTaps + kTaps;
        value = prelu(value + after[0], after[1]) * gate[done - begin];
        if (epilogue.shuffle.count != 0)
          plane = out + (image / shape.channels * epilogue.shuffle.target_planes +
                         epilogue.shuffle.place(epilogue.shuffle.count + done)) * shape.plane();
      }
      if (writes) plane[0] = static_cast<T>(value);
    }
    depth_before = depth;
    __syncthreads();  // the one of a step: the tile it filled is read next, the one it read is filled next
    if (kPass == Pass::kFuse && done >= begin)
      add_lanes(values + buffer * blockDim.x, lane_sums + (done - begin) * kWarp);
  }
  if constexpr (kPass == Pass::kFuse) {
    __syncthreads();
    store_sums(lane_sums, end - begin, epilogue.sums + (image + begin) * tiles_per_plane + tile_index,
               tiles_per_plane);
  }
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

template <Pass kPass, class T, class W, class Device>
void launch_march(Device& device, const T* source, const W* depth_weight, const W* height_weight,
                  const W* width_weight, T* target, const Shape& shape, bool native,
                  const Epilogue<T>& epilogue = {}) {
  const Tiling t = plan_march(shape, device.multiprocessors);
  const int planes = native && kPass == Pass::kAdjoint ? 3 : 1, area = (t.rows + 2) * (t.columns + 2);
  const int extra = kPass == Pass::kFuse      ? 2 * t.threads + t.chunk * (kWarp + kPaddedTaps)
                    : kPass == Pass::kSpatial ? t.chunk
                                              : 0;
  device.launch(native ? march<T, W, kPass != Pass::kSpatial, kPass> : march<T, W, false, kPass>,
                (long long)shape.images * t.chunks * t.row_tiles * t.column_tiles, t.threads,
                sizeof(Acc<T>) * (t.chunk * kPaddedTaps + 2 * planes * area + extra), source, depth_weight,
                height_weight, width_weight, target, shape, t, epilogue);
}

}  // namespace dicenet_mm::cuda
