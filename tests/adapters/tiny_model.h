#pragma once
// The tiny transformer of the goldens with adapters on it.
#include <functional>

#include "adapters/inject.h"
#include "base/error.h"
#include "golden.h"
#include "io/temporary_folder.h"
#include "models/flux/transformer.h"

namespace icedit {

inline FluxTransformer tiny_model(const LoadOptions& options = {}) {
  const Path folder = golden::path("tiny-fill/transformer");
  return FluxTransformer::load(Checkpoint::open(folder), JsonFile(folder / "config.json"), options);
}

// What `t` has under "input.".
inline FluxInputs inputs_of(const golden::Tensors& t, at::ScalarType dtype = at::kFloat) {
  const auto get = [&](const std::string& name) { return golden::get(t, "input." + name); };
  FluxInputs in;
  in.hidden_states = get("hidden_states").to(dtype);
  in.encoder_hidden_states = get("encoder_hidden_states").to(dtype);
  in.pooled_projections = get("pooled_projections").to(dtype);
  in.timestep = get("timestep").to(dtype);
  in.guidance = get("guidance").to(dtype);
  in.img_ids = get("img_ids");
  in.txt_ids = get("txt_ids");
  return in;
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
