#include "nn/stopwatch.h"

#include <stdexcept>
#include <utility>

namespace icedit {
namespace {

thread_local Stopwatch* running = nullptr;

}  // namespace

Stopwatch::Stopwatch() : since_(std::chrono::steady_clock::now()) {
  if (running != nullptr) throw std::logic_error("a stopwatch runs on this thread already");
  running = this;
}

Stopwatch::~Stopwatch() {
  running = nullptr;
}

Work Stopwatch::change_to(Work work) {
  const auto time = std::chrono::steady_clock::now();
  figures_[size_t(now_)].seconds += std::chrono::duration<double>(time - since_).count();
  since_ = time;
  return std::exchange(now_, work);
}

std::array<Stopwatch::Figures, kKindsOfWork> Stopwatch::figures() {
  change_to(now_);
  return figures_;
}

Timed::Timed(Work work, double flops) : stopwatch_(running) {
  if (stopwatch_ == nullptr) return;
  before_ = stopwatch_->change_to(work);
  stopwatch_->figures_[size_t(work)].flops += flops;
}

Timed::~Timed() {
  if (stopwatch_ != nullptr) stopwatch_->change_to(before_);
}

}  // namespace icedit
