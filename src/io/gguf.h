#pragma once
// The GGUF format, versions 2 and 3: magic, counts, metadata, the tensors' names, shapes and
// offsets, then their bytes. Every field is checked against the file before anything is allocated.
// Source: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md.
#include <map>
#include <string>

#include "io/safetensors.h"

namespace icedit {

bool is_gguf(Bytes file);  // by its first bytes

// Every tensor, rows first as everywhere here (the file has the columns first). Throws
// CheckpointError: damaged, another version, one part of several, a type that is not read (named).
// `where` names the file in errors.
std::map<std::string, TensorInfo> parse_gguf_header(Bytes file, const std::string& where);

}  // namespace icedit
