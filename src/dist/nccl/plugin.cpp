// libicedit_nccl.so: the group over NCCL, for GPUs. Built with -DICEDIT_NCCL=ON where
// `scripts/setup.sh --cuda` has put CUDA's headers and libtorch_cuda. UNMEASURED: compiled, never
// run by a test.
#define USE_C10D_NCCL
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

 private:
  Tensor buffer_for(const Tensor& like) override { return like.cuda(); }
};

}  // namespace
}  // namespace icedit

extern "C" icedit::Group* icedit_make_nccl_group(const icedit::LaunchEnv& env,
                                                 const icedit::GroupOptions& options) {
  using namespace icedit;
  const auto store = join_store(env, options);
  try {
    c10::cuda::set_device(static_cast<c10::DeviceIndex>(env.local_rank));
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
