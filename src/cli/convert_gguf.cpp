#include "cli/convert_gguf.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <array>

#include "base/log.h"
#include "cli/stacks.h"
#include "io/gguf.h"
#include "nn/ggml_quantise.h"

namespace icedit::cli {
namespace {

constexpr uint32_t kQuantisationVersion = 2;  // ggml's, of all block types

// llama.cpp's names of whole files.
uint32_t file_type(Dtype type) {
  return type == Dtype::kQ8_0 ? 7 : type == Dtype::kQ4_0 ? 2 : 14;  // 14: mostly Q4_K, small
}

bool stays_f32(const std::string& name, const Shape& shape) {
  constexpr std::array<std::string_view, 7> kKept = {
      "img_in.", "txt_in.", "time_in.", "vector_in.", "guidance_in.", "final_layer.", "attn_rel_b"};
  return shape.size() != 2 || std::any_of(kKept.begin(), kKept.end(), [&](std::string_view kept) {
           return name.find(kept) != std::string::npos;
         });
}

// T5's table of embeddings is looked up, not multiplied: it keeps 8 bits. Rows that fill no block
// get smaller ones, or none.
Dtype type_for(const std::string& name, const Shape& shape, Dtype wanted) {
  if (stays_f32(name, shape)) return Dtype::kF32;
  const bool table = name == "token_embd.weight";
  for (const Dtype type : {table ? Dtype::kQ8_0 : wanted, Dtype::kQ8_0})
    if (shape[1] % dtype_block(type) == 0) return type;
  return Dtype::kF32;
}

std::vector<GgufKey> metadata(Part part, Dtype type) {
  return {{"general.architecture", part == Part::kT5 ? "t5encoder" : "flux"},
          {"general.quantization_version", kQuantisationVersion},
          {"general.file_type", file_type(type)}};
}

}  // namespace

void convert_gguf(const Component& component, Part part, Dtype wanted, const Path& output) {
  const c10::InferenceMode no_grad;
  const Checkpoint& checkpoint = component.checkpoint;
  const StackReader reader(checkpoint);
  std::vector<FileTensor> planned;
  int64_t quantised = 0;
  for (const Stack& stack : part == Part::kT5 ? t5_stacks(checkpoint) : flux_stacks(checkpoint)) {
    const Shape shape = reader.shape(stack);
    const Dtype type = type_for(stack.name, shape, wanted);
    const bool blocks = type != Dtype::kF32;
    quantised += blocks ? 1 : 0;
    planned.push_back(
        {{stack.name, type, shape}, [=, &reader](const PutBytes& put) {
           reader.each(stack, [&](const Tensor& rows) {
             put(bytes_of(blocks ? blocks_of(rows, type) : rows.to(at::kFloat).contiguous()));
           });
         }});
  }
  write_gguf(output, metadata(part, wanted), plans_of(planned), writer_of(planned));
  log::info(str(checkpoint.where(), ": ", quantised, " matrices -> ", dtype_name(wanted)));
}

}  // namespace icedit::cli
