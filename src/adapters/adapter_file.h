#pragma once
// An adapter as it lies in a file, in whatever layout, brought into one form: low-rank factors for
// the model's modules, by diffusers' names. Nothing here knows the model; attach_adapter
// (adapters/attach.h) compares with it.
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "adapters/adapter_module.h"
#include "io/files.h"

namespace icedit {

// What peft and diffusers call the files of an adapter's folder.
inline constexpr const char* kPeftFile = "adapter_model.safetensors";
inline constexpr const char* kPeftConfig = "adapter_config.json";
inline constexpr const char* kDiffusersFile = "pytorch_lora_weights.safetensors";

struct AdapterFileOptions {
  int64_t top_k = 0;  // of a mixture; 0: what the file says, or else 1 as ICEdit's loader takes
};

struct AdapterFile {
  // `path`: a .safetensors file; or a folder with adapter_model.safetensors (and
  // adapter_config.json), pytorch_lora_weights.safetensors, or one .safetensors file of another
  // name. Alpha comes from the file's alpha tensors, else from adapter_config.json or the header
  // (lora_adapter_metadata, ss_network_alpha), else it is the rank. Throws ModelUnavailable
  // (nothing there, a pickle), CheckpointError (damaged, not finite, no LoRA, a kind that is not
  // supported, factors that do not fit each other), UsageError (top_k).
  static AdapterFile open(const Path& path, const AdapterFileOptions& options = {});

  Path path;           // the .safetensors file
  std::string layout;  // diffusers, peft, icedit-moe, kohya, bfl or xlabs: adapters/adapter_keys.h
  std::vector<AdapterModule> modules;
  std::vector<std::string> skipped;    // tensors of text encoders, and ones that change nothing
  std::vector<std::string> unmatched;  // tensors that no layout has
  std::vector<std::string> notes;      // what a user should know, a line each
  std::map<std::string, std::string> metadata;

  bool has_router() const;  // whether any module is a mixture
};

}  // namespace icedit
