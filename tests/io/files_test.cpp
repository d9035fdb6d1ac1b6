#include "io/files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "base/error.h"
#include "io/safetensors.h"
#include "io/whole_folder.h"
#include "temporary_folder.h"

namespace icedit {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

size_t entries_in(const Path& folder) {
  return static_cast<size_t>(
      std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
}

std::string text_of(Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

TEST(MappedFile, ShowsTheBytes) {
  const TemporaryFolder folder;
  const MappedFile file(folder.write("a", "hello"));
  EXPECT_EQ(text_of(file.bytes()), "hello");
  EXPECT_EQ(file.path(), folder / "a");
}

TEST(MappedFile, AnEmptyFileIsEmpty) {
  const TemporaryFolder folder;
  const MappedFile file(folder.write("a", ""));
  EXPECT_TRUE(file.bytes().empty());
  file.release(0, 10);
}

TEST(MappedFile, RefusesWhatIsNoFile) {
  const TemporaryFolder folder;
  const auto message = [](const Path& path) {
    return error_of<NoInputError>([&] { MappedFile file(path); });
  };
  EXPECT_THAT(message(folder / "nothing"), HasSubstr("nothing: no such file"));
  EXPECT_THAT(message(folder.write("a", "x") / "b"), HasSubstr("no such file"));
  EXPECT_THAT(message(folder.path()), HasSubstr("is a folder"));
  EXPECT_THAT(message("/dev/null"), HasSubstr("is a pipe or a device"));
  fs::create_symlink(folder / "gone", folder / "link");
  EXPECT_THAT(message(folder / "link"), HasSubstr("is a link to"));
  ASSERT_EQ(::mkfifo((folder / "pipe").c_str(), 0600), 0);
  EXPECT_THAT(message(folder / "pipe"), HasSubstr("is a pipe or a device"));
}

TEST(MappedFile, ReleaseGivesWholePagesBackAndTheyAreReadAgain) {
  const TemporaryFolder folder;
  const auto page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  std::string text(8 * page, 'x');
  for (size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>(i % 251);
  const MappedFile file(folder.write("a", text));
  EXPECT_EQ(text_of(file.bytes()), text);
  for (const auto& [begin, size] : {std::pair<size_t, size_t>{1, 3 * page},
                                    {0, 8 * page},
                                    {5 * page, 100 * page},
                                    {9 * page, 1},
                                    {3, 4},
                                    {page, ~size_t{0}}}) {
    file.release(begin, size);
    EXPECT_EQ(text_of(file.bytes()), text) << begin << " " << size;
  }
}

TEST(MappedFile, SaysHowMuchIsInMemory) {
  const TemporaryFolder folder;
  const size_t size = 1'000'001;
  const MappedFile file(folder.write("a", std::string(size, 'q')));
  EXPECT_EQ(file.cached(0, size), size);  // it was just written
  EXPECT_EQ(file.cached(5000, 10), 10u);
  EXPECT_EQ(file.cached(size - 1, 100), 1u);
  EXPECT_EQ(file.cached(size, 100), 0u);
}

TEST(ReadText, ReadsFilesAndPipes) {
  const TemporaryFolder folder;
  const std::string big(3'000'001, 'q');
  EXPECT_EQ(read_file(folder.write("a", big)), big);
  EXPECT_EQ(read_file(folder.write("b", "")), "");
  EXPECT_EQ(read_file("/dev/null"), "");
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  ASSERT_EQ(::write(ends[1], "piped", 5), 5);
  ::close(ends[1]);
  EXPECT_EQ(read_file("/dev/fd/" + std::to_string(ends[0])), "piped");
  ::close(ends[0]);
}

TEST(ReadText, RefusesTheMissingAndTheLarge) {
  const TemporaryFolder folder;
  EXPECT_THAT(error_of<NoInputError>([&] { read_file(folder / "x"); }), HasSubstr("no such file"));
  EXPECT_THAT(error_of<NoInputError>([&] { read_file(folder.path()); }), HasSubstr("is a folder"));
  folder.write("a", "12345");
  EXPECT_EQ(read_file(folder / "a", 5), "12345");
  EXPECT_THAT(error_of<NoInputError>([&] { read_file(folder / "a", 4); }),
              HasSubstr("has 5 bytes; at most 4"));
  EXPECT_THAT(error_of<NoInputError>([&] { read_file("/dev/zero", 5000); }),
              HasSubstr("at most 5000"));
}

TEST(WriteAtomically, MakesFoldersAndReplaces) {
  const TemporaryFolder folder;
  const Path path = folder / "new/folder/file.txt";
  write_text_atomically(path, "one");
  EXPECT_EQ(read_file(path), "one");
  write_text_atomically(path, "two");
  EXPECT_EQ(read_file(path), "two");
  EXPECT_EQ(entries_in(path.parent_path()), 1u);
}

TEST(WriteAtomically, HandlesLongNamesAndLargeTexts) {
  const TemporaryFolder folder;
  const Path path = folder / std::string(255, 'n');
  std::string text(1'000'003, 'a');
  write_atomically(path, [&](std::ostream& out) {
    for (size_t i = 0; i < text.size(); i += 7)
      out.write(&text[i], std::min<long>(7, text.size() - i));
    out << text;
  });
  EXPECT_EQ(read_file(path), text + text);
}

TEST(WriteAtomically, AnErrorOfTheWriterLeavesTheOldFile) {
  const TemporaryFolder folder;
  const Path path = folder.write("file.txt", "old");
  const std::string message = error_of<Interrupted>([&] {
    write_atomically(path, [](std::ostream& out) {
      out << std::string(1'000'000, 'x');
      throw Interrupted("stopped");
    });
  });
  EXPECT_EQ(message, "stopped");
  EXPECT_EQ(read_file(path), "old");
  EXPECT_EQ(entries_in(folder.path()), 1u);
  EXPECT_THAT(error_of<IoError>([&] {
                write_atomically(path, [](std::ostream& out) { out.setstate(std::ios::failbit); });
              }),
              HasSubstr("file.txt"));
  EXPECT_EQ(read_file(path), "old");
}

TEST(WriteAtomically, NamesFileAndReason) {
  const TemporaryFolder folder;
  folder.write("file", "x");
  EXPECT_THAT(error_of<IoError>([&] { write_text_atomically(folder.path(), "x"); }),
              HasSubstr("is a folder"));
  EXPECT_THAT(error_of<IoError>([&] { write_text_atomically(folder / "file/inside", "x"); }),
              HasSubstr("file/inside: making its folder failed: Not a directory"));
  EXPECT_THAT(error_of<IoError>([&] { write_text_atomically("/proc/nothing.txt", "x"); }),
              HasSubstr("/proc/nothing.txt: making a file there failed"));
}

TEST(WriteAtomically, DevicesAreWrittenToAndStay) {
  write_text_atomically("/dev/null", "x");
  EXPECT_TRUE(fs::is_character_file("/dev/null"));
  EXPECT_THAT(error_of<IoError>([] { write_text_atomically("/dev/full", "x"); }),
              HasSubstr("/dev/full: writing failed: No space left on device after 0 bytes"));
  EXPECT_TRUE(fs::is_character_file("/dev/full"));
}

// Runs `test` in a process that may not write files larger than `bytes`; whether it returned true.
template <class Test>
bool with_file_size_limit(rlim_t bytes, const Test& test) {
  const pid_t child = ::fork();
  if (child == 0) {
    std::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit = {bytes, bytes};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    bool ok = false;
    try {
      ok = test();
    } catch (...) {
    }
    ::_exit(ok ? 0 : 1);
  }
  int status = -1;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

TEST(WriteAtomically, AFullDiskLeavesTheOldFileAndNothingElse) {
  const TemporaryFolder folder;
  const Path path = folder.write("x.safetensors", "old");
  const std::vector<std::byte> data(1 << 20);
  EXPECT_TRUE(with_file_size_limit(300'000, [&] {
    const std::string message = error_of<IoError>([&] {
      write_safetensors(path, {{"t", Dtype::kU8, {1 << 20}, data}});
    });
    const std::string small = error_of<IoError>([&] { write_text_atomically(folder / "y", ""); });
    return message.find("x.safetensors: writing failed: File too large after 300000 bytes; ") !=
               std::string::npos &&
           message.find("are free there") != std::string::npos && small.empty();
  }));
  EXPECT_EQ(read_file(path), "old");
  EXPECT_EQ(entries_in(folder.path()), 2u);
}

TEST(NewFiles, AFullDiskIsToldByTheNameOfTheOutput) {
  const TemporaryFolder folder;
  EXPECT_TRUE(with_file_size_limit(1000, [&] {
    const NewFiles made(folder / "lora/a.bin");
    const std::string message =
        error_of<IoError>([&] { write_text_atomically(made.path(), std::string(5000, 'x')); });
    return message.starts_with((folder / "lora/a.bin").string() + ": writing failed: File too ");
  }));
  EXPECT_EQ(entries_in(folder / "lora"), 0u);
}

TEST(Sha256, GivesThePublishedDigests) {
  // FIPS 180-4's examples.
  EXPECT_EQ(sha256("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(sha256(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  const TemporaryFolder folder;
  EXPECT_EQ(sha256_file(folder.write("a", std::string(1'000'000, 'a'))),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
  EXPECT_THAT(error_of<NoInputError>([&] { sha256_file(folder / "b"); }),
              HasSubstr("no such file"));
}

}  // namespace
}  // namespace icedit
