#pragma once
// Which steps of the denoising loop ask the network, and what stands for its velocity at the
// others: the line, in sigma, through the last two that it gave. Once the next one is known, the
// steps between are made good by the parabola through all three; what it adds is the error that is
// kept account of, and that chooses the next gap.
#include <cstdint>
#include <optional>
#include <vector>

#include "base/tensor.h"

namespace icedit {

// Of an edit. Neither: every step asks.
struct CallLimit {
  std::optional<int64_t> calls;  // exactly so many, spread evenly over sigma
  // As many as keep CallControl::error at or below this; above 0.
  std::optional<double> most_error;

  bool any() const { return calls || most_error; }
  bool operator==(const CallLimit&) const = default;
};

// "" where the loop can do it; else what is wrong with it, without the setting's name.
std::string call_limit_fault(const CallLimit& limit, int64_t steps);

class CallControl {
 public:
  // sigmas [steps + 1] f32, falling. `where` [B, I] bool: the tokens whose error counts. The first
  // and the last step always ask.
  CallControl(const Tensor& sigmas, const CallLimit& limit, Tensor where);

  bool asks(int64_t step) const;
  // A step that asks: the network's velocity there. Returns what is to be added to the latents for
  // the steps that did not ask since; undefined for nothing.
  Tensor take(int64_t step, const Tensor& v);
  Tensor forecast(int64_t step) const;  // of a step that does not ask

  int64_t calls() const { return calls_; }
  // What the forecasts were wrong by, in units of the latents: of each gap the root mean square
  // over `where`, summed as if all went the same way.
  double error() const { return error_; }

 private:
  struct Known {  // a step that asked
    int64_t step = 0;
    double sigma = 0;
    Tensor v;
  };
  double parabola(double sigma) const;
  int64_t widest(int64_t step, double growth, double widest_gap) const;

  std::vector<double> sigmas_;
  CallLimit limit_;
  Tensor where_;
  std::vector<bool> planned_;  // with limit_.calls
  int64_t next_ = 0;           // else the next that asks
  std::vector<Known> known_;   // the last two, the later one first
  int64_t calls_ = 0;
  double error_ = 0;
  double surprises_ = 0,
         gaps_ = 0;  // sums: of what forecasts were wrong by at their ends, and of the gaps
};

}  // namespace icedit
