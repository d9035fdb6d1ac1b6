#include <gtest/gtest.h>

#include <limits>

#include "base/error.h"
#include "io/files.h"
#include "io/temporary_folder.h"

namespace icedit {
namespace {

TEST(FreeDiskBytes, LooksAtTheNearestFolderThatExists) {
  const TemporaryFolder folder;
  EXPECT_GT(free_disk_bytes(folder.path()), 0u);
  EXPECT_GT(free_disk_bytes(folder / "not/yet/there"), 0u);
  EXPECT_GT(free_disk_bytes("file-in-this-folder"), 0u);
}

TEST(FreeDiskBytes, UnknownIsNotEmpty) {
  // Of 0 blocks 0 are free there, as on some network mounts.
  EXPECT_EQ(free_disk_bytes("/proc"), std::numeric_limits<uint64_t>::max());
  expect_free_space("/proc/x", uint64_t{1} << 62, "");
}

TEST(ExpectFreeSpace, NamesBothFiguresAndTheRemedy) {
  const TemporaryFolder folder;
  expect_free_space(folder.path(), 1, "");
  const std::string error = error_of<IoError>(
      [&] { expect_free_space(folder / "x", uint64_t{1} << 62, "choose another folder"); });
  EXPECT_NE(error.find("x needs 4194304.0 TiB, but "), std::string::npos) << error;
  EXPECT_NE(error.find(" are free there; choose another folder."), std::string::npos) << error;
}

}  // namespace
}  // namespace icedit
