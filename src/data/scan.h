#pragma once
// One pass over rows: the work on threads, its results in the rows' order.
#include <algorithm>
#include <cstdint>
#include <deque>
#include <future>

#include "base/interrupt.h"

namespace icedit {

// take(row, work(row)) for every row; `take` runs here, `work` on at most `threads` threads, so
// many rows ahead and no more. Throws Interrupted after Ctrl+C, and whatever the two throw.
template <class Work, class Take>
void scan_rows(int64_t rows, int threads, const Work& work, const Take& take) {
  std::deque<std::future<decltype(work(int64_t{}))>> ahead;
  int64_t next = 0;
  for (int64_t row = 0; row < rows; ++row) {
    throw_if_interrupted();
    while (next < rows && next < row + std::max(threads, 1))
      ahead.push_back(std::async(std::launch::async, [&work, at = next++] { return work(at); }));
    auto result = ahead.front().get();
    ahead.pop_front();
    take(row, std::move(result));
  }
}

}  // namespace icedit
