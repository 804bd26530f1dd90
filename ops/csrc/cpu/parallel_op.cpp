// The engine works on PyTorch's threads.
#include <ATen/Parallel.h>

#include "parallel.h"

namespace dicenet_mm {
namespace {

const bool handed_in = [] {
  use_threads({at::get_num_threads, at::in_parallel_region,
               [](int64_t begin, int64_t end, int64_t grain, void (*work)(void*, int64_t, int64_t), void* context) {
                 at::parallel_for(begin, end, grain, [&](int64_t from, int64_t to) { work(context, from, to); });
               }});
  return true;
}();

}  // namespace
}  // namespace dicenet_mm
