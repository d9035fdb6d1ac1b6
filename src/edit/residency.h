#pragma once
// What is in memory when, in which dtype, on which device: decided here and nowhere else.
#include <memory>
#include <optional>
#include <set>
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
#include "nn/block_stream.h"

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

// Whose matrices are in memory only while they are used (nn/block_stream.h).
struct StreamedParts {
  bool t5 = false;               // its blocks
  bool modulations = false;      // of the transformer's blocks: once a prompt
  std::set<std::string> blocks;  // of the transformer, by path
};

struct ResidencyOptions {
  DtypeChoice dtype = DtypeChoice::kAuto;
  Quant quant = Quant::kNone;
  GgufCompute gguf_compute = GgufCompute::kDequant;
  std::optional<at::ScalarType> noise_dtype;
  at::Device device = at::kCPU;
  Keep keep = Keep::kOne;
  std::vector<AdapterRequest> adapters;
  bool allow_partial_adapters = false;
  bool allow_zero_adapters =
      false;  // whose B is all zero: an error in an edit, none in a single stage
  PromptCacheOptions prompt_cache = {};
  // Of components of so many bytes what is used once a prompt is let go of after it: T5's blocks
  // and the transformer's modulations.
  uint64_t let_go_from = uint64_t{1} << 30;
};

// "" or that these settings would change nothing of this transformer, and the remedy.
std::string quant_fault(const Checkpoint& transformer, Quant quant, GgufCompute gguf_compute);

class Residency {
 public:
  // Opens the adapters and compares them with the transformer's header. Throws as AdapterFile::open
  // and expect_fit do.
  Residency(ModelFiles files, ResidencyOptions options);

  const ModelFiles& files() const { return files_; }
  const Precision& precision() const { return precision_; }
  Quant quant() const { return options_.quant; }
  GgufCompute gguf_compute() const { return options_.gguf_compute; }
  at::Device device() const { return options_.device; }
  const PromptCacheOptions& prompt_cache() const { return options_.prompt_cache; }

  // Each loads its component if it is not there, after letting go of those that the policy does not
  // keep beside it.
  const ClipTextEncoder& clip();
  const T5Encoder& t5();
  const AutoencoderKl& vae();
  FluxTransformer& transformer();  // with the adapters attached, and folded where they can be
  // What is to be called in place of the component's blocks, while it is loaded. For one forward at
  // a time.
  AroundBlock around(Part part) const;
  const ClipTokenizer& clip_tokenizer();
  const T5Tokenizer& t5_tokenizer();
  const VaeConfig& vae_config() const { return vae_config_; }

  void set_keep(Keep keep) { options_.keep = keep; }
  Keep keep() const { return options_.keep; }
  LoadOptions load_options(const Component& component, Part part) const;
  const StreamedParts& streamed() const { return streamed_; }
  // The call (nn/block.h) for which a module's matrix is loaded; "" where it stays.
  std::string streamed_call(Part part, const std::string& module) const;
  void set_streamed(StreamedParts streamed);  // lets go of what is loaded otherwise
  // Of the whole process, in bytes; what larger edits are refused by.
  void set_most_memory(std::optional<uint64_t> most) { most_memory_ = most; }
  std::optional<uint64_t> most_memory() const { return most_memory_; }
  bool is_loaded(Part part) const;
  void release(Part part);
  void release_text();

  // `what` and the first tensor of the model's files that is not finite, for an error's text.
  std::string explain_not_finite(const std::string& what) const;

  // Switches an adapter on, off or to another scale, loaded or not.
  void set_adapter_scale(size_t index, double scale);
  const std::vector<EditAdapter>& adapters() const { return adapters_; }

 private:
  template <class Model>
  Model& get(std::unique_ptr<Model>& held, Part part);
  void make_room(Part part);
  void stream(Part part, LinearList& linears);
  AttachOptions attach_options(const EditAdapter& adapter) const;
  void open_adapters(const Checkpoint& transformer);
  void expect_whole_transformer() const;

  ModelFiles files_;
  ResidencyOptions options_;
  Precision precision_;
  StreamedParts streamed_;
  std::optional<uint64_t> most_memory_;
  std::map<Part, std::vector<std::shared_ptr<BlockStream>>> streams_;
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
