#include "dist/group.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <map>

#include "dist/c10d_group.h"
#include "dist/nccl.h"

namespace icedit {
namespace {

class SingleGroup : public Group {
 public:
  SingleGroup() : Group(0, 1) {}
  void all_reduce(const Tensor&) override {}
  void broadcast(const Tensor&, int) override {}
};

// FNV-1a: whether two texts are the same, not whether someone wants them to look so.
int64_t hash_of(const std::string& text) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const char c : text) hash = (hash ^ uint8_t(c)) * 0x100000001b3;
  return int64_t(hash);
}

// The first lines that are not the same; "" for a text that has ended.
std::pair<std::string, std::string> first_difference(const std::string& a, const std::string& b) {
  std::istringstream lines(a), other_lines(b);
  std::string line, other;
  while (line == other) {
    const bool more = bool(std::getline(lines, line));
    if (!more) line.clear();
    if (!std::getline(other_lines, other)) {
      other.clear();
      if (!more) break;
    }
  }
  return {line, other};
}

}  // namespace

void Group::all_reduce_mean(const std::vector<Tensor>& tensors) {
  if (size_ == 1) return;
  const c10::NoGradGuard no_grad;
  std::map<std::pair<at::ScalarType, at::DeviceType>, std::vector<Tensor>> kinds;
  for (const Tensor& tensor : tensors)
    kinds[{tensor.scalar_type(), tensor.device().type()}].push_back(tensor.detach());
  for (auto& [kind, same] : kinds) {
    std::vector<Tensor> flat;
    for (const Tensor& tensor : same) flat.push_back(tensor.reshape({-1}));
    const Tensor buffer = at::cat(flat);
    all_reduce(buffer);
    Tensor(buffer).div_(size_);
    int64_t at = 0;
    for (Tensor& tensor : same) {
      tensor.copy_(buffer.narrow(0, at, tensor.numel()).view(tensor.sizes()));
      at += tensor.numel();
    }
  }
}

std::vector<int64_t> Group::gather(int64_t value) {
  const Tensor values = at::zeros({size_}, at::kLong);
  values[rank_] = value;
  all_reduce(values);
  return {values.data_ptr<int64_t>(), values.data_ptr<int64_t>() + size_};
}

bool Group::all(bool value) {
  for (const int64_t other : gather(value))
    if (!other) return false;
  return true;
}

std::string Group::broadcast_text(const std::string& text, int root) {
  const int64_t length = gather(int64_t(text.size()))[size_t(root)];
  const Tensor bytes = at::zeros({length}, at::kByte);
  if (rank_ == root) std::copy(text.begin(), text.end(), bytes.data_ptr<uint8_t>());
  if (length > 0) broadcast(bytes, root);
  return {bytes.data_ptr<uint8_t>(), bytes.data_ptr<uint8_t>() + length};
}

void Group::expect_equal(const std::string& what, const std::string& text) {
  const std::vector<int64_t> prints = gather(hash_of(text));
  std::vector<int> others;
  for (int rank = 1; rank < size_; ++rank)
    if (prints[rank] != prints[0]) others.push_back(rank);
  if (others.empty()) return;
  const std::string first = broadcast_text(text), other = broadcast_text(text, others[0]);
  const auto [line, other_line] = first_difference(first, other);
  throw UsageError(str(what, " of rank ", others, " differs from rank 0's: rank 0 has '", line,
                       "', rank ", others[0], " has '", other_line, "'; all ranks need the same"));
}

std::unique_ptr<Group> make_group(const LaunchEnv& env, const GroupOptions& options) {
  if (options.backend != "gloo" && options.backend != "nccl")
    throw UsageError(str("the backend between the ranks is '", options.backend,
                         "', expected gloo (CPU) or nccl (CUDA)"));
  if (env.alone()) return std::make_unique<SingleGroup>();
  if (options.backend == "nccl") return make_nccl_group(env, options);
  return make_gloo_group(env, options);
}

}  // namespace icedit
