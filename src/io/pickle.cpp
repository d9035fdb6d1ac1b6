#include "io/pickle.h"

#include <set>

namespace icedit {

bool is_pickle(const Path& path) {
  static const std::set<std::string> extensions = {".bin", ".pt", ".pth", ".ckpt", ".pkl"};
  return extensions.count(path.extension().string()) != 0;
}

ModelUnavailable refused_pickle(const Path& pickle, const std::string& converted) {
  return ModelUnavailable(
      str(pickle.string(),
          " is a PyTorch pickle, which can run code when it is read and is not supported. Convert "
          "it once, in Python: "
          "safetensors.torch.save_file({k: v.contiguous() for k, v in torch.load('",
          pickle.filename().string(), "', weights_only=True).items()}, '", converted, "')"));
}

}  // namespace icedit
