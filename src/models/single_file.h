#pragma once
// A component's checkpoint with diffusers' and transformers' names, from a file that has others:
// BFL's, ComfyUI's, an all-in-one file. What has the public names passes as it is. Nothing is
// copied. All throw CheckpointError: there is no such component in the file.
#include <string>
#include <vector>

#include "io/checkpoint.h"

namespace icedit {

// BFL's names (flux1-fill-dev.safetensors, ComfyUI's fp8 files, the transformer of an all-in-one
// file) are translated: a part of a stacked matrix is a range of its rows, and fp8 scales travel
// with every part. Also throws for FLUX.1-dev or a control model in place of Fill, and rows that do
// not split.
Checkpoint flux_single_file(const Checkpoint& file);

// Of ComfyUI's t5xxl_fp16.safetensors, fp8 with or without scales, and GGUF's encoders
// (enc.blk.N...). The table of embeddings is `shared.weight` afterwards, whichever of its two names
// the file has; a decoder's tensors are left out.
Checkpoint t5_single_file(const Checkpoint& file);

// llama.cpp's name, which GGUF files have, of an encoder's tensor; throws CheckpointError: no part
// of one.
std::string gguf_t5_name(const std::string& name);

// Of ComfyUI's clip_l.safetensors, a whole CLIP (its vision half is left out). FLUX takes the
// pooled state before the projection, so text_projection goes too.
Checkpoint clip_single_file(const Checkpoint& file);

// BFL's ae.safetensors has CompVis' names: encoder.down.0.block.0, mid.attn_1.q as a 1x1
// convolution, decoder.up counted from the outside in.
Checkpoint vae_single_file(const Checkpoint& file);

// How a component is found in a file of several, or under somebody's prefix.
struct ComponentMarks {
  std::string what;                   // "FLUX transformer", for errors
  std::vector<std::string> prefixes;  // tried in this order; "" for none
  std::vector<std::string> tensors;   // one of these must be below the prefix
  std::vector<std::string> left_out;  // beginnings of names below it that no model here takes
};

// The tensors below the first of the prefixes under which one of the marks is, without that prefix;
// the file's other tensors are other components' and left out, as are the marks of fp8. An error
// says what the file looks like instead.
Checkpoint component_of(const Checkpoint& file, const ComponentMarks& marks);

}  // namespace icedit
