#pragma once
// Event files of TensorBoard: scalars, pictures and texts of a run. A file is a series of TFRecords
//   uint64 length | uint32 masked CRC-32C of the length | bytes | uint32 masked CRC-32C of them
// each an Event message (protobuf). Source: tensorboard's compat/proto/{event,summary}.proto and
// tensorflow's lib/io/record_writer.h; the messages are written here by hand.
#include <cstdint>
#include <string>
#include <string_view>

#include "io/image.h"

namespace icedit {

class EventFile {
 public:
  // A new file in `folder`, events.out.tfevents.SECONDS.HOST.PID.COUNT; several files of one folder
  // are one run to TensorBoard, so a run that goes on begins another. Throws IoError.
  explicit EventFile(const Path& folder);
  ~EventFile();
  EventFile(const EventFile&) = delete;
  EventFile& operator=(const EventFile&) = delete;

  // Written through at once. Throw IoError (a full disk): the file is then cut back to whole
  // records, and the run may go on.
  void scalar(const std::string& tag, double value, int64_t step);
  void image(const std::string& tag, const Image& image, int64_t step);
  void text(const std::string& tag, const std::string& markdown, int64_t step);

  // TensorBoard drops what other files of the folder have of later steps.
  void starts_after(int64_t step);

  const Path& path() const { return path_; }

 private:
  void write(const std::string& event);

  Path path_;
  int fd_ = -1;
};

// A record with its frame, and the sums in it, for tests and other writers. The masked one is
// rotated and offset, so that the sum of bytes that contain sums is not degenerate. Source:
// tensorflow's lib/hash/crc32c.h.
std::string tf_record(const std::string& bytes);
uint32_t crc32c(std::string_view bytes);
uint32_t masked_crc32c(std::string_view bytes);

}  // namespace icedit
