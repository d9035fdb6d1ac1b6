#include "cli/edit_jobs.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <random>
#include <sstream>

#include "base/error.h"
#include "base/log.h"
#include "base/shell.h"
#include "cli/edit_chain.h"
#include "cli/output_names.h"
#include "cli/paths.h"
#include "io/utf8.h"

namespace icedit::cli {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kLargestRandomSeed = 0x7fffffff;  // as the published demo's

// Edits and previews of an earlier run are left out: nobody who names a folder twice wants edits of
// edits.
std::vector<Path> pictures_in(const Path& folder) {
  std::vector<Path> pictures, ours;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    if (!it->is_regular_file() || !is_picture_name(it->path())) continue;
    (is_our_name(it->path()) ? ours : pictures).push_back(it->path());
  }
  if (error) throw IoError(str(folder.string(), ": cannot be listed: ", error.message()));
  if (pictures.empty()) {
    throw NoInputError(
        str(folder.string(), ": there is no picture in this folder (.png, .jpg, .jpeg, .webp)"));
  }
  std::sort(pictures.begin(), pictures.end());
  std::sort(ours.begin(), ours.end());
  if (!ours.empty()) {
    log::info(str(folder.string(), ": ", ours.size(), " earlier edits or previews are left out (",
                  ours.front().filename().string(), ours.size() > 1 ? ", ..." : "",
                  "); name them one by one to edit them"));
  }
  return pictures;
}

bool is_of_batch(const EditJob& job) {
  return job.where != job.settings.image;
}

std::string beside(const Path& file, const std::string& relative) {
  return relative.empty() ? "" : (file.parent_path() / relative).string();
}

// Takes "then", a list, out of a batch's line.
Json take_then(std::string& line, const std::string& where) {
  Json object = Json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!object.is_object() || !object.contains("then")) return Json::array();
  Json then = object["then"];
  if (!then.is_array()) {
    throw UsageError(str(where, ": 'then' is ", dumped(then),
                         ", expected a list of instructions, as [\"remove the cup\"]"));
  }
  object.erase("then");
  line = dumped(object);
  return then;
}

// A step is an instruction, or an object that also says what is different from the line's.
void add_then(EditJob& job, const Json& then, const Path& file) {
  for (size_t i = 0; i < then.size(); ++i) {
    EditSettings& step = job.then.emplace_back(job.settings);
    const std::string where = str(job.where, ", step ", i + 2);
    step.request.instruction.clear();
    if (then[i].is_string()) {
      step.request.instruction = then[i].get<std::string>();
      continue;
    }
    if (!then[i].is_object()) {
      throw UsageError(str(where, ": a step is an instruction, or an object such as ",
                           "{\"instruction\": \"add a sun\", \"seed\": 3}, not ", dumped(then[i])));
    }
    for (const char* key : {"image", "output", "num_images", "num-images"}) {
      if (then[i].contains(key))
        throw UsageError(str(where, ": '", key, "' is of the whole line, not of a step"));
    }
    step.mask.clear();
    set_from_json(step, dumped(then[i]), where);
    step.mask = step.mask.empty() ? job.settings.mask : beside(file, step.mask);
  }
}

// Empty lines are allowed; whatever a line does not say is as on the command line.
std::vector<EditJob> read_batch(const Path& file, const EditSettings& common) {
  std::vector<EditJob> jobs;
  std::istringstream lines(read_file(file));
  int64_t number = 0;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    const std::string where = str(file.string(), ", line ", number);
    expect_utf8(line, where);
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    EditJob job;
    job.settings = common;
    job.where = where;
    job.settings.image.clear();
    job.settings.output.clear();
    job.settings.mask.clear();
    const Json then = take_then(line, where);
    set_from_json(job.settings, line, job.where);
    if (job.settings.image.empty())
      throw UsageError(str(job.where, ": 'image' is missing: which picture?"));
    job.settings.image = beside(file, job.settings.image);
    job.settings.mask = job.settings.mask.empty() ? common.mask : beside(file, job.settings.mask);
    add_then(job, then, file);
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
    EditJob& job = jobs.emplace_back();
    job.settings = common;
    job.settings.image = job.where = picture.string();
  };
  for (const std::string& input : options.inputs) {
    if (is_folder(input)) {
      for (const Path& picture : pictures_in(input)) add(picture);
    } else if (input.ends_with(".jsonl")) {
      const std::vector<EditJob> batch = read_batch(input, common);
      jobs.insert(jobs.end(), batch.begin(), batch.end());
    } else if (input.ends_with(".json")) {
      throw UsageError(str(input,
                           ": a batch is JSON Lines, one object a line, and its name ends in "
                           ".jsonl; give it that name"));
    } else {
      add(input);
    }
  }
  return jobs;
}

// Whether it is a picture is seen when it is read, one by one.
void expect_there(const std::string& file) {
  if (file.empty())
    throw UsageError("the name of a picture is empty; is a variable of the shell not set?");
  if (file == "-") {
    throw NoInputError(
        "-: no picture is read from standard input; save it to a file first, as in `cat > "
        "photo.png`, and name that");
  }
  if (is_url(file)) {
    throw NoInputError(str(file,
                           ": nothing is fetched from the net; save it to a file first, as in "
                           "`curl -L -o photo.png ",
                           shell_quoted(file), "`, and name that"));
  }
  if (!is_there(file) && !Path(file).has_extension()) {
    throw NoInputError(str(file,
                           ": there is no such picture or folder; an instruction of several words "
                           "needs quotes around it, and comes last"));
  }
  const MappedFile opened(file);
}

