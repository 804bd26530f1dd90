#include "../kernel_table.h"

#if defined(__aarch64__)
#include "../simd/vec_neon.h"
//
#include "../kernels/all.h"

namespace dicenet_mm {

const KernelTable& neon_table() {
  static constexpr KernelTable table = table_of("neon");
  return table;
}

}  // namespace dicenet_mm
#endif
