// Enough of CUDA to run kernels on a host, for correctness alone: one fibre per thread, one block after the
// other.
//
// Fibres run up to the next __syncthreads() in a chosen order, so that a missing barrier shows. Shared memory
// holds NaN when a block starts, and what lies beyond the size that a launch asked for is poisoned for the
// address sanitizer.
#pragma once
#include <sanitizer/asan_interface.h>
#include <ucontext.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#define __global__
#define __device__
#define __host__
#define __shared__
#define __launch_bounds__(...)
#define threadIdx (emulation::grid.thread)
#define blockIdx (emulation::grid.block)
#define blockDim (emulation::grid.threads)
#define gridDim (emulation::grid.blocks)
#define __syncthreads() emulation::wait()
#define __shfl_xor_sync(mask, value, lane) emulation::shuffle_xor(value, lane)
using std::max;
using std::min;

namespace dicenet_mm::cuda {
constexpr std::size_t kSharedBytes = 48 << 10;
alignas(16) unsigned char shared_bytes[kSharedBytes];
}  // namespace dicenet_mm::cuda

namespace emulation {

struct Index {
  unsigned x;
};
struct Grid {
  Index thread, block, threads, blocks;
};
inline Grid grid;

[[noreturn]] inline void fail(const std::string& why) {
  std::fprintf(stderr, "emulation: %s\n", why.c_str());
  std::_Exit(3);
}

enum class State { kReady, kWaiting, kDone };
struct Fibre {
  ucontext_t context;
  State state;
};
constexpr std::size_t kStack = 64 << 10;
inline std::vector<Fibre> fibres;
inline std::unique_ptr<char[]> stacks;
inline ucontext_t scheduler;
inline unsigned current;
inline void (*body)(void*);
inline void* closure;

inline void leave(State state) {
  fibres[current].state = state;
  swapcontext(&fibres[current].context, &scheduler);
}
inline bool barriers = true;
inline void wait() {
  if (barriers) leave(State::kWaiting);
}
// Threads of a warp exchange values. Here the whole block waits, so all of it must take part, as warp_sum() asks.
template <class T> T shuffle_xor(T value, unsigned lane) {
  static std::vector<T> all(1024);
  const unsigned own = current;
  all[own] = value;
  leave(State::kWaiting);
  const T other = all[own ^ lane];
  leave(State::kWaiting);
  return other;
}
inline void enter() {
  body(closure);
  leave(State::kDone);
}

inline void run_block(std::vector<unsigned>& order, bool shuffle, std::mt19937& random) {
  for (auto& fibre : fibres) {
    getcontext(&fibre.context);
    fibre.context.uc_stack.ss_sp = stacks.get() + (&fibre - fibres.data()) * kStack;
    fibre.context.uc_stack.ss_size = kStack;
    fibre.context.uc_link = nullptr;
    makecontext(&fibre.context, enter, 0);
  }
  for (std::size_t done = 0; done < fibres.size();) {
    for (auto& fibre : fibres) fibre.state = State::kReady;
    if (shuffle) std::shuffle(order.begin(), order.end(), random);
    for (unsigned i : order) {
      current = i;
      grid.thread.x = i;
      swapcontext(&scheduler, &fibres[i].context);
    }
    done = std::count_if(fibres.begin(), fibres.end(), [](auto& f) { return f.state == State::kDone; });
    if (done != 0 && done != fibres.size()) fail("some threads of a block ended, others wait at a barrier");
  }
}

// The Device that dim_conv.cuh asks for. order: forward, reversed or shuffled. fault: what the tests of the
// emulation itself break, no_barriers or little_shared (less shared memory than asked for), else none.
struct Device {
  std::string order, fault;
  int multiprocessors;
  std::mt19937 random{1};
  std::vector<std::unique_ptr<char[]>> scratch{};

  int launches = 0;

  std::size_t mark() const { return scratch.size(); }
  void release(std::size_t mark) { scratch.resize(mark); }  // the sanitizer sees what is still read

  template <class T>
  void multiply(const T* matrix, const T* x, long long image_step, T* y, int rows, int columns, long long images,
                long long plane) {
    ++launches;
    for (long long n = 0; n < images; ++n)
      for (int r = 0; r < rows; ++r)
        for (long long i = 0; i < plane; ++i) {
          double sum = 0;
          for (int c = 0; c < columns; ++c)
            sum += double(static_cast<float>(matrix[r * columns + c])) *
                   static_cast<float>(x[n * image_step + c * plane + i]);
          y[(n * rows + r) * plane + i] = static_cast<T>(static_cast<float>(sum));
        }
  }

  template <class T> T* allocate(long long count) {
    const std::size_t bytes = count * sizeof(T);
    scratch.emplace_back(new char[bytes]);
    std::memset(scratch.back().get(), 0xff, bytes);  // NaN
    return reinterpret_cast<T*>(scratch.back().get());
  }

  template <class... Parameters, class... Arguments>
  void launch(void (*kernel)(Parameters...), long long blocks, int threads, std::size_t shared,
              Arguments... arguments) {
    using dicenet_mm::cuda::kSharedBytes;
    using dicenet_mm::cuda::shared_bytes;
    if (blocks < 1 || threads < 1 || threads > 1024 || shared > kSharedBytes)
      fail("a launch of " + std::to_string(blocks) + " blocks, " + std::to_string(threads) + " threads and " +
           std::to_string(shared) + " bytes");
    barriers = fault != "no_barriers";
    if (fault == "little_shared" && shared != 0) shared -= 8;
    auto call = [&] { kernel(arguments...); };
    closure = &call;
    body = [](void* it) { (*static_cast<decltype(call)*>(it))(); };
    fibres.resize(threads);
    stacks.reset(new char[threads * kStack]);
    std::vector<unsigned> turns(threads);
    std::iota(turns.begin(), turns.end(), 0u);
    if (order == "reversed") std::reverse(turns.begin(), turns.end());
    grid.threads.x = threads;
    grid.blocks.x = static_cast<unsigned>(blocks);
    ++launches;
    ASAN_POISON_MEMORY_REGION(shared_bytes + shared, kSharedBytes - shared);
    for (long long block = 0; block < blocks; ++block) {
      grid.block.x = static_cast<unsigned>(block);
      std::memset(shared_bytes, 0xff, shared);
      run_block(turns, order == "shuffled", random);
    }
    ASAN_UNPOISON_MEMORY_REGION(shared_bytes, kSharedBytes);
  }
};

}  // namespace emulation
