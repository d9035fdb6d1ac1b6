#pragma once
// JSON that says how a matrix of whole numbers is to be read, as ComfyUI's files have it: beside
// each in a tensor M.comfy_quant, or of all in the header, as "_quantization_metadata". Source:
// Comfy-Org's comfy-kitchen and ComfyUI (the keys).
#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "io/safetensors.h"

namespace icedit {

constexpr std::string_view kInt8Format = "int8_tensorwise", kInt4Format = "asym_w4a8_int8";
constexpr const char* kQuantisationKey = "_quantization_metadata";  // of a header's metadata

struct ComfyQuant {
  std::string format;               // one of the two
  int64_t group = 0;                // of the rotation; 0: none
  std::optional<int64_t> run = {};  // inputs that share a scale, where it is said; of 4 bits
};

// `where` begins the sentences: "FILE: tensor 'M.comfy_quant'". Throws CheckpointError: damaged or
// too long, of a format that is not read, or with groups that do not divide the matrix's inputs.
ComfyQuant parse_comfy_quant(Bytes text, int64_t inputs, const std::string& where);

// {"layers": {M: {...}}}: each matrix and its own JSON. Throws CheckpointError: damaged or too
// long.
std::map<std::string, std::string> parse_quantisation(const std::string& text,
                                                      const std::string& where);

}  // namespace icedit
