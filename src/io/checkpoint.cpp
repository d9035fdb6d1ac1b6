#include "io/checkpoint.h"

#include <algorithm>
#include <regex>
#include <set>

#include "base/counted.h"
#include "io/comfy_quant_json.h"
#include "io/files.h"
#include "io/gguf.h"
#include "io/hub.h"
#include "io/json_file.h"

namespace icedit {
namespace {

namespace fs = std::filesystem;

// A component's tensors in a folder, or the index of their shards: diffusers' and transformers'
// names. A variant (bf16, say) stands before the extension, in an index' name in one of two places.
constexpr const char* kNames =
    R"((?:diffusion_pytorch_)?model(\.[^.]+)?\.safetensors(?:\.index(\.[^.]+)?\.json)?)";

constexpr const char* kConverted = "model.safetensors";  // of a pickle

// "model-00001-of-00003.safetensors": a part, never a whole.
bool is_shard(const std::string& name) {
  static const std::regex pattern(R"(.*-\d{5}-of-\d{5}(\..*)?\.safetensors)");
  return std::regex_match(name, pattern);
}

// The one file or index of a folder that holds the tensors.
Path find_in_folder(const Path& folder) {
  static const std::regex pattern(kNames);
  std::vector<std::string> own, variants, whole, shards, pickles, gguf;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    const Path& file = it->path();
    const std::string name = file.filename().string();
    std::smatch match;
    if (!is_shard(name) && std::regex_match(name, match, pattern))
      (match[1].matched || match[2].matched ? variants : own).push_back(name);
    if (file.extension() == ".safetensors") (is_shard(name) ? shards : whole).push_back(name);
    if (file.extension() == ".gguf") gguf.push_back(name);
    if (is_pickle(file)) pickles.push_back(name);
  }
  if (error) throw IoError(str(folder.string(), " cannot be listed: ", error.message(), "."));
  for (auto* names : {&own, &variants, &whole, &shards, &pickles, &gguf})
    std::sort(names->begin(), names->end());
  if (const auto& found = own.empty() ? variants : own; found.size() > 1) {
    throw CheckpointError(str(folder.string(), " holds several checkpoints (", joined(found),
                              "); name the one to read instead of the folder."));
  } else if (found.size() == 1) {
    return folder / found[0];
  }
  if (whole.size() == 1 && shards.empty()) return folder / whole[0];
  if (!shards.empty()) {
    throw ModelUnavailable(str(folder.string(), " holds ", shards[0],
                               " but no index of its shards (*.safetensors.index.json, or "
                               "*.index.VARIANT.json); get that file too, it lies beside them",
                               how_to_complete(folder)));
  }
  if (whole.size() > 1) {
    throw ModelUnavailable(str(folder.string(), " holds several .safetensors files (",
                               joined(whole), "); name the one to read instead of the folder."));
  }
  if (is_taken(folder / "model_index.json")) {
    throw ModelUnavailable(str(folder.string(),
                               " is a whole pipeline; expected the folder of one of its "
                               "components, such as ",
                               (folder / "transformer").string(), "."));
  }
  if (gguf.size() == 1) return folder / gguf[0];
  if (gguf.size() > 1) {
    throw ModelUnavailable(str(folder.string(), " holds several .gguf files (", joined(gguf),
                               "); name the one to read instead of the folder."));
  }
  if (!pickles.empty()) throw refused_pickle(folder / pickles[0], kConverted);
  throw ModelUnavailable(str(
      folder.string(),
      " holds no tensors; looked for diffusion_pytorch_model.safetensors and model.safetensors, "
      "the .index.json of their shards, a variant of these such as .bf16, and a single "
      ".safetensors file of any name",
      how_to_complete(folder)));
}

// ComfyUI's other way to say how matrices are quantised: in the header, in place of a tensor
// M.comfy_quant each, which they become here.
void add_quantisation(std::map<std::string, Checkpoint::Entry>& entries,
                      const SafetensorsFile& file) {
  const auto found = file.metadata().find(kQuantisationKey);
  if (found == file.metadata().end()) return;
  for (const auto& [module, text] : parse_quantisation(found->second, file.path().string())) {
    if (!file.has(module + ".weight")) continue;
    const std::string name = module + ".comfy_quant";
    Checkpoint::Entry entry{file.mapping(), name, {Dtype::kU8, {}, 0, 0}};
    entry.held = std::make_shared<const std::string>(text);
    entry.info.shape = {int64_t(text.size())};
    entry.info.end = text.size();
    entries.emplace(name, entry);
  }
}

void add_file(std::map<std::string, Checkpoint::Entry>& entries,
              const std::shared_ptr<const SafetensorsFile>& file) {
  for (const auto& [name, info] : file->tensors())
    entries[name] = {file->mapping(), name, info, false};
  add_quantisation(entries, *file);
}

// Every shard of the index, with exactly the tensors that the index says.
std::map<std::string, Checkpoint::Entry> open_index(const Path& index) {
  const JsonFile json(index);
  if (!json.has("weight_map")) {
    throw CheckpointError(str(index.string(),
                              " has no 'weight_map', so it is no index of shards; "
                              "give the .safetensors file or the folder."));
  }
  const JsonFile map = json.object("weight_map");
  std::map<std::string, std::string> shard_of;
  for (const std::string& name : map.keys()) {
    const std::string shard = map.text(name);
    if (shard.empty() || Path(shard).filename() != shard || shard == "." || shard == "..") {
      throw CheckpointError(str(map.where(), ": '", name, "' lies in '", shard,
                                "'; expected the name of a file beside the index."));
    }
    shard_of[name] = shard;
  }
  if (shard_of.empty()) throw CheckpointError(str(map.where(), " names no tensor."));
  std::map<std::string, std::shared_ptr<const SafetensorsFile>> files;
  for (const auto& [name, shard] : shard_of) {
    if (files.count(shard) != 0) continue;
    if (!is_there(index.parent_path() / shard)) {
      throw CheckpointError(str(index.string(), ": the shard ", shard, " is not there (tensor '",
                                name, "' lies in it)", how_to_complete(index)));
    }
    files[shard] = std::make_shared<SafetensorsFile>(index.parent_path() / shard);
  }
  std::map<std::string, Checkpoint::Entry> entries;
  for (const auto& [shard, file] : files) {
    for (const auto& [name, info] : file->tensors()) {
      const auto listed = shard_of.find(name);
      if (listed == shard_of.end() || listed->second != shard) {
        throw CheckpointError(str(
            file->path().string(), " holds tensor '", name, "', which ", index.filename().string(),
            listed == shard_of.end() ? " does not list" : " lists in " + listed->second,
            "; index and shards are not of the same checkpoint."));
      }
    }
    add_file(entries, file);
  }
  for (const auto& [name, shard] : shard_of) {
    if (entries.count(name) == 0) {
      throw CheckpointError(str((index.parent_path() / shard).string(), " has no tensor '", name,
                                "', which ", index.filename().string(),
                                " lists there; index and shards are not of the same checkpoint."));
    }
  }
  return entries;
}

}  // namespace

