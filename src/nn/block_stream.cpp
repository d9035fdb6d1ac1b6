#include "nn/block_stream.h"

#include <algorithm>

namespace icedit {

BlockStream::BlockStream(std::vector<BlockUnit> units, bool again)
    : units_(std::move(units)), again_(again) {}

Tensors BlockStream::operator()(const BlockCall& call, const AroundBlock& around) {
  const auto found = std::find_if(units_.begin(), units_.end(),
                                  [&](const BlockUnit& unit) { return unit.path == call.path; });
  if (found == units_.end()) return around ? around(call) : call();
  if (reading_.valid()) reading_.get();
  // Also where the call ends with an exception: of a cancelled edit.
  const auto unload = [](std::vector<Linear>* linears) {
    for (Linear& linear : *linears) linear.unload();
  };
  const std::unique_ptr<std::vector<Linear>, decltype(unload)> loaded(&found->linears, unload);
  for (Linear& linear : found->linears) linear.load();
  const size_t next = size_t(found - units_.begin()) + 1;
  if (next < units_.size() || again_) read_ahead(next % units_.size());
  return around ? around(call) : call();
}

void BlockStream::read_ahead(size_t unit) {
  reading_ = std::async(std::launch::async, [linears = units_[unit].linears] {
    for (const Linear& linear : linears) linear.read_ahead();
  });
}

std::vector<BlockUnit> block_units(LinearList& linears,
                                   const std::function<std::string(const std::string&)>& unit_of) {
  std::vector<BlockUnit> units;
  for (auto& [path, linear] : linears) {
    const std::string name = unit_of(path);
    if (name.empty()) continue;
    const auto found = std::find_if(units.begin(), units.end(),
                                    [&](const BlockUnit& unit) { return unit.path == name; });
    BlockUnit& unit = found == units.end() ? units.emplace_back(BlockUnit{name, {}}) : *found;
    unit.linears.push_back(linear);
  }
  return units;
}

}  // namespace icedit
