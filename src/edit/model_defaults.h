#pragma once
// What a model says of itself: icedit.json in its folder.
#include <string>
#include <vector>

#include "io/files.h"
#include "io/json.h"

namespace icedit {

// An adapter that is part of a model's weights.
struct MergedAdapter {
  std::string name;
  double scale = 1;
  std::string sha256;  // fingerprint's in edit/recipe.h
};

// What a setting of an edit may be, wherever it is given.
inline constexpr int64_t kWidest = 16384;  // pixels of one half
inline constexpr int64_t kMostSteps = 10000;
inline constexpr double kMostGuidance = 10000;
inline constexpr int64_t kMostTokens = 512;  // that T5 reads

// A model folder's icedit.json: defaults that any option overrides. A folder without it gets those
// of FLUX.1 Fill.
struct ModelDefaults {
  int64_t width = 512;  // pixels of one half
  int64_t num_inference_steps = 28;
  double guidance_scale = 50;
  int64_t max_sequence_length = 512;  // T5 tokens
  std::string dtype;                  // "", "float32", "bfloat16", "float16"
  std::string lora;                   // a path, "" for none
  std::vector<MergedAdapter> merged;  // written by `icedit convert --merge`

  // Throws CheckpointError naming an unknown key or a bad value. Relative paths are taken from the
  // file's folder.
  static ModelDefaults read(const Path& file);
};

// The file's content.
Json defaults_json(ModelDefaults defaults);

}  // namespace icedit
