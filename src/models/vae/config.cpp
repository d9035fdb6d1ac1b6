#include "models/vae/config.h"

#include <algorithm>
#include <cmath>

#include "base/str.h"
#include "models/config_values.h"

namespace icedit {
namespace {

void expect_block_types(const JsonFile& config, const std::string& key, const std::string& type,
                        size_t blocks) {
  if (!config.has(key)) return;
  const std::vector<std::string> types = config.texts(key);
  const auto other =
      std::find_if(types.begin(), types.end(), [&](const auto& t) { return t != type; });
  if (other != types.end())
    throw_config_error(config, key, str("[... '", *other, "' ...]"), str(type, " only"));
  if (types.size() != blocks) {
    throw_config_error(config, key, str("a list of ", types.size()),
                       str("one for each of the ", blocks, " entries of 'block_out_channels'"));
  }
}

std::vector<int64_t> block_channels(const JsonFile& config, int64_t groups) {
  constexpr size_t kMostBlocks = 16;  // a factor of 32768 between pixels and latents
  const std::vector<int64_t> channels = config.integers("block_out_channels");
  if (channels.empty() || channels.size() > kMostBlocks) {
    throw_config_error(config, "block_out_channels", str("a list of ", channels.size()),
                       str("1 ... ", kMostBlocks, " entries"));
  }
  for (const int64_t c : channels) {
    if (c < 1 || c > (int64_t{1} << 24) || c % groups != 0) {
      throw_config_error(config, "block_out_channels", str(channels),
                         str("multiples of 'norm_num_groups', which is ", groups));
    }
  }
  return channels;
}

}  // namespace

VaeConfig VaeConfig::from(const JsonFile& config) {
  expect_kind(config, "_class_name", {"AutoencoderKL"});
  VaeConfig c;
  c.in_channels = positive_or(config, "in_channels", 3);
  c.out_channels = positive_or(config, "out_channels", 3);
  c.latent_channels = positive_or(config, "latent_channels", 4);
  c.layers_per_block = positive_or(config, "layers_per_block", 1);
  c.norm_num_groups = positive_or(config, "norm_num_groups", 32);
  c.block_out_channels = block_channels(config, c.norm_num_groups);
  c.scaling_factor = positive_number_or(config, "scaling_factor", 0.18215);
  c.shift_factor = config.number_or("shift_factor", 0.0);
  c.use_quant_conv = config.boolean_or("use_quant_conv", true);
  c.use_post_quant_conv = config.boolean_or("use_post_quant_conv", true);
  c.mid_block_add_attention = config.boolean_or("mid_block_add_attention", true);
  if (!std::isfinite(c.shift_factor))
    throw_config_error(config, "shift_factor", str(c.shift_factor), "a number");
  const std::string act = config.text_or("act_fn", "silu");
  if (act != "silu" && act != "swish")
    throw_config_error(config, "act_fn", str("'", act, "'"), "'silu'");
  expect_block_types(config, "down_block_types", "DownEncoderBlock2D", c.block_out_channels.size());
  expect_block_types(config, "up_block_types", "UpDecoderBlock2D", c.block_out_channels.size());
  return c;
}

}  // namespace icedit
