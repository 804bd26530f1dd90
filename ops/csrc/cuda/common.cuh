// What all kernels share: types, shapes, how work is cut.
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
template <class T> constexpr int kResizedBlocks = sizeof(Acc<T>) == 8 ? 1 : 2;  // 128 registers, 255 in double

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

// The sum of a warp's values, in each of its threads. All threads of a block must come here.
template <class A> __device__ A warp_sum(A value) {
#pragma unroll
  for (int lane = kWarp / 2; lane > 0; lane /= 2) value += __shfl_xor_sync(0xffffffffu, value, lane);
  return value;
}

template <class A> __device__ A prelu(A value, A slope_minus_one) {
  return value + slope_minus_one * min(value, A(0));
}

template <class A, class T> __device__ void load_taps(A (&taps)[kTaps], const T* weight, bool reversed) {
#pragma unroll
  for (int t = 0; t < kTaps; ++t) taps[t] = static_cast<A>(weight[reversed ? kTaps - 1 - t : t]);
}

inline int round_to_warps(int threads) { return ceil_div(threads, kWarp) * kWarp; }

// Channels per block: few enough that the blocks fill the card also for one image.
inline int plan_chunk(int channels, long long blocks_per_chunk, int multiprocessors) {
  const int wanted = ceil_div((long long)kBlocksPerMultiprocessor * multiprocessors, blocks_per_chunk);
  const int chunk = even_part(channels, kMaxChunk), spread = ceil_div(channels, wanted);
  return min(chunk, max(spread, kMinChunk));
}

// A Device has
//   void launch(kernel, long long blocks, int threads, size_t shared_bytes, arguments...), in order;
//   T* allocate<T>(long long count), scratch memory that lives until all that was launched is done;
//   int multiprocessors.

}  // namespace dicenet_mm::cuda
