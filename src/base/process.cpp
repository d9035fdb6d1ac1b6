#include "base/process.h"

#include <malloc.h>
#include <sched.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <set>
#include <string>
#include <thread>
#include <utility>

namespace icedit {
namespace {

constexpr uint64_t kKib = 1024;

// The number behind `key` at the beginning of a line; 0 when it is not there.
uint64_t number_behind(const std::string& file, const std::string& key) {
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with(key)) return std::strtoull(line.c_str() + key.size(), nullptr, 10);
  }
  return 0;
}

// "VmHWM:   123 kB" of /proc files, in bytes.
uint64_t proc_bytes(const char* file, const std::string& key) {
  return number_behind(file, key + ":") * kKib;
}

template <class T>
bool read_first(const std::string& file, T& value) {
  std::ifstream in(file);
  return static_cast<bool>(in >> value);
}

// Cores that the control group's quota pays for (cgroup v2, then v1); the largest int without one.
int quota_cores() {
  constexpr int kNone = std::numeric_limits<int>::max();
  std::ifstream v2("/sys/fs/cgroup/cpu.max");
  std::string quota;
  double period = 0;
  double cores = 0;
  if (v2 >> quota >> period) {
    if (quota == "max" || period <= 0) return kNone;
    cores = std::atof(quota.c_str()) / period;
  } else {
    double microseconds = 0;
    if (!read_first("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", microseconds) || microseconds <= 0)
      return kNone;
    if (!read_first("/sys/fs/cgroup/cpu/cpu.cfs_period_us", period) || period <= 0) return kNone;
    cores = microseconds / period;
  }
  return std::max(1, static_cast<int>(cores + 0.5));
}

// What a control group leaves, the largest number where it sets no limit. Pages of files count as
// used there, but they are given back when memory is short: mapped weights are no reason for a
// refusal.
uint64_t left_in_group(const std::string& folder, const char* limit_name, const char* used_name,
                       const char* file_pages) {
  constexpr uint64_t kNone = std::numeric_limits<uint64_t>::max();
  uint64_t limit = 0, used = 0;
  if (!read_first(folder + limit_name, limit) || !read_first(folder + used_name, used))
    return kNone;
  const std::string statistics = folder + "memory.stat", prefix = file_pages;
  const uint64_t files = number_behind(statistics, prefix + "inactive_file ") +
                         number_behind(statistics, prefix + "active_file ");
  return limit - std::min(limit, used - std::min(used, files));
}

// What stands behind `key` and its colon in /proc/cpuinfo; "" where it does not.
std::string cpu_line(const std::string& key) {
  std::ifstream in("/proc/cpuinfo");
  for (std::string line; std::getline(in, line);) {
    const size_t colon = line.find(": ");
    if (line.starts_with(key) && colon != std::string::npos) return line.substr(colon + 2);
  }
  return "";
}

}  // namespace

std::string cpu_kind() {
  std::string kind = cpu_line("vendor_id");
  const std::string flags = " " + cpu_line("flags") + " ";
  for (const char* set : {"avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16"}) {
    if (flags.find(" " + std::string(set) + " ") != std::string::npos)
      kind += (kind.empty() ? "" : " ") + std::string(set);
  }
  return kind.empty() ? "unknown" : kind;
}

void tune_malloc() {
  // 32 MiB is the largest threshold that glibc takes (an edit of 512 x 512 pixels: a third fewer
  // page faults and system time than with the defaults; without any mapping 4 % more memory for
  // little more). Below it tensors come from the heap and go back to it, which is not trimmed until
  // so much is free; weights and pictures of features, which are larger, are still returned at
  // once.
  mallopt(M_MMAP_THRESHOLD, 32 << 20);
  mallopt(M_TRIM_THRESHOLD, 256 << 20);
}

int available_cores() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) != 0) {
    return std::max(1,
                    std::min(static_cast<int>(std::thread::hardware_concurrency()), quota_cores()));
  }
  std::set<std::pair<int, int>> physical;
  int logical = 0;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &set)) continue;
    ++logical;
    const std::string topology = "/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/topology/";
    int package = 0, core = 0;
    if (read_first(topology + "physical_package_id", package) &&
        read_first(topology + "core_id", core)) {
      physical.emplace(package, core);
    }
  }
  const int cores = physical.empty() ? logical : static_cast<int>(physical.size());
  return std::max(1, std::min(cores, quota_cores()));
}

uint64_t peak_memory_bytes() {
  return proc_bytes("/proc/self/status", "VmHWM");
}

uint64_t resident_memory_bytes() {
  return proc_bytes("/proc/self/status", "VmRSS");
}

uint64_t available_memory_bytes() {
  return std::min({proc_bytes("/proc/meminfo", "MemAvailable"),
                   left_in_group("/sys/fs/cgroup/", "memory.max", "memory.current", ""),
                   left_in_group("/sys/fs/cgroup/memory/", "memory.limit_in_bytes",
                                 "memory.usage_in_bytes", "total_")});
}

uint64_t free_swap_bytes() {
  return proc_bytes("/proc/meminfo", "SwapFree");
}

}  // namespace icedit
