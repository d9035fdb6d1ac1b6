// icedit stage: every stage alone on the goldens' own files.
#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include "e2e/program.h"
#include "golden.h"

namespace icedit::e2e {
namespace {

namespace tolerance = golden::tolerance;

class StageRun : public Program {
 protected:
  // Runs the stage and compares every tensor that it writes with the file's of the same name (or
  // `only`).
  void expect_equal(std::vector<std::string> arguments, const std::string& reference,
                    double allowed, size_t least, const std::string& only = "") {
    arguments.insert(arguments.begin(), "stage");
    for (const char* more : {"--model", "tiny-fill", "--out", "out.safetensors", "--force"})
      arguments.push_back(more);
    std::replace(arguments.begin(), arguments.end(), std::string("tiny-fill"),
                 e2e::golden("tiny-fill"));
    const Result result = run(arguments);
    ASSERT_EQ(result.code, 0) << result.err;
    const auto want = golden::load(reference);
    size_t compared = 0;
    for (const auto& [name, tensor] : load_tensors(work() / "out.safetensors")) {
      const auto found = want.find(only.empty() ? name : only);
      if (found == want.end()) continue;
      EXPECT_EQ(tensor.scalar_type(), found->second.scalar_type()) << name;
      EXPECT_TRUE(golden::close(tensor, found->second, allowed)) << arguments[1] << ": " << name;
      ++compared;
    }
    EXPECT_GE(compared, least);
  }
};

TEST_F(StageRun, TokensAndText) {
  const std::string text = "text/text.safetensors";
  expect_equal({"tokenize", "--text", e2e::golden("text/prompts.json"), "--t5-length", "64"}, text,
               0, 2);
  expect_equal({"clip", "--in", e2e::golden(text), "--all"}, text, tolerance::kText, 5);
  expect_equal({"t5", "--in", e2e::golden(text)}, text, tolerance::kText, 1);
}

TEST_F(StageRun, Vae) {
  const std::string vae = "vae/vae_48x32.safetensors";
  expect_equal({"vae-encode", "--in", e2e::golden(vae), "--all"}, vae, tolerance::kVae, 10);
  expect_equal({"vae-decode", "--in", e2e::golden("vae/vae_64x64.safetensors")},
               "vae/vae_64x64.safetensors", tolerance::kVae, 2);
}

TEST_F(StageRun, Transformer) {
  const std::string forward = "transformer/forward.safetensors";
  expect_equal({"transformer", "--in", e2e::golden(forward), "--all"}, forward,
               tolerance::kTransformer, 29);
  expect_equal({"transformer", "--in", e2e::golden("lora/forward.safetensors"), "--lora",
                e2e::golden("lora/kohya/lora.safetensors")},
               "lora/forward.safetensors", tolerance::kLora, 1, "out.kohya.scale1.0");
  expect_equal({"transformer", "--in", e2e::golden("lora/forward.safetensors"), "--lora",
                e2e::golden("lora/alpha4") + ":1", "--lora", e2e::golden("lora/second") + ":0"},
               "lora/forward.safetensors", tolerance::kLora, 1, "out.alpha4.loaded.scale1.0");
  expect_equal({"transformer", "--in", e2e::golden(forward), "--dtype", "bf16", "--transformer",
                e2e::golden("tiny-fill-sharded/transformer")},
               "transformer/forward_bf16.safetensors", 2e-2, 1);
}

TEST_F(StageRun, ScheduleAndDenoising) {
  const std::string pipeline = "pipeline/0_cli.safetensors";
  expect_equal({"schedule", "--height", "64", "--width", "128", "--steps", "4"}, pipeline, 2e-7, 2);
  expect_equal({"denoise", "--in", e2e::golden(pipeline), "--guidance", "50"}, pipeline,
               tolerance::kPipeline, 4);
}

TEST_F(StageRun, Detail) {
  const at::Tensor small =
      at::randint(0, 256, {32, 48, 3}, at::make_generator<at::CPUGeneratorImpl>(1), at::kByte);
  const at::Tensor original = small.repeat_interleave(3, 0).repeat_interleave(3, 1);
  const at::Tensor edit = 255 - small;
  const auto write_input = [&](const at::Tensor& edit, const at::Tensor& reconstruction) {
    save_tensors(work() / "in.safetensors", {{"original", original},
                                             {"source", small},
                                             {"reconstruction", reconstruction},
                                             {"edit", edit}});
  };
  const std::vector<std::string> arguments = {
      "stage", "detail", "--in", "in.safetensors", "--out", "out.safetensors", "--force"};
  write_input(small, small);
  ASSERT_EQ(run(arguments).code, 0);
  std::map<std::string, at::Tensor> out;
  for (auto& [name, tensor] : load_tensors(work() / "out.safetensors")) out[name] = tensor;
  EXPECT_TRUE(at::equal(out.at("result"), original));
  EXPECT_TRUE(at::equal(out.at("map"), at::zeros({32, 48}, at::kByte)));
  EXPECT_EQ(out.at("percent")[0].item<double>(), 100);
  EXPECT_EQ(out.at("registration").size(0), 4);

  write_input(edit, small);
  ASSERT_EQ(run(arguments).code, 0);
  for (auto& [name, tensor] : load_tensors(work() / "out.safetensors")) out[name] = tensor;
  EXPECT_EQ(out.at("percent")[0].item<double>(), 0);
  EXPECT_LT(at::mean((out.at("result").to(at::kFloat) - (255 - original).to(at::kFloat)).abs())
                .item<float>(),
            2);

  write_input(edit, edit.narrow(1, 0, 32).contiguous());
  expect_failure(arguments, 2, "the reconstruction is 32x32 pixels, expected the source's 48x32");
  write_input(edit.to(at::kFloat), small);
  expect_failure(arguments, 1, "tensor 'edit' is F32, expected uint8");
}

TEST_F(StageRun, WhatIsMissingIsNamed) {
  const std::string model = e2e::golden("tiny-fill");
  expect_failure({"stage", "vae-encode", "--model", model, "--in",
                  e2e::golden("transformer/rope.safetensors"), "--out", "o.safetensors"},
                 1, "tensor 'input' is missing");
  expect_failure({"stage", "transformer", "--model", model, "--in",
                  e2e::golden("vae/vae_48x32.safetensors"), "--out", "o.safetensors"},
                 1, "tensor 'input.hidden_states' is missing");
  expect_failure(
      {"stage", "clip", "--model", model, "--in", "nowhere.safetensors", "--out", "o.safetensors"},
      66, "nowhere.safetensors");
  expect_failure({"stage", "clip", "--model", model, "--out", "o.safetensors"}, 2, "--in");
  expect_failure({"stage", "clpi"}, 2, "did you mean 'clip'?");
  expect_failure({"stage", "schedule", "--model", model, "--out", "o.safetensors"}, 2, "--height");
  expect_failure({"stage", "t5", "--model", model, "--in", e2e::golden("text/text.safetensors")}, 2,
                 "--out");
  write("texts.json", "{\"a\": 1}");
  expect_failure(
      {"stage", "tokenize", "--model", model, "--text", "texts.json", "--out", "o.safetensors"}, 1,
      "expected a JSON array of texts");
  write("latin1.json", "[\"caf\xe9\"]");
  expect_failure(
      {"stage", "tokenize", "--model", model, "--text", "latin1.json", "--out", "o.safetensors"}, 2,
      "latin1.json is no valid UTF-8");
}

}  // namespace
}  // namespace icedit::e2e
