#pragma once
// y = x W^T + b, and whatever adapters add. Nobody above knows how W is stored (nn/matrix.h).
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/tensor.h"
#include "nn/operand.h"
#include "nn/weights.h"

namespace icedit {

class LowRankChange;

// What is added to a Linear's output: a LoRA, a mixture of them.
class LinearAdapter {
 public:
  virtual ~LinearAdapter() = default;
  // y + delta(x), in the memory of y where no gradient is wanted. x [..., in], y [..., out] of the
  // same dtype.
  virtual Tensor add_to(const Tensor& y, const Operand& x) const = 0;

  // The same as a change that a product adds in its own pass (nn/low_rank.h), as long as the
  // adapter lives; nullptr: now, at least, it is added by add_to alone. Asked at each use.
  virtual const LowRankChange* low_rank() const { return nullptr; }

  // An adapter that is a fixed change of the weight, factor * delta, may be folded into it: it then
  // costs nothing at each use. No factor: it must be added each time (a mixture, or one that is
  // trained).
  virtual std::optional<double> fold_factor() const { return std::nullopt; }
  virtual Tensor fold_delta() const { return {}; }  // [out, in] f32
};

// A handle: copies share weights and adapters, so a list of Linears reaches those inside the model.
// Forwards change nothing, several threads may run them at once.
class Linear {
 public:
  // Loads "weight" [out, in] and, when `bias`, "bias" [out].
  Linear(const Weights& w, int64_t in, int64_t out, bool bias = true);

  Tensor operator()(const Operand& x) const { return apply(x, /*once=*/false); }  // [..., out]
  // The same, of a block's last product: where the block is recomputed in f32, whose products are
  // nearly all of its time, the first pass's is held until the second (nn/recompute.h).
  Tensor once(const Operand& x) const { return apply(x, /*once=*/true); }

  const std::string& path() const;
  int64_t in() const;
  int64_t out() const;
  Tensor weight() const;  // [out, in] in the compute dtype, without adapters
  Tensor bias() const;    // [out], undefined where there is none

  // The rest changes the layer for all who share it; no forward may run meanwhile.

  // Adapters are added in the order of attaching, at each use unless they are folded after it.
  void attach(std::shared_ptr<const LinearAdapter> adapter);
  void detach(const LinearAdapter* adapter);  // the others are no longer folded
  // Folds the adapters into an f32 weight on the CPU, with their factors of now; does nothing where
  // the weight is of half precision, which would round a small change away, or is converted at each
  // use, or where one of the adapters has no factor.
  void fold();
  // Makes the weight and bias trainable, held in the compute dtype.
  std::vector<Tensor> train_weights();

  // What is multiplied with is made of the file's bytes by load(), as at the start, and let go of
  // by unload(), which gives the file's pages back too; of trained weights neither does anything.
  // Between the two each use makes it anew.
  void load();
  void unload();
  // Has the file's bytes in memory and returns once they are; for another thread, at any time.
  void read_ahead() const;

 private:
  struct State;
  Tensor apply(const Operand& x, bool once) const;
  void unfold();
  Linear loaded_copy() const;

  std::shared_ptr<State> state_;
};

}  // namespace icedit
