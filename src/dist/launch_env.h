#pragma once
// Which of how many processes this is, as torchrun (or a test's launcher) says in the environment.
// Source: https://docs.pytorch.org/docs/stable/elastic/run.html, "Environment Variables".
#include <functional>
#include <string>

namespace icedit {

struct LaunchEnv {
  int rank = 0, world_size = 1;
  int local_rank = 0;       // on this machine: which GPU
  std::string master_addr;  // where the key-value store of the rendezvous listens
  int master_port = 0;
  bool agent_store = false;  // torchrun's agent serves the store, every rank is a client of it
  int restart_count = 0;     // how often torchrun has started this group anew
  std::string run_id = "none";

  bool alone() const { return world_size == 1; }

  // RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR, MASTER_PORT, TORCHELASTIC_USE_AGENT_STORE,
  // TORCHELASTIC_RESTART_COUNT, TORCHELASTIC_RUN_ID. Without RANK and WORLD_SIZE: alone.
  // Throws UsageError naming the variable that is missing or wrong.
  static LaunchEnv read();
  // The same from any source of variables; "" for one that is not set.
  static LaunchEnv read(const std::function<std::string(const char*)>& variable);
};

}  // namespace icedit
