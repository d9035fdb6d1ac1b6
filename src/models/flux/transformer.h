#pragma once
// FluxTransformer2DModel: predicts the flow's velocity from noisy latents, conditions, time and
// text. Source: diffusers models/transformers/transformer_flux.py (formulas), BFL's flux/model.py
// (names of values).
#include <vector>

#include "models/flux/blocks.h"
#include "nn/block.h"

namespace icedit {

// B batch, I image tokens, T text tokens; floating tensors in the compute dtype, but ids in f32.
struct FluxInputs {
  Tensor hidden_states;          // [B, I, in_channels]: packed latents, then the fill condition
  Tensor encoder_hidden_states;  // [B, T, joint_attention_dim]
  Tensor pooled_projections;     // [B, pooled_projection_dim]
  Tensor timestep;               // [B], 0..1
  Tensor img_ids;                // [I, 3]
  Tensor txt_ids;                // [T, 3]
  Tensor guidance;               // [B]; undefined where the model takes none
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

  // -> [B, I, out_channels]. `around` is called in place of each block. Throws UsageError where an
  // input has another shape.
  Tensor forward(const FluxInputs& in, const AroundBlock& around = {}) const;
  // As in FluxInputs, all in the compute dtype.
  Modulations modulations(const Tensor& timestep, const Tensor& guidance,
                          const Tensor& pooled) const;
  Rope positions(const FluxInputs& in) const;  // text first

  const FluxConfig& config() const { return config_; }
  const LinearList& linears() const { return weights_.linears(); }
  LinearList& linears() { return weights_.linears(); }  // to attach, to fold, to train
  const Weights& weights() const { return weights_; }

 private:
  void check(const FluxInputs& in) const;

  Weights weights_;
  FluxConfig config_;
  Linear x_embedder_, context_embedder_;
  TimeTextEmbed time_text_embed_;
  std::vector<DoubleBlock> double_blocks_;
  std::vector<SingleBlock> single_blocks_;
  Linear norm_out_, proj_out_;
};

}  // namespace icedit
