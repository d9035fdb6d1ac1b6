#pragma once
// This process and the machine under it.
#include <cstdint>
#include <string>

namespace icedit {

// Settings of malloc that suit libtorch's CPU tensors. Called once, first in main.
void tune_malloc();

// The cores that this process may use: physical ones, within its CPU set and its control group's
// quota.
int available_cores();

// Maker and instruction sets of the CPU, as "GenuineIntel avx2 avx512f avx512_bf16 amx_bf16"; the
// last bits of results hang on them.
std::string cpu_kind();

uint64_t peak_memory_bytes();       // VmHWM: the most that was ever resident
uint64_t resident_memory_bytes();   // VmRSS: what is now
uint64_t available_memory_bytes();  // what could be had now without swapping, within the control
                                    // group's limit
uint64_t free_swap_bytes();

}  // namespace icedit
