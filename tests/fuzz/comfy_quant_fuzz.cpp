// ComfyUI's descriptions of quantised matrices, in tensors or in the header of a safetensors file:
// what is accepted is a way that products can be computed, anything else an error of ours in one
// sentence.
#include <cstdlib>

#include "base/error.h"
#include "io/comfy_quant_json.h"

namespace icedit {
namespace {

void check(const ComfyQuant& quant, int64_t inputs) {
  if (quant.format != kInt8Format && quant.format != kInt4Format) std::abort();
  if (quant.group == 0) return;
  if (quant.group < 16 || (quant.group & (quant.group - 1)) != 0 || inputs % quant.group != 0)
    std::abort();
}

void read_all(Bytes file) {
  std::map<std::string, std::string> metadata;
  const auto tensors = parse_safetensors_header(file, "fuzz", &metadata);
  std::map<std::string, std::string> described;
  if (const auto found = metadata.find(kQuantisationKey); found != metadata.end())
    described = parse_quantisation(found->second, "fuzz");
  for (const auto& [name, info] : tensors) {
    if (info.dtype != Dtype::kI8 || info.shape.size() != 2 || !name.ends_with(".weight")) continue;
    const std::string module = name.substr(0, name.size() - 7);
    if (const auto beside = tensors.find(module + ".comfy_quant"); beside != tensors.end()) {
      const Bytes text = file.subspan(beside->second.begin, beside->second.bytes());
      check(parse_comfy_quant(text, info.shape[1], "fuzz"), info.shape[1]);
    }
    if (const auto text = described.find(module); text != described.end()) {
      const Bytes bytes = std::as_bytes(std::span(text->second));
      check(parse_comfy_quant(bytes, info.shape[1], "fuzz"), info.shape[1]);
    }
  }
}

}  // namespace
}  // namespace icedit

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    icedit::read_all({reinterpret_cast<const std::byte*>(data), size});
  } catch (const icedit::Error& error) {
    if (std::string(error.what()).find('\n') != std::string::npos) std::abort();
  }
  return 0;
}
