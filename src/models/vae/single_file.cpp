#include "models/single_file.h"

#include <algorithm>
#include <regex>

#include "base/error.h"

namespace icedit {
namespace {

// std::regex recurses for every character.
constexpr size_t kLongestName = 500;

const ComponentMarks kVaeMarks = {"VAE",
                                  {"", "first_stage_model.", "vae."},
                                  {"decoder.conv_in.weight", "encoder.conv_in.weight"},
                                  {"loss.", "model_ema."}};

// CompVis' decoder counts its levels from the picture inwards, diffusers' from the latent outwards.
int64_t levels_of_decoder(const Checkpoint& vae) {
  static const std::regex up(R"(decoder\.up\.(\d{1,3})\..*)");
  int64_t levels = 0;
  std::smatch match;
  for (const auto& [name, entry] : vae.entries()) {
    if (name.size() <= kLongestName && std::regex_match(name, match, up))
      levels = std::max<int64_t>(levels, std::stoll(match[1]) + 1);
  }
  return levels;
}

std::string replaced(const std::string& text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  return at == std::string::npos ? text : text.substr(0, at) + to + text.substr(at + from.size());
}

// "encoder.down.1.block.0.nin_shortcut.weight" ->
// "encoder.down_blocks.1.resnets.0.conv_shortcut.weight".
std::string diffusers_name(const std::string& name, int64_t levels) {
  static const std::regex level(
      R"((encoder|decoder)\.(down|up)\.(\d{1,3})\.(block|downsample|upsample)\.(.*))");
  static const std::regex middle(R"((encoder|decoder)\.mid\.(block|attn)_(\d)\.(.*))");
  static const std::regex attention(R"((q|k|v|norm|proj_out)\.(weight|bias))");
  if (name.size() > kLongestName) return name;
  std::smatch m;
  if (std::regex_match(name, m, level)) {
    const int64_t given = std::stoll(m[3]);
    const std::string blocks =
        str(m[1], ".", m[2], "_blocks.", m[2] == "up" ? levels - 1 - given : given, ".");
    if (m[4] == "block")
      return blocks + "resnets." + replaced(m[5], "nin_shortcut", "conv_shortcut");
    return str(blocks, m[4], "rs.0.", m[5]);  // downsamplers, upsamplers
  }
  if (std::regex_match(name, m, middle)) {
    const std::string side = m[1], rest = m[4];
    if (m[2] == "block") return str(side, ".mid_block.resnets.", std::stoi(m[3]) - 1, ".", rest);
    std::smatch a;
    if (!std::regex_match(rest, a, attention)) return name;
    const std::string part = a[1] == "norm"       ? "group_norm"
                             : a[1] == "proj_out" ? "to_out.0"
                                                  : str("to_", a[1]);
    return str(side, ".mid_block.attentions.0.", part, ".", a[2]);
  }
  return replaced(name, "coder.norm_out.", "coder.conv_norm_out.");
}

}  // namespace

Checkpoint vae_single_file(const Checkpoint& file) {
  const Checkpoint vae = component_of(file, kVaeMarks);
  const int64_t levels = levels_of_decoder(vae);
  const Checkpoint renamed =
      vae.renamed([&](const std::string& name) { return diffusers_name(name, levels); });
  // A 1x1 convolution [C, C, 1, 1] is a Linear [C, C].
  std::map<std::string, Checkpoint::Entry> entries = renamed.entries();
  for (auto& [name, entry] : entries) {
    auto& shape = entry.info.shape;
    if (name.find(".attentions.0.") == std::string::npos) continue;
    while (shape.size() > 2 && shape.back() == 1) shape.pop_back();
  }
  return {file.where(), std::move(entries)};
}

}  // namespace icedit
