// Gloo over the loopback interface. The headers it is compiled against are older than the gloo in
// the wheel, so every call that is used stands here.
#include "dist/group.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <thread>

#include "agent_store.h"
#include "dist/rendezvous.h"
#include "ranks.h"

namespace icedit {
namespace {

using Variables = Ranks::Variables;

Variables with(Variables variables, const std::string& name, const std::string& value) {
  variables[name] = value;
  return variables;
}

void expect_all_good(const std::string& role, int world_size) {
  for (const auto& [rank, result] : Ranks(role, world_size, at_port(free_port())).wait())
    EXPECT_EQ(result.code, 0) << role << " rank " << rank << ": " << result.output;
}

TEST(Group, OneRankDoesNothing) {
  const auto group = make_group(LaunchEnv{});
  EXPECT_TRUE(group->is_first());
  EXPECT_EQ(group->size(), 1);
  const Tensor t = at::arange(4.0);
  group->all_reduce(t);
  group->all_reduce_mean({t});
  group->broadcast(t);
  EXPECT_TRUE(at::equal(t, at::arange(4.0)));
  EXPECT_EQ(group->gather(7), std::vector<int64_t>{7});
  EXPECT_FALSE(group->all(false));
  group->expect_equal("anything", "x");
}

TEST(Group, UnknownBackendsAndMissingPluginsAreNamed) {
  EXPECT_THROW(make_group(LaunchEnv{}, {.backend = "mpi"}), UsageError);
  LaunchEnv two;
  two.world_size = 2;
  try {
    make_group(two, {.backend = "nccl"});
    FAIL() << "there is no plug-in beside the tests";
  } catch (const ModelUnavailable& error) {
    EXPECT_NE(std::string(error.what()).find("libicedit_nccl.so"), std::string::npos);
  }
}

TEST(Gloo, AllReduce) {
  expect_all_good("all_reduce", 3);
}
TEST(Gloo, ManyTensorsInOneExchange) {
  expect_all_good("many_tensors", 3);
}
TEST(Gloo, BarrierWaitsForTheLast) {
  expect_all_good("everybody", 2);
}

TEST(Gloo, RanksWithDifferentConfigurationsEndAlike) {
  for (const auto& [rank, result] : Ranks("different", 3, at_port(free_port())).wait()) {
    EXPECT_EQ(result.code, int(ExitCode::kUsage));
    EXPECT_NE(result.output.find("the configuration of rank [1, 2] differs from rank 0's: rank 0 "
                                 "has 'r: 32', rank 1 has 'r: 16'"),
              std::string::npos)
        << result.output;
  }
}

TEST(Gloo, ARankThatDiesEndsTheOthersAtOnce) {
  for (const auto& [rank, result] : Ranks("death", 3, at_port(free_port())).wait()) {
    EXPECT_EQ(result.code, rank == 1 ? 128 + SIGKILL : int(ExitCode::kFailure)) << result.output;
    EXPECT_LT(result.seconds, 10);
    if (rank == 1) continue;
    EXPECT_NE(result.output.find("another rank ended"), std::string::npos) << result.output;
  }
}

TEST(Gloo, ARankThatLeavesEndsTheOthers) {
  const auto results = Ranks("left", 2, at_port(free_port())).wait();
  EXPECT_EQ(results.at(1).code, 0);
  EXPECT_EQ(results.at(0).code, int(ExitCode::kFailure)) << results.at(0).output;
  EXPECT_NE(results.at(0).output.find("broadcast failed"), std::string::npos)
      << results.at(0).output;
}

TEST(Gloo, ARankThatHangsIsGivenUpAfterTheTimeout) {
  Ranks ranks("hang", 2, with(at_port(free_port()), "ICEDIT_TEST_TIMEOUT_MS", "500"));
  const RankResult waiting = ranks.wait(0);
  EXPECT_EQ(waiting.code, int(ExitCode::kFailure)) << waiting.output;
  EXPECT_NE(waiting.output.find("all-reduce failed"), std::string::npos) << waiting.output;
  EXPECT_NE(waiting.output.find("have lost each other before"), std::string::npos)
      << waiting.output;
  EXPECT_LT(waiting.seconds, 25);
}

TEST(Gloo, ASignalEndsTheWaiting) {
  Ranks ranks("signalled", 2, at_port(free_port()));
  ASSERT_TRUE(ranks.wait_for_output(0, "waiting"));
  ranks.signal(0, SIGTERM);
  const RankResult waiting = ranks.wait(0);
  EXPECT_EQ(waiting.code, int(ExitCode::kInterrupted)) << waiting.output;
  EXPECT_LT(waiting.seconds, 10);
}

TEST(Gloo, ARankThatIsNeverStartedIsAnError) {
  for (const int alone : {0, 1}) {
    const Variables variables = with(at_port(free_port()), "ICEDIT_TEST_JOIN_MS", "1000");
    const RankResult result = Ranks("met", 2, variables, {alone}).wait(alone);
    EXPECT_EQ(result.code, int(ExitCode::kFailure)) << result.output;
    EXPECT_NE(result.output.find("did not meet the others at 127.0.0.1:"), std::string::npos)
        << result.output;
    EXPECT_NE(result.output.find("within 1 s"), std::string::npos) << result.output;
    EXPECT_LT(result.seconds, 25);
  }
}

// torchrun starts all ranks again after one has failed, at the same store. Where the ranks are on
// several machines, the restart count may stay as it was on some of them.
TEST(Gloo, RestartsAtTheAgentsStoreDoNotMeetTheirPast) {
  const AgentStore agent;
  for (const auto& [rank, result] : Ranks("death", 2, agent.variables(0)).wait())
    EXPECT_NE(result.code, 0) << result.output;
  for (const int other : {1, 0}) {
    Ranks first("met", 2, agent.variables(1), {0}), second("met", 2, agent.variables(other), {1});
    for (const RankResult& result : {first.wait(0), second.wait(1)}) {
      EXPECT_EQ(result.code, 0) << result.output;
      EXPECT_NE(result.output.find("met 2"), std::string::npos) << result.output;
    }
  }
}

TEST(Gloo, ASignalEndsTheWaitForTheOthers) {
  const AgentStore agent;
  for (const int alone : {0, 1}) {
    Ranks ranks("waits", 2, agent.variables(0), {alone});
    ASSERT_TRUE(ranks.wait_for_output(alone, "waiting"));
    ranks.signal(alone, SIGTERM);
    const RankResult result = ranks.wait(alone);
    EXPECT_EQ(result.code, int(ExitCode::kInterrupted)) << result.output;
    EXPECT_LT(result.seconds, 10);
  }
}

// Without an agent rank 0 serves the store: the others have nothing to connect to.
TEST(Gloo, ARankAloneSaysForWhomItWaitsAndASignalEndsItWithoutATrace) {
  for (const int alone : {0, 1}) {
    const int port = free_port();
    Ranks ranks("waits", 2, at_port(port), {alone});
    const std::string line =
        str("rank ", alone, " of 2 waits for rank ", 1 - alone, " at 127.0.0.1:", port);
    ASSERT_TRUE(ranks.wait_for_output(alone, line));
    ranks.signal(alone, SIGTERM);
    const RankResult result = ranks.wait(alone);
    EXPECT_EQ(result.code, int(ExitCode::kInterrupted)) << result.output;
    EXPECT_LT(result.seconds, 5);
    EXPECT_EQ(result.output.find("Exception raised"), std::string::npos) << result.output;
    EXPECT_EQ(result.output.find("failed"), std::string::npos) << result.output;
  }
}

// For rank 0, which serves the store itself, the name need not even be one.
TEST(Gloo, AnAddressThatIsUnknownIsWaitedForWithoutATrace) {
  for (const int alone : {0, 1}) {
    const int port = free_port();
    Ranks ranks("waits", 2, with(at_port(port), "MASTER_ADDR", "no..host"), {alone});
    const std::string line =
        str("rank ", alone, " of 2 waits for rank ", 1 - alone, " at no..host:", port);
    ASSERT_TRUE(ranks.wait_for_output(alone, line));
    if (alone == 1) {
      EXPECT_TRUE(ranks.wait_for_output(1, "(the name is not known here"));
    }
    ranks.signal(alone, SIGTERM);
    const RankResult result = ranks.wait(alone);
    EXPECT_EQ(result.code, int(ExitCode::kInterrupted)) << result.output;
    EXPECT_LT(result.seconds, 5);
    EXPECT_EQ(result.output.find("Exception raised"), std::string::npos) << result.output;
  }
}

// Which takes what it is sent and says nothing, so that c10d would wait for ever.
TEST(Gloo, AnotherServiceAtThePortIsNamedAndASignalEndsTheWait) {
  const Listener other;
  Ranks ranks("waits", 2, at_port(other.port()), {1});
  ASSERT_TRUE(ranks.wait_for_output(
      1, str("waits for rank 0 at 127.0.0.1:", other.port(), " (something else answers there")));
  ranks.signal(1, SIGTERM);
  const RankResult result = ranks.wait(1);
  EXPECT_EQ(result.code, int(ExitCode::kInterrupted)) << result.output;
  EXPECT_LT(result.seconds, 5);
  EXPECT_EQ(result.output.find("Exception raised"), std::string::npos) << result.output;
}

TEST(Gloo, APortInUseIsSaidAtOnce) {
  const Listener other;
  const RankResult result = Ranks("met", 2, at_port(other.port()), {0}).wait(0);
  EXPECT_EQ(result.code, int(ExitCode::kFailure));
  EXPECT_LT(result.seconds, 5);
  EXPECT_EQ(result.output, str("rank 0 of 2 cannot serve the others at port ", other.port(),
                               ": Address already in use; does another run use it? Give another "
                               "MASTER_PORT to all ranks\n"));
}

TEST(Gloo, TheFirstMayComeLast) {
  const Variables variables = at_port(free_port());
  Ranks second("met", 2, variables, {1});
  std::this_thread::sleep_for(std::chrono::milliseconds(1500));
  Ranks first("met", 2, variables, {0});
  for (const RankResult& result : {first.wait(0), second.wait(1)}) {
    EXPECT_EQ(result.code, 0) << result.output;
    EXPECT_EQ(result.output, "met 2\n");
  }
}

TEST(Restarts, TheFirstAttemptsValueStays) {
  const AgentStore agent;
  const auto read = [&](int restart) {
    const Variables variables = agent.variables(restart);
    return LaunchEnv::read([&](const char* name) -> std::string {
      if (std::string(name) == "RANK") return "0";
      if (std::string(name) == "WORLD_SIZE") return "1";
      const auto found = variables.find(name);
      return found == variables.end() ? "" : found->second;
    });
  };
  const auto value = [](const std::string& text) { return [text] { return text; }; };
  const Kept first = kept_over_restarts(read(0), "folder", value("runs/1"));
  EXPECT_EQ(first.value, "runs/1");
  EXPECT_FALSE(first.from_before);
  for (const int restart : {1, 2, 0}) {  // 0: where only the other machine's ranks had failed
    const Kept later = kept_over_restarts(read(restart), "folder", value("runs/2"));
    EXPECT_EQ(later.value, "runs/1");
    EXPECT_TRUE(later.from_before);
  }
  EXPECT_EQ(kept_over_restarts(read(2), "other", value("x")).value, "x");
  LaunchEnv alone;
  alone.restart_count = 1;
  EXPECT_EQ(kept_over_restarts(alone, "folder", value("runs/5")).value, "runs/5");
}

}  // namespace
}  // namespace icedit
