#include "dist/launch_env.h"

#include <gtest/gtest.h>

#include <map>

#include "base/error.h"

namespace icedit {
namespace {

using Variables = std::map<std::string, std::string>;

LaunchEnv read(const Variables& variables) {
  return LaunchEnv::read([&variables](const char* name) {
    const auto found = variables.find(name);
    return found == variables.end() ? "" : found->second;
  });
}

std::string error(const Variables& variables) {
  try {
    read(variables);
  } catch (const UsageError& error) {
    return error.what();
  }
  return "";
}

const Variables kTorchrun = {{"RANK", "3"},
                             {"WORLD_SIZE", "4"},
                             {"LOCAL_RANK", "1"},
                             {"MASTER_ADDR", "10.0.0.1"},
                             {"MASTER_PORT", "29400"},
                             {"TORCHELASTIC_USE_AGENT_STORE", "True"},
                             {"TORCHELASTIC_RESTART_COUNT", "2"},
                             {"TORCHELASTIC_RUN_ID", "abc"}};

TEST(LaunchEnv, NothingSetMeansAlone) {
  const LaunchEnv env = read({{"MASTER_ADDR", "left over"}, {"LOCAL_RANK", "nonsense"}});
  EXPECT_TRUE(env.alone());
  EXPECT_EQ(env.rank, 0);
}

TEST(LaunchEnv, ReadsTorchrunsVariables) {
  const LaunchEnv env = read(kTorchrun);
  EXPECT_EQ(env.rank, 3);
  EXPECT_EQ(env.world_size, 4);
  EXPECT_EQ(env.local_rank, 1);
  EXPECT_EQ(env.master_addr, "10.0.0.1");
  EXPECT_EQ(env.master_port, 29400);
  EXPECT_TRUE(env.agent_store);
  EXPECT_EQ(env.restart_count, 2);
  EXPECT_EQ(env.run_id, "abc");
}

TEST(LaunchEnv, AWorldOfOneNeedsNoMaster) {
  EXPECT_TRUE(read({{"RANK", "0"}, {"WORLD_SIZE", "1"}}).alone());
}

TEST(LaunchEnv, WithoutTheElasticVariablesRankZeroServes) {
  const LaunchEnv env = read({{"RANK", "1"},
                              {"WORLD_SIZE", "2"},
                              {"MASTER_ADDR", "localhost"},
                              {"MASTER_PORT", "1234"},
                              {"TORCHELASTIC_USE_AGENT_STORE", "False"}});
  EXPECT_FALSE(env.agent_store);
  EXPECT_EQ(env.local_rank, 1);
  EXPECT_EQ(env.restart_count, 0);
  EXPECT_EQ(env.run_id, "none");
}

TEST(LaunchEnv, EveryWrongVariableIsNamed) {
  const auto with = [](const std::string& name, const std::string& value) {
    Variables variables = kTorchrun;
    variables[name] = value;
    return error(variables);
  };
  for (const char* name : {"RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"})
    EXPECT_NE(with(name, "").find(std::string(name) + " is not set"), std::string::npos) << name;
  for (const char* name :
       {"RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_PORT", "TORCHELASTIC_RESTART_COUNT"})
    for (const char* value : {"-1", "two", "1x", "99999999999999"})
      EXPECT_NE(with(name, value).find(std::string(name) + " is '" + value), std::string::npos)
          << name;
  EXPECT_NE(with("RANK", "4").find("from 0 to 3"), std::string::npos);
  EXPECT_NE(with("MASTER_PORT", "65536").find("from 1 to 65535"), std::string::npos);
}

}  // namespace
}  // namespace icedit
