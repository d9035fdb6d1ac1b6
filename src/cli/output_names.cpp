#include "cli/output_names.h"

#include <unistd.h>

#include <algorithm>
#include <climits>
#include <map>
#include <set>

#include "base/error.h"
#include "cli/paths.h"

namespace icedit::cli {
namespace {

namespace fs = std::filesystem;

// Without a folder an edit is called after its input.
constexpr const char* kEditMark = "-edit";
constexpr const char* kPreviewMark = ".preview";
constexpr std::string_view kStepMark = "-step";
constexpr size_t kTemporaryRoom = 160;        // of a temporary name: io/files_write.cpp
constexpr int64_t kMostPreviewSteps = 10000;  // in a preview's name

bool means_folder(const std::string& output) {
  return output.ends_with('/') || is_folder(output) || !Path(output).has_extension();
}

// "a/b.png", 2 -> "a/b-2.png".
Path numbered(const Path& file, int64_t number) {
  Path name = file.stem();
  name += str("-", number);
  name += file.extension();
  return file.parent_path() / name;
}

std::vector<Path> for_each_image(const Path& file, int64_t count) {
  if (count == 1) return {file};
  std::vector<Path> files;
  for (int64_t i = 1; i <= count; ++i) files.push_back(numbered(file, i));
  return files;
}

// "a-step2" -> "a"; another name stays.
std::string without_step(const std::string& stem) {
  const size_t last = stem.find_last_not_of("0123456789");
  if (last == std::string::npos || last + 1 == stem.size()) return stem;
  const std::string_view marked(stem.data(), last + 1);
  return std::string(marked.ends_with(kStepMark)
                         ? marked.substr(0, marked.size() - kStepMark.size())
                         : std::string_view(stem));
}

// "a/b.png", 2 -> "a/b-step2.png".
Path stepped(const Path& file, size_t step) {
  Path name = file.stem();
  name += str(kStepMark, step);
  name += file.extension();
  return file.parent_path() / name;
}

// One an image, or one a step; a chain that goes on counts on.
std::vector<Path> files_of(const EditJob& job, const Path& file) {
  if (!job.chain) return for_each_image(file, job.settings.request.num_images);
  const size_t before = job.before.steps.size();
  Path first = file;
  if (before > 0)
    first.replace_filename(without_step(file.stem().string()) + file.extension().string());
  std::vector<Path> files;
  for (size_t i = 0; i < job.steps(); ++i) files.push_back(stepped(first, before + i + 1));
  return files;
}

// The input's name; a picture without an extension that we write becomes a PNG.
Path name_in_folder(const Path& folder, const std::string& image) {
  const Path name = Path(image).filename();
  if (is_picture_name(name)) return folder / name;
  Path png = name;
  png += ".png";
  return folder / png;
}

class Names {
 public:
  explicit Names(const EditOptions& options)
      : folder_(options.output_dir), skip_existing_(options.skip_existing) {
    const std::string& output = options.settings.output;
    if (output == kStandardOutput) {
      file_ = output;
    } else if (output.empty()) {
      in_folder_ = !folder_.empty();
    } else if (means_folder(output)) {
      folder_ /= output;
      in_folder_ = true;
    } else {
      file_ = folder_ / output;
    }
  }

  void name(std::vector<EditJob>& jobs) {
    if (file_ == kStandardOutput) {
      if (jobs.size() == 1 && !jobs[0].chain && jobs[0].settings.request.num_images == 1) {
        jobs[0].outputs = {file_};
        return;
      }
      throw UsageError(
          "-o - writes one picture to standard output, but there are several; give -o a name");
    }
    if (!file_.empty() && jobs.size() > 1) {
      throw UsageError(str("-o ", file_.string(), " is one file, but there are ", jobs.size(),
                           " pictures to edit; name a folder, as in -o edits/"));
    }
    std::map<Path, int64_t> sharing, used;
    for (const EditJob& job : jobs) ++sharing[name_in_folder(folder_, job.settings.image)];
    for (EditJob& job : jobs) {
      if (!job.settings.output.empty()) {
        expect_below(job);
        job.outputs = files_of(job, folder_ / job.settings.output);
      } else if (!file_.empty()) {
        job.outputs = files_of(job, file_);
      } else if (in_folder_) {
        const Path file = name_in_folder(folder_, job.settings.image);
        job.outputs = files_of(job, sharing[file] > 1 ? numbered(file, ++used[file]) : file);
      } else if (skip_existing_) {
        throw UsageError(
            "--skip-existing needs to know what the outputs are called: name a folder with -o");
      } else {
        job.outputs = free_names(job);
        job.any_name = true;
      }
    }
  }

