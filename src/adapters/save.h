#pragma once
// Writing adapters, always with their alpha:
//   diffusers  a .safetensors file, or a folder that gets pytorch_lora_weights.safetensors; also
//              for mixtures
//   peft       a folder: adapter_model.safetensors and adapter_config.json
//   kohya      a .safetensors file with BFL's module names; q, k, v (and the MLP) fused
#include "adapters/attach.h"

namespace icedit {

// "diffusers", "peft", "kohya". Throws UsageError for another.
AdapterLayout adapter_layout(const std::string& name);

// The files that save_adapter writes to `path`, the .safetensors file first.
std::vector<Path> adapter_files(const Path& path, AdapterLayout layout);

// What is on a model now, as a file's content: trained tensors, copied to the CPU.
AdapterFile content_of(const LoadedAdapter& adapter);

// Writes `adapter` (its modules and metadata) atomically. diffusers and peft get rank, alpha and
// the modules in the words of peft's LoraConfig, so that both libraries read them back. Returns the
// .safetensors file's path. Throws UsageError (a mixture in another layout than diffusers, nothing
// to save), IoError.
Path save_adapter(const Path& path, const AdapterFile& adapter, AdapterLayout layout);

}  // namespace icedit
