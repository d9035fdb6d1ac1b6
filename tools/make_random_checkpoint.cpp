// Writes a FluxFillPipeline folder with random weights in the public layout: for tests and
// benchmarks at real layer sizes without the gated weights. Tensors are made in chunks, never held.
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <sstream>

#include "base/error.h"
#include "base/log.h"
#include "base/progress.h"
#include "base/setting.h"
#include "io/files.h"
#include "models/clip/tokenizer.h"
#include "models/t5/tokenizer.h"
#include "random_layout.h"
#include "random_values.h"

namespace icedit::tools {
namespace {

namespace fs = std::filesystem;

struct Settings {
  Sizes sizes;
  Path output;
  Path tokenizers = "models/nano/model";
  Dtype dtype = Dtype::kBF16;
  uint64_t shard_bytes = 5'000'000'000;
  uint64_t seed = 0;
  bool force = false, help = false;
};

std::function<void(const Given&)> multiple(int64_t& value, int64_t least, int64_t multiple = 1) {
  return [&value, least, multiple](const Given& given) {
    value = integer_value(given, least, int64_t{1} << 20);
    if (value % multiple != 0)
      throw UsageError(str(given.where, " is ", value, ", expected a multiple of ", multiple));
  };
}

// "5GB", "500MB", "100KB", as transformers reads them: powers of ten.
uint64_t bytes_value(const Given& given) {
  constexpr std::pair<const char*, uint64_t> kUnits[] = {
      {"GB", 1'000'000'000}, {"MB", 1'000'000}, {"KB", 1'000}};
  for (const auto& [unit, factor] : kUnits) {
    if (!given.text.ends_with(unit)) continue;
    const Given count{given.where, given.text.substr(0, given.text.size() - 2)};
    return static_cast<uint64_t>(integer_value(count, 1, 1'000'000)) * factor;
  }
  throw UsageError(
      str(given.where, " is '", given.text, "', expected a size such as 5GB or 500MB"));
}

std::vector<int64_t> channels_value(const Given& given) {
  std::vector<int64_t> channels;
  std::istringstream parts(given.text);
  for (std::string part; std::getline(parts, part, ',');) {
    channels.push_back(0);
    multiple(channels.back(), 32, 32)({given.where, part});
  }
  if (channels.empty() || channels.size() > 8)
    throw UsageError(str(given.where, " is '", given.text, "', expected a list: 128,256,512,512"));
  return channels;
}

std::vector<Setting> options_of(Settings& s) {
  const auto dtype = [&s](const Given& given) {
    s.dtype = choice_value<Dtype>(
        given, {{"bf16", Dtype::kBF16}, {"f16", Dtype::kF16}, {"f32", Dtype::kF32}});
  };
  Sizes& z = s.sizes;
  return {
      {"double", "N", "double blocks", "19", multiple(z.double_blocks, 0)},
      {"single", "N", "single blocks", "38", multiple(z.single_blocks, 0)},
      {"hidden", "N", "the transformer's width, a multiple of 128", "3072",
       multiple(z.hidden, 128, 128)},
      {"joint", "N", "T5's width, a multiple of 64", "4096", multiple(z.joint, 64, 64)},
      {"pooled", "N", "CLIP's width, a multiple of 64", "768", multiple(z.pooled, 64, 64)},
      {"t5-layers", "N", "T5's layers", "24", multiple(z.t5_layers, 1)},
      {"t5-vocab", "N", "T5's token embeddings", "32128", multiple(z.t5_vocab, 1)},
      {"clip-layers", "N", "CLIP's layers", "12", multiple(z.clip_layers, 1)},
      {"clip-vocab", "N", "CLIP's token embeddings", "49408", multiple(z.clip_vocab, 1)},
      {"vae-channels", "LIST", "the VAE's widths, multiples of 32", "128,256,512,512",
       [&z](const Given& given) { z.vae_channels = channels_value(given); }},
      {"dtype", "TYPE", "bf16, f16 or f32", "bf16", dtype},
      {"shard-size", "SIZE", "a file holds no more than this, or one tensor", "5GB",
       [&s](const Given& given) { s.shard_bytes = bytes_value(given); }},
      {"seed", "N", "of the values", "0",
       [&s](const Given& given) { s.seed = static_cast<uint64_t>(integer_value(given, 0)); }},
      {"tokenizers", "FOLDER", "where tokenizer and tokenizer_2 are copied from",
       "models/nano/model", [&s](const Given& given) { s.tokenizers = given.text; }},
      {"force", "", "replace a model that is there", "", into(s.force)},
      {"help, h", "", "this text", "", into(s.help)},
  };
}

void print_help(const std::vector<Setting>& options) {
  std::cout << "Usage:\n  make_random_checkpoint FOLDER [options]\n\nWrites a FLUX.1 Fill model "
               "with random weights.\n\n";
  for (const Setting& o : options) {
    const std::string flag = str("--", o.name, o.value.empty() ? "" : " ", o.value);
    std::cout << "  " << flag
              << std::string(std::max<size_t>(24, flag.size() + 1) - flag.size(), ' ') << o.help
              << (o.fallback.empty() ? "" : " [" + o.fallback + "]") << "\n";
  }
}

Settings parse(const std::vector<std::string>& arguments) {
  Settings s;
  const std::vector<Setting> options = options_of(s);
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string& argument = arguments[i];
    if (!argument.starts_with("-")) {
      if (!s.output.empty()) throw UsageError(str("a second folder, '", argument, "', was given"));
      s.output = argument;
      continue;
    }
    const std::string name =
        argument == "-h" ? "help" : argument.substr(argument.find_first_not_of('-'));
    const auto option = std::find_if(options.begin(), options.end(),
                                     [&](const Setting& o) { return o.name == name; });
    if (option == options.end())
      throw UsageError(str("unknown option ", argument, "; --help lists them"));
    if (!option->value.empty() && i + 1 == arguments.size())
      throw UsageError(str(argument, " needs a value: ", option->value));
    option->set({argument, option->value.empty() ? "true" : arguments[++i]});
  }
  if (s.help) {
    print_help(options);
  } else if (s.output.empty()) {
    throw UsageError("give the folder to write; --help lists the options");
  }
  return s;
}

// Ids beyond the embeddings would fail at the first edit.
void check_tokenizers(const Settings& s) {
  const auto check = [](const char* option, int64_t rows, int64_t ids, const Path& folder) {
    if (ids <= rows) return;
    throw UsageError(str(folder.string(), " has ", ids, " token ids, more than ", option, " ", rows,
                         "; give at least as many, or smaller tokenizers with --tokenizers"));
  };
  for (const char* name : {"tokenizer", "tokenizer_2"}) {
    if (!fs::is_directory(s.tokenizers / name)) {
      throw NoInputError(str((s.tokenizers / name).string(),
                             ": no such folder; give a model that has it with --tokenizers"));
    }
  }
  const Path clip = s.tokenizers / "tokenizer", t5 = s.tokenizers / "tokenizer_2";
  check("--clip-vocab", s.sizes.clip_vocab, ClipTokenizer(clip).vocab_size(), clip);
  check("--t5-vocab", s.sizes.t5_vocab, T5Tokenizer(t5).vocab_size(), t5);
}

uint64_t elements(const RandomTensor& tensor) {
  uint64_t count = 1;
  for (const int64_t d : tensor.shape) count *= static_cast<uint64_t>(d);
  return count;
}

class Writer {
 public:
  Writer(const Settings& s, std::vector<RandomComponent> components)
      : s_(s), values_(s.dtype, s.seed), components_(std::move(components)) {
    for (const RandomComponent& component : components_) {
      for (const RandomTensor& t : component.tensors) total_ += bytes(t);
    }
  }

