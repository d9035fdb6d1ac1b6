#pragma once
// The tensors of a FluxFillPipeline folder, as diffusers and transformers name and shape them, and
// the configs beside them. Written from the public files' headers, not from our models: the two
// check each other.
#include <cstdint>
#include <string>
#include <vector>

namespace icedit::tools {

// FLUX.1 Fill's own sizes.
struct Sizes {
  int64_t double_blocks = 19, single_blocks = 38;
  int64_t hidden = 3072;  // a multiple of 128, the size of a head
  int64_t joint = 4096;   // T5's width, a multiple of 64
  int64_t pooled = 768;   // CLIP's width, a multiple of 64
  int64_t t5_layers = 24, t5_vocab = 32128;
  int64_t clip_layers = 12, clip_vocab = 49408;
  std::vector<int64_t> vae_channels = {128, 256, 512, 512};
};

// Values are normal with this mean and deviation: such that every layer's output is of its input's
// size.
struct RandomTensor {
  std::string name;
  std::vector<int64_t> shape;
  double mean = 0, deviation = 0;
};

struct RandomComponent {
  std::string folder;  // "transformer"
  std::string stem;    // "diffusion_pytorch_model"
  std::string config;  // JSON; @DTYPE@ stands for torch's name of the dtype
  std::vector<RandomTensor> tensors;
};

std::vector<RandomComponent> random_components(const Sizes& sizes);

extern const char* const kModelIndex;       // model_index.json
extern const char* const kSchedulerConfig;  // scheduler/scheduler_config.json

}  // namespace icedit::tools
