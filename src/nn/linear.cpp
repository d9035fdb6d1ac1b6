#include "nn/linear.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <functional>

#include "nn/low_rank.h"
#include "nn/matrix.h"
#include "nn/observer.h"
#include "nn/recompute.h"
#include "nn/stopwatch.h"

namespace icedit {

struct Linear::State {
  std::string path;
  int64_t in, out;
  at::ScalarType compute;
  bool on_cpu, keep_stored;
  std::function<Weights()> file;  // where the matrix lies; none: it is trained
  Checkpoint::Entry weight;       // of the file
  MatrixPtr stored;               // as in the file (mapped where it can be); none: let go of
  // What is multiplied with: `stored`, or a copy in `compute`, adapters folded in.
  MatrixPtr matrix;
  Tensor bias;
  bool can_fold = false, folds = false;
  std::vector<std::shared_ptr<const LinearAdapter>> adapters;
  std::vector<double> folded;  // the factor of each adapter in `matrix`; empty: none

  void load(const Weights& w);
  std::vector<double> factors() const;
  void fold(const std::vector<double>& factors);
  struct Added {
    LowRankChanges by_product;
    std::vector<const LinearAdapter*> behind_it;
  };
  Added added(const Operand& x) const;
};

void Linear::State::load(const Weights& w) {
  matrix = stored = load_matrix(w, in, out);
  if (!keep_stored && !stored->holds(compute) && !stored->multiplies_as_stored()) {
    matrix = dense_matrix(stored->dense(compute));
    weight.release();
  }
  if (!on_cpu) stored = matrix;  // not twice on a device: nothing is mapped there
  can_fold = on_cpu && compute == at::kFloat && matrix->holds(compute);
  folded.clear();
  if (folds) fold(factors());
}

// Those to fold in: of all adapters or of none.
std::vector<double> Linear::State::factors() const {
  std::vector<double> factors;
  for (const auto& adapter : adapters) {
    const auto factor = adapter->fold_factor();
    if (!factor || !can_fold) return {};
    factors.push_back(*factor);
  }
  return factors;
}

void Linear::State::fold(const std::vector<double>& factors) {
  if (factors == folded) return;
  Tensor sum = stored->dense(compute);
  for (size_t i = 0; i < factors.size(); ++i) {
    if (factors[i] != 0) sum = at::add(sum, adapters[i]->fold_delta(), factors[i]);
  }
  matrix = dense_matrix(sum);
  folded = factors;
  weight.release();
}

// The adapters that are not folded: each is asked once, as its scale may change meanwhile.
Linear::State::Added Linear::State::added(const Operand& x) const {
  Added added;
  if (!folded.empty() || adapters.empty()) return added;
  const bool by_product = !is_observed() && !gradients_wanted() && matrix->adds_changes(x);
  for (const auto& adapter : adapters) {
    const LowRankChange* change = by_product ? adapter->low_rank() : nullptr;
    if (change != nullptr)
      added.by_product.push_back(change);
    else
      added.behind_it.push_back(adapter.get());
  }
  return added;
}

Linear::Linear(const Weights& w, int64_t in, int64_t out, bool bias)
    : state_(std::make_shared<State>()) {
  State& s = *state_;
  s.path = w.path();
  s.in = in;
  s.out = out;
  s.compute = w.options().compute;
  s.on_cpu = w.options().device.is_cpu();
  s.keep_stored = w.options().keep_stored;
  s.file = w.again();
  s.weight = w.entry("weight", w.shape("weight"));  // of 4 bits, its shape is another
  if (w.options().deferred(s.path))
    expect_matrix(w, in, out);
  else
    s.load(w);
  if (bias) s.bias = w.tensor("bias", {out});
  w.file_linear(*this);
}

Tensor Linear::apply(const Operand& x, bool once) const {
  const State& s = *state_;
  if (!s.matrix) return loaded_copy().apply(x, once);
  const Timed timed(Work::kProducts,
                    2.0 * double(at::multiply_integers(x.shape())) * double(s.out));
  const auto [changes, others] = s.added(x);
  Tensor y = changes.empty() ? matrix_product(x, s.matrix, s.bias, once)
                             : s.matrix->times_and_changes(x, s.bias, changes);
  for (const LinearAdapter* adapter : others) y = adapter->add_to(y, x);
  return is_observed() ? observed(s.path, x.tensor(), y) : y;
}

const std::string& Linear::path() const {
  return state_->path;
}
int64_t Linear::in() const {
  return state_->in;
}
int64_t Linear::out() const {
  return state_->out;
}
Tensor Linear::weight() const {
  const State& s = *state_;
  if (!s.matrix) return load_matrix(s.file(), s.in, s.out)->dense(s.compute);
  return (s.folded.empty() ? s.matrix : s.stored)->dense(s.compute);
}
Tensor Linear::bias() const {
  return state_->bias;
}

void Linear::attach(std::shared_ptr<const LinearAdapter> adapter) {
  unfold();
  state_->adapters.push_back(std::move(adapter));
}

void Linear::detach(const LinearAdapter* adapter) {
  unfold();
  std::erase_if(state_->adapters, [&](const auto& held) { return held.get() == adapter; });
}

void Linear::fold() {
  state_->folds = true;
  if (state_->matrix) state_->fold(state_->factors());
}

void Linear::unfold() {
  state_->folds = false;
  if (state_->matrix) state_->fold({});
}

void Linear::load() {
  if (!state_->matrix) state_->load(state_->file());
}

void Linear::unload() {
  State& s = *state_;
  if (!s.file) return;
  s.matrix = s.stored = nullptr;
  s.weight.release();
}

void Linear::read_ahead() const {
  state_->weight.read_ahead();
}

Linear Linear::loaded_copy() const {
  Linear copy = *this;
  copy.state_ = std::make_shared<State>(*state_);
  copy.load();
  return copy;
}

std::vector<Tensor> Linear::train_weights() {
  State& s = *state_;
  const Tensor leaf = weight().clone().requires_grad_(true);
  s.matrix = s.stored = dense_matrix(leaf);
  s.folded.clear();
  s.can_fold = false;
  s.file = nullptr;
  if (!s.bias.defined()) return {leaf};
  s.bias = s.bias.clone().requires_grad_(true);
  return {leaf, s.bias};
}

}  // namespace icedit
