#pragma once
// torchrun's agent: serves the store, and outlives the ranks.
#include <map>
#include <string>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

namespace icedit {

class AgentStore {
 public:
  AgentStore() {
    c10d::TCPStoreOptions options;
    options.port = 0;
    options.isServer = true;
    options.waitWorkers = false;
    store_ = c10::make_intrusive<c10d::TCPStore>("127.0.0.1", options);
  }
  // Those of every rank; RANK and the like are its own.
  std::map<std::string, std::string> variables(int restart_count) const {
    return {{"MASTER_ADDR", "127.0.0.1"},
            {"MASTER_PORT", std::to_string(store_->getPort())},
            {"TORCHELASTIC_USE_AGENT_STORE", "True"},
            {"TORCHELASTIC_RUN_ID", "a test"},
            {"TORCHELASTIC_RESTART_COUNT", std::to_string(restart_count)}};
  }

 private:
  c10::intrusive_ptr<c10d::TCPStore> store_;
};

}  // namespace icedit
