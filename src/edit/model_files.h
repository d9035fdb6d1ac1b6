#pragma once
// Where a model's parts lie: a diffusers folder, an id in the Hugging Face cache, the embedded nano
// model, and single files that replace one component each.
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "edit/model_defaults.h"
#include "io/checkpoint.h"
#include "io/json_file.h"

namespace icedit {

// What the user asked for; empty means: from `model`.
struct ModelRequest {
  std::string model;  // a folder, "org/name[@revision]", "nano"; empty: nano, unless all four parts
                      // are given
  std::string transformer, t5, clip, vae;  // a folder or a single file each
  std::string tokenizer, tokenizer_2;      // folders: CLIP's and T5's
};

enum class Part { kTransformer, kT5, kClip, kVae };
constexpr Part kParts[] = {Part::kTransformer, Part::kT5, Part::kClip, Part::kVae};
const char* part_name(
    Part part);  // "transformer", "text_encoder_2", ...: the folder in a diffusers model

// One component's tensors and settings.
struct Component {
  Checkpoint checkpoint;  // by diffusers' (transformers') names
  JsonFile config;
};

class ModelFiles {
 public:
  // Throws ModelUnavailable (nothing there; says where it looked and how to get it),
  // CheckpointError, UsageError.
  static ModelFiles find(const ModelRequest& request);

  const std::string& name() const { return name_; }
  const ModelDefaults& defaults() const { return defaults_; }
  // Opens the component: headers are read, weights are not.
  Component open(Part part) const;
  // All four, opened: while they live, open() reads no headers. For what asks again and again and
  // loads little: what is read of a mapped file stays in memory as long as it is open. Not while
  // another thread opens some.
  std::vector<std::shared_ptr<const Component>> hold_open() const;
  const Path& place(Part part) const { return places_.at(part); }
  Path tokenizer() const;    // CLIP's folder; throws ModelUnavailable that names the option to give
  Path tokenizer_2() const;  // T5's
  JsonFile scheduler() const;

 private:
  std::string name_;
  Path folder_;  // the model's; empty: all four parts were given
  ModelDefaults defaults_;
  std::map<Part, Path> places_;  // a folder or a file
  Path tokenizer_, tokenizer_2_, scheduler_;
  using Held = std::map<Part, std::weak_ptr<const Component>>;
  std::shared_ptr<Held> held_ = std::make_shared<Held>();  // copies share it
};

// The folder of a model that comes with the program ("nano"): share/icedit/models beside bin/, or
// models/ of the source tree.
Path embedded_model(const std::string& name);

// Throws ModelUnavailable that names FOLDER/model, where that is a model.
void expect_no_model_below(const Path& folder);

}  // namespace icedit
