#pragma once
// What Gloo and NCCL share: a c10d backend whose work is waited for.
#include <functional>

#include "dist/group.h"

namespace c10d {
class Backend;
class Work;
}  // namespace c10d

namespace icedit {

class C10dGroup : public Group {
 public:
  C10dGroup(const LaunchEnv& env, const GroupOptions& options,
            c10::intrusive_ptr<c10d::Backend> backend);
  ~C10dGroup() override;

  void all_reduce(const Tensor& tensor) override;
  void broadcast(const Tensor& tensor, int root) override;

 private:
  using Start = std::function<c10::intrusive_ptr<c10d::Work>(c10d::Backend&)>;
  void run(const char* what, const Start& start);
  void wait(c10d::Work& work);
  void abandon();

  std::chrono::milliseconds timeout_;
  c10::intrusive_ptr<c10d::Backend> backend_;  // empty after an error
};

// Ranks on CPUs, over TCP. Throws PeerError.
std::unique_ptr<Group> make_gloo_group(const LaunchEnv& env, const GroupOptions& options);

}  // namespace icedit
