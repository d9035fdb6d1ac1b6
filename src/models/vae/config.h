#pragma once
#include <cstdint>
#include <vector>

#include "io/json_file.h"

namespace icedit {

// diffusers' AutoencoderKL config; its defaults where a key is missing.
struct VaeConfig {
  int64_t in_channels, out_channels;  // of pictures
  int64_t latent_channels;
  std::vector<int64_t> block_out_channels;  // widest picture first
  int64_t layers_per_block;
  int64_t norm_num_groups;
  double scaling_factor, shift_factor;  // normalised = (z - shift) scale
  bool use_quant_conv, use_post_quant_conv;
  bool mid_block_add_attention;

  // Throws CheckpointError naming file, key and value.
  static VaeConfig from(const JsonFile& config);

  // Pixels along one side of a latent.
  int64_t downscale() const { return int64_t{1} << (block_out_channels.size() - 1); }
};

}  // namespace icedit
