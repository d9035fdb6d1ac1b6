#include "edit/threads.h"

#include <ATen/Parallel.h>
#include <omp.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "base/process.h"

namespace icedit {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;

constexpr int kLooks = 5;
constexpr milliseconds kBetweenLooks{2};
constexpr milliseconds kWatchEvery{100}, kBriefFor{5000};
constexpr double kTooLong = 0.2;  // of the time, in line for a core

// Processes and threads that run or wait for a core; 0 where the kernel does not say.
int running_now() {
  std::ifstream file("/proc/stat");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("procs_running ")) return std::atoi(line.c_str() + 14);
  return 0;
}

// How long each of our threads has waited for a core, by its number: the second figure of its
// schedstat.
std::map<std::string, nanoseconds> waits_for_a_core() {
  std::map<std::string, nanoseconds> waits;
  std::error_code ended;
  for (const auto& thread : std::filesystem::directory_iterator("/proc/self/task", ended)) {
    std::ifstream file(thread.path() / "schedstat");
    int64_t ran = 0, waited = 0;
    if (file >> ran >> waited) waits[thread.path().filename().string()] = nanoseconds(waited);
  }
  return waits;
}

// False when it was stopped before the time was over.
bool sleep_for(const std::stop_token& stop, milliseconds time) {
  std::mutex mutex;
  std::unique_lock lock(mutex);
  std::condition_variable_any never;
  never.wait_for(lock, stop, time, [] { return false; });
  return !stop.stop_requested();
}

void watch(const std::stop_token& stop) {
  auto before = waits_for_a_core();
  while (sleep_for(stop, kWatchEvery)) {
    auto now = waits_for_a_core();
    const bool held_up = std::any_of(now.begin(), now.end(), [&](const auto& thread) {
      const auto then = before.find(thread.first);
      return then != before.end() && thread.second - then->second > kTooLong * kWatchEvery;
    });
    if (held_up) {
      keep_waits_brief(stop, kBriefFor);
      now = waits_for_a_core();
    }
    before = std::move(now);
  }
}

bool is_set(const char* variable) {
  return std::getenv(variable) != nullptr;
}

}  // namespace

int cores_left(int cores, int cpus, int others) {
  return std::clamp(cpus - others, 1, std::max(1, cores));
}

int free_cores() {
  std::vector<int> others;
  for (int i = 0; i < kLooks; ++i) {
    if (i > 0) std::this_thread::sleep_for(kBetweenLooks);
    others.push_back(running_now() - 1);  // without this one
  }
  std::sort(others.begin(), others.end());
  return cores_left(available_cores(), static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN)),
                    std::max(0, others[kLooks / 2]));
}

void keep_waits_brief(const std::stop_token& stop, milliseconds time) {
#pragma omp parallel num_threads(omp_get_num_procs() + 1)
  { asm volatile(""); }  // an empty one is optimised away
  sleep_for(stop, time);
  // libgomp keeps the team for this thread's next region; now it is to end.
  omp_pause_resource_all(omp_pause_soft);
}

Threads::Threads(int64_t asked, bool alone) {
  if (asked > 0) {
    at::set_num_threads(static_cast<int>(asked));
  } else if (!is_set("OMP_NUM_THREADS")) {
    at::set_num_threads(alone ? free_cores() : available_cores());
  }
  count_ = at::get_num_threads();
  if (count_ > 1 && !is_set("GOMP_SPINCOUNT") && !is_set("OMP_WAIT_POLICY"))
    watch_ = std::jthread(watch);
}

}  // namespace icedit
