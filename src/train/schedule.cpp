#include "train/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/error.h"

namespace icedit {

RateSchedule::RateSchedule(RateCurve curve, int64_t warmup_steps, int64_t total_steps)
    : cosine_(curve == RateCurve::kCosine), warmup_(warmup_steps), total_(total_steps) {
  if (cosine_ && total_ <= 0)
    throw UsageError(
        "train.lr_schedule is 'cosine', which ends at train.max_steps: give the number of steps");
  if (cosine_ && warmup_ >= total_)
    throw UsageError(
        str("train.warmup_steps is ", warmup_, ", expected fewer than train.max_steps, ", total_));
}

double RateSchedule::factor(int64_t step) const {
  if (step < warmup_) return double(step) / double(warmup_);
  if (!cosine_) return 1.0;
  const double progress = double(step - warmup_) / double(total_ - warmup_);
  if (progress >= 1.0) return 0.0;  // the formula would rise again
  return std::max(0.0, 0.5 * (1.0 + std::cos(std::numbers::pi * progress)));
}

}  // namespace icedit
