#pragma once
// Where the time of forwards goes: products, what makes their inputs, attention, the rest. Nothing
// is counted unless a Stopwatch lives on the thread (`icedit bench`).
#include <array>
#include <chrono>
#include <cstddef>

namespace icedit {

enum class Work { kRest, kProducts, kInputs, kAttention };
inline constexpr size_t kKindsOfWork = 4;

class Stopwatch {
 public:
  struct Figures {
    double seconds = 0;
    double flops = 0;  // additions and multiplications, two for each pair
  };

  // Counts what this thread does while it lives; one at a time.
  Stopwatch();
  ~Stopwatch();
  Stopwatch(const Stopwatch&) = delete;
  Stopwatch& operator=(const Stopwatch&) = delete;

  // Until now.
  std::array<Figures, kKindsOfWork> figures();

 private:
  friend class Timed;
  Work change_to(Work work);  // returns what it was

  std::array<Figures, kKindsOfWork> figures_{};
  Work now_ = Work::kRest;
  std::chrono::steady_clock::time_point since_;
};

// What is done while it lives is `work`, but for what a Timed inside it says.
class Timed {
 public:
  explicit Timed(Work work, double flops = 0);
  ~Timed();
  Timed(const Timed&) = delete;
  Timed& operator=(const Timed&) = delete;

 private:
  Stopwatch* const stopwatch_;
  Work before_ = Work::kRest;
};

}  // namespace icedit
