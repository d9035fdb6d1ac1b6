#include "edit/time_estimate.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <optional>
#include <set>
#include <tuple>
#include <utility>

#include "base/error.h"
#include "models/flux/blocks.h"
#include "models/flux/names.h"
#include "nn/kernels/int8_product.h"

namespace icedit {
namespace {

constexpr const char* kMeasured = "single_transformer_blocks.0";
// Of a file's bytes that are in the page cache: mapped, and read once by a product.
constexpr double kBytesASecond = 3e9;

// Of a block, double or single: products of 12 C^2 weights for each token, and attention.
double block_flops(int64_t tokens, int64_t hidden) {
  const auto s = double(tokens), c = double(hidden);
  return 24 * c * c * s + 4 * s * s * c;
}

// The block that is measured, with its matrices deferred.
struct Measured {
  explicit Measured(const Residency& residency)
      : Measured(residency, residency.files().open(Part::kTransformer)) {}

  // Seconds of a forward on so many tokens, with its backward pass where that is wanted; the second
  // time, when memory is there.
  double seconds(int64_t tokens, bool backward) const {
    const auto dtype = w.options().compute;
    const Tensor x = at::randn({1, tokens, config.hidden()}).to(dtype).requires_grad_(backward);
    const Tensor m = at::full({1, 1, config.hidden()}, 0.5, dtype);
    const Rope rope = rotary_tables(at::zeros({tokens, 3}), config.axes_dims_rope);
    const auto work = [&] {
      const Tensor y = block.forward(x, {m, m, m}, rope);
      if (backward) y.sum().backward();
    };
    work();
    return seconds_of(work);
  }

  FluxConfig config;
  Weights w;
  SingleBlock block;
  std::vector<Linear> linears;  // without the modulation

 private:
  Measured(const Residency& residency, const Component& component)
      : config(FluxConfig::from(component.config)),
        w(one_block(component), options_of(residency, component)),
        block(w / "single_transformer_blocks" / 0, config) {
    for (auto& [path, linear] : w.linears())
      if (call_of_module(path) == kMeasured) linears.push_back(linear);
    for (const Linear& linear : linears) linear.read_ahead();
  }

