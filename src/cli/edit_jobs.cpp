#include "cli/edit_jobs.h"

#include <algorithm>
#include <random>
#include <sstream>

#include "base/error.h"
#include "cli/output_names.h"
#include "cli/paths.h"
#include "io/picture_kind.h"

namespace icedit::cli {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kLargestRandomSeed = 0x7fffffff;  // as the published demo's

std::vector<Path> pictures_in(const Path& folder) {
  std::vector<Path> pictures;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    if (it->is_regular_file() && is_picture_name(it->path())) pictures.push_back(it->path());
  }
  if (error) throw IoError(str(folder.string(), ": cannot be listed: ", error.message()));
  if (pictures.empty()) {
    throw NoInputError(
        str(folder.string(), ": there is no picture in this folder (.png, .jpg, .jpeg, .webp)"));
  }
  std::sort(pictures.begin(), pictures.end());
  return pictures;
}

std::string beside(const Path& file, const std::string& relative) {
  return relative.empty() ? "" : (file.parent_path() / relative).string();
}

// Empty lines are allowed; whatever a line does not say is as on the command line.
std::vector<EditJob> read_batch(const Path& file, const EditSettings& common) {
  std::vector<EditJob> jobs;
  std::istringstream lines(read_text(file));
  int64_t number = 0;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    EditJob job{common, {}, str(file.string(), ", line ", number)};
    job.settings.image.clear();
    job.settings.output.clear();
    job.settings.mask.clear();
    set_from_json(job.settings, line, job.where);
    if (job.settings.image.empty())
      throw UsageError(str(job.where, ": 'image' is missing: which picture?"));
    job.settings.image = beside(file, job.settings.image);
    job.settings.mask = job.settings.mask.empty() ? common.mask : beside(file, job.settings.mask);
    jobs.push_back(std::move(job));
  }
  if (jobs.empty()) throw NoInputError(str(file.string(), ": there is no line in it"));
  return jobs;
}

std::vector<EditJob> expand(const EditOptions& options) {
  EditSettings common = options.settings;
  common.output.clear();  // of the run, not of a job
  std::vector<EditJob> jobs;
  const auto add = [&](const Path& picture) {
    jobs.push_back({common, {}, picture.string()});
    jobs.back().settings.image = picture.string();
  };
  for (const std::string& input : options.inputs) {
    if (is_folder(input)) {
      for (const Path& picture : pictures_in(input)) add(picture);
    } else if (input.ends_with(".jsonl")) {
      const std::vector<EditJob> batch = read_batch(input, common);
      jobs.insert(jobs.end(), batch.begin(), batch.end());
    } else {
      add(input);
    }
  }
  return jobs;
}

// Opened, and told from the first bytes; decoding comes later, picture by picture.
void expect_picture(const std::string& file) {
  if (!is_there(file) && !Path(file).has_extension()) {
    throw NoInputError(
        str(file,
            ": there is no such picture; an instruction of several words needs quotes around it"));
  }
  const MappedFile mapped(file);
  picture_kind(mapped.bytes(), file);
}

void complete(EditJob& job) {
  EditSettings& s = job.settings;
  if (s.request.instruction.find_first_not_of(" \t\r\n") == std::string::npos) {
    throw UsageError(str(job.where,
                         ": there is no instruction; say what is to be changed, as in icedit edit ",
                         s.image, " \"make it winter\""));
  }
  if (!s.seed) {
    std::random_device device;
    s.seed = std::uniform_int_distribution<int64_t>(0, kLargestRandomSeed)(device);
  }
  if (*s.seed > INT64_MAX - s.request.num_images) {
    throw UsageError(str(job.where, ": seed ", *s.seed, " leaves no room for ",
                         s.request.num_images, " images"));
  }
  expect_picture(s.image);
  if (!s.mask.empty()) expect_picture(s.mask);
}

}  // namespace

std::vector<EditJob> plan_jobs(const EditOptions& options) {
  if (options.inputs.empty()) {
    throw UsageError(
        "no picture was given: icedit edit PICTURE \"INSTRUCTION\" -o OUT.png; icedit edit --help "
        "says more");
  }
  std::vector<EditJob> jobs = expand(options);
  for (EditJob& job : jobs) complete(job);
  name_outputs(jobs, options);
  if (options.skip_existing) {
    std::erase_if(jobs, [](const EditJob& job) {
      return std::all_of(job.outputs.begin(), job.outputs.end(),
                         [](const Path& file) { return is_there(file); });
    });
  }
  check_outputs(jobs, options.force || options.skip_existing);
  return jobs;
}

}  // namespace icedit::cli