  uint64_t total() const { return total_; }

  void write(const Path& folder) {
    const auto mib = static_cast<int64_t>(total_ >> 20) + 1;
    progress_.emplace("writing", mib, "MiB");
    for (const RandomComponent& component : components_) write_component(component, folder);
    write_text_atomically(folder / "scheduler" / "scheduler_config.json", kSchedulerConfig);
    for (const char* name : {"tokenizer", "tokenizer_2"})
      fs::copy(s_.tokenizers / name, folder / name, fs::copy_options::recursive);
    write_text_atomically(folder / "model_index.json", kModelIndex);
    progress_->update(mib);
    progress_.reset();
  }

 private:
  using Shard = std::vector<RandomTensor>;

  uint64_t bytes(const RandomTensor& tensor) const {
    return elements(tensor) * dtype_size(s_.dtype);
  }

  std::vector<Shard> shards_of(const RandomComponent& component) const {
    std::vector<Shard> shards(1);
    uint64_t held = 0;
    for (const RandomTensor& tensor : component.tensors) {
      if (held > 0 && held + bytes(tensor) > s_.shard_bytes) {
        shards.emplace_back();
        held = 0;
      }
      shards.back().push_back(tensor);
      held += bytes(tensor);
    }
    return shards;
  }

  void write_component(const RandomComponent& component, const Path& folder) {
    const Path place = folder / component.folder;
    std::string config = component.config;
    if (const size_t at = config.find("@DTYPE@"); at != std::string::npos) {
      const char* name = s_.dtype == Dtype::kBF16  ? "bfloat16"
                         : s_.dtype == Dtype::kF16 ? "float16"
                                                   : "float32";
      config.replace(at, 7, name);
    }
    write_text_atomically(place / "config.json", config + "\n");
    const std::vector<Shard> shards = shards_of(component);
    std::string map;
    uint64_t size = 0;
    for (size_t i = 0; i < shards.size(); ++i) {
      const std::string file = shard_name(component.stem, i, shards.size());
      write_shard(component, shards[i], place / file);
      for (const RandomTensor& t : shards[i]) {
        map += str(map.empty() ? "" : ",\n", "    \"", t.name, "\": \"", file, "\"");
        size += bytes(t);
      }
    }
    if (shards.size() == 1) return;
    write_text_atomically(place / (component.stem + ".safetensors.index.json"),
                          str("{\n  \"metadata\": {\"total_size\": ", size,
                              "},\n  \"weight_map\": {\n", map, "\n  }\n}\n"));
  }

