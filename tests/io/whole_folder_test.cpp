#include "io/whole_folder.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "io/temporary_folder.h"

namespace icedit {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> names_in(const Path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) names.push_back(entry.path().filename());
  std::sort(names.begin(), names.end());
  return names;
}

void fill(const Path& folder, const std::string& text) {
  write_text_atomically(folder / "deep/x", text);
}

using Names = std::vector<std::string>;

TEST(WholeFolder, HasItsNameOnlyWhenItIsFinished) {
  const TemporaryFolder folder;
  const Path target = folder / "new/there/";
  {
    WholeFolder whole(target);
    fill(whole.path(), "1");
    EXPECT_FALSE(fs::exists(target));
    whole.finish(Existing::kRefuse);
  }
  EXPECT_EQ(names_in(folder / "new"), Names{"there"});
  EXPECT_EQ(read_file(target / "deep/x"), "1");
}

TEST(WholeFolder, IsGoneWhereItWasNotFinished) {
  const TemporaryFolder folder;
  const std::string error = error_of<DataError>([&] {
    const WholeFolder whole(folder / "there");
    fill(whole.path(), "1");
    throw DataError("no more");
  });
  EXPECT_EQ(error, "no more");
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

TEST(WholeFolder, ReplacesOrRefusesWhatIsThere) {
  const TemporaryFolder folder;
  folder.write("there/old", "0");
  {
    WholeFolder whole(folder / "there");
    fill(whole.path(), "1");
    EXPECT_NE(error_of<IoError>([&] { whole.finish(Existing::kRefuse); }), "");
    EXPECT_EQ(names_in(folder / "there"), Names{"old"});
    whole.finish(Existing::kReplace);
  }
  EXPECT_EQ(names_in(folder / "there"), Names{"deep"});
  EXPECT_EQ(names_in(folder.path()), Names{"there"});
}

// One process that is killed, one that is still at it.
TEST(WholeFolder, OnlyWhatAKilledProcessLeftIsRemoved) {
  const TemporaryFolder folder;
  int started[2];
  ASSERT_EQ(::pipe(started), 0);
  const auto child = [&] {
    const pid_t id = ::fork();
    if (id != 0) return id;
    const WholeFolder whole(folder / "there");
    fill(whole.path(), "1");
    if (::write(started[1], "x", 1) == 1) ::pause();
    ::_exit(1);
  };
  const pid_t killed = child(), working = child();
  char both[2];
  for (char& one : both) ASSERT_EQ(::read(started[0], &one, 1), 1);
  const auto end = [](pid_t id) {
    ::kill(id, SIGKILL);
    ::waitpid(id, nullptr, 0);
  };
  EXPECT_EQ(names_in(folder.path()).size(), 2u);
  end(killed);
  const WholeFolder mine(folder / "other");
  const Names left = names_in(folder.path());
  ASSERT_EQ(left.size(), 2u);
  EXPECT_TRUE(left[0].starts_with(".other.") || left[1].starts_with(".other."));
  end(working);
  const WholeFolder next(folder / "there");
  EXPECT_EQ(names_in(folder.path()).size(), 2u) << "mine and next";
}

TEST(WholeFolder, SaysWhereItCannotBe) {
  const TemporaryFolder folder;
  folder.write("file", "");
  const std::string error =
      error_of<IoError>([&] { const WholeFolder whole(folder / "file/there"); });
  EXPECT_NE(error.find("file/there: making its folder failed"), std::string::npos) << error;
}

TEST(RemoveWhole, LeavesNothing) {
  const TemporaryFolder folder;
  folder.write("there/x", "");
  EXPECT_FALSE(remove_whole(folder / "there"));
  EXPECT_TRUE(fs::is_empty(folder.path()));
  EXPECT_TRUE(remove_whole(folder / "there"));
}

}  // namespace
}  // namespace icedit
