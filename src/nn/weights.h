#pragma once
// A path into a checkpoint. Modules load their tensors by diffusers' names in their initialiser
// lists:
//   JointAttention(const Weights& w, ...) : to_q(w / "to_q", hidden, hidden)
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/tensor.h"
#include "io/checkpoint.h"

namespace icedit {

class Linear;
using LinearList = std::vector<std::pair<std::string, Linear>>;  // a model's, under their paths

// Whole numbers that a matrix is held in, with factors: 8 bits a value (nn/int8_matrix.h), or 4
// (nn/int4_matrix.h).
enum class Quant { kNone, kInt8, kInt4 };

struct LoadOptions {
  // The dtype of activations, and of every tensor that is no Linear's matrix.
  at::ScalarType compute = at::kFloat;
  // Linear matrices: converted to `compute` once, or left as stored (mapped from the file where the
  // device is the CPU) and converted at each use.
  bool keep_stored = false;
  at::Device device = at::kCPU;
  // The Linears, by path, whose matrices may be whole numbers; to what they are quantised as they
  // are loaded, and whether those stored in GGML's blocks get products in 8 bits.
  std::function<bool(const std::string& path)> quantises = [](const std::string&) { return false; };
  Quant quant = Quant::kNone;
  bool int8_blocks = false;
  // Those whose matrices are only checked at first, until Linear::load (nn/block_stream.h).
  std::function<bool(const std::string& path)> deferred = [](const std::string&) { return false; };
};

class Weights {
 public:
  Weights(Checkpoint checkpoint, LoadOptions options);

  Weights operator/(const std::string& name) const;  // deeper: "a" / "b" is "a.b"
  Weights operator/(int64_t index) const { return *this / std::to_string(index); }

  bool has(const std::string& name) const;
  // As stored; both throw CheckpointError when the tensor is missing.
  Shape shape(const std::string& name) const;
  Dtype dtype(const std::string& name) const;
  // The tensor `name` below this path in the compute dtype, laid out in memory as `layout`. Throws
  // CheckpointError: missing, or not of `shape`.
  Tensor tensor(const std::string& name, const Shape& shape,
                at::MemoryFormat layout = at::MemoryFormat::Contiguous) const;
  // Where it lies, for a matrix that is not dense.
  const Checkpoint::Entry& entry(const std::string& name, const Shape& shape) const;
  // As stored: mapped where it can be. For Linear.
  Tensor stored(const std::string& name, const Shape& shape) const;

  // The same place for a later load, which does not keep what was loaded here.
  std::function<Weights()> again() const;

  const std::string& path() const { return path_; }
  const LoadOptions& options() const;
  const std::string& where() const;

  // Throws CheckpointError naming tensors that no module took, but for those whose name contains
  // one of `ignore`.
  void expect_all_used(const std::vector<std::string>& ignore = {}) const;

  // Every Linear made so far, under its path, in the order of their making: what adapters,
  // inspection and export walk.
  const LinearList& linears() const;
  LinearList& linears();
  void file_linear(const Linear& linear) const;  // by Linear's constructor
  // Every tensor that was loaded but for the Linears' matrices, by full name: for training all
  // weights.
  const std::vector<std::pair<std::string, Tensor>>& loaded() const;

 private:
  struct State;
  explicit Weights(std::shared_ptr<State> state) : state_(std::move(state)) {}

  std::shared_ptr<State> state_;
  std::string path_;
};

// A CPU tensor that looks at a checkpoint's bytes; it keeps the mapping alive. Copies where the
// bytes are not aligned, and of GGML's blocks, as f32.
Tensor mapped_tensor(const Checkpoint::Entry& entry);
at::ScalarType scalar_type(Dtype dtype);
Dtype dtype_of(at::ScalarType type);  // throws UsageError for a type that safetensors has not

// Reads a whole safetensors file; writes one (tensors are made contiguous on the CPU).
std::vector<std::pair<std::string, Tensor>> load_tensors(const Path& path);
void save_tensors(const Path& path, const std::vector<std::pair<std::string, Tensor>>& tensors,
                  const std::map<std::string, std::string>& metadata = {});

// The name of the first tensor with a NaN or an infinity in it, "" when there is none.
std::string first_not_finite(const Checkpoint& checkpoint);

}  // namespace icedit
