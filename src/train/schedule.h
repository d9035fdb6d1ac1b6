#pragma once
// How the learning rate goes over a run. Source of the formulas: diffusers' optimization.py.
#include <cstdint>

namespace icedit {

enum class RateCurve {
  kConstant,  // after the warm-up
  kCosine     // down to 0 at the last step
};

class RateSchedule {
 public:
  // Throws UsageError: a cosine without an end or whose warm-up is longer than the run.
  RateSchedule(RateCurve curve, int64_t warmup_steps, int64_t total_steps);

  // What the rate is multiplied by in step `step`, counted from 0: the first step of a warm-up is
  // 0.
  double factor(int64_t step) const;

 private:
  bool cosine_;
  int64_t warmup_, total_;
};

}  // namespace icedit
