// The test binary is its own launcher: `test_dist --rank-role ROLE` is one rank.
#include <gtest/gtest.h>

#include <cstring>

#include "ranks.h"

int main(int argc, char** argv) {
  if (argc == 3 && std::strcmp(argv[1], "--rank-role") == 0) return icedit::run_role(argv[2]);
  ::testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
