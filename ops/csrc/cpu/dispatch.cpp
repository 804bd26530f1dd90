#include "dispatch.h"

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

namespace dicenet_mm {

namespace {

struct InstructionSet {
  const char* name;
  bool (*is_supported)();
  const KernelTable& (*table)();
};

bool always() { return true; }

#if defined(__x86_64__)
bool has_avx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
bool has_avx512() {
  return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}
#endif

// The best one first.
constexpr InstructionSet kInstructionSets[] = {
#if defined(__x86_64__)
    {"avx512", has_avx512, avx512_table},
    {"avx2", has_avx2, avx2_table},
#elif defined(__aarch64__)
    {"neon", always, neon_table},
#endif
    {"portable", always, portable_table},
};

const KernelTable* chosen_at_start() {
  const char* most = std::getenv("DICENET_MM_ISA");
  bool reached = !most || !*most;
  for (const InstructionSet& set : kInstructionSets) {
    reached = reached || std::strcmp(most, set.name) == 0;
    if (reached && set.is_supported()) return &set.table();
  }
  std::string names;
  for (const InstructionSet& set : kInstructionSets) names += std::string(names.empty() ? "" : ", ") + set.name;
  throw std::runtime_error(std::string("DICENET_MM_ISA must name one of ") + names + ", got " + most);
}

std::atomic<const KernelTable*> chosen{nullptr};

}  // namespace

const KernelTable& kernel_table() {
  const KernelTable* table = chosen.load(std::memory_order_acquire);
  if (!table) chosen.store(table = chosen_at_start(), std::memory_order_release);
  return *table;
}

}  // namespace dicenet_mm

using namespace dicenet_mm;

const char* dicenet_mm_instruction_sets() {
  static const std::string names = [] {
    std::string supported;
    for (const InstructionSet& set : kInstructionSets)
      if (set.is_supported()) supported += std::string(supported.empty() ? "" : " ") + set.name;
    return supported;
  }();
  return names.c_str();
}

const char* dicenet_mm_instruction_set() { return kernel_table().name; }

int dicenet_mm_use_instruction_set(const char* name) {
  for (const InstructionSet& set : kInstructionSets)
    if (std::strcmp(name, set.name) == 0 && set.is_supported()) {
      chosen.store(&set.table(), std::memory_order_release);
      return 1;
    }
  return 0;
}