Checkpoint Checkpoint::open(const Path& path) {
  std::error_code ignored;
  if (!is_taken(path)) {
    throw ModelUnavailable(
        str(path.string(), ": no such file or folder; check the path", how_to_complete(path)));
  }
  const Path file = fs::is_directory(path, ignored) ? find_in_folder(path) : path;
  if (!is_there(file)) {
    throw ModelUnavailable(str(file.string(), " is a link to '",
                               fs::read_symlink(file, ignored).string(), "', which is not there",
                               how_to_complete(file)));
  }
  if (is_pickle(file)) throw refused_pickle(file, kConverted);
  if (file.extension() == ".json") {
    return {path.string(), open_index(file)};
  }
  std::map<std::string, Entry> entries;
  const auto mapped = std::make_shared<const MappedFile>(file);
  if (file.extension() == ".gguf" || is_gguf(mapped->bytes())) {
    for (const auto& [name, info] : parse_gguf_header(mapped->bytes(), file.string()))
      entries[name] = {mapped, name, info, false};
  } else {
    add_file(entries, std::make_shared<SafetensorsFile>(file));
  }
  return {path.string(), std::move(entries)};
}

const Checkpoint::Entry& Checkpoint::entry(const std::string& name) const {
  const auto found = entries_.find(name);
  if (found == entries_.end()) {
    throw CheckpointError(str(where_, " has no tensor '", name, "' among its ", entries_.size(),
                              ". Is it the right component?"));
  }
  return found->second;
}

std::vector<Path> Checkpoint::files() const {
  std::set<Path> paths;
  for (const auto& [name, entry] : entries_) paths.insert(entry.file->path());
  return {paths.begin(), paths.end()};
}

uint64_t Checkpoint::total_bytes() const {
  uint64_t total = 0;
  for (const auto& [name, entry] : entries_) total += entry.info.bytes();
  return total;
}

Checkpoint Checkpoint::renamed(const std::function<std::string(const std::string&)>& rename) const {
  std::map<std::string, Entry> renamed;
  for (const auto& [name, entry] : entries_) {
    const std::string target = rename(name);
    if (target.empty()) continue;
    const auto [place, added] = renamed.emplace(target, entry);
    if (!added) {
      throw CheckpointError(str(where_, ": tensors '", place->second.stored_name, "' and '",
                                entry.stored_name, "' are both '", target, "' here."));
    }
  }
  return {where_, std::move(renamed)};
}

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
