#include "io/process_lock.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include "base/error.h"
#include "child_process.h"
#include "temporary_folder.h"

namespace icedit {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

TEST(ProcessLock, OnAFolderIsOfOneAndEndsWithIt) {
  const TemporaryFolder folder;
  {
    const auto lock = ProcessLock::on_folder(folder.path());
    ASSERT_TRUE(lock && lock->is_sure());
    EXPECT_FALSE(ProcessLock::on_folder(folder.path()));
  }
  EXPECT_TRUE(ProcessLock::on_folder(folder.path()));
  EXPECT_FALSE(ProcessLock::on_folder(folder / "nowhere"));
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

TEST(ProcessLock, OnAFileIsHeldByOneAndGoesWithItsProcess) {
  const TemporaryFolder folder;
  const Path file = folder / ".out.png.lock";
  {
    const auto lock = ProcessLock::on_new_file(file);
    ASSERT_TRUE(lock);
    EXPECT_FALSE(ProcessLock::on_new_file(file));
    EXPECT_TRUE(ended_well(start([&] { return !ProcessLock::on_new_file(file); })));
  }
  EXPECT_FALSE(fs::exists(file));
  // One that is killed leaves its file, but no lock.
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t child = start([&] {
    const auto lock = ProcessLock::on_new_file(file);
    if (::write(ready[1], "x", 1) == 1) ::pause();
    return false;
  });
  char byte = 0;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  EXPECT_FALSE(ProcessLock::on_new_file(file));
  ::kill(child, SIGKILL);
  EXPECT_FALSE(ended_well(child));
  EXPECT_TRUE(fs::exists(file));
  EXPECT_TRUE(ProcessLock::on_new_file(file));
  EXPECT_FALSE(fs::exists(file));
  EXPECT_THAT(error_of<IoError>([&] { ProcessLock::on_new_file(folder / "not/there"); }),
              HasSubstr("No such file"));
}

}  // namespace
}  // namespace icedit
