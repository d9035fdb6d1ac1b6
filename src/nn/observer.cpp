#include "nn/observer.h"

#include <utility>

namespace icedit {
namespace {
thread_local LayerObserver* current = nullptr;
}

LayerObserver::LayerObserver(See see)
    : see_(std::move(see)), before_(std::exchange(current, this)) {}
LayerObserver::~LayerObserver() {
  current = before_;
}

bool is_observed() {
  return current != nullptr;
}

Tensor observed(const std::string& path, const Tensor& in, Tensor out) {
  if (current != nullptr) current->see_(path, in, out);
  return out;
}

}  // namespace icedit
