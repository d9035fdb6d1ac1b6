#include "models/flux/embeddings.h"

#include <ATen/ATen.h>

#include <cmath>

#include "nn/observer.h"

namespace icedit {

Rope rotary_tables(const Tensor& ids, const std::vector<int64_t>& axes, double theta) {
  std::vector<Tensor> cos, sin;
  const auto f64 = ids.options().dtype(at::kDouble);
  for (size_t axis = 0; axis < axes.size(); ++axis) {
    const Tensor position =
        ids.select(1, static_cast<int64_t>(axis)).to(at::kFloat).to(at::kDouble);
    const Tensor exponent = at::arange(0, axes[axis], 2, f64) / static_cast<double>(axes[axis]);
    const Tensor angle =
        at::outer(position, 1.0 / at::pow(theta, exponent)).repeat_interleave(2, 1);
    cos.push_back(angle.cos().to(at::kFloat));
    sin.push_back(angle.sin().to(at::kFloat));
  }
  Rope rope{at::cat(cos, 1), at::cat(sin, 1), {}};
  const auto halved = [](const Tensor& table) {
    return table.slice(1, 0, std::nullopt, 2).contiguous();
  };
  rope.turn = at::complex(halved(rope.cos), halved(rope.sin)).unsqueeze(1);
  return rope;
}

Tensor apply_rotary(const Tensor& x, const Rope& rope) {
  const Tensor pairs = at::view_as_complex(x.to(at::kFloat).unflatten(-1, {-1, 2}));
  return at::view_as_real(pairs * rope.turn).flatten(-2).to(x.scalar_type());
}

Tensor timestep_sinusoids(const Tensor& t, int64_t channels) {
  const int64_t half = channels / 2;
  const auto f64 = t.options().dtype(at::kDouble);
  const Tensor exponent = at::arange(0, half, f64) / static_cast<double>(half);
  const Tensor frequency = at::exp(-std::log(10000.0) * exponent).to(at::kFloat);
  const Tensor angle = (t.to(at::kFloat).unsqueeze(1) * frequency).to(at::kDouble);
  return at::cat({angle.cos(), angle.sin()}, -1).to(at::kFloat);
}

EmbeddingMlp::EmbeddingMlp(const Weights& w, int64_t in, int64_t hidden)
    : linear_1(w / "linear_1", in, hidden), linear_2(w / "linear_2", hidden, hidden) {}

Tensor EmbeddingMlp::operator()(const Tensor& x) const {
  return linear_2(at::silu(linear_1(x)));
}

namespace {
constexpr int64_t kSinusoids = 256;
}

TimeTextEmbed::TimeTextEmbed(const Weights& w, const FluxConfig& c)
    : path(w.path()),
      timestep_embedder(w / "timestep_embedder", kSinusoids, c.hidden()),
      text_embedder(w / "text_embedder", c.pooled_projection_dim, c.hidden()) {
  if (c.guidance_embeds)
    guidance_embedder.emplace_back(w / "guidance_embedder", kSinusoids, c.hidden());
}

Tensor TimeTextEmbed::operator()(const Tensor& t, const Tensor& guidance,
                                 const Tensor& pooled) const {
  const auto embed = [&](const EmbeddingMlp& mlp, const Tensor& x) {
    return mlp(timestep_sinusoids(x).to(pooled.scalar_type()));
  };
  Tensor time = embed(timestep_embedder, t);
  if (!guidance_embedder.empty()) time = time + embed(guidance_embedder.front(), guidance);
  return observed(path, t, time + text_embedder(pooled));
}

}  // namespace icedit
