#pragma once
// The tensors of one component, wherever they lie: one .safetensors file, or several with an
// index.json, in a folder.
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "io/safetensors.h"

namespace icedit {

class Checkpoint {
 public:
  // `path`: a .safetensors or .gguf file, a *.safetensors.index.json, or a folder that holds
  // exactly one of diffusion_pytorch_model / model (.safetensors, .safetensors.index.json; one
  // variant, `.fp16` say, where there is nothing else). Throws ModelUnavailable (nothing there;
  // lists what was looked for; .bin files are named as unsupported), CheckpointError (index and
  // shards disagree: a missing shard or tensor is named).
  static Checkpoint open(const Path& path);

  // Where a tensor lies.
  struct Entry {
    std::shared_ptr<const MappedFile> file;
    std::string stored_name;   // its name in the file
    TensorInfo info;           // shape and bytes; may be some rows of the stored tensor
    bool swap_halves = false;  // the second half of the rows comes first (BFL's final modulation)
    // The bytes of a tensor that no file holds: what a header says of a matrix.
    std::shared_ptr<const std::string> held = {};

    // Some of its rows, as they lie in the file.
    Entry rows(int64_t first, int64_t last) const {
      return {file, stored_name, info.rows(first, last)};
    }
    // As they lie in the file: its halves are not swapped.
    Bytes bytes() const {
      return (held ? as_bytes(*held) : file->bytes()).subspan(info.begin, info.bytes());
    }
    // Gives their pages back to the system; to be called after a copy was made of them.
    void release() const {
      if (!held) file->release(info.begin, info.bytes());
    }
    // Has them in memory; returns once they are.
    void read_ahead() const {
      if (!held) file->read_ahead(info.begin, info.bytes());
    }
  };

  Checkpoint(std::string where, std::map<std::string, Entry> entries)
      : where_(std::move(where)), entries_(std::move(entries)) {}

  const std::map<std::string, Entry>& entries() const { return entries_; }
  bool has(const std::string& name) const { return entries_.count(name) != 0; }
  const Entry& entry(const std::string& name) const;   // throws CheckpointError
  const std::string& where() const { return where_; }  // for errors: the file or folder
  std::vector<Path> files() const;                     // every file, each once
  uint64_t total_bytes() const;                        // of all tensors as stored

  // The same tensors under other names: `rename(name)` gives the new one, "" leaves the tensor out.
  Checkpoint renamed(const std::function<std::string(const std::string&)>& rename) const;

 private:
  std::string where_;
  std::map<std::string, Entry> entries_;
};

// PyTorch's pickles can run code when they are read, and so they never are.
bool is_pickle(const Path& path);  // by its name
// What to throw for one; it says how to make `converted`, a safetensors file, of it.
ModelUnavailable refused_pickle(const Path& pickle, const std::string& converted);

}  // namespace icedit
