#pragma once
// Adapters onto a model's Linears, and off again.
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "adapters/adapter_file.h"
#include "adapters/lora.h"
#include "adapters/moe_lora.h"
#include "nn/linear.h"

namespace icedit {

struct AttachOptions {
  std::string name;  // for lines and errors; "": the file's path
  double scale = 1.0;
  bool allow_partial =
      false;  // tensors that fit nothing, or have a wrong shape, are a warning and not an error
  bool allow_zero = false;  // so may B be: before training, and in single stages
  bool trainable = false;   // the adapter's tensors become f32 leaves that require gradients
  bool quiet = false;       // says nothing: other values will take their place
};

struct ModuleReport {
  std::string module;
  int64_t rank = 0, experts = 0;  // experts: 0 for a plain LoRA
  double alpha = 0.0;
  double delta_norm =
      0.0;  // || s B A ||_F at scale 1; of a mixture: the root mean square over its experts
};

struct AttachReport {
  std::string name;
  size_t tensors = 0, tensors_in_file = 0;  // matched, and all that are for the transformer
  size_t blocks = 0;  // numbered blocks with an adapted layer, and layers outside of them
  std::vector<ModuleReport> modules;  // one for each Linear touched
  // || delta || / || weight || over the touched Linears (over some of them, evenly chosen, in a
  // large model).
  double relative_delta = 0.0;
  std::vector<std::string> unmatched;  // tensors that were left out, with allow_partial

  std::string line() const;  // "lora: 62 of 62 tensors on 31 layers in 6 blocks, rank 4, delta 12.3
                             // % of the weights"
};

// An adapter on a model. A handle: destroying it leaves the adapter in place.
class LoadedAdapter {
 public:
  struct Layer {
    std::string module;
    Linear linear;
    std::shared_ptr<LoraLayer> lora;  // one of the two
    std::shared_ptr<MoeLoraLayer> moe;
  };

  LoadedAdapter(AttachReport report, std::vector<Layer> layers,
                std::shared_ptr<AdapterScale> scale);

  const std::string& name() const { return report_.name; }
  const AttachReport& report() const { return report_; }
  const std::vector<Layer>& layers() const { return layers_; }

  double scale() const { return scale_->value; }
  bool enabled() const { return scale_->enabled; }
  void set_scale(double scale);  // of every layer; what is folded is folded anew
  void enable(bool enabled);
  void detach();  // takes it off every Linear; the layers are kept no longer

  // Its tensors by ICEdit's names ("transformer.MODULE.lora_A.weight", ".lora_A.expert_0.weight",
  // ".lora_route.weight").
  std::vector<std::pair<std::string, Tensor>> tensors() const;

 private:
  void fold();

  AttachReport report_;
  std::vector<Layer> layers_;
  std::shared_ptr<AdapterScale> scale_;
};

// Puts the adapter on those of `linears` that it names. The factors take the Linear's dtype and
// device, as diffusers does, and are added at each use until Linear::fold; an A with fewer columns
// than the Linear has inputs (made for FLUX.1-dev) gets zeros. Says what it did in one line. Throws
// CheckpointError: tensors that fit no Linear or have another shape, nothing that fits, B all zero.
LoadedAdapter attach_adapter(LinearList& linears, const AdapterFile& file,
                             const AttachOptions& options = {});

// Throws what attach_adapter would; nothing is attached.
void expect_fit(const LinearList& linears, const AdapterFile& file, const AttachOptions& options);

}  // namespace icedit