 private:
  // A batch from elsewhere does not write anywhere by "../".
  void expect_below(const EditJob& job) const {
    const Path output = job.settings.output;
    if (output.is_absolute() || *output.lexically_normal().begin() != "..") return;
    throw UsageError(str(job.where, ": 'output' ", output.string(), " leaves ",
                         folder_.empty() ? "the working folder" : folder_.string(),
                         "; give a name below it, or an absolute path"));
  }

  // INPUT-edit-K.png and on, or INPUT-edit-K-step1.png and on, none of which exists or is taken in
  // this run. A chain that goes on keeps its name, where its next steps are free.
  std::vector<Path> free_names(const EditJob& job) {
    const auto is_free = [&](const Path& file) {
      return !is_taken(file) && taken_.count(file) == 0;
    };
    const auto all_free = [&](const std::vector<Path>& files) {
      return std::all_of(files.begin(), files.end(), is_free);
    };
    std::string stem = Path(job.settings.image).stem().string();
    std::vector<Path> files;
    if (!job.before.steps.empty()) {
      stem = without_step(stem);
      files = files_of(job, stem + ".png");
    }
    const std::string edit = stem + kEditMark + ".png";
    for (int64_t k = 1; files.empty() || !all_free(files); ++k) {
      if (job.chain) {
        files = files_of(job, numbered(edit, k));
        if (!is_free(numbered(edit, k))) files.clear();  // that is another edit's name
      } else {
        files.clear();
        for (int64_t i = 0; i < job.settings.request.num_images; ++i)
          files.push_back(numbered(edit, k + i));
      }
    }
    taken_.insert(files.begin(), files.end());
    return files;
  }

