#pragma once
// y = x W^T + b, and whatever adapters add. Nobody above knows how W is stored.
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/tensor.h"
#include "nn/weights.h"

namespace icedit {

// What is added to a Linear's output: a LoRA, a mixture of them.
class LinearAdapter {
 public:
  virtual ~LinearAdapter() = default;
  // y + delta(x). x [..., in], y [..., out] of the same dtype.
  virtual Tensor add_to(const Tensor& y, const Tensor& x) const = 0;

  // An adapter that is a fixed change of the weight, factor * delta, may be folded into it while
  // nothing is trained: it then costs nothing at each use. No factor: it must be added each time (a
  // mixture, or one that is trained).
  virtual std::optional<double> fold_factor() const { return std::nullopt; }
  virtual Tensor fold_delta() const { return {}; }  // [out, in] f32
};

// A handle: copies share weights and adapters, so a list of Linears reaches those inside the model.
class Linear {
 public:
  // Loads "weight" [out, in] and, when `bias`, "bias" [out]. fp8 weights take "scale_weight" or
  // "weight_scale".
  Linear(const Weights& w, int64_t in, int64_t out, bool bias = true);

  Tensor operator()(const Tensor& x) const;  // [..., in] -> [..., out]

  const std::string& path() const;
  int64_t in() const;
  int64_t out() const;
  Tensor weight() const;  // [out, in] in the compute dtype, without adapters
  Tensor bias() const;    // [out], undefined where there is none

  // Adapters are added in the order of attaching.
  void attach(std::shared_ptr<const LinearAdapter> adapter) const;
  void detach(const LinearAdapter* adapter) const;
  // Adds `delta` [out, in] to the weight for good (merging); the weight is held in the compute
  // dtype from then on.
  void add_to_weight(const Tensor& delta) const;
  // Makes the weight and bias trainable, held in the compute dtype.
  std::vector<Tensor> train_weights() const;

 private:
  struct State;
  Tensor with_adapters(Tensor y, const Tensor& x) const;
  void unfold() const;
  void hold(const Tensor& weight) const;  // from now on, in place of what is stored

  std::shared_ptr<State> state_;
};

}  // namespace icedit
