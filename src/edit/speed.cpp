#include "edit/speed.h"

#include <ATen/ATen.h>

#include <cmath>

#include "base/error.h"
#include "edit/diptych.h"
#include "edit/preview.h"

namespace icedit {
namespace {

constexpr double kBalancedDecibels = 55, kFastDecibels = 53;

// Of the error that the forecasts made, what ends in the picture: later steps undo a part of it,
// and what is summed as if it all went one way does not. Measured on nano (docs/speed.md), where it
// is as good as constant.
constexpr double kRemains = 0.14;

}  // namespace

std::optional<double> wanted_decibels(const SpeedSettings& s) {
  if (s.calls || s.error || s.speed == Speed::kExact) return s.calls ? std::nullopt : s.error;
  return s.speed == Speed::kFast ? kFastDecibels : kBalancedDecibels;
}

SpeedFault speed_fault(const SpeedSettings& s, Solver solver, int64_t steps) {
  if (solver != Solver::kEuler && (s.calls || wanted_decibels(s))) {
    const char* which = s.calls ? "calls" : s.error ? "speed-error" : "speed";
    return {"solver",
            str(which, " goes only with solver euler; with another, take fewer steps instead")};
  }
  if (!s.calls) return {};
  if (s.error || s.speed != Speed::kExact) {
    return {"calls", str("calls is ", *s.calls, " beside ", s.error ? "speed-error" : "speed",
                         ", which finds the number by itself; give one of them")};
  }
  const std::string fault = call_limit_fault({s.calls, {}}, steps);
  if (fault.empty()) return {};
  return {"calls", "calls" + fault};
}

void check_speed(const SpeedSettings& settings, Solver solver, int64_t steps) {
  const SpeedFault fault = speed_fault(settings, solver, steps);
  if (!fault.setting.empty()) throw UsageError(fault.message);
}

double levels_per_latent(Residency& residency) {
  const LatentPreview::Example chart = encode_chart(residency);
  const Tensor pixels = preprocess_image(chart.picture, 1);
  const auto deviation = [](const Tensor& x) { return x.to(at::kFloat).std().item<double>(); };
  return kRemains * 127.5 * deviation(pixels) / deviation(chart.latents);
}

CallLimit call_limit(const SpeedSettings& s, double levels_per_latent) {
  if (s.calls) return {s.calls, {}};
  const std::optional<double> wanted = wanted_decibels(s);
  if (!wanted) return {};
  double low = 0, high = 256;  // decibels_of falls
  while (high - low > 1e-9) {
    const double middle = (low + high) / 2;
    (decibels_of(middle) > *wanted ? low : high) = middle;
  }
  return {{}, high / levels_per_latent};
}

SpeedFigures speed_figures(int64_t calls, int64_t steps, double error, double levels_per_latent) {
  SpeedFigures figures{calls, steps, {}};
  if (error > 0) figures.decibels = decibels_of(error * levels_per_latent);
  return figures;
}

// Rounding to whole levels turns a difference d of less than one into one of 1 in a share d of the
// pixels, so that its mean square is |d|, not d^2; of normally distributed differences this is
// within half a decibel of it.
double decibels_of(double levels) {
  const double rounded = (1 - std::exp(-4.7 * levels)) / 6;
  return 10 * std::log10(255.0 * 255.0 / (levels * levels + rounded));
}

}  // namespace icedit
