#include "io/events.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>

#include "base/error.h"
#include "io/temporary_folder.h"

namespace icedit {
namespace {

TEST(Crc32c, KnownSums) {  // RFC 3720, B.4
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8A9136AAu);
  EXPECT_EQ(crc32c(std::string(32, '\xff')), 0x62A8AB43u);
  EXPECT_EQ(crc32c("123456789"), 0xE3069283u);
  EXPECT_EQ(crc32c(""), 0u);
}

template <class T>
T number_at(const std::string& bytes, size_t at) {
  T value{};
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

// The records' bytes; fails where a frame is wrong.
std::vector<std::string> records_of(const std::string& file) {
  std::vector<std::string> records;
  for (size_t at = 0; at < file.size();) {
    const auto length = number_at<uint64_t>(file, at);
    EXPECT_EQ(number_at<uint32_t>(file, at + 8), masked_crc32c(file.substr(at, 8)));
    records.push_back(file.substr(at + 12, length));
    EXPECT_EQ(number_at<uint32_t>(file, at + 12 + length), masked_crc32c(records.back()));
    at += 16 + length;
  }
  return records;
}

// Behind wall_time, which differs.
std::string without_time(const std::string& event) {
  EXPECT_EQ(event[0], '\x09');
  return event.substr(9);
}

TEST(Events, BytesAreTheProtocols) {
  const TemporaryFolder folder;
  Path file;
  {
    EventFile events(folder.path() / "run");
    file = events.path();
    events.scalar("loss", 0.5, 300);
    events.text("config", "a: 1", 0);
    events.starts_after(4);
  }
  const auto records = records_of(read_file(file));
  ASSERT_EQ(records.size(), 4u);
  using namespace std::string_literals;
  EXPECT_EQ(without_time(records[0]), "\x10\x00\x1a\x0d"s + "brain.Event:2");
  EXPECT_EQ(without_time(records[1]),
            "\x10\xac\x02\x2a\x0d\x0a\x0b\x0a\x04loss\x15\x00\x00\x00\x3f"s);
  EXPECT_EQ(without_time(records[2]), "\x10\x00\x2a\x31\x0a\x2f\x0a\x13"s + "config/text_summary" +
                                          "\x42\x0e\x08\x07\x12\x04\x12\x02\x08\x01\x42\x04"s +
                                          "a: 1" + "\x4a\x08\x0a\x06\x0a\x04text"s);
  EXPECT_EQ(without_time(records[3]), "\x10\x05\x3a\x02\x08\x01"s);
}

TEST(Events, PicturesComeBack) {
  const TemporaryFolder folder;
  EventFile events(folder.path());
  Image picture(5, 3);
  for (size_t i = 0; i < picture.pixels.size(); ++i) picture.pixels[i] = uint8_t(i * 5);
  events.image("samples", picture, 7);
  const auto records = records_of(read_file(events.path()));
  ASSERT_EQ(records.size(), 2u);
  const size_t png = records[1].find("\x89PNG");
  ASSERT_NE(png, std::string::npos);
  const Image back =
      decode_image(std::as_bytes(std::span(records[1].data() + png, records[1].size() - png)), "");
  EXPECT_EQ(back, picture);
}

TEST(Events, AFullDiskLeavesWholeRecords) {
  const TemporaryFolder folder;
  const pid_t child = ::fork();
  if (child == 0) {
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit = {200, 200};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    try {
      EventFile events(folder.path());
      for (int step = 0; step < 100; ++step) events.scalar("loss", 1, step);
    } catch (const IoError&) {
      ::_exit(5);
    }
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(WEXITSTATUS(status), 5);
  for (const auto& entry : std::filesystem::directory_iterator(folder.path())) {
    EXPECT_GE(records_of(read_file(entry.path())).size(), 2u);
  }
  const Path file = folder.write("file", "");
  EXPECT_NE(error_of<IoError>([&] { EventFile events(file); }), "");
}

}  // namespace
}  // namespace icedit
