#include "models/flux/names.h"

#include <algorithm>
#include <string_view>

namespace icedit {
namespace {

struct Names {
  std::string bfl;
  std::vector<std::string> diffusers;
};

constexpr std::string_view kLastModulation = "final_layer.adaLN_modulation.1";

// Names below a numbered block, or below nothing.
struct Group {
  std::string bfl, diffusers;  // "double_blocks", "transformer_blocks"
  std::vector<Names> table;
};

const std::vector<Group>& groups() {
  static const std::vector<Group> all = {
      {"",
       "",
       {
           {"img_in", {"x_embedder"}},
           {"txt_in", {"context_embedder"}},
           {"time_in.in_layer", {"time_text_embed.timestep_embedder.linear_1"}},
           {"time_in.out_layer", {"time_text_embed.timestep_embedder.linear_2"}},
           {"vector_in.in_layer", {"time_text_embed.text_embedder.linear_1"}},
           {"vector_in.out_layer", {"time_text_embed.text_embedder.linear_2"}},
           {"guidance_in.in_layer", {"time_text_embed.guidance_embedder.linear_1"}},
           {"guidance_in.out_layer", {"time_text_embed.guidance_embedder.linear_2"}},
           {"final_layer.linear", {"proj_out"}},
           {std::string(kLastModulation), {"norm_out.linear"}},
       }},
      {"double_blocks",
       "transformer_blocks",
       {
           {"img_mod.lin", {"norm1.linear"}},
           {"txt_mod.lin", {"norm1_context.linear"}},
           {"img_attn.qkv", {"attn.to_q", "attn.to_k", "attn.to_v"}},
           {"txt_attn.qkv", {"attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj"}},
           {"img_attn.proj", {"attn.to_out.0"}},
           {"txt_attn.proj", {"attn.to_add_out"}},
           {"img_mlp.0", {"ff.net.0.proj"}},
           {"img_mlp.2", {"ff.net.2"}},
           {"txt_mlp.0", {"ff_context.net.0.proj"}},
           {"txt_mlp.2", {"ff_context.net.2"}},
           {"img_attn.norm.query_norm", {"attn.norm_q"}},
           {"img_attn.norm.key_norm", {"attn.norm_k"}},
           {"txt_attn.norm.query_norm", {"attn.norm_added_q"}},
           {"txt_attn.norm.key_norm", {"attn.norm_added_k"}},
       }},
      {"single_blocks",
       "single_transformer_blocks",
       {
           {"modulation.lin", {"norm.linear"}},
           {"linear1", {"attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp"}},
           {"linear2", {"proj_out"}},
           {"norm.query_norm", {"attn.norm_q"}},
           {"norm.key_norm", {"attn.norm_k"}},
       }}};
  return all;
}

// "double_blocks.3.img_mod.lin" below "double_blocks" -> ("3", "img_mod.lin"); below "" it is ("",
// itself).
struct Place {
  std::string index, rest;
};
std::optional<Place> below(const std::string& stem, const std::string& name, char separator) {
  if (stem.empty()) return Place{"", name};
  const std::string head = stem + separator;
  if (name.rfind(head, 0) != 0) return std::nullopt;
  const size_t end = name.find_first_not_of("0123456789", head.size());
  if (end == head.size() || end == std::string::npos || name[end] != separator) return std::nullopt;
  return Place{name.substr(head.size(), end - head.size()), name.substr(end + 1)};
}

std::string join(const std::string& stem, const std::string& index, const std::string& rest) {
  return stem.empty() ? rest : stem + "." + index + "." + rest;
}

std::string underscored_name(std::string name) {
  std::replace(name.begin(), name.end(), '.', '_');
  return name;
}

}  // namespace

std::vector<std::string> diffusers_modules(const std::string& bfl_module) {
  for (const Group& group : groups()) {
    const auto place = below(group.bfl, bfl_module, '.');
    if (!place) continue;
    for (const Names& names : group.table) {
      if (names.bfl != place->rest) continue;
      std::vector<std::string> modules;
      for (const auto& name : names.diffusers)
        modules.push_back(join(group.diffusers, place->index, name));
      return modules;
    }
  }
  return {};
}

std::optional<BflPart> bfl_part(const std::string& diffusers_module) {
  for (const Group& group : groups()) {
    const auto place = below(group.diffusers, diffusers_module, '.');
    if (!place) continue;
    for (const Names& names : group.table) {
      const auto found = std::find(names.diffusers.begin(), names.diffusers.end(), place->rest);
      if (found == names.diffusers.end()) continue;
      return BflPart{join(group.bfl, place->index, names.bfl),
                     size_t(found - names.diffusers.begin()), names.diffusers.size()};
    }
  }
  return std::nullopt;
}

std::vector<RowRange> part_rows(size_t parts, int64_t rows, int64_t hidden) {
  if (parts == 1) return {{0, rows}};
  std::vector<RowRange> ranges;
  if (hidden <= 0 || hidden > rows / 3) return ranges;
  for (int64_t i = 0; i < 3; ++i) ranges.push_back({i * hidden, (i + 1) * hidden});
  if (parts == 4) ranges.push_back({3 * hidden, rows});
  const bool fits =
      parts == ranges.size() && ranges.back().end == rows && ranges.back().begin < rows;
  return fits ? ranges : std::vector<RowRange>{};
}

std::string module_of(const std::string& tensor) {
  return tensor.substr(0, tensor.rfind('.'));
}

bool halves_are_swapped(const std::string& bfl_module) {
  return bfl_module == kLastModulation;
}

std::string with_dots(const std::string& underscored) {
  for (const Group& group : groups()) {
    if (const auto place = below(group.bfl, underscored, '_')) {
      for (const Names& names : group.table) {
        if (underscored_name(names.bfl) == place->rest)
          return join(group.bfl, place->index, names.bfl);
      }
    }
    if (const auto place = below(group.diffusers, underscored, '_')) {
      for (const Names& names : group.table) {
        for (const auto& name : names.diffusers) {
          if (underscored_name(name) == place->rest)
            return join(group.diffusers, place->index, name);
        }
      }
    }
  }
  return "";
}

std::string call_of_module(const std::string& module) {
  if (!module.starts_with("transformer_blocks.") &&
      !module.starts_with("single_transformer_blocks."))
    return "";
  const std::string block = module.substr(0, module.find('.', module.find('.') + 1));
  return module.find(".norm") == std::string::npos ? block : block + kModulationCall;
}

bool may_be_quantised(const std::string& module) {
  const std::string call = call_of_module(module);
  return !call.empty() && !call.ends_with(kModulationCall);
}

}  // namespace icedit