  static LoadOptions options_of(const Residency& residency, const Component& component) {
    LoadOptions options = residency.load_options(component, Part::kTransformer);
    options.deferred = [](const std::string&) { return true; };
    return options;
  }
  static Checkpoint one_block(const Component& component) {
    return component.checkpoint.renamed(
        [](const std::string& name) { return name.starts_with(str(kMeasured, ".")) ? name : ""; });
  }
};

// Seconds on all tokens, by those of fewer where all would take too long: what packing or
// converting the weights takes is the same for any number, the rest is work, whose speed is that
// between the two most that there was time for.
double scaled_seconds(const Measured& measured, int64_t tokens, bool backward, double most) {
  constexpr int64_t kFewest = 32, kMore = 4;
  struct Point {
    double flops, seconds;
  };
  const auto flops = [&](int64_t count) { return block_flops(count, measured.config.hidden()); };
  double left = most;
  const auto measure = [&](int64_t count) {
    const Point point = {flops(count), measured.seconds(count, backward)};
    left -= 2 * point.seconds;
    return point;
  };
  if (tokens <= kFewest * kMore) return measure(tokens).seconds;
  Point before = measure(kFewest), last = measure(kFewest * kMore);
  const auto foretold = [&](int64_t count) {
    const double each = std::max(0.0, last.seconds - before.seconds) / (last.flops - before.flops);
    return last.seconds + each * (flops(count) - last.flops);
  };
  for (int64_t count = kFewest * kMore; 2 * foretold(tokens) > left;) {
    count *= kMore;
    if (count >= tokens || 2 * foretold(count) > left) return foretold(tokens);
    before = std::exchange(last, measure(count));
  }
  return measure(tokens).seconds;
}

}  // namespace

void expect_measurable(const Residency& residency) {
  if (!residency.device().is_cpu())
    throw UsageError("times are measured on the CPU alone; add --device cpu");
  const Component transformer = residency.files().open(Part::kTransformer);
  if (FluxConfig::from(transformer.config).num_single_layers < 1) {
    throw UsageError(str(transformer.checkpoint.where(),
                         " has no single blocks, whose speed would be measured; is it FLUX.1?"));
  }
}

double seconds_of(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

BlockTime measure_block(const Residency& residency, const EditSize& size, double most_seconds) {
  expect_measurable(residency);
  const c10::InferenceMode inference;
  Measured measured(residency);
  const int64_t all = size.image_tokens + size.text_tokens;
  kernels::int8_kernels();  // they race once a process, which is no block's time
  BlockTime time;
  time.load = seconds_of([&] {
    for (Linear& linear : measured.linears) linear.load();
  });
  // Packing is part of the first use.
  double again = 0;
  const double both = seconds_of([&] { again = measured.seconds(32, /*backward=*/false); });
  time.load += std::max(0.0, both - 2 * again);
  time.forward = scaled_seconds(measured, all, /*backward=*/false, most_seconds);
  time.flops = block_flops(all, measured.config.hidden()) / time.forward;
  return time;
}

PictureTime measure_vae(const Residency& residency, const EditSize& size, bool decodes) {
  expect_measurable(residency);
  const c10::InferenceMode inference;
  const Component component = residency.files().open(Part::kVae);
  const LoadOptions load = residency.load_options(component, Part::kVae);
  std::optional<AutoencoderKl> vae;
  PictureTime time;
  time.load = seconds_of(
      [&] { vae.emplace(AutoencoderKl::load(component.checkpoint, component.config, load)); });
  const auto measure = [&](int64_t latent_side) {
    const int64_t side = latent_side * vae->config().downscale();
    const Tensor picture = at::randn({1, vae->config().in_channels, side, side}).to(load.compute);
    const Tensor latents =
        at::randn({1, vae->config().latent_channels, latent_side, latent_side}).to(load.compute);
    const double all = double(size.pixels) / double(side * side);
    time.encode = all * seconds_of([&] { vae->encode(picture); });
    if (decodes) time.decode = all * seconds_of([&] { vae->decode(latents); });
    return (time.encode + time.decode) / all;
  };
  // A small picture's pixels take more where the weights are reordered for each convolution.
  constexpr double kQuick = 0.25;
  if (measure(8) < kQuick) measure(16);
  return time;
}

double reading_seconds(const ModelFiles& files) {
  constexpr size_t kChunk = size_t{64} << 20;
  std::set<Path> paths;  // a single file may hold several parts
  for (const Part part : kParts)
    for (const Path& path : files.open(part).checkpoint.files()) paths.insert(path);
  size_t missing = 0, most = 0, begin = 0;
  Path file;  // with the chunk of which the most is missing
  for (const Path& path : paths) {
    const MappedFile mapped(path);
    const size_t size = mapped.bytes().size();
    for (size_t at = 0; at < size; at += kChunk) {
      const size_t here = std::min(kChunk, size - at), of_it = here - mapped.cached(at, here);
      missing += of_it;
      if (of_it > most) std::tie(most, file, begin) = std::tuple(of_it, path, at);
    }
  }
  if (most == 0) return 0;
  const double seconds = seconds_of([&] { MappedFile(file).read_ahead(begin, kChunk); });
  return seconds * double(missing) / double(most);
}

Linear widest_linear(const Residency& residency) {
  const Measured measured(residency);
  const auto weights = [](const Linear& linear) { return linear.in() * linear.out(); };
  Linear widest =
      *std::max_element(measured.linears.begin(), measured.linears.end(),
                        [&](const Linear& a, const Linear& b) { return weights(a) < weights(b); });
  widest.load();
  return widest;
}

double training_seconds(const Residency& residency, const EditSize& size, double most_seconds) {
  expect_measurable(residency);
  Measured measured(residency);
  for (Linear& linear : measured.linears) linear.load();
  return scaled_seconds(measured, size.image_tokens + size.text_tokens, /*backward=*/true,
                        most_seconds);
}

EditTime estimate_time(const Residency& residency, const EditSize& size, const BlockTime& block,
                       double dense_flops, int64_t calls) {
  EditTime time;
  time.calls = calls;
  const auto blocks = transformer_blocks(residency);
  const auto streamed = residency.streamed().blocks.size();
  for (const PartEstimate& part : estimate_parts(residency, size)) {
    if (part.part != Part::kT5) continue;
    time.text = 2 * double(part.parameters) * double(size.text_tokens) / dense_flops +
                double(part.stored) / kBytesASecond;
  }
  time.load = double(blocks.size() - streamed) * block.load;
  uint64_t modulations = 0;
  const Component transformer = residency.files().open(Part::kTransformer);
  for (const auto& [name, entry] : transformer.checkpoint.entries())
    if (call_of_module(name).ends_with(kModulationCall)) modulations += entry.info.bytes();
  time.modulations = double(modulations) / kBytesASecond;
  time.call = double(blocks.size()) * block.forward + double(streamed) * block.load;
  return time;
}

}  // namespace icedit
