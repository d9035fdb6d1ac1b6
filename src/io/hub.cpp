#include "io/hub.h"

#include <strings.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <regex>

#include "base/counted.h"
#include "base/error.h"
#include "base/home.h"
#include "base/nearest.h"
#include "io/files.h"
#include "io/folder_link.h"
#include "io/json_file.h"

namespace icedit {
namespace {

namespace fs = std::filesystem;

// An environment variable; one that is set to nothing counts as not set.
std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

// No step out of the folder that the text is appended to.
bool stays_inside(const std::string& text) {
  const Path path(text);
  return !text.empty() && path.is_relative() &&
         std::none_of(path.begin(), path.end(),
                      [](const Path& part) { return part == ".." || part == "." || part == ""; });
}

struct HubId {
  std::string repo;      // "org/name"
  std::string inside;    // "path/to/file", or ""
  std::string revision;  // as given, or ""
};

bool split_id(const std::string& text, HubId& id) {
  const size_t at = text.find('@');
  const std::string path = text.substr(0, at);
  if (at != std::string::npos) {
    id.revision = text.substr(at + 1);
    if (!stays_inside(id.revision)) return false;
  }
  // huggingface_hub's rule for ids (utils/_validators.py), with the organisation.
  static const std::regex pattern(R"((\w(?:[\w.-]{0,94}\w)?/\w(?:[\w.-]{0,94}\w)?)(?:/(.+))?)");
  std::smatch match;
  // The length first: std::regex recurses, and an instruction given in the wrong place can be long.
  if (path.size() > 1000 || !std::regex_match(path, match, pattern)) return false;
  id.repo = match[1];
  id.inside = match[2];
  if (id.repo.find("--") != std::string::npos || id.repo.find("..") != std::string::npos) {
    return false;
  }
  return id.inside.empty() || stays_inside(id.inside);
}

// Those that are known to ask for a log-in; the published scripts write the id in lower case.
bool is_gated(const std::string& repo) {
  constexpr const char* kGated = "black-forest-labs/FLUX.1-";
  return ::strncasecmp(repo.c_str(), kGated, std::strlen(kGated)) == 0;
}

// What to type to get it.
std::string how_to_download(const HubId& id) {
  constexpr const char* kFill = "black-forest-labs/FLUX.1-Fill-dev";
  const bool fill = ::strcasecmp(id.repo.c_str(), kFill) == 0;
  std::string text;
  if (is_gated(id.repo)) {
    text = str(" The model is gated: first accept its licence on https://huggingface.co/",
               fill ? kFill : id.repo, ". Nothing is downloaded here; run\n  hf auth login");
  } else {
    text = " Nothing is downloaded here; run (`hf auth login` first if it is gated)";
  }
  text += "\n  hf download " + id.repo;
  if (!id.inside.empty()) {
    // A folder has to be asked for by a pattern.
    text += Path(id.inside).has_extension() ? " " + id.inside : " --include '" + id.inside + "/*'";
  } else if (fill) {
    text += " --exclude flux1-fill-dev.safetensors";  // the same 24 GB in BFL's names
  }
  if (!id.revision.empty()) text += " --revision " + id.revision;
  return text;
}

std::vector<std::string> names_in(const Path& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    names.push_back(it->path().filename().string());
  }
  if (error && error != std::errc::no_such_file_or_directory)
    throw IoError(str(folder.string(), " cannot be listed: ", error.message(), "."));
  std::sort(names.begin(), names.end());
  return names;
}

// refs/REVISION holds the commit of a branch or tag; a commit is named by itself, or by its first
// digits.
Path find_snapshot(const HubId& id, const Path& repo) {
  const std::string revision = id.revision.empty() ? "main" : id.revision;
  std::error_code ignored;
  std::string commit = revision;
  if (is_there(repo / "refs" / revision) &&
      fs::is_regular_file(repo / "refs" / revision, ignored)) {
    commit = read_file(repo / "refs" / revision, 4096);
    commit.erase(commit.find_last_not_of(" \t\r\n") + 1);
    if (!stays_inside(commit)) {
      throw ModelUnavailable(str((repo / "refs" / revision).string(),
                                 " holds no commit; delete it and download again.",
                                 how_to_download(id)));
    }
  }
  const Path snapshots = repo / "snapshots";
  if (is_there(snapshots / commit)) return snapshots / commit;
  const std::vector<std::string> names = names_in(snapshots);
  std::vector<std::string> matching;
  if (commit.size() >= 4 && commit.find_first_not_of("0123456789abcdef") == std::string::npos) {
    std::copy_if(names.begin(), names.end(), std::back_inserter(matching),
                 [&](const std::string& name) { return name.starts_with(commit); });
  }
  if (matching.size() == 1) return snapshots / matching[0];
  if (matching.size() > 1) {
    throw ModelUnavailable(str(id.repo, "@", revision, " may be any of ", joined(matching), " in ",
                               snapshots.string(), "; give more digits."));
  }
  if (names.empty()) {
    throw ModelUnavailable(str(id.repo, " is in the Hugging Face cache (", repo.string(),
                               "), but without any file: was its download interrupted?",
                               how_to_download(id)));
  }
  throw ModelUnavailable(str(id.repo, " is in the Hugging Face cache (", repo.string(),
                             "), but not its revision '", revision, "'; there is ", joined(names),
                             ", which @COMMIT behind the id asks for.", how_to_download(id)));
}

// Shards that an index names but that are not beside it, the first of them; "" when all are there.
std::string missing_shard(const Path& index) {
  const JsonFile json(index);
  if (!json.has("weight_map")) return "";
  const JsonFile map = json.object("weight_map");
  for (const std::string& name : map.keys()) {
    const std::string shard = map.text(name);
    if (!fs::exists(index.parent_path() / shard)) return shard;
  }
  return "";
}

// A component that model_index.json names but that has no folder, the first of them; or "".
std::string missing_component(const Path& snapshot) {
  if (!fs::exists(snapshot / "model_index.json")) return "";
  const JsonFile index(snapshot / "model_index.json");
  for (const std::string& name : index.keys()) {
    // ["library", "class"]; [null, null] where a pipeline has none; settings begin with "_".
    if (name.starts_with("_") || !stays_inside(name)) continue;
    std::vector<std::string> component;
    try {
      component = index.texts(name);
    } catch (const CheckpointError&) {
      continue;
    }
    if (component.size() == 2 && !fs::exists(snapshot / name)) return name + "/";
  }
  return "";
}

// What is missing of the files under `place`, in words; "" when nothing is known to be.
std::string what_is_missing(const Path& place, const Path& repo) {
  bool weights = false;
  for (const auto& item : fs::recursive_directory_iterator(place)) {
    const std::string name = item.path().lexically_relative(place).string();
    if (item.is_symlink() && !fs::exists(item.path())) return name + " is a link to nothing";
    if (name.find(".safetensors.index.") != std::string::npos) {
      const std::string shard = missing_shard(item.path());
      if (!shard.empty()) return str(name, " names ", shard, ", which is not there");
    }
    weights = weights || item.path().extension() == ".safetensors";
  }
  const std::vector<std::string> blobs = names_in(repo / "blobs");
  const auto part = std::find_if(blobs.begin(), blobs.end(), [](const std::string& name) {
    return name.ends_with(".incomplete");
  });
  // One alone proves nothing: it may be left from a download that was finished later, or of a file
  // not needed.
  if (part == blobs.end()) return "";
  const std::string component = missing_component(place);
  if (!component.empty()) return str(component, " is not there, and blobs/", *part, " is");
  if (!weights) return str("there is no .safetensors file yet, but blobs/", *part);
  return "";
}

std::string incomplete(const HubId& id, const Path& snapshot, const std::string& what) {
  return str(id.repo, ": its download into ", snapshot.string(), " is not complete (", what,
             "); the same command goes on where it stopped.", how_to_download(id));
}

}  // namespace

