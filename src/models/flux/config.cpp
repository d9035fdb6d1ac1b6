#include "models/flux/config.h"

#include <numeric>

#include "base/error.h"
#include "models/config_values.h"

namespace icedit {
FluxConfig FluxConfig::from(const JsonFile& json) {
  const std::string class_name = json.text_or("_class_name", "FluxTransformer2DModel");
  if (class_name != "FluxTransformer2DModel") {
    throw CheckpointError(str(json.where(), ": '_class_name' is ", class_name,
                              ", expected FluxTransformer2DModel: this is another kind of model"));
  }
  FluxConfig c;
  c.in_channels = up_to(json, "in_channels", 64, 1 << 16);
  c.out_channels = up_to(json, "out_channels", c.in_channels, 1 << 16);
  c.num_layers = json.integer_or("num_layers", c.num_layers);
  c.num_single_layers = json.integer_or("num_single_layers", c.num_single_layers);
  c.num_attention_heads = up_to(json, "num_attention_heads", c.num_attention_heads, 1 << 12);
  c.attention_head_dim = up_to(json, "attention_head_dim", c.attention_head_dim, 1 << 12);
  c.joint_attention_dim = up_to(json, "joint_attention_dim", c.joint_attention_dim, 1 << 20);
  c.pooled_projection_dim = up_to(json, "pooled_projection_dim", c.pooled_projection_dim, 1 << 20);
  c.guidance_embeds = json.boolean_or("guidance_embeds", false);
  if (json.has("axes_dims_rope")) c.axes_dims_rope = json.integers("axes_dims_rope");
  if (json.integer_or("patch_size", 1) != 1) {
    throw CheckpointError(str(json.where(), ": 'patch_size' is ", json.integer("patch_size"),
                              ", only 1 is known for FLUX"));
  }
  for (const int64_t layers : {c.num_layers, c.num_single_layers}) {
    if (layers < 0 || layers > 1000) {
      throw CheckpointError(str(json.where(), ": ", layers, " layers; expected 0 to 1000"));
    }
  }
  const int64_t rope =
      std::accumulate(c.axes_dims_rope.begin(), c.axes_dims_rope.end(), int64_t{0});
  bool even = c.axes_dims_rope.size() == 3;
  for (const int64_t axis : c.axes_dims_rope) even = even && axis > 0 && axis % 2 == 0;
  if (!even || rope != c.attention_head_dim) {
    throw CheckpointError(str(json.where(), ": 'axes_dims_rope' is ", c.axes_dims_rope,
                              ", expected three even sizes whose sum is attention_head_dim ",
                              c.attention_head_dim));
  }
  return c;
}

}  // namespace icedit
