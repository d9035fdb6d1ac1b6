#include "io/events.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <bit>
#include <cerrno>
#include <chrono>
#include <cstring>

#include "base/error.h"

namespace icedit {
namespace {

namespace fs = std::filesystem;

// CRC-32C (Castagnoli), as TFRecord files have it.
constexpr uint32_t kPolynomial = 0x82F63B78;  // reversed

constexpr std::array<uint32_t, 256> make_table() {
  std::array<uint32_t, 256> table{};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t value = byte;
    for (int bit = 0; bit < 8; ++bit) value = (value >> 1) ^ (value & 1 ? kPolynomial : 0);
    table[byte] = value;
  }
  return table;
}

constexpr std::array<uint32_t, 256> kTable = make_table();

// Protobuf's wire format: a key (field << 3 | type), then the value.
enum WireType { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

template <class T>
std::string little_endian(T value) {
  std::string bytes;
  for (size_t i = 0; i < sizeof(T); ++i) bytes += char(uint8_t(value >> (8 * i)));
  return bytes;
}

std::string varint(uint64_t value) {
  std::string bytes;
  for (; value >= 0x80; value >>= 7) bytes += char(uint8_t(value | 0x80));
  return bytes + char(value);
}

std::string key(int field, WireType type) {
  return varint(uint64_t(field) << 3 | type);
}
std::string int_field(int field, int64_t value) {
  return key(field, kVarint) + varint(uint64_t(value));
}
std::string double_field(int field, double value) {
  return key(field, kFixed64) + little_endian(std::bit_cast<uint64_t>(value));
}
std::string float_field(int field, float value) {
  return key(field, kFixed32) + little_endian(std::bit_cast<uint32_t>(value));
}
std::string bytes_field(int field, const std::string& bytes) {
  return key(field, kBytes) + varint(bytes.size()) + bytes;
}

// message Event { double wall_time = 1; int64 step = 2; string file_version = 3;
//                 Summary summary = 5; SessionLog session_log = 7; }
std::string event(int64_t step, const std::string& rest) {
  const double now =
      std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
  return double_field(1, now) + int_field(2, step) + rest;
}

// message Summary { repeated Value value = 1; }
// message Value { string tag = 1; float simple_value = 2; Image image = 4; TensorProto tensor = 8;
//                 SummaryMetadata metadata = 9; }
std::string summary_event(int64_t step, const std::string& tag, const std::string& value) {
  return event(step, bytes_field(5, bytes_field(1, bytes_field(1, tag) + value)));
}

// message SummaryMetadata { PluginData plugin_data = 1 { string plugin_name = 1; } }
std::string metadata_of(const std::string& plugin) {
  return bytes_field(1, bytes_field(1, plugin));
}

// message TensorProto { DataType dtype = 1; TensorShapeProto tensor_shape = 2;
//                       repeated bytes string_val = 8; }, of one string: shape [1].
std::string text_tensor(const std::string& text) {
  constexpr int kDtString = 7;
  const std::string shape = bytes_field(2, int_field(1, 1));  // repeated Dim dim = 2 { size = 1 }
  return int_field(1, kDtString) + bytes_field(2, shape) + bytes_field(8, text);
}

std::string file_name() {
  static std::atomic<int> count{0};
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(
                           std::chrono::system_clock::now().time_since_epoch())
                           .count();
  char host[256] = "host";
  ::gethostname(host, sizeof host - 1);
  for (char& c : host) {
    if (c == '/') c = '-';
  }
  return str("events.out.tfevents.", seconds, ".", host, ".", ::getpid(), ".", count++);
}

}  // namespace

uint32_t crc32c(std::string_view bytes) {
  uint32_t crc = 0xFFFFFFFF;
  for (const char byte : bytes) crc = (crc >> 8) ^ kTable[(crc ^ uint8_t(byte)) & 0xFF];
  return ~crc;
}

uint32_t masked_crc32c(std::string_view bytes) {
  const uint32_t crc = crc32c(bytes);
  return ((crc >> 15) | (crc << 17)) + 0xA282EAD8;
}

std::string tf_record(const std::string& bytes) {
  const std::string length = little_endian(uint64_t(bytes.size()));
  return length + little_endian(masked_crc32c(length)) + bytes +
         little_endian(masked_crc32c(bytes));
}

EventFile::EventFile(const Path& folder) : path_(folder / file_name()) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) throw IoError(str(folder.string(), " cannot be made: ", error.message()));
  fd_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0666);
  if (fd_ < 0) throw IoError(str(path_.string(), " cannot be made: ", std::strerror(errno)));
  try {
    write(event(0, bytes_field(3, "brain.Event:2")));
  } catch (...) {
    ::close(fd_);
    throw;
  }
}

EventFile::~EventFile() {
  ::close(fd_);
}

void EventFile::scalar(const std::string& tag, double value, int64_t step) {
  write(summary_event(step, tag, float_field(2, float(value))));
}

void EventFile::image(const std::string& tag, const Image& image, int64_t step) {
  // message Image { int32 height = 1; int32 width = 2; int32 colorspace = 3;
  //                 bytes encoded_image_string = 4; }
  const std::string message = int_field(1, image.height) + int_field(2, image.width) +
                              int_field(3, image.channels) +
                              bytes_field(4, encode_image(image, ImageFormat::kPng));
  write(summary_event(step, tag, bytes_field(4, message)));
}

void EventFile::text(const std::string& tag, const std::string& markdown, int64_t step) {
  // The plug-in knows its tags by this ending.
  const std::string value =
      bytes_field(8, text_tensor(markdown)) + bytes_field(9, metadata_of("text"));
  write(summary_event(step, tag + "/text_summary", value));
}

void EventFile::starts_after(int64_t step) {
  // message SessionLog { SessionStatus status = 1; }, field 7 of an Event; START is 1
  write(event(step + 1, bytes_field(7, int_field(1, 1))));
}

void EventFile::write(const std::string& event) {
  const std::string record = tf_record(event);
  const off_t begin = ::lseek(fd_, 0, SEEK_END);
  for (size_t done = 0; done < record.size();) {
    const ssize_t wrote = ::write(fd_, record.data() + done, record.size() - done);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) {
      const int reason = errno;
      // TensorBoard stops reading at a record that is cut off.
      const bool cut = ::ftruncate(fd_, begin) == 0;
      throw IoError(str(path_.string(), ": writing failed: ", std::strerror(reason),
                        cut ? "" : ", and the file ends within a record",
                        "; the run's own files are not affected"));
    }
    done += size_t(wrote);
  }
}

}  // namespace icedit