  Path folder_, file_;
  bool skip_existing_;
  bool in_folder_ = false;
  std::set<Path> taken_;
};

// `there`: the nearest folder above the file that exists.
void expect_short(const Path& file, const Path& there) {
  const long of_name = pathconf(there.c_str(), _PC_NAME_MAX);
  const size_t limit = of_name > 0 ? static_cast<size_t>(of_name) : NAME_MAX;
  for (const Path& part : file) {
    if (part.string().size() <= limit) continue;
    throw UsageError(str(file.string(), ": a name of ", part.string().size(),
                         " bytes, but the file system takes ", limit,
                         " at most; give a shorter name with -o"));
  }
  if (file.string().size() + kTemporaryRoom >= PATH_MAX) {
    throw UsageError(str(file.string(), ": a path of ", file.string().size(),
                         " bytes is too long for the system; give a shorter one with -o"));
  }
}

// Before hours of work, not after.
void expect_writable_folder(const Path& file) {
  const Path folder = file.has_parent_path() ? file.parent_path() : Path(".");
  Path there = folder;
  while (!is_there(there) && there.has_parent_path()) there = there.parent_path();
  if (!is_there(there)) there = ".";
  if (!is_folder(there)) {
    throw IoError(str(file.string(), ": ", there.string(),
                      " is a file, not a folder; give another name with -o"));
  }
  expect_short(file, there);
  if (access(there.c_str(), W_OK | X_OK) != 0) {
    throw IoError(str(file.string(), ": there is no permission to write in ", there.string(),
                      "; give another place with -o"));
  }
}

// With the job that edits it; none for a mask.
std::map<Path, const EditJob*> inputs_of(const std::vector<EditJob>& jobs) {
  std::map<Path, const EditJob*> inputs;
  for (const EditJob& job : jobs) {
    inputs[same_place(job.settings.image)] = &job;
    if (!job.settings.mask.empty()) inputs[same_place(job.settings.mask)] = nullptr;
  }
  return inputs;
}

}  // namespace

Path preview_name(const Path& output, int64_t step) {
  const std::string number = std::to_string(step);
  Path name = output.stem();
  name += kPreviewMark + std::string("-") +
          std::string(number.size() < 3 ? 3 - number.size() : 0, '0') + number + ".png";
  return output.parent_path() / name;
}

bool is_our_name(const Path& file) {
  const std::string stem = file.stem().string(), name = without_step(stem);
  if (name != stem) return is_our_name(file.parent_path() / (name + ".png"));
  const size_t dash = name.find_last_not_of("0123456789");
  if (file.extension() != ".png" || dash == std::string::npos || name[dash] != '-' ||
      dash + 1 == name.size())
    return false;
  const std::string_view marked(name.data(), dash);
  for (const std::string_view mark : {kEditMark, kPreviewMark}) {
    if (!marked.ends_with(mark)) continue;
    const std::string source(marked.substr(0, marked.size() - mark.size()));
    // A preview's edit may not have been finished.
    if (is_our_name(file.parent_path() / (source + ".png"))) return true;
    for (const char* extension : {".png", ".jpg", ".jpeg", ".webp", ".PNG", ".JPG", ".JPEG"}) {
      if (is_there(file.parent_path() / (source + extension))) return true;
    }
  }
  return false;
}

void name_outputs(std::vector<EditJob>& jobs, const EditOptions& options) {
  Names(options).name(jobs);
}

void check_outputs(const std::vector<EditJob>& jobs, const EditOptions& options) {
  const bool overwrite = options.force || options.skip_existing;
  const std::map<Path, const EditJob*> inputs = inputs_of(jobs);
  std::set<Path> written;
  for (const EditJob& job : jobs) {
    for (const Path& output : job.outputs) {
      if (output == kStandardOutput) continue;
      format_of(output);
      const Path place = same_place(output);
      const auto input = inputs.find(place);
      if (input != inputs.end() && (!overwrite || input->second != &job)) {
        throw UsageError(
            str(output.string(), " is an input itself", overwrite ? " that is still needed" : "",
                "; give the edit another name with -o", overwrite ? "" : ", or --force"));
      }
      if (is_folder(output))
        throw UsageError(str(output.string(), " is a folder; end it with / to write into it"));
      if (!overwrite && !job.any_name && jobs.size() > 1 && is_taken(output)) {
        throw UsageError(str(output.string(),
                             " exists already; leave out what is done with --skip-existing, give "
                             "another folder with -o, or --force"));
      }
      expect_free(output, overwrite || job.any_name);
      const std::string& map = job.settings.change_map;
      if (!map.empty() && same_place(map) == place)
        throw UsageError(str(output.string(),
                             " is the edit and its --change-map; give one of them another name"));
      if (!written.insert(place).second) {
        throw UsageError(str(job.where, ": two edits would be written to ", output.string(),
                             "; give each its 'output'"));
      }
      expect_writable_folder(output);
      if (options.preview_every > 0)
        expect_writable_folder(preview_name(output, kMostPreviewSteps));
    }
  }
}

void check_previews(const std::vector<EditJob>& jobs, const EditOptions& options, int64_t steps) {
  if (options.preview_every == 0) return;
  const std::map<Path, const EditJob*> inputs = inputs_of(jobs);
  std::set<Path> written;
  for (const EditJob& job : jobs)
    for (const Path& output : job.outputs) written.insert(same_place(output));
  for (const EditJob& job : jobs) {
    const int64_t last = job.settings.request.steps.value_or(steps);
    for (const Path& output : job.outputs) {
      for (int64_t step = options.preview_every; step <= last; step += options.preview_every) {
        const Path preview = preview_name(output, step);
        const Path place = same_place(preview);
        if (inputs.count(place) != 0 || !written.insert(place).second) {
          throw UsageError(str("a preview would be written to ", preview.string(), ", which is ",
                               inputs.count(place) != 0 ? "read" : "written", " by this run too; ",
                               "give the edit another name with -o"));
        }
        if (!options.skip_existing) expect_free(preview, options.force);
      }
    }
  }
}

}  // namespace icedit::cli
