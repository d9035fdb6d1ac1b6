#pragma once
// The processes of one training run. Every rank makes the same calls in the same order. A group of
// one does nothing.
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/tensor.h"
#include "dist/launch_env.h"

namespace icedit {

// Another rank died, left, or did not answer in time. The group cannot be used any more: end the
// process with this error, so that torchrun starts all ranks again.
class PeerError : public Error {
 public:
  explicit PeerError(const std::string& message) : Error(ExitCode::kFailure, message) {}
};

// Every call but rank(), size() throws PeerError, and Interrupted when a signal came while it
// waited.
class Group {
 public:
  virtual ~Group() = default;
  Group(const Group&) = delete;
  Group& operator=(const Group&) = delete;

  int rank() const { return rank_; }
  int size() const { return size_; }
  bool is_first() const { return rank_ == 0; }  // the one that writes, samples and logs

  // The sum over all ranks, in place; contiguous, of the same shape and dtype everywhere.
  virtual void all_reduce(const Tensor& tensor) = 0;
  // Rank `root`'s values, in place.
  virtual void broadcast(const Tensor& tensor, int root = 0) = 0;

  // Each tensor becomes its mean over the ranks, in one exchange a dtype. For gradients.
  void all_reduce_mean(const std::vector<Tensor>& tensors);
  // Every rank's number, by rank.
  std::vector<int64_t> gather(int64_t value);
  // Whether it holds on every rank.
  bool all(bool value);
  // Rank `root`'s text.
  std::string broadcast_text(const std::string& text, int root = 0);
  // Throws UsageError on every rank when `text` is not the same on all, naming `what` ("the
  // configuration"), the ranks, and the first line that differs, as rank 0 and one of them have it.
  void expect_equal(const std::string& what, const std::string& text);

 protected:
  Group(int rank, int size) : rank_(rank), size_(size) {}

 private:
  int rank_, size_;
};

struct GroupOptions {
  std::string backend = "gloo";  // gloo (CPU tensors), nccl (CUDA tensors; unmeasured)
  // How long a rank waits for the others in one call, and at the start for all to come.
  std::chrono::milliseconds timeout = std::chrono::minutes(30);
  std::chrono::milliseconds join_timeout = std::chrono::minutes(10);
};

// Throws PeerError (the others did not come), UsageError (an unknown backend), ModelUnavailable (no
// NCCL plug-in).
std::unique_ptr<Group> make_group(const LaunchEnv& env, const GroupOptions& options = {});

}  // namespace icedit
