#include "dist/c10d_group.h"

#include <ATen/ATen.h>

#include <csignal>
#include <thread>
#include <torch/csrc/distributed/c10d/Backend.hpp>

#include "base/interrupt.h"
#include "dist/rendezvous.h"

namespace icedit {
namespace {

using std::chrono::steady_clock;

double seconds(std::chrono::milliseconds time) {
  return double(time.count()) / 1000;
}

}  // namespace

C10dGroup::C10dGroup(const LaunchEnv& env, const GroupOptions& options,
                     c10::intrusive_ptr<c10d::Backend> backend)
    : Group(env.rank, env.world_size), timeout_(options.timeout), backend_(std::move(backend)) {
  std::signal(SIGPIPE, SIG_IGN);  // that another rank has died is an error of the write
}

C10dGroup::~C10dGroup() = default;

// Its destructor would wait for what is under way, until the time is up. The process is about to
// end: let it go.
void C10dGroup::abandon() {
  backend_.release();
}

// Asks rather than sleeps until woken, since a signal has to end the wait: torchrun kills what has
// not ended after 30 s.
void C10dGroup::wait(c10d::Work& work) {
  const auto start = steady_clock::now();
  auto pause = std::chrono::microseconds(20);
  while (!work.isCompleted()) {
    throw_if_interrupted();
    if (steady_clock::now() - start > timeout_ + std::chrono::seconds(5))
      throw std::runtime_error("no answer in time");
    std::this_thread::sleep_for(pause);
    pause = std::min(pause * 2, std::chrono::microseconds(1000));
  }
  work.wait();  // throws what went wrong
}

void C10dGroup::run(const char* what, const Start& start) {
  if (!backend_)
    throw PeerError(str(what, ": the ranks have lost each other before; end the process"));
  try {
    const auto work = start(*backend_);
    wait(*work);
  } catch (const Interrupted&) {
    abandon();
    throw;
  } catch (const std::exception& error) {
    abandon();
    throw_if_interrupted();  // the others may have heard of it first, and left
    throw PeerError(str("rank ", rank(), " of ", size(), ": ", what, " failed (",
                        first_line(error.what()),
                        "): another rank ended, or did not answer within ", seconds(timeout_),
                        " s; its own output says why"));
  }
}

void C10dGroup::all_reduce(const Tensor& tensor) {
  run("all-reduce", [&](c10d::Backend& backend) {
    std::vector<Tensor> tensors = {tensor.detach()};
    c10d::AllreduceOptions options;
    options.reduceOp = c10d::ReduceOp::SUM;
    options.timeout = timeout_;
    return backend.allreduce(tensors, options);
  });
}

void C10dGroup::broadcast(const Tensor& tensor, int root) {
  run("broadcast", [&](c10d::Backend& backend) {
    std::vector<Tensor> tensors = {tensor.detach()};
    c10d::BroadcastOptions options;
    options.rootRank = root;
    options.timeout = timeout_;
    return backend.broadcast(tensors, options);
  });
}

}  // namespace icedit
