#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "adapters/save.h"
#include "base/error.h"
#include "base/log.h"
#include "cli/command.h"
#include "cli/temporary_folder.h"
#include "edit/model_files.h"
#include "edit/warnings.h"
#include "nn/weights.h"

namespace icedit::cli {
namespace {

namespace fs = std::filesystem;

// What the program would print on stdout.
std::string run(const Arguments& arguments) {
  testing::internal::CaptureStdout();
  try {
    run_convert(arguments);
  } catch (...) {
    testing::internal::GetCapturedStdout();
    throw;
  }
  return testing::internal::GetCapturedStdout();
}

class Convert : public testing::Test {
 protected:
  Convert() { log::set_level(log::Level::kQuiet); }

  // Alpha differs from the rank.
  std::string adapter(const std::string& name) {
    AdapterFile file;
    for (const char* module : {"transformer_blocks.0.attn.to_q", "transformer_blocks.0.attn.to_k",
                               "transformer_blocks.0.attn.to_v"}) {
      file.modules.push_back(
          {.module = module, .a = {at::randn({4, 24})}, .b = {at::randn({24, 4})}, .alpha = 6});
    }
    save_adapter(folder_ / name, file, AdapterLayout::kDiffusers);
    return folder_ / name;
  }

  CommandFolder folder_;
};

ModelFiles model_at(const std::string& place) {
  ModelRequest request;
  request.model = place;
  return ModelFiles::find(request);
}

Tensor delta(const AdapterModule& lora) {
  return at::matmul(lora.b[0].to(at::kFloat), lora.a[0].to(at::kFloat)) * lora.scaling();
}

const AdapterModule& module_of(const AdapterFile& file, const std::string& name) {
  for (const AdapterModule& lora : file.modules) {
    if (lora.module == name) return lora;
  }
  throw std::runtime_error(name + " is missing");
}

TEST_F(Convert, EveryLayoutKeepsTheChange) {
  const std::string start = adapter("a.safetensors");
  const AdapterFile before = AdapterFile::open(start);
  EXPECT_EQ(run({start, "--format", "peft", "-o", folder_ / "peft"}),
            folder_ / "peft/adapter_model.safetensors" + "\n");
  run({folder_ / "peft", "--format", "kohya", "-o", folder_ / "kohya.safetensors"});
  run({folder_ / "kohya.safetensors", "-o", folder_ / "back"});
  for (const std::string& name : {folder_ / "peft", folder_ / "back"}) {
    const AdapterFile after = AdapterFile::open(name);
    ASSERT_EQ(after.modules.size(), 3u);
    for (const AdapterModule& lora : before.modules) {
      EXPECT_TRUE(at::allclose(delta(lora), delta(module_of(after, lora.module)), 1e-5, 1e-5))
          << name << " " << lora.module;
    }
  }
  EXPECT_EQ(module_of(AdapterFile::open(folder_ / "peft"), before.modules[0].module).alpha, 6);
}

TEST_F(Convert, ScaleAndDtype) {
  const std::string start = adapter("a.safetensors");
  run({start + ":-0.5", "--dtype", "bf16", "-o", folder_ / "half.safetensors"});
  const AdapterFile before = AdapterFile::open(start);
  const AdapterFile after = AdapterFile::open(folder_ / "half.safetensors");
  EXPECT_EQ(after.modules.at(0).a[0].scalar_type(), at::kBFloat16);
  for (const AdapterModule& lora : before.modules) {
    EXPECT_TRUE(at::allclose(delta(lora) * -0.5, delta(module_of(after, lora.module)), 0.02, 0.05));
  }
}

TEST_F(Convert, NothingIsOverwrittenUnasked) {
  const std::string start = adapter("a.safetensors"), other = adapter("b.safetensors");
  const std::string before = read_file(other);
  std::string error = error_of<UsageError>([&] { run({start, "-o", other}); });
  EXPECT_NE(error.find("exists already"), std::string::npos) << error;
  EXPECT_EQ(read_file(other), before);
  run({start, "-o", other, "--force"});
  EXPECT_NE(read_file(other), before);
  error = error_of<UsageError>([&] { run({start, "-o", start, "--force"}); });
  EXPECT_NE(error.find("is the adapter itself"), std::string::npos) << error;
}

TEST_F(Convert, WrongRequests) {
  const std::string start = adapter("a.safetensors");
  const auto fails = [&](const Arguments& arguments, const std::string& words) {
    const std::string error = error_of<Error>([&] { run(arguments); });
    EXPECT_NE(error.find(words), std::string::npos) << error;
  };
  fails({start}, "Give -o");
  fails({"-o", folder_ / "x"}, "which adapter?");
  fails({start, start, "-o", folder_ / "x"}, "one adapter is converted at a time");
  fails({start + ":0", "-o", folder_ / "x"}, "scale 0");
  fails({start, "--format", "comfy", "-o", folder_ / "x"}, "expected diffusers, peft or kohya");
  fails({folder_ / "none", "-o", folder_ / "x"}, "none");
  fails({"--merge", "--no-lora", "-o", folder_ / "x"}, "no adapter");
  AdapterFile mixture;
  mixture.modules = {{.module = "transformer_blocks.0.attn.to_q",
                      .a = {at::ones({2, 256}), at::ones({2, 256})},
                      .b = {at::ones({256, 2}), at::ones({256, 2})},
                      .route = at::ones({2, 256})}};
  save_adapter(folder_ / "moe.safetensors", mixture, AdapterLayout::kDiffusers);
  fails({"--merge", "--model", "nano", "--lora", folder_ / "moe.safetensors", "-o", folder_ / "x"},
        "cannot be merged");
  fails({"--merge", "--format", "peft", "-o", folder_ / "x"}, "--format is for adapters");
  // Of other shapes than nano's.
  fails({"--merge", "--model", "nano", "--lora", start, "-o", folder_ / "x"}, "to_");
  fs::create_directories(folder_ / "photos");
  fails({"--merge", "--model", "nano", "-o", folder_ / "photos", "--force"}, "is no model folder");
  EXPECT_FALSE(fs::exists(folder_ / "x"));
}

TEST_F(Convert, TheMergedModelHasTheSumOfWeightAndChanges) {
  const std::string out = folder_ / "merged";
  const std::string lora = (Path(ICEDIT_SOURCE) / "models/nano/lora").string();
  run({"--merge", "--model", "nano", "--lora", lora + ":0.5", "--lora", lora + ":0.25", "--dtype",
       "f32", "--max-shard-size", "0.002", "-o", out});
  const ModelFiles base = model_at("nano");
  const ModelFiles merged = model_at(out);
  EXPECT_TRUE(merged.defaults().lora.empty());
  EXPECT_EQ(merged.defaults().width, base.defaults().width);
  ASSERT_EQ(merged.defaults().merged.size(), 2u);
  EXPECT_EQ(merged.defaults().merged[0].name, "lora");
  EXPECT_EQ(merged.defaults().merged[1].name, "lora (2)");
  EXPECT_EQ(merged.defaults().merged[0].scale, 0.5);
  ResidencyOptions adapters;
  const auto warning = [&] { return adapter_warning(Residency(merged, adapters), false); };
  EXPECT_EQ(warning(), "");  // no adapter, and none is missed
  adapters.adapters = {{lora, 1}};
  EXPECT_NE(warning().find("is merged into"), std::string::npos) << warning();
  EXPECT_EQ(adapter_warning(Residency(base, adapters), false), "");
  EXPECT_NE(adapter_warning(Residency(base, {}), false).find("--lora"), std::string::npos);
  EXPECT_EQ(adapter_warning(Residency(base, {}), true), "");
  const AdapterFile adapter = AdapterFile::open(lora);
  const Checkpoint a = base.open(Part::kTransformer).checkpoint;
  const Checkpoint b = merged.open(Part::kTransformer).checkpoint;
  EXPECT_GT(b.files().size(), 1u);  // shards
  ASSERT_EQ(a.entries().size(), b.entries().size());
  for (const auto& [name, entry] : a.entries()) {
    Tensor expected = mapped_tensor(entry).to(at::kFloat);
    for (const AdapterModule& module : adapter.modules) {
      if (module.module + ".weight" == name) expected = expected + 0.75 * delta(module);
    }
    EXPECT_TRUE(at::allclose(mapped_tensor(b.entry(name)), expected, 1e-5, 1e-6)) << name;
  }
  for (const Part part : {Part::kT5, Part::kClip, Part::kVae}) {
    const Checkpoint one = base.open(part).checkpoint, other = merged.open(part).checkpoint;
    ASSERT_EQ(one.entries().size(), other.entries().size());
    for (const auto& [name, entry] : one.entries()) {
      EXPECT_TRUE(at::equal(mapped_tensor(entry).to(at::kFloat), mapped_tensor(other.entry(name))))
          << name;
    }
  }
  EXPECT_TRUE(fs::exists(merged.tokenizer() / "vocab.json"));
  EXPECT_TRUE(fs::exists(merged.tokenizer_2() / "spiece.model"));

  // As stored; over the one before only when that is asked for.
  const Arguments again = {"--merge", "--model", "nano", "-o", out};
  const std::string error = error_of<UsageError>([&] { run(again); });
  EXPECT_NE(error.find("exists already"), std::string::npos) << error;
  Arguments forced = again;
  forced.push_back("--force");
  run(forced);
  const Checkpoint stored = model_at(out).open(Part::kTransformer).checkpoint;
  for (const auto& [name, entry] : a.entries())
    EXPECT_EQ(stored.entry(name).info.dtype, entry.info.dtype) << name;
  const std::string itself = error_of<UsageError>([&] {
    run({"--merge", "--model", out, "--lora", lora, "-o", out, "--force"});
  });
  EXPECT_NE(itself.find("is the model that is read"), std::string::npos) << itself;
}

}  // namespace
}  // namespace icedit::cli
