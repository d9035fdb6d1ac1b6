#pragma once
// What the frozen encoders made of pictures and prompts, kept in memory, on disk, or both.
// On disk: FOLDER/KIND/ab/abcd....safetensors, an entry a file, written atomically, with the
// SHA-256 of its tensors in the header; the name is the SHA-256 of everything the entry hangs on,
// so runs, ranks and data sets may share a folder.
#include <functional>
#include <map>
#include <string>

#include "edit/model_files.h"
#include "train/optimizer.h"

namespace icedit {

struct CacheOptions {
  bool memory = false;
  std::string folder;  // "": not on disk
};

class EncodingCache {
 public:
  // Throws IoError: the folder cannot be made or written to.
  explicit EncodingCache(CacheOptions options);

  bool on() const { return options_.memory || on_disk(); }
  bool on_disk() const { return !options_.folder.empty(); }

  // The entry `key` (any text) of `kind`, from wherever it is; else what make() gives, which is
  // then kept. A damaged file is reported and made anew; a full disk is reported once, and what
  // does not fit is not kept there.
  NamedTensors get(const std::string& kind, const std::string& key,
                   const std::function<NamedTensors()>& make);

  size_t made() const { return made_; }  // how often make() was called
  size_t held() const { return held_.size(); }
  bool lost_some() const { return lost_some_; }  // whether an entry could not be written

  // A note that the entries of `what` (any text) are all there.
  bool has_all(const std::string& what) const;
  void note_all(const std::string& what);

 private:
  Path entry(const std::string& kind, const std::string& name) const;
  NamedTensors read_or_make(const Path& file, const std::function<NamedTensors()>& make);
  void write(const Path& file, const NamedTensors& tensors);

  CacheOptions options_;
  std::map<std::string, NamedTensors> held_;  // by kind and name
  size_t made_ = 0;
  bool lost_some_ = false;
};

// Of a component's settings and weights: every tensor's name, dtype, shape and the first, middle
// and last 4 KiB of its bytes; so of a large encoder some megabytes are read.
std::string weights_digest(const Component& component);

}  // namespace icedit
