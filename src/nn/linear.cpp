#include "nn/linear.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <functional>

#include "nn/matrix.h"
#include "nn/observer.h"

namespace icedit {

struct Linear::State {
  std::string path;
  int64_t in, out;
  at::ScalarType compute;
  MatrixPtr stored;  // as in the file (mapped where it can be)
  MatrixPtr
      matrix;  // what is multiplied with: `stored`, or a copy in `compute`, adapters folded in
  Tensor bias;
  bool can_fold;
  std::function<void()> release;  // gives the file's pages back after `stored` was read
  std::vector<std::shared_ptr<const LinearAdapter>> adapters;
  std::vector<double> folded;  // the factor of each adapter in `matrix`; empty: none

  std::vector<double> factors() const;
  void fold(const std::vector<double>& factors);
};

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
  release();
}

Linear::Linear(const Weights& w, int64_t in, int64_t out, bool bias)
    : state_(std::make_shared<State>()) {
  State& s = *state_;
  s.path = w.path();
  s.in = in;
  s.out = out;
  s.compute = w.options().compute;
  s.release = w.releaser("weight");
  s.matrix = s.stored = load_matrix(w, in, out);
  if (!w.options().keep_stored && !s.stored->holds(s.compute) &&
      !s.stored->multiplies_as_stored()) {
    s.matrix = dense_matrix(s.stored->dense(s.compute));
    s.release();
  }
  const bool on_cpu = w.options().device.is_cpu();
  if (!on_cpu) s.stored = s.matrix;  // not twice on a device: nothing is mapped there
  s.can_fold = on_cpu && s.compute == at::kFloat && s.matrix->holds(s.compute);
  if (bias) s.bias = w.tensor("bias", {out});
  w.file_linear(*this);
}

Tensor Linear::operator()(const Operand& x) const {
  const State& s = *state_;
  Tensor y = matrix_product(x, s.matrix, s.bias);
  if (s.folded.empty()) {
    for (const auto& adapter : s.adapters) y = adapter->add_to(y, x.tensor());
  }
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
  return (s.folded.empty() ? s.matrix : s.stored)->dense(s.compute);
}
Tensor Linear::bias() const {
  return state_->bias;
}

void Linear::attach(std::shared_ptr<const LinearAdapter> adapter) {
  state_->fold({});
  state_->adapters.push_back(std::move(adapter));
}

void Linear::detach(const LinearAdapter* adapter) {
  state_->fold({});
  std::erase_if(state_->adapters, [&](const auto& held) { return held.get() == adapter; });
}

void Linear::fold() {
  state_->fold(state_->factors());
}

std::vector<Tensor> Linear::train_weights() {
  State& s = *state_;
  const Tensor leaf = weight().clone().requires_grad_(true);
  s.matrix = s.stored = dense_matrix(leaf);
  s.folded.clear();
  s.can_fold = false;
  s.release = [] {};
  if (!s.bias.defined()) return {leaf};
  s.bias = s.bias.clone().requires_grad_(true);
  return {leaf, s.bias};
}

}  // namespace icedit
