#pragma once
// FluxTransformer2DModel: predicts the flow's velocity from noisy latents, conditions, time and
// text. Source: diffusers models/transformers/transformer_flux.py (formulas), BFL's flux/model.py
// (names of values).
#include "models/flux/blocks.h"

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

// What a backward pass needs: every block's intermediates, or only its inputs (nn/recompute.h).
enum class Activations { kKeep, kRecompute };

class FluxTransformer {
 public:
  // Throws CheckpointError: a missing tensor, a wrong shape, tensors left over.
  FluxTransformer(const Weights& w, const FluxConfig& config);
  static FluxTransformer load(const Checkpoint& checkpoint, const JsonFile& config,
                              const LoadOptions& options);

  // -> [B, I, out_channels]. Throws UsageError where an input has another shape.
  // `trace` is not filled from blocks that are computed twice.
  Tensor forward(const FluxInputs& in, Trace* trace = nullptr,
                 Activations activations = Activations::kKeep) const;

  const FluxConfig& config() const { return config_; }
  const LinearList& linears() const { return weights_.linears(); }
  LinearList& linears() { return weights_.linears(); }  // to attach, to fold, to train
  const Weights& weights() const { return weights_; }

 private:
  void check(const FluxInputs& in) const;
  std::pair<Tensor, Tensor> run(const DoubleBlock& block, const Tensor& txt, const Tensor& img,
                                const Tensor& vec, const Rope& rope, Trace* trace,
                                Activations activations) const;
  Tensor run(const SingleBlock& block, const Tensor& joint, const Tensor& vec, const Rope& rope,
             Trace* trace, Activations activations) const;

  Weights weights_;
  FluxConfig config_;
  Linear x_embedder_, context_embedder_;
  TimeTextEmbed time_text_embed_;
  std::vector<DoubleBlock> double_blocks_;
  std::vector<SingleBlock> single_blocks_;
  Linear norm_out_, proj_out_;
};

}  // namespace icedit
