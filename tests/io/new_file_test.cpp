#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <set>

#include "base/error.h"
#include "child_process.h"
#include "io/whole_folder.h"
#include "temporary_folder.h"

namespace icedit {
namespace {

namespace fs = std::filesystem;

std::set<std::string> names_in(const Path& folder) {
  std::set<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder))
    names.insert(entry.path().filename().string());
  return names;
}

// As on a file system that cannot rename without replacing.
void refuse_renameat2() {
  sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_renameat2, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog filter = {std::size(program), program};
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
      ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0)
    ::_exit(2);
}

TEST(NextName, CountsOn) {
  const TemporaryFolder folder;
  const auto write = [&](const std::string& name) {
    return write_text_atomically(folder / name, "new", IfTaken::kNextName).filename().string();
  };
  folder.write("out.png", "old");
  EXPECT_EQ(write("out.png"), "out-1.png");
  EXPECT_EQ(write("out.png"), "out-2.png");
  EXPECT_EQ(write("free.png"), "free.png");
  folder.write("car-edit-9.png", "old");
  EXPECT_EQ(write("car-edit-9.png"), "car-edit-10.png");
  folder.write("winter-2024.png", "old");
  EXPECT_EQ(write("winter-2024.png"), "winter-2024-1.png");
  folder.write("x.preview-004.png", "old");
  EXPECT_EQ(write("x.preview-004.png"), "x.preview-004-1.png");
  fs::create_symlink("nowhere", folder / "link.png");
  EXPECT_EQ(write("link.png"), "link-1.png");
  const std::string longest(251, 'n');
  folder.write(longest + ".png", "old");
  EXPECT_EQ(write(longest + ".png"), std::string(200, 'n') + "-1.png");
  EXPECT_EQ(read_file(folder / "out.png"), "old");
  EXPECT_EQ(read_file(folder / "out-1.png"), "new");
  EXPECT_EQ(write_text_atomically(folder / "out.png", "new", IfTaken::kReplace),
            folder / "out.png");
  EXPECT_EQ(read_file(folder / "out.png"), "new");
}

// Every process keeps every text that it wrote, whatever the others do meanwhile.
void expect_nothing_is_lost(bool with_renameat2) {
  const TemporaryFolder folder;
  constexpr int kProcesses = 6, kTexts = 20;
  std::vector<pid_t> children;
  for (int process = 0; process < kProcesses; ++process) {
    children.push_back(start([&] {
      if (!with_renameat2) refuse_renameat2();
      for (int i = 0; i < kTexts; ++i) {
        const std::string text = str(process, " ", i);
        const Path got = write_text_atomically(folder / "out.png", text, IfTaken::kNextName);
        if (read_file(got) != text) return false;
      }
      return true;
    }));
  }
  for (const pid_t child : children) EXPECT_TRUE(ended_well(child));
  std::set<std::string> texts;
  for (const std::string& name : names_in(folder.path())) texts.insert(read_file(folder / name));
  EXPECT_EQ(texts.size(), size_t{kProcesses * kTexts});
  EXPECT_EQ(names_in(folder.path()).size(), size_t{kProcesses * kTexts});
}

TEST(NextName, OfManyProcessesEachKeepsItsOwn) {
  expect_nothing_is_lost(/*with_renameat2=*/true);
}

TEST(NextName, AlsoWhereRenamingAlwaysReplaces) {
  expect_nothing_is_lost(/*with_renameat2=*/false);
}

TEST(NewFiles, TakeTheirPlaceOrTheNextName) {
  const TemporaryFolder folder;
  folder.write("a/lora.safetensors", "old");
  {
    const NewFiles made(folder / "a/lora.safetensors");
    EXPECT_EQ(made.path().filename(), "lora.safetensors");
    write_text_atomically(made.path(), "new");
    EXPECT_EQ(made.put(made.path(), IfTaken::kNextName), folder / "a/lora-1.safetensors");
    write_text_atomically(made.path(), "newer");
    EXPECT_EQ(made.put(made.path(), IfTaken::kReplace), folder / "a/lora.safetensors");
    write_text_atomically(made.path(), "never put");
  }
  EXPECT_EQ(read_file(folder / "a/lora-1.safetensors"), "new");
  EXPECT_EQ(read_file(folder / "a/lora.safetensors"), "newer");
  {
    const NewFiles made(folder / "b/peft/");  // a folder of files
    write_text_atomically(made.path() / "adapter_config.json", "{}");
    made.put(made.path() / "adapter_config.json", IfTaken::kNextName);
  }
  EXPECT_EQ(read_file(folder / "b/peft/adapter_config.json"), "{}");
  EXPECT_EQ(names_in(folder / "a"),
            (std::set<std::string>{"lora.safetensors", "lora-1.safetensors"}));
  EXPECT_EQ(names_in(folder / "b"), std::set<std::string>{"peft"});
  const NewFiles device("/dev/null");
  write_text_atomically(device.path(), "x");
  EXPECT_EQ(device.put(device.path(), IfTaken::kReplace), "/dev/null");
  EXPECT_TRUE(fs::is_character_file("/dev/null"));
}

}  // namespace
}  // namespace icedit
