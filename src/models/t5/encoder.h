#pragma once
// The encoder of T5 v1.0 and v1.1 (transformers' T5EncoderModel).
#include <optional>
#include <vector>

#include "base/tensor.h"
#include "models/configs.h"
#include "nn/block.h"
#include "nn/embedding.h"
#include "nn/linear.h"
#include "nn/norm.h"
#include "nn/trace.h"
#include "nn/weights.h"

namespace icedit {

// The call (nn/block.h) that a Linear of it is used in, "encoder.block.3"; "" for none.
std::string t5_call_of_module(const std::string& module);
// The words' embeddings, which files hold under one of two names, or under both.
bool is_t5_table(const std::string& module);

class T5Encoder {
 public:
  // Throws CheckpointError for tensors that are missing or of another shape.
  T5Encoder(const Weights& w, const T5Config& config);
  // The same of a whole checkpoint; also throws for tensors that no part takes (a decoder's are
  // left aside), and for a wrong config.
  static T5Encoder load(const Checkpoint& checkpoint, const JsonFile& config,
                        const LoadOptions& options);

  // input_ids [N, L] of integers -> the last hidden state [N, L, d_model]. Padding is attended to
  // like any token, as FLUX's pipelines do. `trace` keeps t5.hidden.N: 0 is the embedding, i the
  // output of block i - 1. `around` is called in place of each block, "encoder.block.3" say. Throws
  // UsageError.
  Tensor forward(const Tensor& input_ids, Trace* trace = nullptr,
                 const AroundBlock& around = {}) const;

  const T5Config& config() const { return config_; }
  LinearList& linears() { return weights_.linears(); }

 private:
  struct Attention {
    Attention(const Weights& w, const T5Config& c);
    Tensor operator()(const Tensor& x,
                      const Tensor& bias) const;  // [N, L, d_model], [1, heads, L, L]
    int64_t heads;
    Linear q, k, v, o;
  };
  struct FeedForward {
    FeedForward(const Weights& w, const T5Config& c);
    Tensor operator()(const Tensor& x) const;  // [N, L, d_model]
    Activation activation;
    std::optional<Linear> wi, wi_0, wi_1;  // wi alone, or the gated pair
    Linear wo;
  };
  struct Block {
    Block(const Weights& w, const T5Config& c);
    Tensor operator()(const Tensor& x, const Tensor& bias) const;  // as Attention
    std::string path;
    RmsNorm attention_norm, feed_forward_norm;
    Attention attention;
    FeedForward feed_forward;
  };

  Tensor position_bias(int64_t length) const;  // [1, heads, length, length]

  Weights weights_;
  T5Config config_;
  at::Device device_;
  Embedding embedding_;
  Tensor bias_table_;  // [buckets, heads]
  std::vector<Block> blocks_;
  RmsNorm final_norm_;
};

}  // namespace icedit
