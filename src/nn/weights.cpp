#include "nn/weights.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <set>

#include "base/error.h"
#include "nn/fp8_scales.h"
#include "nn/linear.h"

namespace icedit {

struct Weights::State {
  State(std::shared_ptr<const Checkpoint> c, LoadOptions o)
      : checkpoint(std::move(c)), options(std::move(o)) {}

  const std::shared_ptr<const Checkpoint> checkpoint;
  const LoadOptions options;
  std::set<std::string> used;
  LinearList linears;
  std::vector<std::pair<std::string, Tensor>> loaded;
};

Weights::Weights(Checkpoint checkpoint, LoadOptions options)
    : state_(std::make_shared<State>(std::make_shared<const Checkpoint>(std::move(checkpoint)),
                                     std::move(options))) {}

Weights Weights::operator/(const std::string& name) const {
  Weights deeper = *this;
  deeper.path_ = path_.empty() ? name : path_ + "." + name;
  return deeper;
}

bool Weights::has(const std::string& name) const {
  return state_->checkpoint->has((*this / name).path_);
}

Shape Weights::shape(const std::string& name) const {
  return state_->checkpoint->entry((*this / name).path_).info.shape;
}

Dtype Weights::dtype(const std::string& name) const {
  return state_->checkpoint->entry((*this / name).path_).info.dtype;
}

const LoadOptions& Weights::options() const {
  return state_->options;
}
const std::string& Weights::where() const {
  return state_->checkpoint->where();
}

const Checkpoint::Entry& Weights::entry(const std::string& name, const Shape& shape) const {
  const std::string full = (*this / name).path_;
  const Checkpoint::Entry& entry = state_->checkpoint->entry(full);
  if (entry.info.shape != shape) {
    throw CheckpointError(
        str(where(), ": tensor '", full, "' is ", entry.info.shape, ", expected ", shape,
            ". The file does not fit the model's config.json; is it another model's?"));
  }
  state_->used.insert(full);
  return entry;
}

Tensor Weights::stored(const std::string& name, const Shape& shape) const {
  const std::string full = (*this / name).path_;
  const Checkpoint::Entry& entry = this->entry(name, shape);
  if (!at::isFloatingType(scalar_type(entry.info.dtype))) {
    throw CheckpointError(str(where(), ": tensor '", full, "' is ", dtype_name(entry.info.dtype),
                              ", expected a floating type; of files quantised to whole numbers "
                              "only ComfyUI's int8 layout is read, and GGUF"));
  }
  return mapped_tensor(entry);
}

std::function<Weights()> Weights::again() const {
  return [checkpoint = state_->checkpoint, options = state_->options, path = path_] {
    Weights w(std::make_shared<State>(checkpoint, options));
    w.path_ = path;
    return w;
  };
}

Tensor Weights::tensor(const std::string& name, const Shape& shape, at::MemoryFormat layout) const {
  const Tensor as_stored = stored(name, shape);
  Tensor tensor = as_stored.to(state_->options.device, state_->options.compute,
                               /*non_blocking=*/false, /*copy=*/false, layout);
  // Of a norm or a bias the file's pages around it take more than a copy.
  constexpr size_t kSmall = size_t{64} << 10;
  if (tensor.is_same(as_stored) && tensor.nbytes() <= kSmall) tensor = tensor.clone();
  if (!tensor.is_same(as_stored)) entry(name, shape).release();
  state_->loaded.emplace_back((*this / name).path_, tensor);
  return tensor;
}

void Weights::expect_all_used(const std::vector<std::string>& ignore) const {
  std::vector<std::string> left;
  for (const auto& [name, entry] : state_->checkpoint->entries()) {
    const bool ignored = std::any_of(
        ignore.begin(), ignore.end(),
        [&, &name = name](const auto& part) { return name.find(part) != std::string::npos; });
    if (!ignored && !is_fp8_mark(name) && state_->used.count(name) == 0) left.push_back(name);
  }
  if (left.empty()) return;
  throw CheckpointError(
      str(where(), ": ", left.size(), " tensors belong to no part of this model, the first is '",
          left.front(), "'. The checkpoint and its config.json do not fit each other."));
}

const LinearList& Weights::linears() const {
  return state_->linears;
}
LinearList& Weights::linears() {
  return state_->linears;
}
void Weights::file_linear(const Linear& linear) const {
  state_->linears.emplace_back(linear.path(), linear);
}
const std::vector<std::pair<std::string, Tensor>>& Weights::loaded() const {
  return state_->loaded;
}

}  // namespace icedit
