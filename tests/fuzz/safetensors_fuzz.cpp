// A header that is accepted must describe the file exactly; one that is not must be an error of
// ours.
#include <cstdlib>

#include "base/error.h"
#include "io/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace icedit;
  try {
    std::map<std::string, std::string> metadata;
    size_t total = 0, first = size;
    const Bytes file(reinterpret_cast<const std::byte*>(data), size);
    for (const auto& [name, info] : parse_safetensors_header(file, "fuzz", &metadata)) {
      if (info.begin > info.end || info.end > size) std::abort();
      if (info.end - info.begin != dtype_size(info.dtype) * info.numel()) std::abort();
      first = std::min(first, info.begin);
      total += info.end - info.begin;
    }
    if (first + total != size) std::abort();
  } catch (const Error&) {
  }
  return 0;
}
