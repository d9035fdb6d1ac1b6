#pragma once
// How the learning rate goes over a run. Source of the formulas: diffusers' optimization.py.
#include <cstdint>
#include <string>

namespace icedit {

class RateSchedule {
 public:
  // name: "constant" (after the warm-up), "cosine" (down to 0 at total_steps). Throws UsageError:
  // an unknown name, a negative warm-up, a cosine without an end or whose warm-up is longer than
  // the run.
  RateSchedule(const std::string& name, int64_t warmup_steps, int64_t total_steps);

  // What the rate is multiplied by in step `step`, counted from 0: the first step of a warm-up is
  // 0.
  double factor(int64_t step) const;

 private:
  bool cosine_;
  int64_t warmup_, total_;
};

}  // namespace icedit