  static std::string shard_name(const std::string& stem, size_t i, size_t count) {
    if (count == 1) return stem + ".safetensors";
    char numbers[32];
    std::snprintf(numbers, sizeof numbers, "-%05zu-of-%05zu", i + 1, count);
    return stem + numbers + ".safetensors";
  }

  void write_shard(const RandomComponent& component, const Shard& shard, const Path& file) {
    std::vector<TensorPlan> plans;
    for (const RandomTensor& t : shard) plans.push_back({t.name, s_.dtype, t.shape});
    const auto fill = [&](size_t i, const PutBytes& put) {
      const RandomTensor& t = shard[i];
      values_.put(component.folder + "/" + t.name, elements(t), t.mean, t.deviation, put);
      done_ += bytes(t);
      progress_->update(static_cast<int64_t>(done_ >> 20));
    };
    write_safetensors(file, plans, fill, {{"format", "pt"}});
  }

  const Settings& s_;
  const RandomValues values_;
  const std::vector<RandomComponent> components_;
  uint64_t total_ = 0, done_ = 0;
  std::optional<Progress> progress_;
};

// What --force may remove: a model and nothing else.
void check_place(const Settings& s) {
  if (!fs::exists(s.output)) return;
  const std::string name = s.output.string();
  if (!fs::is_directory(s.output)) throw UsageError(str(name, " is a file; give a folder's name"));
  if (fs::is_empty(s.output)) return;
  if (!fs::exists(s.output / "model_index.json")) {
    throw UsageError(
        str(name, " is there and holds no model_index.json, so it is no model; give another name"));
  }
  if (!s.force) throw UsageError(str(name, " is there; --force replaces it"));
}

void make(const Settings& s) {
  check_place(s);
  check_tokenizers(s);
  Writer writer(s, random_components(s.sizes));
  const uint64_t slack = uint64_t{16} << 20;  // configs, tokenizers and the file system's own
  if (const uint64_t free = free_disk_bytes(s.output); free < writer.total() + slack) {
    throw IoError(str(s.output.string(), ": the model takes ",
                      bytes_text(static_cast<double>(writer.total())), ", the disk has ",
                      bytes_text(static_cast<double>(free)),
                      "; fewer --double, --single and --t5-layers make it smaller"));
  }
  // Under another name until it is whole.
  Path target = fs::absolute(s.output).lexically_normal();
  if (!target.has_filename()) target = target.parent_path();
  Path unfinished = target;
  unfinished += str(".", ::getpid(), ".unfinished");
  try {
    writer.write(unfinished);
    fs::remove_all(target);
    fs::rename(unfinished, target);
  } catch (...) {
    std::error_code ignored;
    fs::remove_all(unfinished, ignored);
    throw;
  }
  std::cout << target.string() << "  " << bytes_text(static_cast<double>(writer.total())) << "\n";
}

}  // namespace
}  // namespace icedit::tools

int main(int count, char** values) try {
  const auto settings = icedit::tools::parse({values + 1, values + count});
  if (!settings.help) icedit::tools::make(settings);
  return 0;
} catch (const icedit::Error& error) {
  icedit::log::error(error.what());
  return static_cast<int>(error.code());
} catch (const std::filesystem::filesystem_error& error) {
  icedit::log::error(error.what());
  return static_cast<int>(icedit::ExitCode::kIo);
}
