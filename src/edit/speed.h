#pragma once
// How an edit is made with fewer calls of the network, and how far that leaves it from the edit
// that asks it in every step: in decibels of the 8-bit picture, since that is what can be looked at
// and measured. The loop itself counts in latents (diffusion/call_control.h).
#include <cstdint>
#include <optional>
#include <string>

#include "diffusion/call_control.h"
#include "diffusion/solver.h"
#include "edit/residency.h"

namespace icedit {

enum class Speed { kExact, kBalanced, kFast };

struct SpeedSettings {
  Speed speed = Speed::kExact;
  std::optional<double> error;   // dB: as many calls as this needs, whatever `speed` says
  std::optional<int64_t> calls;  // exactly so many; beside `error` or another speed an error
  int64_t reuse_left = 1;        // of so many calls, one has the diptych's left half; 1: each
  bool operator==(const SpeedSettings&) const = default;
};

// What can be given for `error`.
inline constexpr double kLeastDecibels = 20, kMostDecibels = 80;

// The decibels that are wanted; unset where every step asks, or the calls are given.
std::optional<double> wanted_decibels(const SpeedSettings& settings);

// What is wrong where the settings do not go together, or with so many steps.
struct SpeedFault {
  std::string setting;  // the one at fault; "" for none
  std::string message;
};
SpeedFault speed_fault(const SpeedSettings& settings, Solver solver, int64_t steps);
// Throws UsageError of it.
void check_speed(const SpeedSettings& settings, Solver solver, int64_t steps);

// How many 8-bit levels of the picture a latent is worth, measured on a chart of colours that goes
// through the VAE. Multiplies CallControl::error.
double levels_per_latent(Residency& residency);

CallLimit call_limit(const SpeedSettings& settings, double levels_per_latent);

// What an edit was made with.
struct SpeedFigures {
  int64_t calls = 0, steps = 0;
  std::optional<double> decibels;  // estimated; unset where nothing was left out
};
SpeedFigures speed_figures(int64_t calls, int64_t steps, double error, double levels_per_latent);

// The decibels of 8-bit pictures whose values, before they are rounded, differ by `levels` (root
// mean square); above 0.
double decibels_of(double levels);

}  // namespace icedit