Path hub_cache() {
  for (const char* name : {"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"}) {
    if (const std::string value = variable(name); !value.empty()) return expand_home(value);
  }
  if (const std::string value = variable("HF_HOME"); !value.empty()) {
    return Path(expand_home(value)) / "hub";
  }
  const std::string xdg = variable("XDG_CACHE_HOME");
  return Path(expand_home(xdg.empty() ? "~/.cache" : xdg)) / "huggingface" / "hub";
}

bool looks_like_hub_id(const std::string& text) {
  HubId id;
  return split_id(text, id);
}

Path find_in_hub_cache(const std::string& text) {
  HubId id;
  if (!split_id(text, id)) {
    throw ModelUnavailable(str("'", text,
                               "' is no Hugging Face id; expected ORG/NAME, "
                               "ORG/NAME@REVISION or ORG/NAME/FILE."));
  }
  const size_t slash = id.repo.find('/');
  const Path repo =
      hub_cache() / str("models--", id.repo.substr(0, slash), "--", id.repo.substr(slash + 1));
  std::error_code ignored;
  if (!is_there(repo)) {
    throw ModelUnavailable(str(id.repo, " is not in the Hugging Face cache (", hub_cache().string(),
                               ").", how_to_download(id)));
  }
  const Path snapshot = find_snapshot(id, repo);
  const Path found = id.inside.empty() ? snapshot : snapshot / id.inside;
  if (!is_there(found)) {
    if (fs::is_symlink(found, ignored)) {
      throw ModelUnavailable(incomplete(id, snapshot, id.inside + " is a link to nothing"));
    }
    throw ModelUnavailable(str(id.repo, " is in the Hugging Face cache, but ", snapshot.string(),
                               " has no '", id.inside, "'.", how_to_download(id)));
  }
  if (fs::is_directory(found, ignored)) {
    std::string missing;
    try {
      missing = what_is_missing(found, repo);
    } catch (const fs::filesystem_error& error) {
      throw IoError(str(found.string(), " cannot be listed: ", error.code().message(), "."));
    }
    if (!missing.empty()) throw ModelUnavailable(incomplete(id, snapshot, missing));
  }
  return found;
}

