#pragma once
// What lies beside a matrix of whole numbers in ComfyUI's files: M.comfy_quant, U8, JSON that names
// the format and its groups (io/comfy_quant_json.h).
#include <string>

#include "io/comfy_quant_json.h"
#include "nn/weights.h"

namespace icedit {

// Of `w`'s "weight" of `in` inputs, which is I8. Throws CheckpointError: no description, one that
// is damaged or too long, of a format that is not read, or with groups that do not divide the
// inputs.
ComfyQuant read_comfy_quant(const Weights& w, int64_t in);
// The text of such a description.
std::string comfy_quant_text(const ComfyQuant& quant);

// Throws CheckpointError: "FILE: tensor 'PATH.part' WHAT".
[[noreturn]] void fail_at(const Weights& w, const std::string& part, const std::string& what);

// Whether a tensor only belongs to a matrix in 4 or 8 bits: its scales and its description.
bool is_quant_part(const std::string& name);

// Whether the matrix `module` of a file is in 4 bits; one of its two scales may be missing, which
// is said when it is read.
bool is_in_4_bits(const Checkpoint& checkpoint, const std::string& module);

// The inputs of the matrix `module` in a file: two to a byte where they have 4 bits.
int64_t matrix_inputs(const Checkpoint& checkpoint, const std::string& module);

// How many of the model's parameters a tensor of a file holds: two to a byte where they have 4
// bits, none in scales and descriptions of quantised matrices.
int64_t parameters_of(const Checkpoint& checkpoint, const std::string& name);

}  // namespace icedit
