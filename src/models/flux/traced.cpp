#include "models/flux/traced.h"

#include <ATen/ATen.h>

#include <string_view>

#include "base/error.h"
#include "nn/observer.h"

namespace icedit {
namespace {

constexpr std::string_view kDoubleBlocks = "transformer_blocks.",
                           kSingleBlocks = "single_transformer_blocks.";

// Which layers of the blocks are looked at. What they are given is what a part without weights
// before them gave; of proj_out's the first columns are the attention's.
enum class Side { kIn, kOut };
constexpr struct {
  std::string_view blocks, layer;
  Side side;
  std::string_view name;
} kPoints[] = {
    {kDoubleBlocks, ".attn.to_q", Side::kIn, ".norm1.0"},
    {kDoubleBlocks, ".attn.norm_q", Side::kOut, ".attn.norm_q"},
    {kDoubleBlocks, ".attn.to_out.0", Side::kOut, ".attn.hidden_states"},
    {kDoubleBlocks, ".attn.to_add_out", Side::kOut, ".attn.encoder_hidden_states"},
    {kSingleBlocks, ".attn.to_q", Side::kIn, ".norm.0"},
    {kSingleBlocks, ".proj_out", Side::kIn, ".attn"},
};

// Those that diffusers' AdaLayerNormZero gives beside the modulated input: all but the first two.
void keep_modulations(Trace& trace, const std::string& norm, const Tensor& linear, int64_t count) {
  const auto parts = linear.chunk(3 * count, -1);
  for (size_t i = 2; i < parts.size(); ++i) trace.keep(str(norm, ".", i - 1), parts[i]);
}

void keep_layer(Trace& trace, const std::string& path, const Tensor& in, const Tensor& out,
                int64_t hidden) {
  const auto is = [&](std::string_view blocks, std::string_view layer) {
    return path.starts_with(blocks) && path.ends_with(layer);
  };
  const auto without = [&](std::string_view end) {
    return path.substr(0, path.size() - end.size());
  };
  for (const auto& [blocks, layer, side, name] : kPoints) {
    if (!is(blocks, layer)) continue;
    trace.keep(str(without(layer), name), side == Side::kIn ? in.narrow(-1, 0, hidden) : out);
  }
  if (is(kDoubleBlocks, ".norm1.linear")) keep_modulations(trace, without(".linear"), out, 2);
  if (is(kSingleBlocks, ".norm.linear")) keep_modulations(trace, without(".linear"), out, 1);
  if (path == "proj_out") trace.keep("norm_out", in);
  if (path == "time_text_embed" || path == "x_embedder" || path == "context_embedder" ||
      path == "proj_out")
    trace.keep(path, out);
}

}  // namespace

Tensor traced_forward(const FluxTransformer& model, const Tensor& x,
                      const Conditioning& conditioning, const Tensor& t, const Tensor& guidance,
                      Trace& trace) {
  const FluxConfig& config = model.config();
  const LayerObserver layers([&](const std::string& path, const Tensor& given, const Tensor& made) {
    keep_layer(trace, path, given, made, config.hidden());
  });
  const auto block = [&](const BlockCall& call) {
    const Tensors out = call();
    const int64_t text = conditioning.prompt_embeds.size(1);
    const bool joint = out.size() == 1;
    trace.keep(call.path + ".encoder_hidden_states", joint ? out[0].narrow(1, 0, text) : out[0]);
    trace.keep(call.path + ".hidden_states",
               joint ? out[0].narrow(1, text, out[0].size(1) - text) : out[1]);
    return out;
  };
  const Tensor velocity = model.forward(x, conditioning, t, guidance, block);
  const Rope rope = model.positions(conditioning);
  trace.keep("rope.cos", rope.cos);
  trace.keep("rope.sin", rope.sin);
  trace.keep("output", velocity);
  return velocity;
}

}  // namespace icedit
