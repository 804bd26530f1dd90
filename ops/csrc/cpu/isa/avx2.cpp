#include "../kernel_table.h"

#if defined(__x86_64__)
#include <immintrin.h>
// After the headers of others, so that nothing in them is compiled for this instruction set.
#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC target("avx2,fma")
#endif
#include "../simd/vec_avx2.h"
//
#include "../kernels/all.h"

namespace dicenet_mm {

const KernelTable& avx2_table() {
  static constexpr KernelTable table = table_of("avx2");
  return table;
}

}  // namespace dicenet_mm
#ifdef __clang__
#pragma clang attribute pop
#endif
#endif
