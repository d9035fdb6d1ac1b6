#include "cli/checkpoint_summary.h"

#include <algorithm>
#include <charconv>
#include <cstdio>

#include "base/str.h"
#include "nn/comfy_quant.h"

namespace icedit::cli {
namespace {

struct SplitName {
  std::string block;  // in front of the first number; "" where there is none
  int64_t number = -1;
  std::string rest;
};

// "transformer_blocks.3.attn.to_q.weight" -> transformer_blocks, 3, attn.to_q.weight.
SplitName split(const std::string& name) {
  for (size_t begin = 0; begin < name.size();) {
    const size_t end = std::min(name.find('.', begin), name.size());
    int64_t number = 0;
    const auto [stop, error] = std::from_chars(name.data() + begin, name.data() + end, number);
    if (begin > 0 && end < name.size() && error == std::errc() && stop == name.data() + end) {
      return {name.substr(0, begin - 1), number, name.substr(end + 1)};
    }
    begin = end + 1;
  }
  return {"", -1, name};
}

bool has(const Checkpoint& checkpoint, const std::string& part) {
  const auto& entries = checkpoint.entries();
  return std::any_of(entries.begin(), entries.end(), [&](const auto& entry) {
    return entry.first.find(part) != std::string::npos;
  });
}

std::vector<int64_t> shape_of(const Checkpoint& checkpoint, const std::string& end) {
  for (const auto& [name, entry] : checkpoint.entries()) {
    if (name.ends_with(end)) return entry.info.shape;
  }
  return {};
}

std::string flux_text(const Checkpoint& checkpoint, const std::string& input,
                      const std::string& names) {
  const std::vector<int64_t> shape = shape_of(checkpoint, input);
  if (shape.size() != 2) return str("FLUX transformer (", names, " names)");
  const std::string size = shape[0] == 3072 ? ", full size" : "";
  const std::string kind = shape[1] == 384   ? ", Fill (384 input channels)"
                           : shape[1] == 64  ? ", dev or schnell (64 input channels: cannot fill)"
                           : shape[1] == 128 ? ", a control model (128 input channels: cannot fill)"
                                             : str(", ", shape[1], " input channels");
  return str("FLUX transformer, hidden size ", shape[0], size, kind, " (", names, " names)");
}

std::string what_is(const Checkpoint& checkpoint) {
  if (has(checkpoint, "single_transformer_blocks."))
    return flux_text(checkpoint, "x_embedder.weight", "diffusers'");
  if (has(checkpoint, "single_blocks.")) return flux_text(checkpoint, "img_in.weight", "BFL's");
  if (has(checkpoint, "encoder.block.")) return "T5 encoder";
  if (has(checkpoint, "enc.blk.")) return "T5 encoder (llama.cpp's names)";
  if (has(checkpoint, "encoder.layers.") && has(checkpoint, "token_embedding.weight"))
    return "CLIP text encoder";
  if (has(checkpoint, "decoder.up_blocks.") || has(checkpoint, "decoder.up."))
    return "AutoencoderKL (VAE)";
  return "unknown model";
}

}  // namespace

CheckpointSummary summarise(const Checkpoint& checkpoint) {
  CheckpointSummary s;
  s.where = checkpoint.where();
  s.what = what_is(checkpoint);
  s.bytes = checkpoint.total_bytes();
  s.files = checkpoint.files().size();
  std::map<std::pair<std::string, int64_t>, BlockGroup> blocks;  // by name, then number
  for (const auto& [name, entry] : checkpoint.entries()) {
    const SplitName part = split(name);
    const std::string dtype(dtype_name(entry.info.dtype));
    BlockGroup& block = blocks[{part.block, part.number}];
    block.name = part.block;
    block.first = block.last = part.number;
    const int64_t parameters = parameters_of(checkpoint, name);
    block.parameters += parameters;
    block.tensors.push_back({part.rest, entry.info.shape, dtype});
    if (parameters > 0) s.dtypes[dtype] += parameters;  // scales of whole numbers hold none
    s.parameters += parameters;
    ++s.tensors;
  }
  for (const auto& [key, block] : blocks) {
    BlockGroup* before = s.groups.empty() ? nullptr : &s.groups.back();
    if (before != nullptr && block.first >= 0 && before->name == block.name &&
        before->last + 1 == block.first && before->tensors == block.tensors) {
      before->last = block.first;
    } else {
      s.groups.push_back(block);
    }
  }
  return s;
}

std::string count_text(int64_t count) {
  char text[32];
  const auto value = static_cast<double>(count);
  if (count >= 1'000'000'000)
    std::snprintf(text, sizeof text, "%.2f B", value / 1e9);
  else if (count >= 1'000'000)
    std::snprintf(text, sizeof text, "%.1f M", value / 1e6);
  else if (count >= 10'000)
    std::snprintf(text, sizeof text, "%.1f k", value / 1e3);
  else
    std::snprintf(text, sizeof text, "%lld", static_cast<long long>(count));
  return text;
}

}  // namespace icedit::cli
