#pragma once
// What `icedit inspect` shows, one function for every kind of thing. Each prints to stdout: text,
// or a JSON object with --json.
#include <string>

#include "io/files.h"

namespace icedit::cli {

struct InspectOptions {
  bool json = false, all = false, check = false, help = false;
  std::string model;  // which an adapter is compared with; "" for none
};

// A component: a folder with weights, a .safetensors file, an index. With `check` every weight is
// read and looked at.
void inspect_checkpoint(const Path& path, const InspectOptions& options);
// A diffusers folder: its components and its icedit.json.
void inspect_model(const Path& folder, const InspectOptions& options);
void inspect_adapter(const Path& path, const InspectOptions& options);
void inspect_picture(const Path& file, const InspectOptions& options);

}  // namespace icedit::cli
