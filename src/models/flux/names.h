#pragma once
// BFL's names of FLUX's modules (flux1-fill-dev.safetensors, GGUF, kohya and XLabs LoRAs) and
// diffusers'. BFL stacks the rows of q, k, v (and the MLP) in one module; the last modulation emits
// (shift, scale) there and (scale, shift) in diffusers. So every change between the two is a range
// of rows or a swap of row halves, of quantised rows too. Source: BFL's flux/model.py against
// diffusers' FluxTransformer2DModel.
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace icedit {

// The diffusers modules whose rows the BFL module stacks, in order: one for most. Empty: not one of
// BFL's names. "double_blocks.3.img_attn.qkv" -> transformer_blocks.3.attn.{to_q, to_k, to_v}
std::vector<std::string> diffusers_modules(const std::string& bfl_module);

// The reverse: which part of which BFL module a diffusers module is; nothing for a name that FLUX
// does not have.
struct BflPart {
  std::string module;
  size_t part = 0, parts = 1;
};
std::optional<BflPart> bfl_part(const std::string& diffusers_module);

// Rows [begin, end) of a stacked module.
struct RowRange {
  int64_t begin = 0, end = 0;
};
// Of each part of a module of `rows` rows: the first three are `hidden` high, a fourth is the rest.
// Empty where they do not fit.
std::vector<RowRange> part_rows(size_t parts, int64_t rows, int64_t hidden);

// Of a tensor, what stands before its last dot: "a.b" of "a.b.weight".
std::string module_of(const std::string& tensor);

// Whether the row halves of this BFL module are the other way round in diffusers.
bool halves_are_swapped(const std::string& bfl_module);

// Whether a Linear (by diffusers' name) may be quantised: the blocks' products. What the published
// quantised files leave alone: embedders, modulations, the last layer.
bool may_be_quantised(const std::string& diffusers_module);

// The call (nn/block.h) that a Linear is used in: "transformer_blocks.3", or of its modulations
// "transformer_blocks.3.modulation"; "" outside of the blocks.
std::string call_of_module(const std::string& diffusers_module);
inline constexpr const char* kModulationCall = ".modulation";  // behind the block's path

// A module's name where every dot was written as an underscore, in either naming (kohya):
// "double_blocks_0_img_attn_qkv" -> "double_blocks.0.img_attn.qkv". "" for a name that FLUX does
// not have.
std::string with_dots(const std::string& underscored);

}  // namespace icedit
