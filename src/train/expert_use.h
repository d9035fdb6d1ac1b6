#pragma once
// How a mixture's tokens are spread over its experts while it is trained.
#include <memory>
#include <string>
#include <vector>

#include "adapters/attach.h"

namespace icedit {

// Over the micro-batches of a step, or of several. Without layers where there is no mixture.
struct ExpertUse {
  std::vector<std::string> layers;
  std::vector<std::vector<double>> tokens;  // that each layer's experts were picked for
  // balance_loss, the mean over layers and micro-batches: 1 where all experts are used alike, their
  // number where one gets everything.
  double balance_sum = 0, balance_count = 0;

  double balance() const { return balance_count > 0 ? balance_sum / balance_count : 0; }
  // Of a layer's picks (tokens times top_k), the share of each expert: they sum to 1.
  std::vector<double> shares(size_t layer) const;
  void add(ExpertUse more);  // of the same layers, or the first

  // All numbers, for sums over ranks.
  std::vector<double*> figures();
};

// Watches every router of an adapter; forwards outside of begin() and end() do not count.
class ExpertWatch {
 public:
  explicit ExpertWatch(const LoadedAdapter& adapter);
  // Of every layer from now on; 0: none.
  void balance(double weight);

  void begin();
  void end();
  // What was counted since the last time.
  ExpertUse take();

 private:
  struct Counts;
  std::vector<LoadedAdapter::Layer> layers_;  // the mixtures
  std::shared_ptr<Counts> counts_;            // the layers' hooks hold it too
};

}  // namespace icedit
