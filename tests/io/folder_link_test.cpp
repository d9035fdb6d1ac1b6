#include "io/folder_link.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io/no_links.h"
#include "io/temporary_folder.h"

namespace icedit {
namespace {

namespace fs = std::filesystem;

TEST(FolderLink, MovesAndIsFollowed) {
  const TemporaryFolder folder;
  const Path link = folder / "latest";
  folder.write("a/x", "");
  folder.write("b/x", "");
  EXPECT_EQ(linked_folder(link), "");
  for (const char* name : {"a", "b"}) {
    link_folder(link, name);
    EXPECT_TRUE(fs::is_symlink(link));
    EXPECT_EQ(linked_folder(link), name);
  }
  EXPECT_EQ(through_folder_links(link / "x"), link / "x");  // the system follows it
}

TEST(FolderLink, AFileStandsInWhereThereAreNoLinks) {
  const TemporaryFolder folder;
  folder.write("step-1/x", "");
  folder.write("step-2/x", "");
  const Path link = folder / "latest";
  const pid_t child = ::fork();
  if (child == 0) {
    if (!forbid_links()) ::_exit(9);
    ::testing::internal::CaptureStderr();
    link_folder(link, "step-1");
    const std::string first = ::testing::internal::GetCapturedStderr();
    ::testing::internal::CaptureStderr();
    link_folder(link, "step-2");
    const std::string second = ::testing::internal::GetCapturedStderr();
    const bool said = first.find("latest cannot be a link there") != std::string::npos;
    ::_exit(said && second.empty() ? 0 : 1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 9) GTEST_SKIP() << "no system-call filters here";
  ASSERT_EQ(status, 0) << "it is said once";
  EXPECT_EQ(read_file(link), "step-2\n");
  EXPECT_EQ(linked_folder(link), "step-2");
  EXPECT_EQ(through_folder_links(link), folder / "step-2");
  EXPECT_EQ(through_folder_links(link / "x"), folder / "step-2/x");
  // And a link again where there are some.
  link_folder(link, "step-1");
  EXPECT_EQ(fs::read_symlink(link), "step-1");
}

TEST(FolderLink, OtherFilesAreNoLinks) {
  const TemporaryFolder folder;
  folder.write("there/x", "");
  for (const std::string text : {"nowhere", "", "there/x", "..", "there\nthere", "/"}) {
    const Path file = folder.write("file", text);
    EXPECT_EQ(linked_folder(file), "") << text;
    EXPECT_EQ(through_folder_links(file), file);
  }
  EXPECT_EQ(through_folder_links("nowhere/at/all"), "nowhere/at/all");
}

}  // namespace
}  // namespace icedit
