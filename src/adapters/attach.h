#pragma once
// Adapters onto a model's Linears, and off again.
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "adapters/adapter_layer.h"
#include "adapters/fit.h"

namespace icedit {

struct AttachReport {
  std::string name;
  size_t tensors = 0, tensors_in_file = 0;  // matched, and all that are for the transformer
  size_t blocks = 0;  // numbered blocks with an adapted layer, and layers outside of them
  size_t layers = 0;  // Linears touched
  // || delta || / || weight || over the touched Linears (over some of them, evenly chosen, in a
  // large model).
  double relative_delta = 0.0;
  std::vector<std::string> unmatched;  // tensors that were left out, with allow_partial
  // "lora: 62 of 62 tensors on 31 layers in 6 blocks, rank 4, delta 12.3 % of the weights"
  std::string line;
};

// An adapter on a model. A handle: destroying it leaves the adapter in place.
class LoadedAdapter {
 public:
  struct Layer {
    Linear linear;
    std::shared_ptr<AdapterLayer> adapter;
  };

  LoadedAdapter(AttachReport report, std::vector<Layer> layers, std::shared_ptr<double> scale);

  const std::string& name() const { return report_.name; }
  const AttachReport& report() const { return report_; }
  const std::vector<Layer>& layers() const { return layers_; }

  double scale() const { return *scale_; }
  void set_scale(double scale);  // of every layer; what is folded is folded anew
  void detach();                 // takes it off every Linear; the layers are kept no longer

  // As they are now; no copies.
  std::vector<AdapterModule> modules() const;
  // By ICEdit's names.
  std::vector<std::pair<std::string, Tensor>> tensors() const { return tensors_of(modules()); }

 private:
  void fold();

  AttachReport report_;
  std::vector<Layer> layers_;
  std::shared_ptr<double> scale_;
};

// Puts what fits on those of `linears` that it names. The factors take the Linear's dtype and
// device, as diffusers does, and are added at each use until Linear::fold. Says what it did in one
// line. `fitted` is of this model, and expect_fit was content with it.
LoadedAdapter attach_adapter(LinearList& linears, const FittedAdapter& fitted,
                             const AttachOptions& options = {});

// Fits, throws as expect_fit does, and attaches.
LoadedAdapter attach_adapter(LinearList& linears, const AdapterFile& file,
                             const AttachOptions& options = {});

}  // namespace icedit
