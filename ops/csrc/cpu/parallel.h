// Work that threads share. Whoever holds threads hands them in (use_threads); until then the caller works alone.
#pragma once
#include <cstdint>

namespace dicenet_mm {

struct Threads {
  int (*count)();
  bool (*inside)();  // whether the caller is one of those that share work already
  // work(context, from, to) over parts of [begin, end) of at least `grain`, all done on return.
  void (*run)(int64_t begin, int64_t end, int64_t grain, void (*work)(void*, int64_t, int64_t), void* context);
};

void use_threads(const Threads& threads);
const Threads& threads();

template <class F>
void parallel_for(int64_t begin, int64_t end, int64_t grain, const F& work) {
  threads().run(
      begin, end, grain,
      [](void* context, int64_t from, int64_t to) { (*static_cast<const F*>(context))(from, to); },
      const_cast<F*>(&work));
}

// Threads among which the caller can share work.
inline int sharing_threads() { return threads().inside() ? 1 : threads().count(); }

}  // namespace dicenet_mm
