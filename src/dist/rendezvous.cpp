#include "dist/rendezvous.h"

#include <unistd.h>

#include <random>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include "dist/port.h"

namespace icedit {
namespace {

// Rank 0 counts the round and answers everyone's greeting with it; whoever has read the answer
// says so. A greeting that was left by a rank that is no more is answered too, and nobody reads it.
class Meeting {
 public:
  Meeting(c10d::Store& store, const LaunchEnv& env, Waiting& waiting)
      : store_(store), env_(env), waiting_(waiting) {}

  std::string round() { return env_.rank == 0 ? lead() : follow(); }

 private:
  std::string lead() {
    const std::string round = std::to_string(store_.add("rounds", 1));
    std::vector<int> missing;
    for (int rank = 1; rank < env_.world_size; ++rank) missing.push_back(rank);
    std::vector<std::string> answered(size_t(env_.world_size));
    while (true) {
      std::erase_if(missing, [&](int rank) { return store_.check({here(round, rank)}); });
      if (missing.empty()) return round;
      for (const int rank : missing) {
        if (!store_.check({greeting(rank)})) continue;
        const std::string token = store_.get_to_str(greeting(rank));
        if (token == answered[size_t(rank)]) continue;
        store_.set(answer(token), round);
        answered[size_t(rank)] = token;
      }
      pause(missing.size() == 1 ? str("rank ", missing[0]) : str("ranks ", missing));
    }
  }

  std::string follow() {
    std::random_device random;
    const std::string token = str(::getpid(), "-", random(), "-", random());
    store_.set(greeting(env_.rank), token);
    while (!store_.check({answer(token)})) pause("rank 0");
    const std::string round = store_.get_to_str(answer(token));
    store_.set(here(round, env_.rank), std::string("1"));
    return round;
  }

  static std::string greeting(int rank) { return str("greeting/", rank); }
  static std::string answer(const std::string& token) { return "answer/" + token; }
  static std::string here(const std::string& round, int rank) {
    return str("here/", round, "/", rank);
  }

  void pause(const std::string& whom) { waiting_.pause(whom, std::chrono::milliseconds(10)); }

  c10d::Store& store_;
  const LaunchEnv& env_;
  Waiting& waiting_;
};

}  // namespace

std::string first_line(const std::string& text) {
  std::string line = text.substr(0, text.find('\n'));
  const size_t end = line.find("] ");  // Gloo begins with its "[FILE:LINE] "
  if (line.starts_with('[') && end != line.npos) line.erase(0, end + 2);
  return line;
}

c10::intrusive_ptr<c10d::Store> connect_store(const LaunchEnv& env, Waiting& waiting) {
  c10d::TCPStoreOptions options;
  options.port = uint16_t(env.master_port);
  options.isServer = env.rank == 0 && !env.agent_store;
  options.waitWorkers = false;
  if (options.isServer)
    options.masterListenFd = listen_at(env);
  else
    wait_for_store(env, env.agent_store ? "torchrun's store" : "rank 0", waiting);
  options.timeout = waiting.left();
  // Its own store rank 0 reaches by whatever name.
  const std::string host = options.isServer ? "localhost" : env.master_addr;
  auto store = c10::make_intrusive<c10d::TCPStore>(host, options);
  return c10::make_intrusive<c10d::PrefixStore>("icedit/" + env.run_id, std::move(store));
}

c10::intrusive_ptr<c10d::Store> join_store(const LaunchEnv& env, const GroupOptions& options) {
  try {
    Waiting waiting(env, options.join_timeout);
    auto store = connect_store(env, waiting);
    const std::string round = Meeting(*store, env, waiting).round();
    return c10::make_intrusive<c10d::PrefixStore>("round/" + round, std::move(store));
  } catch (const Error&) {
    throw;
  } catch (const std::exception& error) {
    throw PeerError(str("rank ", env.rank, " of ", env.world_size, " did not meet the others at ",
                        env.master_addr, ":", env.master_port, " (", first_line(error.what()),
                        "): are all ranks started, is MASTER_ADDR right and the port open?"));
  }
}

Kept kept_over_restarts(const LaunchEnv& env, const std::string& key,
                        const std::function<std::string()>& make) {
  if (!env.agent_store) return {make()};
  Kept kept;
  try {
    Waiting waiting(env, std::chrono::minutes(1));
    const auto store = connect_store(env, waiting);
    // Not the restart count says so: it stays 0 on a machine whose own ranks did not fail.
    if (store->check({key})) return {store->get_to_str(key), true};
    kept.value = make();
    store->set(key, kept.value);
  } catch (const Error&) {
    throw;
  } catch (const std::exception& error) {
    throw PeerError(str("torchrun's store at ", env.master_addr, ":", env.master_port,
                        " does not answer (", first_line(error.what()), ")"));
  }
  return kept;
}

}  // namespace icedit
