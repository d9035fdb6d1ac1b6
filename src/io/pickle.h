#pragma once
// PyTorch's pickles can run code when they are read, and so they never are.
#include <string>

#include "base/error.h"
#include "io/files.h"

namespace icedit {

bool is_pickle(const Path& path);  // by its name

// What to throw for one; it says how to make `converted`, a safetensors file, of it.
ModelUnavailable refused_pickle(const Path& pickle, const std::string& converted);

}  // namespace icedit
