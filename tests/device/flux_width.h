#pragma once
// tiny-fill with a transformer of FLUX's width, whose file is a hole of zeros: what it takes of
// memory is that of a real one. Header only.
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "edit/model_files.h"
#include "golden.h"
#include "io/temporary_folder.h"

namespace icedit {

class FluxWidthModel {
 public:
  static constexpr int64_t kHead = 128, kSingleBlocks = 3;

  explicit FluxWidthModel(int64_t hidden = 3072) : hidden_(hidden) {
    namespace fs = std::filesystem;
    for (const auto& entry : fs::directory_iterator(golden::path("tiny-fill")))
      if (entry.path().filename() != "transformer")
        fs::create_symlink(entry.path(), folder_ / entry.path().filename());
    fs::create_directory(folder_ / "transformer");
    auto config =
        nlohmann::json::parse(read_file(golden::path("tiny-fill/transformer/config.json")));
    config["attention_head_dim"] = kHead;
    config["num_attention_heads"] = hidden_ / kHead;
    config["axes_dims_rope"] = {16, 56, 56};
    config["num_layers"] = 0;
    config["num_single_layers"] = kSingleBlocks;
    std::ofstream(folder_ / "transformer/config.json") << config.dump();
    add_tensors();
    write();
  }

  ModelFiles files() const {
    ModelRequest request;
    request.model = folder_.path().string();
    return ModelFiles::find(request);
  }

 private:
  void add(const std::string& name, const Shape& shape) {
    const uint64_t begin = end_;
    uint64_t elements = 1;
    for (const int64_t size : shape) elements *= uint64_t(size);
    end_ += 4 * elements;
    header_[name] = {{"dtype", "F32"}, {"shape", shape}, {"data_offsets", {begin, end_}}};
  }
  void add_linear(const std::string& path, int64_t out, int64_t in) {
    add(path + ".weight", {out, in});
    add(path + ".bias", {out});
  }

  void add_tensors() {
    const int64_t h = hidden_, kText = 32;
    add_linear("x_embedder", h, 384);
    add_linear("context_embedder", h, kText);
    for (const auto& [name, in] :
         {std::pair{"timestep", int64_t{256}}, {"guidance", 256}, {"text", kText}}) {
      const std::string path = str("time_text_embed.", name, "_embedder.linear_");
      add_linear(path + "1", h, in);
      add_linear(path + "2", h, h);
    }
    for (int64_t i = 0; i < kSingleBlocks; ++i) {
      const std::string path = str("single_transformer_blocks.", i, ".");
      add_linear(path + "norm.linear", 3 * h, h);
      add_linear(path + "proj_mlp", 4 * h, h);
      add_linear(path + "proj_out", h, 5 * h);
      for (const char* name : {"to_q", "to_k", "to_v"}) add_linear(path + "attn." + name, h, h);
      for (const char* name : {"norm_q", "norm_k"}) add(path + "attn." + name + ".weight", {kHead});
    }
    add_linear("norm_out.linear", 2 * h, h);
    add_linear("proj_out", 64, h);
  }

  void write() const {
    namespace fs = std::filesystem;
    const Path file = folder_ / "transformer/diffusion_pytorch_model.safetensors";
    std::string header = header_.dump();
    header.resize((header.size() + 7) / 8 * 8, ' ');
    const uint64_t size = header.size();
    std::ofstream(file, std::ios::binary).write(reinterpret_cast<const char*>(&size), sizeof size)
        << header;
    fs::resize_file(file, sizeof size + size + end_);
  }

  int64_t hidden_;
  TemporaryFolder folder_;
  nlohmann::json header_;
  uint64_t end_ = 0;
};

}  // namespace icedit
