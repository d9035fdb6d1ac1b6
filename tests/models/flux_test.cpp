#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "base/error.h"
#include "flux_inputs.h"
#include "models/flux/traced.h"

namespace icedit {
namespace {

FluxTransformer load(const std::string& folder, const LoadOptions& options = {}) {
  const Path path = golden::path(folder);
  return FluxTransformer::load(Checkpoint::open(path), JsonFile(path / "config.json"), options);
}

using golden::flux_inputs, golden::forward, golden::FluxInputs;

Tensor traced(const FluxTransformer& model, const FluxInputs& in, Trace& trace) {
  return traced_forward(model, in.x, in.conditioning, in.t, in.guidance, trace);
}

TEST(Flux, EveryIntermediateIsDiffusers) {
  const auto golden = golden::load("transformer/forward.safetensors");
  const FluxTransformer model = load("tiny-fill/transformer");
  Trace trace;
  traced(model, flux_inputs(golden), trace);
  std::map<std::string, Tensor> got(trace.tensors().begin(), trace.tensors().end());
  int compared = 0;
  for (const auto& [name, want] : golden) {
    if (name.rfind("input.", 0) == 0) continue;
    const std::string key = name.rfind("out.", 0) == 0 ? name.substr(4) : name;
    ASSERT_TRUE(got.count(key)) << name << " is not traced";
    EXPECT_TRUE(golden::close(got[key], want, golden::tolerance::kTransformer)) << name;
    ++compared;
  }
  EXPECT_GT(compared, 25);
}

TEST(Flux, TracingChangesNothing) {
  const FluxInputs in = flux_inputs(golden::load("transformer/forward.safetensors"));
  const FluxTransformer model = load("tiny-fill/transformer");
  Trace trace;
  EXPECT_TRUE(golden::equal(traced(model, in, trace), forward(model, in)));
}

TEST(Flux, WhatIsAroundABlockIsCalledInItsPlace) {
  const FluxInputs in = flux_inputs(golden::load("transformer/forward.safetensors"));
  const FluxTransformer model = load("tiny-fill/transformer");
  std::string paths;
  const auto noting = [&](const BlockCall& call) {
    paths += call.path + "\n";
    return call();
  };
  EXPECT_TRUE(golden::equal(forward(model, in, noting), forward(model, in)));
  EXPECT_EQ(paths,
            "transformer_blocks.0\ntransformer_blocks.1\nsingle_transformer_blocks.0\n"
            "single_transformer_blocks.1\nsingle_transformer_blocks.2\n");
  const auto leaving_out = [](const BlockCall& call) {
    return call.path.starts_with("single") ? Tensors{call.in[0]} : call();
  };
  EXPECT_FALSE(golden::equal(forward(model, in, leaving_out), forward(model, in)));
}

TEST(Flux, ShardedHalfPrecisionCheckpointGivesTheSameInF32) {
  const auto golden = golden::load("transformer/forward.safetensors");
  for (const bool keep_stored : {false, true}) {
    LoadOptions options;
    options.keep_stored = keep_stored;
    const FluxTransformer model = load("tiny-fill-sharded/transformer", options);
    EXPECT_TRUE(golden::close(forward(model, flux_inputs(golden)),
                              golden::get(golden, "out.output"), golden::tolerance::kTransformer))
        << "keep_stored " << keep_stored;
  }
}

TEST(Flux, Bf16) {
  const auto golden = golden::load("transformer/forward.safetensors");
  const auto want = golden::get(golden::load("transformer/forward_bf16.safetensors"), "out.output");
  LoadOptions options;
  options.compute = at::kBFloat16;
  const FluxTransformer model = load("tiny-fill-sharded/transformer", options);
  const Tensor got = forward(model, flux_inputs(golden, at::kBFloat16));
  EXPECT_EQ(got.scalar_type(), at::kBFloat16);
  EXPECT_TRUE(golden::close(got, want, golden::tolerance::of(at::kBFloat16, 0)));
}

TEST(Flux, ModulationsMadeAheadAreThoseOfEachStep) {
  const auto golden = golden::load("transformer/forward.safetensors");
  const FluxTransformer model = load("tiny-fill/transformer");
  const FluxInputs in = flux_inputs(golden);
  std::vector<std::string> calls;
  const auto around = [&](const BlockCall& call) {
    calls.push_back(call.path);
    return call();
  };
  const Tensors times = {in.t, in.t * 0.5, in.t * 0.25};
  const auto ahead =
      model.modulations(times, in.guidance, in.conditioning.pooled_prompt_embeds, around);
  ASSERT_EQ(ahead.size(), times.size());
  for (size_t i = 0; i < times.size(); ++i) {
    EXPECT_TRUE(golden::equal(model.forward(in.x, in.conditioning, ahead[i]),
                              model.forward(in.x, in.conditioning, times[i], in.guidance)));
  }
  ASSERT_FALSE(calls.empty());
  EXPECT_EQ(calls.front(), "transformer_blocks.0.modulation");
  EXPECT_EQ(std::set<std::string>(calls.begin(), calls.end()).size(), calls.size());  // once each
}

// What is kept of tokens is what a call with them would have made of them: of the same latents the
// others come out alike.
TEST(Flux, TokensThatAreLeftOutAreAttendedToAsTheyWere) {
  const auto golden = golden::load("transformer/forward.safetensors");
  const FluxTransformer model = load("tiny-fill/transformer");
  const FluxInputs in = flux_inputs(golden);
  const auto m = model.modulations({in.t}, in.guidance, in.conditioning.pooled_prompt_embeds)[0];
  const int64_t image = in.x.size(1), text = in.conditioning.prompt_embeds.size(1);
  Tensor left_out = at::zeros({image}, at::kBool);
  left_out.slice(0, 1, image, 3).fill_(true);  // they need not lie together
  KeptTokens kept(left_out);
  kept.keep(text, m.double_blocks.size() + m.single_blocks.size());
  const Tensor whole = model.forward(in.x, in.conditioning, m, {}, &kept);
  EXPECT_TRUE(golden::equal(whole, model.forward(in.x, in.conditioning, m)));

  kept.leave_out();
  int64_t tokens = 0;
  const auto count = [&](const BlockCall& call) {
    tokens = call.in[0].size(1);  // the last block's: all that are there
    return call();
  };
  const Tensor changed = in.x.index_fill(1, left_out.nonzero().flatten(), 9);  // not looked at
  const Tensor part = model.forward(changed, in.conditioning, m, count, &kept);
  EXPECT_EQ(tokens, text + image - left_out.sum().item<int64_t>());
  const Tensor wanted = whole.index_select(1, kept.active());
  EXPECT_LT((part - wanted).abs().max().item<float>(), 1e-5 * wanted.abs().max().item<float>());
}

TEST(Flux, RotaryTables) {
  const auto golden = golden::load("transformer/rope.safetensors");
  const std::map<std::string, std::vector<int64_t>> axes = {
      {"0", {4, 6, 6}}, {"1", {4, 6, 6}}, {"full", {16, 56, 56}}};
  for (const auto& [name, sizes] : axes) {
    const Rope rope = rotary_tables(golden::get(golden, name + ".ids"), sizes);
    EXPECT_TRUE(
        golden::close(rope.cos, golden::get(golden, name + ".cos"), golden::tolerance::kRope))
        << name;
    EXPECT_TRUE(
        golden::close(rope.sin, golden::get(golden, name + ".sin"), golden::tolerance::kRope))
        << name;
  }
}

TEST(Flux, TimestepSinusoids) {
  const auto golden = golden::load("transformer/timestep_embedding.safetensors");
  EXPECT_TRUE(golden::close(timestep_sinusoids(golden::get(golden, "t")),
                            golden::get(golden, "embedding"),
                            golden::tolerance::kTimestepEmbedding));
}

// How far diffusers, which computes all of it in f32, may be off: tests/goldens/README.md.
Tensor conditioning(const Tensor& t) {
  const Tensor exponent = at::arange(0, 128, at::kDouble) * (std::log(10000.0) / 128);
  const Tensor angle = at::outer(t.to(at::kDouble), at::exp(-exponent));
  const Tensor bound = angle * (2 * exponent + 4) * 0x1p-24 + 0x1p-23;
  return at::cat({bound, bound}, 1);
}

// diffusers' formula, with the f32 functions of the CPU at hand.
Tensor sinusoids_in_f32(const Tensor& t) {
  const Tensor frequency = at::exp(-std::log(10000.0) * at::arange(0, 128, at::kFloat) / 128);
  const Tensor angle = t.unsqueeze(1) * frequency;
  return at::cat({angle.cos(), angle.sin()}, 1);
}

TEST(Flux, SinusoidsOfDiffusersAsItIsDifferByTheAnglesConditioning) {
  const auto golden = golden::load("transformer/timestep_embedding_unpatched.safetensors");
  const Tensor t = golden::get(golden, "t"), theirs = golden::get(golden, "embedding");
  const auto off = [&](const Tensor& other) { return (other - timestep_sinusoids(t)).abs(); };
  const auto share = [&](const Tensor& other) {  // of what is allowed, at the worst place
    return (off(other) / conditioning(t)).max().item<double>();
  };
  EXPECT_LE(share(theirs), 1);
  EXPECT_LE(share(sinusoids_in_f32(t)), 1);
  // It is no empty bound: a CPU's last bits take half of it, and a t that is off by 1e-6 breaks it.
  EXPECT_GT(off(theirs).max().item<double>(), 1e-3);
  EXPECT_GT(share(theirs), 0.4);
  EXPECT_GT(share(timestep_sinusoids(t * (1 + 1e-6))), 1);
}

TEST(Flux, WrongInputsAreNamed) {
  const auto golden = golden::load("transformer/forward.safetensors");
  const FluxTransformer model = load("tiny-fill/transformer");
  FluxInputs in = flux_inputs(golden);
  in.conditioning.prompt_embeds = at::zeros({1, 7, 31});
  try {
    forward(model, in);
    FAIL() << "no error";
  } catch (const UsageError& error) {
    EXPECT_STREQ(error.what(), "encoder_hidden_states: expected [1, *, 32], got [1, 7, 31]");
  }
}

TEST(Flux, ConfigsThatDoNotHoldTogether) {
  const auto parse = [](const std::string& text) {
    return FluxConfig::from(JsonFile::parse(text, "x.json"));
  };
  EXPECT_THROW(parse(R"({"_class_name": "UNet2DConditionModel"})"), CheckpointError);
  EXPECT_THROW(parse(R"({"axes_dims_rope": [16, 56, 58]})"), CheckpointError);
  EXPECT_THROW(parse(R"({"num_layers": -1})"), CheckpointError);
  EXPECT_THROW(parse(R"({"num_attention_heads": 0})"), CheckpointError);
  EXPECT_THROW(parse(R"({"patch_size": 2})"), CheckpointError);
  EXPECT_NO_THROW(parse("{}"));
}

}  // namespace
}  // namespace icedit
