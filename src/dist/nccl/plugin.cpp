// libicedit_nccl.so: the group over NCCL, for GPUs. Built where `scripts/setup.sh --cuda` has put
// CUDA's headers and libtorch_cuda. UNMEASURED: compiled and
// loaded, never run on GPUs.
#define USE_C10D_NCCL
#include <ATen/ATen.h>
#include <c10/cuda/CUDAFunctions.h>

#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>

#include "dist/c10d_group.h"
#include "dist/nccl.h"
#include "dist/rendezvous.h"

namespace icedit {
namespace {

class NcclGroup : public C10dGroup {
 public:
  using C10dGroup::C10dGroup;

  void all_reduce(const Tensor& tensor) override {
    on_device(tensor, [&](const Tensor& there) { C10dGroup::all_reduce(there); });
  }
  void broadcast(const Tensor& tensor, int root) override {
    on_device(tensor, [&](const Tensor& there) { C10dGroup::broadcast(there, root); });
  }

 private:
  // NCCL reaches GPU memory only; figures and texts come from the CPU.
  template <class Exchange>
  static void on_device(const Tensor& tensor, Exchange exchange) {
    const Tensor there = tensor.detach().cuda();  // itself, where it is on a GPU
    exchange(there);
    if (tensor.is_cpu()) tensor.detach().copy_(there);
  }
};

}  // namespace
}  // namespace icedit

extern "C" icedit::Group* icedit_make_nccl_group(const icedit::LaunchEnv& env,
                                                 const icedit::GroupOptions& options) {
  using namespace icedit;
  try {
    c10::cuda::set_device(static_cast<c10::DeviceIndex>(env.local_rank));
  } catch (const std::exception& error) {  // before the others wait for this one
    throw ModelUnavailable(
        str("rank ", env.rank, " has no GPU ", env.local_rank, " (", first_line(error.what()),
            "); start at most as many ranks on a machine as it has GPUs, or train "
            "with --device cpu"));
  }
  const auto store = join_store(env, options);
  try {
    auto nccl = c10d::ProcessGroupNCCL::Options::create();
    nccl->timeout = options.timeout;
    auto backend =
        c10::make_intrusive<c10d::ProcessGroupNCCL>(store, env.rank, env.world_size, nccl);
    return new NcclGroup(env, options, std::move(backend));
  } catch (const std::exception& error) {
    throw PeerError(str("rank ", env.rank, " of ", env.world_size, " could not start NCCL on GPU ",
                        env.local_rank, " (", first_line(error.what()), ")"));
  }
}
