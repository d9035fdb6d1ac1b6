#include "train/encoding_cache.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/log.h"
#include "io/files.h"
#include "nn/checked_tensors.h"

namespace icedit {
namespace {

namespace fs = std::filesystem;

constexpr size_t kSample = 4096;  // bytes

}  // namespace

EncodingCache::EncodingCache(CacheOptions options) : options_(std::move(options)) {
  if (on_disk())
    write_text_atomically(Path(options_.folder) / "README.txt",
                          "Latents and text embeddings that icedit train made. They may be deleted "
                          "at any time: they are made again.\n");
}

Path EncodingCache::entry(const std::string& kind, const std::string& name) const {
  return Path(options_.folder) / kind / name.substr(0, 2) / (name + ".safetensors");
}

NamedTensors EncodingCache::get(const std::string& kind, const std::string& key,
                                const std::function<NamedTensors()>& make) {
  const std::string name = sha256(key), place = kind + name;
  if (const auto found = held_.find(place); found != held_.end()) return found->second;
  // On the CPU, whichever device made it: there is room, and it is written as it lies.
  const auto make_here = [&] {
    NamedTensors made = make();
    for (auto& [part, tensor] : made) tensor = tensor.cpu();
    ++made_;
    return made;
  };
  const NamedTensors tensors = on_disk() ? read_or_make(entry(kind, name), make_here) : make_here();
  if (options_.memory) held_.emplace(place, tensors);
  return tensors;
}

NamedTensors EncodingCache::read_or_make(const Path& file,
                                         const std::function<NamedTensors()>& make) {
  if (fs::exists(file)) {
    try {
      return load_checked(file);
    } catch (const Error& error) {
      log::warn(str("a cached encoding is damaged and is made again: ", error.what()));
    }
  }
  const NamedTensors tensors = make();
  write(file, tensors);
  return tensors;
}

void EncodingCache::write(const Path& file, const NamedTensors& tensors) {
  if (lost_some_) return;
  try {
    save_checked(file, tensors);
  } catch (const IoError& error) {
    lost_some_ = true;
    log::warn(str(error.what(), " The run goes on; nothing more is written to train.cache_dir."));
  }
}

bool EncodingCache::has_all(const std::string& what) const {
  return on_disk() && fs::exists(Path(options_.folder) / "filled" / sha256(what));
}

void EncodingCache::note_all(const std::string& what) {
  if (on_disk() && !lost_some_)
    write_text_atomically(Path(options_.folder) / "filled" / sha256(what), what + "\n");
}

std::string weights_digest(const Component& component) {
  std::string all = dumped(component.config.json());
  for (const auto& [name, entry] : component.checkpoint.entries()) {
    const TensorInfo& info = entry.info;
    const size_t size = info.bytes(), part = std::min(size, kSample);
    all += str("\n", name, " ", dtype_name(info.dtype), " ", info.shape, " ");
    const Bytes bytes = entry.bytes();
    for (const size_t at : {size_t{0}, (size - part) / 2, size - part})
      all += sha256(as_text(bytes.subspan(at, part)));
  }
  return sha256(all);
}

}  // namespace icedit
