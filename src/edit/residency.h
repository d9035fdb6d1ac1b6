#pragma once
// What is in memory when, in which dtype, on which device: decided here and nowhere else.
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "adapters/attach.h"
#include "edit/model_files.h"
#include "edit/precision.h"
#include "models/clip/text_encoder.h"
#include "models/clip/tokenizer.h"
#include "models/flux/transformer.h"
#include "models/t5/encoder.h"
#include "models/t5/tokenizer.h"
#include "models/vae/autoencoder.h"

namespace icedit {

enum class Keep {
  kOne,         // never two components at once (--low-memory, and a single edit)
  kImageParts,  // text encoders go before the transformer comes; VAE and transformer stay
  kAll          // everything that was used stays: servers, small models
};

struct AdapterRequest {
  std::string path;  // a file, a folder, or an id in the cache
  double scale = 1;
};

// One that was opened and fits the model.
struct EditAdapter {
  std::string name;  // as it was asked for
  double scale = 1;
  FittedAdapter fitted;
};

// Where what the text encoders make is kept (edit/prompt_cache.h).
struct PromptCacheOptions {
  Path folder;                               // "" for none
  uint64_t limit = uint64_t{512} << 20;      // bytes; what was used longest ago goes first
  uint64_t least_bytes = uint64_t{1} << 28;  // of smaller text encoders nothing is kept
};

struct ResidencyOptions {
  DtypeChoice dtype = DtypeChoice::kAuto;
  Quant quant = Quant::kNone;
  std::optional<at::ScalarType> noise_dtype;
  at::Device device = at::kCPU;
  Keep keep = Keep::kOne;
  std::vector<AdapterRequest> adapters;
  bool allow_partial_adapters = false;
  bool allow_zero_adapters =
      false;  // whose B is all zero: an error in an edit, none in a single stage
  PromptCacheOptions prompt_cache = {};
};

class Residency {
 public:
  // Opens the adapters and compares them with the transformer's header. Throws as AdapterFile::open
  // and expect_fit do.
  Residency(ModelFiles files, ResidencyOptions options);

  const ModelFiles& files() const { return files_; }
  const Precision& precision() const { return precision_; }
  Quant quant() const { return options_.quant; }
  at::Device device() const { return options_.device; }
  const PromptCacheOptions& prompt_cache() const { return options_.prompt_cache; }

  // Each loads its component if it is not there, after letting go of those that the policy does not
  // keep beside it.
  const ClipTextEncoder& clip();
  const T5Encoder& t5();
  const AutoencoderKl& vae();
  FluxTransformer& transformer();  // with the adapters attached, and folded where they can be
  const ClipTokenizer& clip_tokenizer();
  const T5Tokenizer& t5_tokenizer();
  const VaeConfig& vae_config() const { return vae_config_; }

  void set_keep(Keep keep) { options_.keep = keep; }
  Keep keep() const { return options_.keep; }
  bool is_loaded(Part part) const;
  void release(Part part);
  void release_text();

  // `what` and the first tensor of the model's files that is not finite, for an error's text.
  std::string explain_not_finite(const std::string& what) const;

  // Switches an adapter on, off or to another scale, loaded or not.
  void set_adapter_scale(size_t index, double scale);
  const std::vector<EditAdapter>& adapters() const { return adapters_; }

 private:
  LoadOptions load_options(const Component& component, Part part) const;
  template <class Model>
  Model& get(std::unique_ptr<Model>& held, Part part);
  void make_room(Part part);
  AttachOptions attach_options(const EditAdapter& adapter) const;
  void open_adapters(const Checkpoint& transformer);

  ModelFiles files_;
  ResidencyOptions options_;
  Precision precision_;
  VaeConfig vae_config_;
  std::vector<EditAdapter> adapters_;
  std::unique_ptr<ClipTokenizer> clip_tokenizer_;
  std::unique_ptr<T5Tokenizer> t5_tokenizer_;
  std::unique_ptr<ClipTextEncoder> clip_;
  std::unique_ptr<T5Encoder> t5_;
  std::unique_ptr<AutoencoderKl> vae_;
  std::unique_ptr<FluxTransformer> transformer_;
  std::vector<LoadedAdapter> attached_;
};

}  // namespace icedit
