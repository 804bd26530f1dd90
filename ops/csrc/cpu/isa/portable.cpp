#include "../kernel_table.h"
#include "../simd/vec_generic.h"
//
#include "../kernels/all.h"

namespace dicenet_mm {

const KernelTable& portable_table() {
  static constexpr KernelTable table = table_of("portable");
  return table;
}

}  // namespace dicenet_mm
