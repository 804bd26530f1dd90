// All branches at another size than the kernels', in one launch: resizing, convolving and resizing back on the way.
//
// A block marches over a chunk of channels within one tile of the plane, as march.cuh does. Four things happen in each
// step, to four channels: one is fetched; the next is resized to the kernels, along its height and along its width,
// and has its depth branch computed; the next is convolved; the last is resized back, and finished. What a step leaves
// to the next lies in two buffers in turn, so that a step has one barrier. It serves bands of up to four (see
// `serves`); resized_branch.cuh serves all others.
#pragma once

#include "march.cuh"
#include "resize.cuh"

namespace dicenet_mm::cuda {

constexpr int kBand = 4;             // widest row of a matrix
constexpr int kResizedChunk = 16;    // channels, at most
constexpr int kRawCopies = 3, kResizedCopies = 2;  // cells of each kind to a thread

// Of one axis: to the kernels' size, and back.
struct Axis {
  Matrix to, back;
};

struct ResizedTiling {
  Tiling march;
  int height_kernels, width_kernels;  // that a tile needs, at most
  int raw_rows, raw_columns;          // of the input, likewise
};

// The kernels that outputs [begin, end) are made of, and the inputs that these kernels and the outputs' neighbours are.
struct Reach {
  Span kernels, raw;
  __host__ __device__ Reach(const Axis& axis, int begin, int end) {
    const int last = min(end, axis.back.rows()) - 1;
    kernels = {axis.back.first(begin), axis.back.first(last) + axis.back.width};
    raw = {min(begin - 1, axis.to.first(kernels.first)),
           max(end + 1, axis.to.first(kernels.last - 1) + axis.to.width)};
  }
};

// Rows [first, first + count) of a matrix, kBand shares each.
template <class A> __device__ void write_shares(const Matrix& matrix, int first, int count, A* shares) {
  for (int i = threadIdx.x; i < count * kBand; i += blockDim.x) {
    const int row = first + i / kBand, j = i % kBand;
    shares[i] = j < matrix.width ? matrix.share<A>(row, matrix.first(row) + j) : A(0);
  }
}

template <class T, class W, Pass kPass>
__global__ void __launch_bounds__(kMaxThreads, kResizedBlocks<T>)
    resized_march(const T* __restrict__ source, const W* __restrict__ depth_weight,
                  const W* __restrict__ height_weight, const W* __restrict__ width_weight, T* __restrict__ target,
                  Shape shape, ResizedTiling tiling, Axis rows_axis, Axis columns_axis, Epilogue<T> epilogue) {
  using A = Acc<T>;
  const Tiling& march = tiling.march;
  const int raw_cells = tiling.raw_rows * tiling.raw_columns, raw_pitch = tiling.raw_columns;
  const int height_pitch = march.columns + 2, width_pitch = tiling.width_kernels;
  const int height_cells = tiling.height_kernels * height_pitch, width_cells = (march.rows + 2) * width_pitch;
  const int height_points = tiling.height_kernels * march.columns, width_points = march.rows * width_pitch;
  A* const depth_taps = shared_memory<A>();                       // (chunk, kPaddedTaps)
  A* const local = depth_taps + march.chunk * kPaddedTaps;        // kFuse: (chunk, kPaddedTaps)
  A* const height_shares = local + (kPass == Pass::kFuse ? march.chunk * kPaddedTaps : 0);  // (kernels, kBand)
  A* const width_shares = height_shares + tiling.height_kernels * kBand;
  A* const height_back_shares = width_shares + tiling.width_kernels * kBand;  // (rows, kBand)
  A* const width_back_shares = height_back_shares + march.rows * kBand;       // (columns, kBand)
  A* const raw = width_back_shares + march.columns * kBand;       // (2, raw rows, raw columns)
  A* const height_rows = raw + 2 * raw_cells;                     // (2, kernels, columns + 2): resized
  A* const width_rows = height_rows + 2 * height_cells;           // (2, rows + 2, kernels)
  A* const height_results = width_rows + 2 * width_cells;         // (2, kernels, columns): convolved
  A* const width_results = height_results + 2 * height_points;    // (2, rows, kernels)
  A* const values = width_results + 2 * width_points;             // kFuse: (2, threads)
  A* const lane_sums = values + 2 * blockDim.x;                   // kFuse: (chunk, kWarp)

  int block = blockIdx.x;
  const int tiles_per_plane = march.row_tiles * march.column_tiles, tile_index = block % tiles_per_plane;
  const int column0 = block % march.column_tiles * march.columns;
  block /= march.column_tiles;
  const int row0 = block % march.row_tiles * march.rows;
  block /= march.row_tiles;
  const int begin = block % march.chunks * march.chunk;
  const int end = min(begin + march.chunk, shape.channels);
  const long long image = (long long)(block / march.chunks) * shape.channels;
  const Reach height_reach(rows_axis, row0, row0 + march.rows);
  const Reach width_reach(columns_axis, column0, column0 + march.columns);
  const int height_kernels = height_reach.kernels.last - height_reach.kernels.first;
  const int width_kernels = width_reach.kernels.last - width_reach.kernels.first;

  write_shares(rows_axis.to, height_reach.kernels.first, height_kernels, height_shares);
  write_shares(columns_axis.to, width_reach.kernels.first, width_kernels, width_shares);
  write_shares(rows_axis.back, row0, min(march.rows, shape.height - row0), height_back_shares);
  write_shares(columns_axis.back, column0, min(march.columns, shape.width - column0), width_back_shares);

  // What this thread copies from the input: places in the plane, -1 outside.
  int offsets[kRawCopies];
#pragma unroll
  for (int k = 0; k < kRawCopies; ++k) {
    const int cell = threadIdx.x + k * blockDim.x, row = height_reach.raw.first + cell / raw_pitch,
              column = width_reach.raw.first + cell % raw_pitch;
    const bool inside = cell < raw_cells && 0 <= row && row < shape.height && 0 <= column && column < shape.width;
    offsets[k] = inside ? row * shape.width + column : -1;
  }
  A ahead[kRawCopies];
  auto fetch = [&](int channel) {
    const bool inside = 0 <= channel && channel < shape.channels;
    const T* plane = source + (image + channel) * shape.plane();
#pragma unroll
    for (int k = 0; k < kRawCopies; ++k)
      ahead[k] = inside && offsets[k] >= 0 ? static_cast<A>(plane[offsets[k]]) : A(0);
  };
  auto put = [&](int buffer, int channel) {
    if (kPass == Pass::kFuse && epilogue.affine != nullptr && 0 <= channel && channel < shape.channels) {
      const A bias = epilogue.affine[2 * channel], slope = epilogue.affine[2 * channel + 1];
#pragma unroll
      for (int k = 0; k < kRawCopies; ++k)
        if (offsets[k] >= 0) ahead[k] = prelu(ahead[k] + bias, slope);
    }
#pragma unroll
    for (int k = 0; k < kRawCopies; ++k) {
      const int cell = threadIdx.x + k * blockDim.x;
      if (cell < raw_cells) raw[buffer * raw_cells + cell] = ahead[k];
    }
  };

  // What it resizes: the first source of each, -1 for none.
  int height_sources[kResizedCopies], width_sources[kResizedCopies];
#pragma unroll
  for (int k = 0; k < kResizedCopies; ++k) {
    const int cell = threadIdx.x + k * blockDim.x;
    const int height_kernel = cell / height_pitch, width_kernel = cell % width_pitch;
    height_sources[k] =
        height_kernel < height_kernels
            ? (rows_axis.to.first(height_reach.kernels.first + height_kernel) - height_reach.raw.first) * raw_pitch +
                  column0 - 1 + cell % height_pitch - width_reach.raw.first
            : -1;
    width_sources[k] =
        cell < width_cells && width_kernel < width_kernels
            ? (row0 - 1 + cell / width_pitch - height_reach.raw.first) * raw_pitch +
                  columns_axis.to.first(width_reach.kernels.first + width_kernel) - width_reach.raw.first
            : -1;
  }

  // What it convolves: a point of each branch.
  const int thread = threadIdx.x;
  const int height_point = min(thread, height_points - 1), width_point = min(thread, width_points - 1);
  const int height_kernel = height_point / march.columns;
  const int height_own = height_kernel * height_pitch + height_point % march.columns + 1;
  const int width_kernel = width_point % width_pitch;
  const int width_own = width_point + width_pitch;
  A height_taps[kTaps], width_taps[kTaps];
  load_taps(height_taps, height_weight + (height_reach.kernels.first + min(height_kernel, height_kernels - 1)) * kTaps,
            false);
  load_taps(width_taps, width_weight + (width_reach.kernels.first + min(width_kernel, width_kernels - 1)) * kTaps,
            false);

  // What it finishes: a voxel, made of points of each branch.
  const int voxel = min(thread, march.rows * march.columns - 1);
  const int tile_row = voxel / march.columns, tile_column = voxel % march.columns;
  const int row = row0 + tile_row, column = column0 + tile_column;
  const bool writes = voxel == thread && row < shape.height && column < shape.width;
  const int raw_own = (row - height_reach.raw.first) * raw_pitch + column - width_reach.raw.first;
  const int safe_row = min(row, shape.height - 1), safe_column = min(column, shape.width - 1);
  const int height_first = rows_axis.back.first(safe_row), width_first = columns_axis.back.first(safe_column);
  const int height_back = (height_first - height_reach.kernels.first) * march.columns + tile_column;
  const int width_back = tile_row * width_pitch + width_first - width_reach.kernels.first;
  T* const out = target + row * shape.width + column;

  for (int i = threadIdx.x; i < (end - begin) * kTaps; i += blockDim.x)
    depth_taps[i / kTaps * kPaddedTaps + i % kTaps] = static_cast<A>(depth_weight[begin * kTaps + i]);
  if constexpr (kPass == Pass::kFuse)
    for (int i = threadIdx.x; i < (end - begin) * kPaddedTaps; i += blockDim.x)
      local[i] = epilogue.local[begin * kPaddedTaps + i];
  fetch(begin - 1);
  put(0, begin - 1);
  __syncthreads();

  A height_sum_own = 0, height_sum_next = 0, width_sum_own = 0, width_sum_next = 0;
  A depth_later[3] = {};  // of the three channels before
  for (int channel = begin - 1, buffer = 0; channel <= end + 2; ++channel, buffer ^= 1) {
    if (channel < end) fetch(channel + 1);

    A depth = 0;
    if (channel <= end) {  // resized to the kernels; the depth branch
      const A* const plane = raw + buffer * raw_cells;
#pragma unroll
      for (int k = 0; k < kResizedCopies; ++k) {
        const int cell = threadIdx.x + k * blockDim.x;
        if (height_sources[k] >= 0) {
          const A* const shares = height_shares + cell / height_pitch * kBand;
          A sum = 0;
#pragma unroll
          for (int j = 0; j < kBand; ++j)
            if (j < rows_axis.to.width) sum += shares[j] * plane[height_sources[k] + j * raw_pitch];
          height_rows[buffer * height_cells + cell] = sum;
        }
        if (width_sources[k] >= 0) {
          const A* const shares = width_shares + cell % width_pitch * kBand;
          A sum = 0;
#pragma unroll
          for (int j = 0; j < kBand; ++j)
            if (j < columns_axis.to.width) sum += shares[j] * plane[width_sources[k] + j];
          width_rows[buffer * width_cells + cell] = sum;
        }
      }
      if (begin <= channel && channel < end) {
        const A* const taps = depth_taps + (channel - begin) * kPaddedTaps;
#pragma unroll
        for (int t = 0; t < kTaps; ++t) depth += taps[t] * plane[raw_own + (t / 3 - 1) * raw_pitch + t % 3 - 1];
      }
    }

    if (begin <= channel && channel <= end + 1) {  // the channel before, convolved; the one before that is complete
      const A* const height_row = height_rows + (buffer ^ 1) * height_cells + height_own;
      const A* const width_row = width_rows + (buffer ^ 1) * width_cells + width_own;
      A height = height_sum_own, width = width_sum_own;
      height_sum_own = height_sum_next, width_sum_own = width_sum_next, height_sum_next = width_sum_next = 0;
#pragma unroll
      for (int j = 0; j < 3; ++j) {
        const A across = height_row[j - 1], down = width_row[(j - 1) * width_pitch];
        height_sum_next += height_taps[j] * across, width_sum_next += width_taps[j] * down;
        height_sum_own += height_taps[3 + j] * across, width_sum_own += width_taps[3 + j] * down;
        height += height_taps[6 + j] * across, width += width_taps[6 + j] * down;
      }
      if (height_point == thread) height_results[buffer * height_points + thread] = height;
      if (width_point == thread) width_results[buffer * width_points + thread] = width;
    }

    const int done = channel - 3;
    if (done >= begin) {  // resized back, finished
      const A* const height_result = height_results + (buffer ^ 1) * height_points + height_back;
      const A* const width_result = width_results + (buffer ^ 1) * width_points + width_back;
      const A* const height_share = height_back_shares + tile_row * kBand;
      const A* const width_share = width_back_shares + tile_column * kBand;
      A height = 0, width = 0;
#pragma unroll
      for (int j = 0; j < kBand; ++j) {
        if (j < rows_axis.back.width) height += height_share[j] * height_result[j * march.columns];
        if (j < columns_axis.back.width) width += width_share[j] * width_result[j];
      }
      if constexpr (kPass == Pass::kFuse) {
        const A value = fuse(depth_later[2], height, width, local + (done - begin) * kPaddedTaps);
        values[buffer * blockDim.x + thread] = writes ? value : A(0);
        if (writes) out[(image + done) * shape.plane()] = static_cast<T>(value);
      } else if (writes) {
        T* const plane = out + (image + done) * 3 * shape.plane();
        plane[0] = static_cast<T>(depth_later[2]);
        plane[shape.plane()] = static_cast<T>(height);
        plane[2 * shape.plane()] = static_cast<T>(width);
      }
    }
    depth_later[2] = depth_later[1], depth_later[1] = depth_later[0], depth_later[0] = depth;
    if (channel < end) put(buffer ^ 1, channel + 1);
    __syncthreads();  // the one of a step
    if (kPass == Pass::kFuse && done >= begin)
      add_lanes(values + buffer * blockDim.x, lane_sums + (done - begin) * kWarp);
  }
  if constexpr (kPass == Pass::kFuse) {
    __syncthreads();
    store_sums(lane_sums, end - begin, epilogue.sums + (image + begin) * tiles_per_plane + tile_index,
               tiles_per_plane);
  }
}

inline bool is_narrow(const Axis& axis) { return axis.to.width <= kBand && axis.back.width <= kBand; }

struct ResizedPlan {
  Axis rows, columns;
  ResizedTiling tiling;
  bool serves;
};

inline ResizedPlan plan_resized(const Shape& shape, int height_kernels, int width_kernels, int multiprocessors) {
  ResizedPlan plan{{Matrix({shape.height, height_kernels}, false), Matrix({height_kernels, shape.height}, false)},
                   {Matrix({shape.width, width_kernels}, false), Matrix({width_kernels, shape.width}, false)},
                   {},
                   false};
  if (!is_narrow(plan.rows) || !is_narrow(plan.columns)) return plan;
  auto most = [](const Axis& axis, int part, auto of) {
    int extent = 0;
    for (int i = 0; i < axis.back.rows(); i += part) {
      const Span span = of(Reach(axis, i, i + part));
      extent = max(extent, span.last - span.first);
    }
    return extent;
  };
  auto kernels = [](const Reach& reach) { return reach.kernels; };
  auto raw = [](const Reach& reach) { return reach.raw; };
  ResizedTiling& t = plan.tiling;
  Tiling& march = t.march;
  const int row_limit = min(shape.height, kMaxEdge), column_limit = min(shape.width, kMaxEdge);
  long long best = 0;
  for (int columns = column_limit; columns > 0; --columns) {
    if (columns != even_part(shape.width, columns)) continue;
    for (int rows = min(row_limit, kMaxThreads / columns); rows > 0; --rows) {
      if (rows != even_part(shape.height, rows)) continue;
      ResizedTiling c;
      c.height_kernels = most(plan.rows, rows, kernels), c.width_kernels = most(plan.columns, columns, kernels);
      c.raw_rows = most(plan.rows, rows, raw), c.raw_columns = most(plan.columns, columns, raw);
      if (c.height_kernels * columns > kMaxThreads || rows * c.width_kernels > kMaxThreads) continue;
      const int points = max(rows * columns, max(c.height_kernels * columns, rows * c.width_kernels));
      const int cells = max(c.height_kernels * (columns + 2), (rows + 2) * c.width_kernels);
      const int threads = round_to_warps(
          max(points, max(ceil_div(cells, kResizedCopies), ceil_div(c.raw_rows * c.raw_columns, kRawCopies))));
      if (threads > kMaxThreads) continue;
      // The work of a step is what all threads of all tiles pass through.
      const long long work = (long long)ceil_div(shape.height, rows) * ceil_div(shape.width, columns) * (threads + 64);
      if (best == 0 || work < best) {
        best = work, t = c;
        march = {rows, columns, ceil_div(shape.height, rows), ceil_div(shape.width, columns), 0, 0, threads};
      }
      break;  // fewer rows are more tiles
    }
  }
  if (best == 0) return plan;
  march.chunk = min(kResizedChunk, plan_chunk(shape.channels,
                                              (long long)shape.images * march.row_tiles * march.column_tiles,
                                              multiprocessors));
  march.chunks = ceil_div(shape.channels, march.chunk);
  plan.serves = true;
  return plan;
}

template <Pass kPass, class T, class W, class Device>
void launch_resized_march(Device& device, const ResizedPlan& plan, const T* source, const W* depth_weight,
                          const W* height_weight, const W* width_weight, T* target, const Shape& shape,
                          const Epilogue<T>& epilogue = {}) {
  const ResizedTiling& t = plan.tiling;
  const Tiling& march = t.march;
  const int height = t.height_kernels * (2 * march.columns + 2), width = (2 * march.rows + 2) * t.width_kernels;
  const int extra = kPass == Pass::kFuse ? 2 * march.threads + march.chunk * (kWarp + kPaddedTaps) : 0;
  const int shared = march.chunk * kPaddedTaps +
                     kBand * (t.height_kernels + t.width_kernels + march.rows + march.columns) +
                     2 * (t.raw_rows * t.raw_columns + height + width) + extra;
  device.launch(resized_march<T, W, kPass>,
                (long long)shape.images * march.chunks * march.row_tiles * march.column_tiles, march.threads,
                sizeof(Acc<T>) * shared, source, depth_weight, height_weight, width_weight, target, shape, t,
                plan.rows, plan.columns, epilogue);
}

}  // namespace dicenet_mm::cuda
