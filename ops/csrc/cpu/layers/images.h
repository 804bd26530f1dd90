// Images and batches on threads, and where their planes lie.
#pragma once
#include <vector>

#include "../dispatch.h"
#include "../parallel.h"

namespace dicenet_mm {

// Images on threads of their own, as many on each; the work within one that is left over is shared out.
template <class F>
void for_each_image(int64_t images, const F& work) {
  const int64_t apart = images - images % threads().count();
  parallel_for(0, apart, 1, [&](int64_t from, int64_t to) {
    for (int64_t i = from; i < to; ++i) work(i);
  });
  for (int64_t i = apart; i < images; ++i) work(i);
}

// Images with small maps go together, one in each lane of a vector, as far as they fill all lanes; whatever is left,
// one by one. `work` takes how many go together, the first of them, and how often.
template <class F>
void for_each_batch(int64_t images, int64_t area, const F& work) {
  const int lanes = kernels<float>().lanes;
  const int64_t batches = area <= kSmallMap ? images / lanes : 0;
  if (batches > 0) work(lanes, 0, batches);
  if (images > batches * lanes) work(1, batches * lanes, images - batches * lanes);
}

// Where each channel's plane lies, `area` elements apart.
template <class S>
std::vector<S*> planes_of(S* x, int64_t area, int64_t count) {
  std::vector<S*> planes(count);
  for (int64_t i = 0; i < count; ++i) planes[i] = x + i * area;
  return planes;
}

}  // namespace dicenet_mm
