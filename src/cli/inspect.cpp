// icedit inspect: what is in a file or a folder.
#include "cli/inspect.h"

#include <algorithm>
#include <iostream>

#include "adapters/adapter_keys.h"
#include "base/error.h"
#include "base/shell.h"
#include "cli/arguments.h"
#include "cli/command.h"
#include "cli/paths.h"
#include "edit/model_files.h"
#include "io/hub.h"
#include "io/picture_kind.h"
#include "io/safetensors.h"

namespace icedit::cli {
namespace {

namespace fs = std::filesystem;

std::vector<SettingGroup> groups(InspectOptions& o) {
  return {{"What is shown",
           {{"json", "", "as JSON", "", into(o.json)},
            {"all", "", "adapters: the norm of every delta", "", into(o.all)},
            {"check", "", "checkpoints: read every weight and look for NaN and infinity", "",
             into(o.check)},
            {"model, flux-path", "MODEL", "adapters: compare with this model's layers", "",
             into(o.model)}}},
          general_options(o.help)};
}

bool is_adapter_file(const Path& file) {
  const SafetensorsFile opened(file);
  const auto& tensors = opened.tensors();
  return std::any_of(tensors.begin(), tensors.end(), [](const auto& entry) {
    return parse_adapter_key(entry.first).has_value() || !unsupported_kind(entry.first).empty() ||
           !text_encoder_reason(entry.first).empty();
  });
}

bool is_adapter_folder(const Path& folder) {
  for (const char* name :
       {"adapter_model.safetensors", "adapter_config.json", "pytorch_lora_weights.safetensors",
        "latest"}) {  // of a run: it is told which to name
    if (is_there(folder / name)) return true;
  }
  // A component has a config.json beside its weights.
  if (is_there(folder / "config.json")) return false;
  std::vector<Path> files;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() == ".safetensors") files.push_back(entry.path());
  }
  return files.size() == 1 && is_adapter_file(files[0]);
}

// A file that is neither a checkpoint nor any picture.
void expect_picture(const Path& path) {
  const MappedFile mapped(path);
  if (mapped.bytes().empty() || is_picture_of_any_kind(mapped.bytes())) return;
  const std::string extension = path.extension().string(), name = shell_quoted(path.string());
  std::string other;
  if (extension == ".parquet" || extension == ".jsonl" || extension == ".yaml" ||
      extension == ".yml")
    other = str("; `icedit data check ", name, "` looks at data sets, and at those that a ",
                "configuration names");
  throw NoInputError(str(path.string(),
                         ": icedit inspect knows checkpoints and adapters (.safetensors, or their "
                         "folder), model folders and pictures (PNG, JPEG, WebP), and this is none "
                         "of them",
                         other));
}

void inspect(const std::string& target, const InspectOptions& options) {
  const bool embedded = target == "nano" && !is_there(target);
  const Path path =
      embedded ? embedded_model("nano") : resolve_path_or_id(target, "icedit inspect", {"nano"});
  const std::string extension = path.extension().string();
  if (is_folder(path)) {
    if (is_there(path / "model_index.json")) return inspect_model(path, options);
    expect_no_model_below(path);
    return is_adapter_folder(path) ? inspect_adapter(path, options)
                                   : inspect_checkpoint(path, options);
  }
  if (extension == ".safetensors") {
    return is_adapter_file(path) ? inspect_adapter(path, options)
                                 : inspect_checkpoint(path, options);
  }
  if (path.filename().string().ends_with(".safetensors.index.json"))
    return inspect_checkpoint(path, options);
  if (path.filename() == "model_index.json") return inspect_model(path.parent_path(), options);
  if (path.filename() == "adapter_config.json") return inspect_adapter(path, options);
  if (extension == ".gguf") return inspect_checkpoint(path, options);
  expect_picture(path);
  inspect_picture(path, options);
}

}  // namespace

int run_inspect(const Arguments& arguments) {
  InspectOptions options;
  const std::vector<std::string> rest = parse_arguments("inspect", groups(options), arguments);
  if (options.help) {
    std::cout << command_help(
        {"icedit inspect FILE|FOLDER|ID [options]"},
        "Shows what is in a checkpoint, a model folder, an adapter or a picture.", groups(options),
        exit_codes_help());
    return 0;
  }
  if (rest.size() != 1) {
    throw UsageError(
        str("icedit inspect takes one file, folder or id, but ",
            rest.empty() ? "none was given" : str("there are ", rest.size(), ": ", rest)));
  }
  inspect(rest[0], options);
  return 0;
}

}  // namespace icedit::cli
