#include "edit/call_times.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <utility>

#include "base/process.h"
#include "edit/time_estimate.h"
#include "nn/matrix.h"

namespace icedit {
namespace {

constexpr int64_t kLeastCalls = 3, kMostCalls = 100;  // of which the fastest counts
constexpr double kSeconds = 2;                        // more calls only until so many are spent
constexpr int kProducts = 5;                          // of which the fastest counts

// Positions make no difference to the time.
Conditioning random_conditioning(const FluxConfig& c, const EditSize& size,
                                 const at::TensorOptions& options) {
  Conditioning in;
  in.condition = at::randn({1, size.image_tokens, c.in_channels - c.out_channels}, options);
  in.prompt_embeds = at::randn({1, size.text_tokens, c.joint_attention_dim}, options);
  in.pooled_prompt_embeds = at::randn({1, c.pooled_projection_dim}, options);
  in.image_ids = at::zeros({size.image_tokens, 3});
  in.text_ids = at::zeros({size.text_tokens, 3});
  return in;
}

}  // namespace

CallTimes measure_calls(Residency& residency, const EditSize& size, StopCheck stop) {
  expect_measurable(residency);
  const c10::InferenceMode inference;
  const FluxTransformer& model = residency.transformer();
  const AroundBlock around = stopping(std::move(stop), residency.around(Part::kTransformer));
  const FluxConfig& config = model.config();
  const auto options = at::TensorOptions(residency.precision().compute);
  const Conditioning conditioning = random_conditioning(config, size, options);
  const Tensor latents = at::randn({1, size.image_tokens, config.out_channels}, options);
  CallTimes times;
  std::vector<Modulations> modulations;
  times.modulations = seconds_of([&] {
    modulations = model.modulations({at::full({1}, 0.5, options)}, at::full({1}, 50.0, at::kFloat),
                                    conditioning.pooled_prompt_embeds, around);
  });
  double spent = 0;
  // The first warms up.
  for (int64_t i = 0; i <= kLeastCalls || (spent < kSeconds && i <= kMostCalls); ++i) {
    Stopwatch stopwatch;
    model.forward(latents, conditioning, modulations.front(), around);
    const auto work = stopwatch.figures();
    double seconds = 0;
    for (const Stopwatch::Figures& part : work) seconds += part.seconds;
    spent += seconds;
    times.calls = i;
    if (i > 1 && seconds >= times.seconds) continue;
    times.work = work;
    times.seconds = seconds;
  }
  times.peak = peak_memory_bytes();
  for (const CallBytes& block : transformer_blocks(residency)) times.weights += block.held;
  return times;
}

Ceilings measure_ceilings(const Residency& residency, const EditSize& size) {
  const c10::InferenceMode inference;
  const int64_t tokens = size.image_tokens + size.text_tokens;
  const auto fastest = [&](int64_t in, int64_t out, const std::function<void()>& product) {
    double seconds = seconds_of(product);
    for (int i = 0; i < kProducts; ++i) seconds = std::min(seconds, seconds_of(product));
    return 2 * double(tokens) * double(in) * double(out) / seconds;
  };
  Ceilings ceilings;
  const auto dtype = residency.precision().compute;
  const Linear widest = widest_linear(residency);
  const Operand x = at::randn({1, tokens, widest.in()}).to(dtype);
  ceilings.product = fastest(widest.in(), widest.out(), [&] { widest(x); });
  const int64_t width = std::min(widest.in(), widest.out());
  const MatrixPtr square = dense_matrix(at::randn({width, width}).to(dtype));
  const Operand narrow = at::randn({1, tokens, width}).to(dtype);
  ceilings.dense = fastest(width, width, [&] { square->times(narrow, {}); });
  return ceilings;
}

}  // namespace icedit