std::string how_to_complete(const Path& place) {
  const std::string ask = "; was its download interrupted?";
  constexpr std::string_view kModels = "models--";
  const Path whole = same_place(place.parent_path()) / place.filename();
  for (auto part = whole.begin(); part != whole.end(); ++part) {
    const std::string repo = part->string();
    const size_t split = repo.find("--", kModels.size());
    if (!repo.starts_with(kModels) || split == repo.npos) continue;
    const HubId id = {
        repo.substr(kModels.size(), split - kModels.size()) + "/" + repo.substr(split + 2), "", ""};
    return ask + " The same command goes on where it stopped." + how_to_download(id);
  }
  return ask;
}

bool is_url(const std::string& text) {
  return text.find("://") != text.npos;
}

Path resolve_path_or_id(const std::string& text, const std::string& what,
                        const std::vector<std::string>& embedded) {
  std::error_code ignored;
  if (const Path path = through_folder_links(text); is_there(path)) return path;
  if (fs::is_symlink(text, ignored)) {
    throw ModelUnavailable(str(what, ": ", text, " is a link to '",
                               fs::read_symlink(text, ignored).string(), "', which is not there."));
  }
  if (is_url(text)) {
    throw ModelUnavailable(str(what, ": ", text,
                               " is a URL, and nothing is downloaded here; get it with `hf "
                               "download` and give its id, ORG/NAME, or save it to a file."));
  }
  if (!looks_like_hub_id(text)) {
    std::string remedy = did_you_mean(text, embedded);
    if (remedy.empty()) remedy = "; check the path";
    throw ModelUnavailable(str(what, ": there is no file or folder '", text,
                               "', and it is no Hugging Face id (ORG/NAME) either", remedy));
  }
  try {
    return find_in_hub_cache(text);
  } catch (const ModelUnavailable& error) {
    throw ModelUnavailable(str(what, ": there is no file or folder '", text,
                               "' here, and as a Hugging Face id: ", error.what()));
  }
}

}  // namespace icedit
