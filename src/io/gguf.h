#pragma once
// The GGUF format, versions 2 and 3: magic, counts, metadata, the tensors' names, shapes and
// offsets, then their bytes. Every field is checked against the file before anything is allocated.
// Source: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md.
#include <map>
#include <string>
#include <variant>

#include "io/safetensors.h"

namespace icedit {

bool is_gguf(Bytes file);  // by its first bytes

// Every tensor, rows first as everywhere here (the file has the columns first). Throws
// CheckpointError: damaged, another version, one part of several, a type that is not read (named).
// `where` names the file in errors.
std::map<std::string, TensorInfo> parse_gguf_header(Bytes file, const std::string& where);

// A key of the metadata; the types that writing needs.
struct GgufKey {
  std::string name;
  std::variant<std::string, uint32_t, float, bool> value;
};

// Writes a file of version 3 atomically, its metadata and tensors in the order given; `write` as of
// write_safetensors. Throws IoError; CheckpointError: a dtype that GGUF has not.
void write_gguf(const Path& path, const std::vector<GgufKey>& keys,
                const std::vector<TensorPlan>& tensors,
                const std::function<void(size_t, const PutBytes&)>& write);

// ggml_type's number of a dtype; throws CheckpointError where there is none.
uint32_t gguf_type(Dtype dtype);

}  // namespace icedit