void expect_inputs(const EditJob& job) {
  try {
    expect_there(job.settings.image);
    if (!job.settings.mask.empty()) expect_there(job.settings.mask);
    for (const EditSettings& step : job.then)
      if (!step.mask.empty()) expect_there(step.mask);
  } catch (const Error& error) {
    if (!is_of_batch(job)) throw;
    throw Error(error.code(), located(job, error.what()));
  }
}

// Without a mask there is no edge to blend over. One --feather for a batch is meant for those of
// its lines that have a mask; a recipe's is for a mask that compare_with_recipe asks for.
void expect_feather_has_mask(const std::vector<EditJob>& jobs, const EditOptions& options) {
  const int common = options.settings.request.feather;
  const auto has_mask = [](const EditJob& job) { return !job.settings.mask.empty(); };
  const bool any_mask = std::any_of(jobs.begin(), jobs.end(), has_mask);
  for (const EditJob& job : jobs) {
    const int feather = job.settings.request.feather;
    if (feather == 0 || has_mask(job) || !options.recipe.empty()) continue;
    if (feather == common && any_mask) continue;
    throw UsageError(str(is_of_batch(job) ? job.where + ": 'feather' " : "--feather ", feather,
                         " blends over the edge of a mask, but there is none; give one with ",
                         is_of_batch(job) ? "'mask'" : "--mask"));
  }
}

// A recipe's are for the size that it was made at.
void expect_detail_has_size(const std::vector<EditJob>& jobs, const EditOptions& options) {
  for (const EditJob& job : jobs) {
    const EditSettings& s = job.settings;
    const auto refuse = [&](const char* why) {
      throw UsageError(is_of_batch(job) ? str(job.where, ": ", why) : why);
    };
    const bool keep = s.request.keep_detail.value_or(true);
    if (s.request.region && s.model_size)
      refuse(
          "--region is put back into the photo at its own size, but --output-size model makes a "
          "small picture; leave one out");
    if (!s.request.source_size && options.recipe.empty()) {
      if (s.request.keep_detail || s.request.detail_tolerance)
        refuse(
            "--detail and --detail-tolerance say how an edit is brought back to the input's "
            "size; add --output-size source");
      if (!s.change_map.empty())
        refuse(
            "--change-map shows what was kept of the input at its own size; add --output-size "
            "source");
    }
    if (s.change_map.empty()) continue;
    if (!s.request.source_size || !keep)
      refuse("--change-map shows what was kept, but --detail model keeps nothing; leave one out");
    if (job.steps() > 1)
      refuse(
          "--change-map names one file, but each step of a chain has a map of its own; make one "
          "step at a time (icedit edit EDIT --then \"...\" --change-map FILE goes on with a "
          "chain)");
    if (jobs.size() > 1 || s.request.num_images > 1)
      refuse("--change-map names one file, but several edits are made; edit one at a time");
    if (!s.change_map.ends_with(".png")) refuse("--change-map is a PNG; end its name in .png");
    expect_free(s.change_map, options.force, "--change-map");
  }
}

void complete(EditJob& job) {
  EditSettings& s = job.settings;
  if (only_space(s.request.instruction)) {
    throw UsageError(str(job.where,
                         ": there is no instruction; say what is to be changed, as in icedit edit ",
                         s.image, " \"make it winter\""));
  }
  expect_utf8(s.request.instruction, job.where + ": the instruction");
  if (!s.seed) {
    std::random_device device;
    s.seed = std::uniform_int_distribution<uint64_t>(0, kLargestRandomSeed)(device);
  }
  expect_seeds(*s.seed, s.request.num_images, job.where);
  complete_chain(job);
  if (s.keep_location && !s.request.source_size) {
    throw UsageError(str(job.where,
                         ": keep-location is of a full-size edit, which alone carries the ",
                         "photo's EXIF; add --output-size source"));
  }
}

}  // namespace

std::string located(const EditJob& job, const std::string& message) {
  return is_of_batch(job) ? str(job.where, ": ", message) : message;
}

std::vector<EditJob> plan_jobs(const EditOptions& options) {
  const std::string& instruction = options.settings.request.instruction;
  if (options.inputs.empty()) {
    throw UsageError(str("no picture was given: icedit edit PICTURE \"",
                         only_space(instruction) ? "INSTRUCTION" : instruction,
                         "\" -o OUT.png (icedit edit --help says more)"));
  }
  std::vector<EditJob> jobs = expand(options);
  for (const EditJob& job : jobs) expect_inputs(job);
  for (EditJob& job : jobs) plan_chain(job, options);
  expect_feather_has_mask(jobs, options);
  expect_detail_has_size(jobs, options);
  for (EditJob& job : jobs) complete(job);
  name_outputs(jobs, options);
  if (options.skip_existing) {
    std::erase_if(jobs, [](const EditJob& job) {
      return std::all_of(job.outputs.begin(), job.outputs.end(),
                         [](const Path& file) { return is_taken(file); });
    });
  }
  check_outputs(jobs, options);
  return jobs;
}

}  // namespace icedit::cli
