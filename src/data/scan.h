#pragma once
// Work on threads, its results in order.
#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "base/interrupt.h"

namespace icedit {

// Threads that take what they are given in turn. At the end what is not begun is dropped, and what
// is begun is waited for.
class Workers {
 public:
  explicit Workers(int threads);  // 0: the work is done where its result is asked for
  ~Workers();

  template <class Work>
  auto start(Work work) -> std::future<decltype(work())> {
    if (threads_.empty()) return std::async(std::launch::deferred, std::move(work));
    auto task = std::make_shared<std::packaged_task<decltype(work())()>>(std::move(work));
    auto result = task->get_future();
    add([task] { (*task)(); });
    return result;
  }

 private:
  void add(std::function<void()> task);
  void run();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> tasks_;
  bool stop_ = false;
  std::vector<std::jthread> threads_;
};

// Waits for it. Throws Interrupted after Ctrl+C, and what the work threw.
template <class Result>
Result result_of(std::future<Result>& future) {
  while (future.wait_for(std::chrono::milliseconds(100)) == std::future_status::timeout)
    throw_if_interrupted();
  return future.get();
}

// One pass over rows: take(row, work(row)) for each; `take` runs here, `work` on at most `threads`
// threads, so many rows ahead and no more. Throws Interrupted, and whatever the two throw.
template <class Work, class Take>
void scan_rows(int64_t rows, int threads, const Work& work, const Take& take) {
  threads = std::max(threads, 1);
  std::deque<std::future<decltype(work(int64_t{}))>> ahead;
  Workers workers(threads);
  int64_t next = 0;
  for (int64_t row = 0; row < rows; ++row) {
    throw_if_interrupted();
    while (next < rows && next < row + threads)
      ahead.push_back(workers.start([&work, at = next++] { return work(at); }));
    auto result = result_of(ahead.front());
    ahead.pop_front();
    take(row, std::move(result));
  }
}

}  // namespace icedit
