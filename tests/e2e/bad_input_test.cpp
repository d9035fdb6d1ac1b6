// Everything that can be wrong with what a user gives: the documented exit code, one sentence, and
// no file left behind.
#include <algorithm>
#include <cstring>

#include "base/str.h"
#include "e2e/program.h"

namespace icedit::e2e {
namespace {

class BadInput : public Program {
 protected:
  BadInput() {
    copy(asset("desert-car.png"), "car.png");
    copy(golden("image/icedit_0_source.png"), "small.png");
  }

  // A copy of tiny-fill outside of the working folder, with one file changed.
  std::string broken(const std::string& file, const std::function<void(std::string&)>& change) {
    const Path model = beside("model");
    fs::remove_all(model);
    fs::copy(golden("tiny-fill"), model, fs::copy_options::recursive);
    std::string bytes = read_file(model / file);
    change(bytes);
    std::ofstream(model / file, std::ios::binary) << bytes;
    return model.string();
  }

  void expect_edit_failure(const std::vector<std::string>& arguments, int code,
                           const std::string& message) {
    std::vector<std::string> all = {"edit",    "small.png", "make it red", "-o", "out.png",
                                    "--width", "64",        "--steps",     "1"};
    all.insert(all.end(), arguments.begin(), arguments.end());
    expect_failure(all, code, message);
  }
};

constexpr const char* kTransformer = "transformer/diffusion_pytorch_model.safetensors";

// The bytes of a tensor in a safetensors file: {begin, end}.
std::pair<size_t, size_t> place(const std::string& bytes, const std::string& tensor) {
  uint64_t header = 0;
  std::memcpy(&header, bytes.data(), sizeof header);
  const size_t at = bytes.find("\"data_offsets\":[", bytes.find("\"" + tensor + "\""));
  size_t begin = 0, end = 0;
  std::sscanf(bytes.c_str() + at, "\"data_offsets\":[%zu,%zu]", &begin, &end);
  return {8 + header + begin, 8 + header + end};
}

TEST_F(BadInput, ModelsThatAreNotThere) {
  expect_edit_failure({"--model", "/nowhere/model"}, 69, "/nowhere/model");
  expect_edit_failure({"--model", "work"}, 69, "work");
  fs::create_directory(work() / "empty");
  expect_edit_failure({"--model", "empty"}, 69, "model_index.json");
  setenv("HF_HUB_CACHE", beside("cache").c_str(), 1);
  expect_edit_failure({"--model", "black-forest-labs/FLUX.1-Fill-dev"}, 69, "hf auth login");
  expect_edit_failure({"--model", "black-forest-labs/FLUX.1-Fill-dev"}, 69,
                      "hf download black-forest-labs/FLUX.1-Fill-dev");
  expect_edit_failure({"--lora", "RiverZ/normal-lora:0.5"}, 69, "hf download RiverZ/normal-lora");
  unsetenv("HF_HUB_CACHE");
  expect_edit_failure({"--model", "nanoo"}, 69, "did you mean 'nano'?");
}

TEST_F(BadInput, CheckpointsThatAreDamaged) {
  expect_edit_failure(
      {"--model", broken(kTransformer, [](auto& bytes) { bytes.resize(bytes.size() / 2); })}, 1,
      kTransformer);
  expect_edit_failure({"--model", broken(kTransformer, [](auto& bytes) { bytes.resize(5); })}, 1,
                      kTransformer);
  expect_edit_failure(
      {"--model", broken(kTransformer, [](auto& bytes) { bytes += std::string(4096, 'x'); })}, 1,
      kTransformer);
  expect_edit_failure({"--model", broken(kTransformer, [](auto& bytes) { bytes[7] = 0x7f; })}, 1,
                      kTransformer);
  expect_edit_failure({"--model", broken("vae/config.json", [](auto& text) { text = "{"; })}, 1,
                      "vae/config.json");
  expect_edit_failure({"--model", broken("transformer/config.json",
                                         [](auto& text) {
                                           const size_t at = text.find("\"num_layers\": ");
                                           text.replace(at + 14, 1, "9");
                                         })},
                      1, "transformer_blocks.2");
}

TEST_F(BadInput, CheckpointsOfAnotherKind) {
  expect_edit_failure({"--model", golden("tiny-fill"), "--transformer", golden("tiny-fill/vae")}, 1,
                      "VAE");
  expect_edit_failure({"--model", golden("tiny-fill"), "--vae", golden("tiny-fill/text_encoder")},
                      1, "VAE");
  expect_edit_failure({"--model", golden("tiny-fill"), "--transformer",
                       (Path(ICEDIT_SOURCE) / "models/nano/model/vae").string()},
                      1, "VAE");
  expect_edit_failure({"--model", broken("model_index.json",
                                         [](auto& text) {
                                           const size_t at = text.find("FluxFillPipeline");
                                           text.replace(at, 16, "FluxPipeline");
                                         })},
                      1, "expected FluxFillPipeline");
  // Whole numbers where there should be weights.
  expect_edit_failure({"--model", broken(kTransformer,
                                         [](auto& bytes) {
                                           const size_t at = bytes.find("\"proj_out.weight\"");
                                           bytes.replace(bytes.find("\"F32\"", at), 5, "\"I32\"");
                                         })},
                      1, "proj_out.weight");
}

TEST_F(BadInput, NotANumberIsFound) {
  const auto fill = [](const std::string& tensor) {
    return [tensor](std::string& bytes) {
      const auto [begin, end] = place(bytes, tensor);
      std::fill(bytes.begin() + long(begin), bytes.begin() + long(end), char(0xff));
    };
  };
  expect_edit_failure({"--model", broken(kTransformer, fill("proj_out.weight"))}, 1,
                      "'proj_out.weight' holds NaN");
  expect_edit_failure({"--model", broken("vae/diffusion_pytorch_model.safetensors",
                                         fill("decoder.conv_out.weight"))},
                      1, "NaN");
}

TEST_F(BadInput, AdaptersThatDoNotFit) {
  const std::vector<std::string> tiny = {"--model", golden("tiny-fill")};
  const auto with = [&](const std::string& lora) {
    std::vector<std::string> all = tiny;
    all.insert(all.end(), {"--lora", lora});
    return all;
  };
  expect_edit_failure(with((Path(ICEDIT_SOURCE) / "models/nano/lora").string()), 1, "nano/lora");
  expect_edit_failure(with(golden("vae/vae_48x32.safetensors")), 1, "no LoRA");
  expect_edit_failure(with("nowhere.safetensors"), 69, "nowhere.safetensors");
  write("x.bin", "pickle");
  expect_edit_failure(with("x.bin"), 69, "pickle");
  std::string zero = read_file(golden("lora/alpha4/pytorch_lora_weights.safetensors"));
  for (size_t at = 0; (at = zero.find("lora_B.weight\"", at)) != std::string::npos; ++at) {
    const size_t open = zero.rfind('"', at);
    const auto [begin, end] = place(zero, zero.substr(open + 1, at + 13 - open - 1));
    std::fill(zero.begin() + long(begin), zero.begin() + long(end), 0);
  }
  write("zero.safetensors", zero);
  expect_edit_failure(with("zero.safetensors"), 1, "zero");
}

TEST_F(BadInput, PicturesThatCannotBeRead) {
  const auto picture = [&](const std::string& name, const std::string& bytes,
                           const std::string& message) {
    write(name, bytes);
    expect_failure({"edit", name, "make it red", "-o", "out.png"}, 66, message);
  };
  const std::string png = read_file(work() / "car.png");
  picture("text.png", "this is no picture", "text.png");
  picture("empty.png", "", "empty.png");
  picture("half.png", png.substr(0, png.size() / 2), "half.png");
  picture("photo.heic",
          std::string("\0\0\0\x18"
                      "ftypheic\0\0\0\0heicmif1",
                      24),
          "HEIC");
  std::string huge = png;
  huge.replace(16, 8,
               std::string("\x00\x01\x86\xa0\x00\x01\x86\xa0", 8));  // 100000 x 100000 in IHDR
  picture("huge.png", huge, "huge.png");
  expect_failure({"edit", "car.png", "x", "-o", "out.png", "--max-pixels", "1000"}, 66,
                 "max-pixels");
  expect_failure({"edit", "nowhere.png", "x", "-o", "out.png"}, 66, "nowhere.png");
  picture("my photo.gif", "GIF89a", "`convert 'my photo.gif[0]' 'my photo.png'`");
  expect_failure({"edit", "-", "make it red", "-o", "out.png"}, 66, "save it to a file first");
  expect_failure({"edit", "https://x.org/a b.png", "make it red", "-o", "out.png"}, 66,
                 "curl -L -o photo.png 'https://x.org/a b.png'");
  expect_failure({"edit", "/dev/null", "make it red", "-o", "out.png"}, 66, "to a file first");
}

TEST_F(BadInput, InstructionsAndValues) {
  expect_failure({"edit", "car.png", "", "-o", "out.png"}, 2, "no instruction");
  expect_failure({"edit", "car.png", "-o", "out.png"}, 2, "no instruction");
  expect_failure({"edit", "car.png", "x", "-o", "out.png", "--steps", "0"}, 2, "--steps is '0'");
  expect_failure({"edit", "car.png", "x", "-o", "out.png", "--width", "50"}, 2, "multiple of");
  expect_failure({"edit", "car.png", "x", "-o", "out.gif"}, 2, ".gif");
  expect_failure({"edit", "car.png", "x", "-o", "car.png"}, 2, "input itself");
  expect_failure({"edit", "car.png", "x", "-o", "small.png"}, 2, "exists already");
  expect_failure({"edit", "car.png", "x", "-o", "https://x.org/a.png"}, 2, "is a URL");
  expect_failure({"edit", "car.png", "x", "-o", "https://x.org/a"}, 2, "is a URL");
  expect_failure({"edit", "car.png", "x", "--dtype", "f16"}, 2, "auto, f32");
}

TEST_F(BadInput, NoGpuWhereOneIsAskedFor) {
  if (fs::exists("/dev/nvidia0")) GTEST_SKIP() << "this machine has a GPU";
  expect_edit_failure({"--device", "cuda"}, 69, "--device cpu");
  expect_edit_failure({"--device", "cuda:1"}, 69, "NVIDIA");
  expect_edit_failure({"--device", "tpu"}, 2, "--device is 'tpu'");
}

TEST_F(BadInput, AFullDisk) {
  const auto before = files();
  const Result result =
      run({"edit", "car.png", "make it red", "--steps", "1", "-o", "out/out.png"}, {6000, ""});
  EXPECT_EQ(result.code, 74) << result.err;
  EXPECT_TRUE(has(result.err, "out.png")) << result.err;
  EXPECT_EQ(files(), before);
  for (const std::string type : {"int4", "q4_0"}) {
    const std::string name = "model" + std::string(type == "q4_0" ? ".gguf" : ".safetensors");
    const Result cut =
        run({"convert", "--quant", type, "--model", "nano", "-o", name}, {500000, ""});
    EXPECT_EQ(cut.code, 74) << cut.err;
    EXPECT_TRUE(has(cut.err, name)) << cut.err;
    EXPECT_EQ(files(), before);
  }
  if (!fs::exists("/dev/full")) return;
  const Result full = run({"inspect", "car.png"}, {RLIM_INFINITY, "/dev/full"});
  EXPECT_EQ(full.code, 74) << full.err;
}

TEST_F(BadInput, AFolderWithoutPermission) {
  if (geteuid() == 0) GTEST_SKIP() << "root may write everywhere";
  fs::create_directory(work() / "closed");
  fs::permissions(work() / "closed", fs::perms::owner_read | fs::perms::owner_exec);
  expect_failure({"edit", "car.png", "x", "-o", "closed/out.png"}, 74, "permission");
}

TEST_F(BadInput, ACopyOfTheProgramAloneSaysHowAModelIsNamed) {
  fs::copy_file(ICEDIT_BINARY, work() / "icedit");
  const auto run_copy = [&](const std::string& arguments) {
    const std::string in = work().string(), to = " >/dev/null 2>error";
    const int status =
        std::system(str("cd '", in, "' && ./icedit edit car.png x ", arguments, to).c_str());
    return std::pair(WEXITSTATUS(status), read_file(work() / "error"));
  };
  const auto [code, error] = run_copy("-o out.png");
  EXPECT_EQ(code, 69);
  EXPECT_TRUE(has(error,
                  "a copy of the program alone has none: install it with `cmake "
                  "--install`, link to it, or name a model's folder with --model"))
      << error;
  const std::string named =
      "--no-lora --width 64 --steps 1 -o out.png --model " + golden("tiny-fill");
  EXPECT_EQ(run_copy(named).first, 0) << read_file(work() / "error");
}

}  // namespace
}  // namespace icedit::e2e
