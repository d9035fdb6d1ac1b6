#pragma once
// The tiny transformer of the goldens with adapters on it.
#include <functional>

#include "adapters/attach.h"
#include "base/error.h"
#include "flux_inputs.h"
#include "io/temporary_folder.h"

namespace icedit {

using golden::flux_inputs, golden::forward, golden::FluxInputs;

inline FluxTransformer tiny_model(const LoadOptions& options = {}) {
  const Path folder = golden::path("tiny-fill/transformer");
  return FluxTransformer::load(Checkpoint::open(folder), JsonFile(folder / "config.json"), options);
}

inline AdapterFile open_golden(const std::string& relative,
                               const AdapterFileOptions& options = {}) {
  return AdapterFile::open(golden::path(relative), options);
}

inline ::testing::AssertionResult has(const std::string& text, const std::string& part) {
  if (text.find(part) != std::string::npos) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << "'" << part << "' is not in: " << text;
}

using NamedTensors = std::map<std::string, Tensor>;

// Writes a file of these tensors and gives its path.
inline Path write_adapter(const TemporaryFolder& folder, const NamedTensors& tensors,
                          const std::map<std::string, std::string>& metadata = {},
                          const std::string& name = "lora.safetensors") {
  save_tensors(folder / name, {tensors.begin(), tensors.end()}, metadata);
  return folder / name;
}

}  // namespace icedit
