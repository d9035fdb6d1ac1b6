#pragma once
// FluxTransformer2DModel: predicts the flow's velocity from noisy latents, conditions, time and
// text. Source: diffusers models/transformers/transformer_flux.py (formulas), BFL's flux/model.py
// (names of values).
#include <vector>

#include "models/flux/blocks.h"
#include "nn/block.h"

namespace icedit {

// What the model is told beside noise, time and guidance: the same in every step. B batch, I image
// tokens, T text tokens; in the compute dtype, ids in f32.
struct Conditioning {
  Tensor condition;             // [B, I, 320]: masked-image latents, then the packed mask
  Tensor prompt_embeds;         // [B, T, joint_attention_dim]; encoder_hidden_states in files
  Tensor pooled_prompt_embeds;  // [B, pooled_projection_dim]; pooled_projections in files
  Tensor image_ids, text_ids;   // [I, 3], [T, 3]; img_ids, txt_ids in files
};

// What the time, the guidance and the pooled text make of every block, a function of them alone: it
// can be computed ahead of a loop.
struct Modulations {
  std::vector<DoubleModulation> double_blocks;
  std::vector<Modulation> single_blocks;
  Modulation last;  // without a gate
};

class FluxTransformer {
 public:
  // Throws CheckpointError: a missing tensor, a wrong shape, tensors left over.
  FluxTransformer(const Weights& w, const FluxConfig& config);
  static FluxTransformer load(const Checkpoint& checkpoint, const JsonFile& config,
                              const LoadOptions& options);

  // The velocity [B, I, 64] of the latents x [B, I, 64] at t [B], 0..1. guidance [B] is not looked
  // at where the model takes none. `around` is called in place of each block. Throws UsageError
  // where an input has another shape.
  Tensor forward(const Tensor& x, const Conditioning& conditioning, const Tensor& t,
                 const Tensor& guidance, const AroundBlock& around = {}) const;
  // The same with modulations that were made ahead. With `kept` that leaves tokens out, the
  // velocity of the active ones alone, [B, A, 64].
  Tensor forward(const Tensor& x, const Conditioning& conditioning, const Modulations& modulations,
                 const AroundBlock& around = {}, KeptTokens* kept = nullptr) const;
  // Those of several t, block by block, so that each block's weights are read once; otherwise as in
  // forward. `around` is called in place of each block's: their path is the block's with
  // kModulationCall behind it (models/flux/names.h).
  std::vector<Modulations> modulations(const Tensors& t, const Tensor& guidance,
                                       const Tensor& pooled, const AroundBlock& around = {}) const;
  Rope positions(const Conditioning& conditioning) const;  // text first

  const FluxConfig& config() const { return config_; }
  const LinearList& linears() const { return weights_.linears(); }
  LinearList& linears() { return weights_.linears(); }  // to attach, to fold, to train
  const Weights& weights() const { return weights_; }

 private:
  void check(const Tensor& x, const Conditioning& c) const;

  Weights weights_;
  FluxConfig config_;
  Linear x_embedder_, context_embedder_;
  TimeTextEmbed time_text_embed_;
  std::vector<DoubleBlock> double_blocks_;
  std::vector<SingleBlock> single_blocks_;
  Linear norm_out_, proj_out_;
};

}  // namespace icedit
