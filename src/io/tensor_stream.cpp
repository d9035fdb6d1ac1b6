#include "io/tensor_stream.h"

#include "base/error.h"

namespace icedit {

void refuse_tensor(const Path& path, const TensorPlan& tensor, uint64_t got) {
  throw IoError(str(path.string(), ": tensor '", tensor.name, "' of shape ", tensor.shape, " with ",
                    got, " bytes (expected ", tensor.size(),
                    ") cannot be written, or its name is taken."));
}

uint64_t aligned(uint64_t bytes, uint64_t alignment) {
  return (bytes + alignment - 1) / alignment * alignment;
}

void write_tensors(const Path& path, const std::string& header,
                   const std::vector<TensorPlan>& tensors, uint64_t alignment,
                   const std::function<void(size_t, const PutBytes&)>& write) {
  uint64_t needed = header.size();
  for (const TensorPlan& tensor : tensors) needed += aligned(tensor.size(), alignment);
  // Told before gigabytes are written; what another process takes meanwhile is told by
  // write_atomically.
  expect_free_space(path, needed, "free some space or choose another folder");
  write_atomically(path, [&](std::ostream& out) {
    out.write(header.data(), static_cast<std::streamsize>(header.size()));
    for (size_t i = 0; i < tensors.size(); ++i) {
      uint64_t put = 0;
      write(i, [&](Bytes bytes) {
        out.write(reinterpret_cast<const char*>(bytes.data()),
                  static_cast<std::streamsize>(bytes.size()));
        put += bytes.size();
      });
      if (put != tensors[i].size()) refuse_tensor(path, tensors[i], put);
      const std::string rest(aligned(put, alignment) - put, '\0');
      out.write(rest.data(), static_cast<std::streamsize>(rest.size()));
    }
  });
}

}  // namespace icedit
