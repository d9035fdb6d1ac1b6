#pragma once
// CLIP's text encoder (transformers' CLIPTextModel).
#include <vector>

#include "base/tensor.h"
#include "models/configs.h"
#include "nn/embedding.h"
#include "nn/linear.h"
#include "nn/norm.h"
#include "nn/trace.h"
#include "nn/weights.h"

namespace icedit {

struct ClipOutput {
  Tensor last_hidden_state;  // [N, L, hidden_size]
  Tensor pooled;             // [N, hidden_size]: last_hidden_state at the end-of-text token
};

class ClipTextEncoder {
 public:
  // Tensor names with or without "text_model." before them. Throws CheckpointError for tensors that
  // are missing or of another shape.
  ClipTextEncoder(const Weights& w, const ClipConfig& config);
  // The same of a whole checkpoint; also throws for tensors that no part takes (the projections and
  // the vision model of a whole CLIP are left aside), and for a wrong config.
  static ClipTextEncoder load(const Checkpoint& checkpoint, const JsonFile& config,
                              const LoadOptions& options);

  // input_ids [N, L] of integers, L at most max_position_embeddings. Padding is attended to like
  // any token. `trace` keeps clip.hidden.N: 0 is the embedding, i the output of layer i - 1. Throws
  // UsageError.
  ClipOutput forward(const Tensor& input_ids, Trace* trace = nullptr) const;

  const ClipConfig& config() const { return config_; }

 private:
  struct Attention {
    Attention(const Weights& w, const ClipConfig& c);
    Tensor operator()(const Tensor& x, const Tensor& mask) const;  // [N, L, C], [L, L]
    int64_t heads;
    Linear q_proj, k_proj, v_proj, out_proj;
  };
  struct Layer {
    Layer(const Weights& w, const ClipConfig& c);
    Tensor operator()(Tensor x, const Tensor& mask) const;  // [N, L, C], [L, L]
    LayerNorm norm1, norm2;
    Attention attention;
    Linear fc1, fc2;
    Activation activation;
  };

  ClipConfig config_;
  Embedding tokens_;
  Tensor positions_;  // [max_position_embeddings, C]
  std::vector<Layer> layers_;
  LayerNorm final_norm_;
};

}  // namespace icedit
