#include "diffusion/call_control.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "base/str.h"
#include "diffusion/flow.h"

namespace icedit {
namespace {

// A gap is at most so much wider than the one before it: a line through two near points says little
// of one far away.
constexpr double kWidening = 1.6;
// Of what is left of the allowed error, the share that may be planned for: forecasts get worse
// towards the end.
constexpr double kPlanned = 0.6;
// Before anything is known: how much worse a forecast gets with a gap (nano's is about this), and
// the widest gap, of all there is.
constexpr double kFirstGrowth = 0.6, kFirstGap = 0.125;

// So many of the steps, the first and the last among them, the others nearest to an even division
// of the sigmas.
std::vector<bool> evenly(const std::vector<double>& sigmas, int64_t calls) {
  const auto steps = static_cast<int64_t>(sigmas.size()) - 1;
  std::vector<bool> asks(size_t(steps), false);
  asks.front() = asks.back() = true;
  for (int64_t k = 1; k + 1 < calls; ++k) {
    const double wanted =
        sigmas[0] + (sigmas[size_t(steps - 1)] - sigmas[0]) * double(k) / double(calls - 1);
    int64_t best = -1;
    for (int64_t i = 0; i < steps; ++i) {
      const auto distance = [&](int64_t j) { return std::abs(sigmas[size_t(j)] - wanted); };
      if (!asks[size_t(i)] && (best < 0 || distance(i) < distance(best))) best = i;
    }
    asks[size_t(best)] = true;
  }
  return asks;
}

double root_mean_square(const Tensor& x, const Tensor& where) {
  const Tensor squares = x.to(at::kFloat).square().mean(-1).masked_select(where);
  return squares.numel() == 0 ? 0 : std::sqrt(squares.mean().item<double>());
}

}  // namespace

std::string call_limit_fault(const CallLimit& limit, int64_t steps) {
  if (!limit.calls) return "";
  const int64_t least = std::min<int64_t>(2, steps);
  if (*limit.calls >= least && *limit.calls <= steps) return "";
  return str(" is ", *limit.calls, ", expected ",
             least < steps ? str("a whole number from ", least, " to ") : "", steps,
             ", the number of steps; the first and the last step always ask the network");
}

CallControl::CallControl(const Tensor& sigmas, const CallLimit& limit, Tensor where)
    : sigmas_(as_doubles(sigmas)), limit_(limit), where_(std::move(where)) {
  if (limit_.calls) planned_ = evenly(sigmas_, *limit_.calls);
}

bool CallControl::asks(int64_t step) const {
  if (!limit_.any()) return true;
  if (limit_.calls) return planned_[size_t(step)];
  return step == next_ || step + 2 == int64_t(sigmas_.size());
}

// What the parabola through the last two and a third point adds to the line through the last two,
// but for a factor; with one known, what the line adds to it.
double CallControl::parabola(double sigma) const {
  double product = 1;
  for (const Known& known : known_) product *= sigma - known.sigma;
  return product;
}

Tensor CallControl::forecast(int64_t step) const {
  const Known& last = known_.front();
  if (known_.size() < 2) return last.v;
  const Known& before = known_.back();
  const double way = (sigmas_[size_t(step)] - last.sigma) / (last.sigma - before.sigma);
  return last.v + (last.v - before.v) * way;
}

Tensor CallControl::take(int64_t step, const Tensor& v) {
  ++calls_;
  if (!limit_.any()) return {};
  const double sigma = sigmas_[size_t(step)];
  Tensor correction;
  if (!known_.empty()) {
    const Tensor surprise = v - forecast(step);
    const double size = root_mean_square(surprise, where_);
    double weight = 0;
    for (int64_t j = known_.front().step + 1; j < step; ++j) {
      const double width = sigmas_[size_t(j + 1)] - sigmas_[size_t(j)];
      weight += width * parabola(sigmas_[size_t(j)]) / parabola(sigma);
    }
    if (weight != 0) correction = surprise * weight;
    error_ += std::abs(weight) * size;
    if (limit_.most_error) {
      // What all gaps so far say, unless the last says that it has got worse.
      const double gap = known_.front().sigma - sigma;
      if (known_.size() == 1) surprises_ = kFirstGrowth * gap, gaps_ = gap;
      surprises_ += size, gaps_ += gap;
      next_ = widest(step, std::max(surprises_ / gaps_, 0.75 * size / gap), kWidening * gap);
    }
  } else if (limit_.most_error) {
    next_ = widest(step, kFirstGrowth, kFirstGap * (sigma - sigmas_.end()[-2]));
  }
  known_.insert(known_.begin(), {step, sigma, v});
  if (known_.size() > 2) known_.pop_back();
  return correction;
}

// The widest gap whose error is its share of what may still be spent, if a forecast gets worse with
// the gap by `growth` a unit of sigma.
int64_t CallControl::widest(int64_t step, double growth, double widest_gap) const {
  const auto last = int64_t(sigmas_.size()) - 2;
  const double sigma = sigmas_[size_t(step)];
  const double per_sigma =
      kPlanned * (*limit_.most_error - error_) / (sigma - sigmas_[size_t(last)]);
  int64_t next = step + 1;
  double error = 0;
  for (int64_t to = step + 2; to <= last; ++to) {
    const double skipped = sigmas_[size_t(to - 1)], gap = sigma - sigmas_[size_t(to)];
    error += (skipped - sigmas_[size_t(to)]) * growth * (sigma - skipped);
    if (gap > widest_gap) break;
    if (error <= per_sigma * gap) next = to;
  }
  return next;
}

}  // namespace icedit
