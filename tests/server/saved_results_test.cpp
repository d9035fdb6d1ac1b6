#include "server/saved_results.h"

#include <gtest/gtest.h>

#include "io/temporary_folder.h"

namespace icedit::server {
namespace {

std::vector<std::shared_ptr<const JobResult>> pictures(std::initializer_list<size_t> sizes) {
  std::vector<std::shared_ptr<const JobResult>> results;
  for (const size_t size : sizes) {
    auto result = std::make_shared<JobResult>();
    result->bytes = std::string(size, 'x');
    results.push_back(result);
  }
  return results;
}

TEST(SavedResults, CountOnFromWhatIsThere) {
  const TemporaryFolder folder;
  write_text_atomically(folder / "result_7.jpeg", "older");
  write_text_atomically(folder / "other.png", "no result");
  SavedResults saved(folder.path().string(), 1000);
  saved.add(pictures({1, 2}));
  EXPECT_EQ(read_file(folder / "result_8.png"), "x");
  EXPECT_EQ(read_file(folder / "result_9.png"), "xx");
}

TEST(SavedResults, BeyondTheLimitTheOldestGo) {
  const TemporaryFolder folder;
  write_text_atomically(folder / "result_1.png", std::string(60, 'x'));
  SavedResults saved(folder.path().string(), 100);
  saved.add(pictures({30}));
  EXPECT_TRUE(is_there(folder / "result_1.png"));
  saved.add(pictures({30}));
  EXPECT_FALSE(is_there(folder / "result_1.png"));
  EXPECT_TRUE(is_there(folder / "result_2.png"));
  EXPECT_TRUE(is_there(folder / "result_3.png"));
}

}  // namespace
}  // namespace icedit::server
