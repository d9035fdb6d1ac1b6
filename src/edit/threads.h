#pragma once
// How many threads compute, and how long they wait for each other, on a machine that others use
// too.
#include <chrono>
#include <cstdint>
#include <stop_token>
#include <thread>

namespace icedit {

// Of `cores`, those that `others`, the processes that are running now on the machine's `cpus`,
// leave us; at least one.
int cores_left(int cores, int cpus, int others);

// A thread of ours that shares its core holds up all of them at the end of every operator. Half a
// step is lost to that; a thread less costs less. Looks at the machine for some 10 ms.
int free_cores();

// libgomp's threads spin when they have nothing to do, some 300,000 turns, and then sleep: right on
// a quiet machine, where a small operator is over before a sleeper is awake, and time slices lost
// as soon as another process wants the core. It spins 100 turns only while it looks after more
// threads than there are CPUs. So this keeps some that do nothing, until `stop` or the time is
// over, and changes no result. To be called on a thread that computes nothing itself.
void keep_waits_brief(const std::stop_token& stop, std::chrono::milliseconds time);

// Sets libtorch's threads, and keeps waits brief while others want the cores, as long as it lives.
class Threads {
 public:
  // `asked` 0: OMP_NUM_THREADS, where it is set; else one a free core, or one a core where every
  // process of several must take the same number (`alone` false: sums depend on it in the last
  // bits). GOMP_SPINCOUNT and OMP_WAIT_POLICY leave the waiting to the user.
  explicit Threads(int64_t asked, bool alone = true);
  int count() const { return count_; }

 private:
  int count_;
  std::jthread watch_;
};

}  // namespace icedit
