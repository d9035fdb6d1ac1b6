#include "models/flux/transformer.h"

#include <ATen/ATen.h>

#include "base/error.h"
#include "nn/check.h"

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

// A block as a function of everything that gets a gradient, so that it can be computed again.
void append(Tensors& to, const Modulation& m) {
  to.insert(to.end(), {m.shift, m.scale, m.gate});
}
Modulation modulation_at(const Tensors& in, size_t i) {
  return {in[i], in[i + 1], in[i + 2]};
}

BlockCall call_of(const DoubleBlock& block, const Tensor& txt, const Tensor& img,
                  const DoubleModulation& m, const Rope& rope) {
  Tensors inputs = {txt, img};
  for (const auto& stream : {m.txt, m.img})
    for (const Modulation& part : stream) append(inputs, part);
  const auto formula = [&block, rope](const Tensors& in) {
    const DoubleModulation own = {{modulation_at(in, 2), modulation_at(in, 5)},
                                  {modulation_at(in, 8), modulation_at(in, 11)}};
    const auto [t, i] = block.forward(in[0], in[1], own, rope);
    return Tensors{t, i};
  };
  return {block.path, formula, inputs};
}

BlockCall call_of(const SingleBlock& block, const Tensor& joint, const Modulation& m,
                  const Rope& rope) {
  Tensors inputs = {joint};
  append(inputs, m);
  const auto formula = [&block, rope](const Tensors& in) {
    return Tensors{block.forward(in[0], modulation_at(in, 1), rope)};
  };
  return {block.path, formula, inputs};
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

void FluxTransformer::check(const Tensor& x, const Conditioning& c, const Tensor& t,
                            const Tensor& guidance) const {
  const int64_t latents = config_.out_channels;
  check_shape("hidden_states", x, {-1, -1, latents});
  const int64_t batch = x.size(0), image = x.size(1);
  check_shape("condition", c.condition, {batch, image, config_.in_channels - latents});
  check_shape("encoder_hidden_states", c.prompt_embeds, {batch, -1, config_.joint_attention_dim});
  check_shape("pooled_projections", c.pooled_prompt_embeds, {batch, config_.pooled_projection_dim});
  check_shape("timestep", t, {batch});
  check_shape("img_ids", c.image_ids, {image, 3});
  check_shape("txt_ids", c.text_ids, {c.prompt_embeds.size(1), 3});
  if (config_.guidance_embeds) check_shape("guidance", guidance, {batch});
}

// vec goes to every block under a name of its own, so that the gradients of its uses are summed
// block by block.
Modulations FluxTransformer::modulations(const Tensor& t, const Tensor& guidance,
                                         const Tensor& pooled) const {
  const auto scaled = [&](const Tensor& x) {  // in the model's dtype, as diffusers
    return x.defined() ? x.to(pooled.scalar_type()) * 1000 : Tensor();
  };
  const Tensor vec = time_text_embed_(scaled(t), scaled(guidance), pooled);  // [B, C]
  Modulations m;
  for (const DoubleBlock& block : double_blocks_)
    m.double_blocks.push_back(block.modulation(at::alias(vec)));
  for (const SingleBlock& block : single_blocks_)
    m.single_blocks.push_back(block.modulation(at::alias(vec)));
  const auto last = norm_out_(at::silu(vec)).unsqueeze(1).chunk(2, -1);  // (scale, shift)
  m.last = {last[1], last[0], {}};
  return m;
}

Rope FluxTransformer::positions(const Conditioning& c) const {
  return rotary_tables(at::cat({c.text_ids, c.image_ids}), config_.axes_dims_rope);
}

Tensor FluxTransformer::forward(const Tensor& x, const Conditioning& conditioning, const Tensor& t,
                                const Tensor& guidance, const AroundBlock& around) const {
  check(x, conditioning, t, guidance);
  const Modulations m = modulations(t, guidance, conditioning.pooled_prompt_embeds);
  const Rope rope = positions(conditioning);
  Tensor img = x_embedder_(at::cat({x, conditioning.condition}, 2));  // [B, I, C]
  Tensor txt = context_embedder_(conditioning.prompt_embeds);         // [B, T, C]
  for (size_t i = 0; i < double_blocks_.size(); ++i) {
    const auto call = call_of(double_blocks_[i], txt, img, m.double_blocks[i], rope);
    const Tensors out = around ? around(call) : call();
    txt = out[0], img = out[1];
  }
  Tensor joint = at::cat({txt, img}, 1);  // [B, S, C]
  for (size_t i = 0; i < single_blocks_.size(); ++i) {
    const auto call = call_of(single_blocks_[i], joint, m.single_blocks[i], rope);
    joint = (around ? around(call) : call())[0];
  }
  img = joint.narrow(1, txt.size(1), img.size(1));
  return proj_out_(modulate(img, m.last));
}

}  // namespace icedit
