#include "models/flux/transformer.h"

#include <ATen/ATen.h>

#include "base/error.h"
#include "models/flux/names.h"
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
void append(Tensors& to, const DoubleModulation& m) {
  for (const auto& stream : {m.txt, m.img})
    for (const Modulation& part : stream) append(to, part);
}
DoubleModulation double_modulation_at(const Tensors& in, size_t i) {
  return {{modulation_at(in, i), modulation_at(in, i + 3)},
          {modulation_at(in, i + 6), modulation_at(in, i + 9)}};
}

BlockCall call_of(const DoubleBlock& block, const Tensor& txt, const Tensor& img,
                  const DoubleModulation& m, const Rope& rope, KeptKeys* kept) {
  Tensors inputs = {txt, img};
  append(inputs, m);
  const auto formula = [&block, rope, kept](const Tensors& in) {
    const auto [t, i] = block.forward(in[0], in[1], double_modulation_at(in, 2), rope, kept);
    return Tensors{t, i};
  };
  return {block.path, formula, inputs};
}

BlockCall call_of(const SingleBlock& block, const Tensor& joint, const Modulation& m,
                  const Rope& rope, KeptKeys* kept) {
  Tensors inputs = {joint};
  append(inputs, m);
  const auto formula = [&block, rope, kept](const Tensors& in) {
    return Tensors{block.forward(in[0], modulation_at(in, 1), rope, kept)};
  };
  return {block.path, formula, inputs};
}

// A block's modulations of each of several vec [B, C]. In bf16 by one product, which reads the
// weights once, a tenth of the time at FLUX's widths; the sums are rounded so much that their order
// does not show. In f32 it would.
template <class Block>
Tensors modulations_of(const Block& block, const Tensors& vecs, const AroundBlock& around) {
  const auto formula = [&block](const Tensors& in) {
    Tensors out;
    if (in.size() == 1 || in.front().scalar_type() != at::kBFloat16) {
      for (const Tensor& vec : in) append(out, block.modulation(vec));
      return out;
    }
    Tensors joined;  // each [N B, 1, C]
    append(joined, block.modulation(at::cat(in)));
    const int64_t batch = in.front().size(0);
    for (int64_t i = 0; i < int64_t(in.size()); ++i)
      for (const Tensor& part : joined) out.push_back(part.narrow(0, i * batch, batch));
    return out;
  };
  BlockCall call = {block.path + kModulationCall, formula, {}};
  // Under a name of its own, so that the gradients of its uses are summed block by block.
  for (const Tensor& vec : vecs) call.in.push_back(at::alias(vec));
  return around ? around(call) : call();
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

void FluxTransformer::check(const Tensor& x, const Conditioning& c) const {
  const int64_t latents = config_.out_channels;
  check_shape("hidden_states", x, {-1, -1, latents});
  const int64_t batch = x.size(0), image = x.size(1);
  check_shape("condition", c.condition, {batch, image, config_.in_channels - latents});
  check_shape("encoder_hidden_states", c.prompt_embeds, {batch, -1, config_.joint_attention_dim});
  check_shape("pooled_projections", c.pooled_prompt_embeds, {batch, config_.pooled_projection_dim});
  check_shape("img_ids", c.image_ids, {image, 3});
  check_shape("txt_ids", c.text_ids, {c.prompt_embeds.size(1), 3});
}

std::vector<Modulations> FluxTransformer::modulations(const Tensors& ts, const Tensor& guidance,
                                                      const Tensor& pooled,
                                                      const AroundBlock& around) const {
  const auto scaled = [&](const Tensor& x) {  // in the model's dtype, as diffusers
    return x.defined() ? x.to(pooled.scalar_type()) * 1000 : Tensor();
  };
  check_shape("pooled_projections", pooled, {-1, config_.pooled_projection_dim});
  if (config_.guidance_embeds) check_shape("guidance", guidance, {pooled.size(0)});
  Tensors vecs;  // each [B, C]
  for (const Tensor& t : ts) {
    check_shape("timestep", t, {pooled.size(0)});
    vecs.push_back(time_text_embed_(scaled(t), scaled(guidance), pooled));
  }
  std::vector<Modulations> all(ts.size());
  for (const DoubleBlock& block : double_blocks_) {
    const Tensors made = modulations_of(block, vecs, around);
    for (size_t i = 0; i < all.size(); ++i)
      all[i].double_blocks.push_back(double_modulation_at(made, 12 * i));
  }
  for (const SingleBlock& block : single_blocks_) {
    const Tensors made = modulations_of(block, vecs, around);
    for (size_t i = 0; i < all.size(); ++i)
      all[i].single_blocks.push_back(modulation_at(made, 3 * i));
  }
  for (size_t i = 0; i < all.size(); ++i) {
    const auto last = norm_out_(at::silu(vecs[i])).unsqueeze(1).chunk(2, -1);  // (scale, shift)
    all[i].last = {last[1], last[0], {}};
  }
  return all;
}

Rope FluxTransformer::positions(const Conditioning& c) const {
  return rotary_tables(at::cat({c.text_ids, c.image_ids}), config_.axes_dims_rope);
}

Tensor FluxTransformer::forward(const Tensor& x, const Conditioning& conditioning, const Tensor& t,
                                const Tensor& guidance, const AroundBlock& around) const {
  check(x, conditioning);
  return forward(x, conditioning,
                 modulations({t}, guidance, conditioning.pooled_prompt_embeds).front(), around);
}

Tensor FluxTransformer::forward(const Tensor& x, const Conditioning& conditioning,
                                const Modulations& m, const AroundBlock& around,
                                KeptTokens* kept) const {
  check(x, conditioning);
  const bool leaves_out = kept && kept->leaves_out();
  const auto present = [&](const Tensor& image, int64_t dim) {
    return leaves_out ? image.index_select(dim, kept->active()) : image;
  };
  const auto keys = [&](size_t block) { return kept ? kept->block(block) : nullptr; };
  Conditioning c = conditioning;
  c.condition = present(c.condition, 1), c.image_ids = present(c.image_ids, 0);
  const Rope rope = positions(c);
  Tensor img = x_embedder_(at::cat({present(x, 1), c.condition}, 2));  // [B, I, C]
  Tensor txt = context_embedder_(c.prompt_embeds);                     // [B, T, C]
  for (size_t i = 0; i < double_blocks_.size(); ++i) {
    const auto call = call_of(double_blocks_[i], txt, img, m.double_blocks[i], rope, keys(i));
    const Tensors out = around ? around(call) : call();
    txt = out[0], img = out[1];
  }
  Tensor joint = at::cat({txt, img}, 1);  // [B, S, C]
  for (size_t i = 0; i < single_blocks_.size(); ++i) {
    const auto call = call_of(single_blocks_[i], joint, m.single_blocks[i], rope,
                              keys(double_blocks_.size() + i));
    joint = (around ? around(call) : call())[0];
  }
  img = joint.narrow(1, txt.size(1), img.size(1));
  return proj_out_(modulate(img, m.last));
}

}  // namespace icedit
