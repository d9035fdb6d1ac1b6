// A header that is accepted must describe parts of the file; one that is not must be an error of
// ours.
#include <cstdlib>

#include "base/error.h"
#include "io/gguf.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace icedit;
  try {
    const Bytes file(reinterpret_cast<const std::byte*>(data), size);
    for (const auto& [name, info] : parse_gguf_header(file, "fuzz")) {
      if (info.begin > info.end || info.end > size) std::abort();
      const auto blocks = static_cast<size_t>(info.numel() / dtype_block(info.dtype));
      if (info.bytes() != blocks * dtype_size(info.dtype)) std::abort();
    }
  } catch (const Error&) {
  }
  return 0;
}
