#include "models/flux/transformer.h"

#include <ATen/ATen.h>

#include "base/error.h"
#include "base/interrupt.h"
#include "nn/check.h"
#include "nn/recompute.h"

namespace icedit {
namespace {

// A FLUX.1-dev or -Canny checkpoint where Fill is meant is the commonest mistake: say so.
void expect_inputs(const Weights& w, const FluxConfig& c) {
  const Shape shape = (w / "x_embedder").shape("weight");
  if (shape.size() == 2 && shape[1] == c.in_channels) return;
  throw CheckpointError(str(
      w.where(), ": tensor 'x_embedder.weight' is ", shape, ", expected [", c.hidden(), ", ",
      c.in_channels, "]. Is this FLUX.1-Fill? FLUX.1-dev has 64 input channels, Fill has 384."));
}

// A step of minutes ends within a block when a signal comes, in the backward pass too.
Tensor interruptible(const Tensor& x) {
  throw_if_interrupted();
  if (x.requires_grad()) x.register_hook([](const Tensor&) { throw_if_interrupted(); });
  return x;
}

}  // namespace

FluxTransformer::FluxTransformer(const Weights& w, const FluxConfig& config)
    : weights_((expect_inputs(w, config), w)),
      config_(config),
      x_embedder_(w / "x_embedder", config.in_channels, config.hidden()),
      context_embedder_(w / "context_embedder", config.joint_attention_dim, config.hidden()),
      time_text_embed_(w / "time_text_embed", config),
      norm_out_(w / "norm_out" / "linear", config.hidden(), 2 * config.hidden()),
      proj_out_(w / "proj_out", config.hidden(), config.out_channels) {
  for (int64_t i = 0; i < config.num_layers; ++i)
    double_blocks_.emplace_back(w / "transformer_blocks" / i, config);
  for (int64_t i = 0; i < config.num_single_layers; ++i) {
    single_blocks_.emplace_back(w / "single_transformer_blocks" / i, config);
  }
  w.expect_all_used();
}

FluxTransformer FluxTransformer::load(const Checkpoint& checkpoint, const JsonFile& config,
                                      const LoadOptions& options) {
  return FluxTransformer(Weights(checkpoint, options), FluxConfig::from(config));
}

void FluxTransformer::check(const FluxInputs& in) const {
  check_shape("hidden_states", in.hidden_states, {-1, -1, config_.in_channels});
  const int64_t batch = in.hidden_states.size(0), image = in.hidden_states.size(1);
  check_shape("encoder_hidden_states", in.encoder_hidden_states,
              {batch, -1, config_.joint_attention_dim});
  check_shape("pooled_projections", in.pooled_projections, {batch, config_.pooled_projection_dim});
  check_shape("timestep", in.timestep, {batch});
  check_shape("img_ids", in.img_ids, {image, 3});
  check_shape("txt_ids", in.txt_ids, {in.encoder_hidden_states.size(1), 3});
  if (config_.guidance_embeds) check_shape("guidance", in.guidance, {batch});
}

// vec goes into every block under a name of its own, so that the gradients of its uses are summed
// block by block, recomputed or not.
std::pair<Tensor, Tensor> FluxTransformer::run(const DoubleBlock& block, const Tensor& txt,
                                               const Tensor& img, const Tensor& vec,
                                               const Rope& rope, Trace* trace,
                                               Activations activations) const {
  if (activations == Activations::kKeep)
    return block.forward(txt, img, at::alias(vec), rope, trace);
  const Tensors out = recomputed(
      [&block, rope](const Tensors& in) {
        const auto [t, i] = block.forward(in[0], in[1], in[2], rope, nullptr);
        return Tensors{t, i};
      },
      {txt, img, vec});
  return {out[0], out[1]};
}

Tensor FluxTransformer::run(const SingleBlock& block, const Tensor& joint, const Tensor& vec,
                            const Rope& rope, Trace* trace, Activations activations) const {
  if (activations == Activations::kKeep) return block.forward(joint, at::alias(vec), rope, trace);
  return recomputed(
      [&block, rope](const Tensors& in) {
        return Tensors{block.forward(in[0], in[1], rope, nullptr)};
      },
      {joint, vec})[0];
}

Tensor FluxTransformer::forward(const FluxInputs& in, Trace* trace, Activations activations) const {
  check(in);
  const auto dtype = in.hidden_states.scalar_type();
  const Tensor t = in.timestep.to(dtype) * 1000;  // in the model's dtype, as diffusers
  const Tensor guidance = in.guidance.defined() ? in.guidance.to(dtype) * 1000 : Tensor();
  const Rope rope = rotary_tables(at::cat({in.txt_ids, in.img_ids}), config_.axes_dims_rope);
  keep(trace, "rope.cos", rope.cos);
  keep(trace, "rope.sin", rope.sin);

  const Tensor vec = time_text_embed_(t, guidance, in.pooled_projections);  // [B, C]
  Tensor img = x_embedder_(in.hidden_states);                               // [B, I, C]
  Tensor txt = context_embedder_(in.encoder_hidden_states);                 // [B, T, C]
  keep(trace, "time_text_embed", vec);
  keep(trace, "x_embedder", img);
  keep(trace, "context_embedder", txt);
  for (const DoubleBlock& block : double_blocks_)
    std::tie(txt, img) = run(block, txt, interruptible(img), vec, rope, trace, activations);

  const int64_t text_tokens = txt.size(1);
  Tensor joint = at::cat({txt, img}, 1);  // [B, S, C]
  for (const SingleBlock& block : single_blocks_) {
    joint = run(block, interruptible(joint), vec, rope, trace, activations);
    if (trace != nullptr) {
      keep(trace, block.path + ".encoder_hidden_states", joint.narrow(1, 0, text_tokens));
      keep(trace, block.path + ".hidden_states", joint.narrow(1, text_tokens, img.size(1)));
    }
  }
  img = joint.narrow(1, text_tokens, img.size(1));
  const auto last = norm_out_(at::silu(vec)).unsqueeze(1).chunk(2, -1);  // (scale, shift)
  const Tensor normed = modulate(img, {last[1], last[0], {}});
  const Tensor velocity = proj_out_(normed);
  keep(trace, "norm_out", normed);
  keep(trace, "proj_out", velocity);
  keep(trace, "output", velocity);
  return velocity;
}

}  // namespace icedit
