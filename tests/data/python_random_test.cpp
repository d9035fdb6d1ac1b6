#include "data/python_random.h"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "golden.h"

namespace icedit {
namespace {

using nlohmann::json;

json goldens() {
  std::ifstream file(golden::path("random/python.json"));
  return json::parse(file);
}

TEST(PythonRandom, DrawsWhatPythonDraws) {
  const json all = goldens();
  ASSERT_EQ(all.size(), 2u);
  for (const auto& [seed, golden] : all.items()) {
    PythonRandom random(std::stoull(seed));
    for (const json& value : golden["random"]) EXPECT_EQ(random.random(), value.get<double>());
    PythonRandom choices(std::stoull(seed));
    size_t i = 0;
    for (const size_t n : {2, 2, 3, 5, 1, 7, 10, 2})
      EXPECT_EQ(choices.choice(n), golden["choice_of_2_2_3_5_1_7_10_2"][i++].get<size_t>());
    PythonRandom mixed(std::stoull(seed));
    for (const json& pair : golden["choice3_then_random"]) {
      EXPECT_EQ(mixed.choice(3), pair[0].get<size_t>());
      EXPECT_EQ(mixed.random(), pair[1].get<double>());
    }
  }
}

// random.seed(s); random.random(), twice; random.choice(range(10)), five times.
TEST(PythonRandom, SeedsOfOneAndTwoWords) {
  struct Case {
    uint64_t seed;
    double first, second;
    std::vector<size_t> choices;
  };
  const Case cases[] = {
      {0, 0.8444218515250481, 0.7579544029403025, {6, 0, 4, 8, 7}},
      {(uint64_t{1} << 40) + 5, 0.5043802970418443, 0.2686044399723282, {0, 8, 0, 2, 1}},
      {UINT64_MAX, 0.021825695401270107, 0.3380953268613758, {3, 7, 9, 1, 5}},
  };
  for (const Case& c : cases) {
    PythonRandom random(c.seed);
    EXPECT_EQ(random.random(), c.first);
    EXPECT_EQ(random.random(), c.second);
    for (const size_t choice : c.choices) EXPECT_EQ(random.choice(10), choice);
  }
}

TEST(PythonRandom, GoesOnFromItsState) {
  PythonRandom one(666), other(1);
  for (int i = 0; i < 1000; ++i) one.random();
  other.set_state(one.state());
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(one.random(), other.random());
  EXPECT_THROW(other.set_state({1, 2, 3}), CheckpointError);
  std::vector<int64_t> state = one.state();
  state.back() = 625;
  EXPECT_THROW(other.set_state(state), CheckpointError);
}

}  // namespace
}  // namespace icedit
