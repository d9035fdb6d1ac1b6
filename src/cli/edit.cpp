// icedit edit: pictures and an instruction in, edited pictures out.
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <tuple>

#include "base/counted.h"
#include "base/error.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "base/progress.h"
#include "cli/command.h"
#include "cli/dry_run.h"
#include "cli/edit_chain.h"
#include "cli/edit_report.h"
#include "cli/edit_warnings.h"
#include "cli/output_names.h"
#include "cli/paths.h"
#include "edit/recipe.h"
#include "edit/request_reader.h"
#include "edit/threads.h"
#include "edit/warnings.h"
#include "io/process_lock.h"

namespace icedit::cli {
namespace {

constexpr size_t kBytesAtOnce = size_t{1} << 30;  // of decoded pictures
constexpr size_t kClaimedAtOnce = 8;              // the others are left to other processes

bool all_there(const EditJob& job) {
  return std::all_of(job.outputs.begin(), job.outputs.end(), is_taken);
}

// Of the processes that work on one folder with --skip-existing, one edits a picture.
Path claim_of(const EditJob& job) {
  const Path& output = job.outputs.front();
  return output.parent_path() / str(".", output.filename().string().substr(0, 200), ".claim");
}

class EditRun {
 public:
  EditRun(const EditOptions& options, const std::vector<EditJob>& jobs, const ModelFiles& files,
          int threads)
      : options_(options),
        jobs_(jobs),
        threads_(threads),
        clock_(jobs.size()),
        editor_(files, residency_options(options.model, files)),
        reader_(options.read, editor_.residency()) {
    const bool several =
        jobs.size() > 1 || jobs[0].steps() > 1 || jobs[0].settings.request.num_images > 1;
    const MemoryLimit& limit = options.model.memory;
    plan_memory(editor_.residency(), limit, several,
                limit.any() ? largest_edit(jobs, options, editor_.residency())
                            : usual_size(editor_.residency()));
    announce();
  }

  // In groups, so that a folder of photos is never in memory at once. Returns the exit code.
  int all() {
    for (size_t begin = 0; begin < jobs_.size();) begin = group(begin);
    clock_.end();
    if (options_.json)
      std::cout << dumped(edit_result_json(run(), written_, failures_, clock_, seconds(), threads_),
                          2)
                << "\n";
    if (failures_.empty()) return 0;
    log::error(str("not edited as asked: ", failures_.size(), " of ", jobs_.size(), " inputs"));
    for (const Failure& failure : failures_) log::error(failure.message);
    return static_cast<int>(failures_.front().code);
  }

 private:
  void announce() {
    const Residency& r = editor_.residency();
    log::info(str(r.files().name(), " on ", r.device().str(), " in ",
                  dtype_text(r.precision().compute), ", ",
                  counted(static_cast<uint64_t>(threads_), "thread")));
    const std::string odd = adapter_warning(r, options_.model.no_lora);
    if (!odd.empty()) log::warn(odd);
    if (!options_.recipe.empty()) compare_with_recipe();
    tell_of_lossy_formats();
    if (jobs_.size() == 1) {
      const int64_t n = jobs_[0].settings.request.num_images;
      log::info(str("seed ", *jobs_[0].settings.seed, n > 1 ? str(" and on, ", n, " images") : ""));
    }
  }

  // What is kept bit for bit is lost again in such a file.
  void tell_of_lossy_formats() const {
    for (const EditJob& job : jobs_) {
      const EditSettings& s = job.settings;
      if (!s.request.source_size || !s.request.keep_detail.value_or(true)) continue;
      const Path& output = job.outputs.front();
      if (output == kStandardOutput) continue;
      if (is_lossless({format_of(output), static_cast<int>(s.quality.value_or(kQuality))}))
        continue;
      return log::info(
          str(output.string(), ": this format changes every pixel a little; where the ",
              "rest is to stay bit for bit, name a .png, or a .webp with --quality 100"));
    }
  }

  void compare_with_recipe() {
    const Recipe recipe = read_recipe(options_.recipe);
    if (recipe.steps.back().mask && jobs_[0].settings.mask.empty()) {
      log::warn(
          str(options_.recipe, " was made with a mask, which is not in it; give it with --mask"));
    }
    const std::vector<std::string> lines = differences(recipe.run, run());
    if (lines.empty()) return;
    log::warn(
        str(options_.recipe, " was made with other things: ", lines, "; the edit will differ"));
  }

  size_t group(size_t begin) {
    if (jobs_[begin].chain) {
      claims_.clear();
      chain(jobs_[begin]);
      return begin + 1;
    }
    std::vector<EditRequest> requests;
    group_.clear();
    claims_.clear();
    size_t bytes = 0, end = begin;
    for (; end < jobs_.size() && bytes < kBytesAtOnce && claims_.size() < kClaimedAtOnce; ++end) {
      if (jobs_[end].chain) break;
      std::optional<EditRequest> request = load(jobs_[end]);
      if (!request) continue;
      requests.push_back(std::move(*request));
      group_.push_back(&jobs_[end]);
      bytes += requests.back().source.pixels.size();
    }
    next_ = 0;
    editor_.edit(requests, hooks(), [&](size_t i, std::vector<EditedImage> images) {
      write(*group_[i], requests[i], images);
    });
    return end;
  }

  // Each step edits the file that the one before it has become.
  void chain(const EditJob& job) {
    std::optional<EditRequest> request = load(job);
    Recipe recipe = job.before;
    if (recipe.steps.empty()) recipe.source = source_record(job.settings.image);
    std::string taken;
    const size_t first = request && options_.skip_existing ? steps_there(job, recipe) : 0;
    if (first > 0) {
      log::info(str(job.outputs[first - 1].string(), " is there; the chain goes on from it"));
      request = read_step(job, first, read_file(job.outputs[first - 1]));
    }
    for (size_t i = first; request && i < job.steps(); ++i) {
      group_ = {&job};
      next_ = 0;
      const EditedImage edited = std::move(editor_.edit(*request, hooks(i)).front());
      recipe.run = run();
      recipe.steps.push_back(step_of(job.step(i), *request, job.outputs[i]));
      add_made(edited, 0, recipe.steps.back());
      const std::string bytes = encode_with_recipe(edited, recipe);
      save(job, i, bytes, edited, recipe.steps.back(), taken);
      if (i + 1 == job.steps()) break;
      request = read_step(job, i + 1, bytes);
    }
    end_of(job, taken);
  }

  // `bytes`: the file that the step before has become.
  EditRequest read_step(const EditJob& job, size_t i, const std::string& bytes) {
    const std::string& mask = job.step(i).mask;
    const std::string mask_bytes = mask.empty() ? "" : read_file(mask);
    return reader_.read(job.step(i), as_bytes(bytes), as_bytes(mask_bytes));
  }

  // Of several pictures one that cannot be edited is left out; nothing says so.
  std::optional<EditRequest> load(const EditJob& job) {
    if (options_.skip_existing && job.outputs[0] != kStandardOutput && !claim(job)) return {};
    std::optional<EditRequest> request;
    try {
      request = reader_.read(job.settings);
      expect_steps(job);
    } catch (const Error& error) {
      const std::string message = located(job, error.what());
      if (jobs_.size() == 1 && message == error.what()) throw;
      if (jobs_.size() == 1) throw Error(error.code(), message);
      failures_.push_back({&job, message, error.code()});
      log::warn(str("left out: ", message));
      return {};
    }
    expect_disk_space(job, *request);
    return request;
  }

  void expect_disk_space(const EditJob& job, const EditRequest& request) const {
    if (job.outputs[0] == kStandardOutput) return;
    const uint64_t wanted =
        job.outputs.size() *
        reader_.output_bytes(request, options_.preview_every, options_.preview_full);
    const uint64_t left = free_disk_bytes(job.outputs[0]);
    if (left >= wanted) return;
    throw IoError(str(job.outputs[0].string(), ": the disk has ", bytes_text(double(left)),
                      " left, the edit ", options_.preview_every > 0 ? "and its previews " : "",
                      "may need ", bytes_text(double(wanted)),
                      "; make room or give another place with -o"));
  }

  // What a later step cannot do is found out before the first has run.
  void expect_steps(const EditJob& job) {
    const auto place = [](const EditSettings& s) {
      return std::tuple(s.mask, s.request.region, s.request.width, s.request.sizing);
    };
    for (size_t i = 1; i < job.steps(); ++i) {
      if (place(job.step(i)) == place(job.settings)) continue;
      try {
        reader_.read(job.step(i));
      } catch (const Error& error) {
        throw Error(error.code(), str("step ", i + 1, ": ", error.what()));
      }
    }
  }

  // False where another process has it, or has done it meanwhile.
  bool claim(const EditJob& job) {
    const Path file = claim_of(job);
    if (file.has_parent_path()) std::filesystem::create_directories(file.parent_path());
    std::optional<ProcessLock> lock = ProcessLock::on_new_file(file);
    const bool done = lock && all_there(job);
    if (lock && !done) return claims_.emplace(&job, std::move(*lock)).second;
    log::info(str(job.outputs.front().string(), done ? " was made" : " is being made",
                  " by another process, and left to it"));
    return false;
  }

  // `first`: which of the job's outputs is its first image's.
  EditHooks hooks(size_t first = 0) {
    EditHooks hooks;
    hooks.stop = throw_if_interrupted;
    hooks.on_stage = [this](const std::string& stage) {
      if (stage != kDenoisingStage) return clock_.begin(stage);
      current_ = group_[next_++];  // once a request, in their order
      const EditRequest& r = current_->settings.request;
      const ModelDefaults& defaults = editor_.residency().files().defaults();
      clock_.begin_denoising(r.num_images * r.steps.value_or(defaults.num_inference_steps),
                             current_ - jobs_.data() + 1);
    };
    hooks.on_step = [this](int64_t image, int64_t step, int64_t steps) {
      image_ = image;
      clock_.step(image * steps + step + 1);
    };
    if (options_.preview_every == 0) return hooks;
    hooks.preview_every = options_.preview_every;
    hooks.preview_full = options_.preview_full;
    hooks.on_preview = [this, first](const Image& preview, int64_t step) {
      const Path file = preview_name(current_->outputs[first + image_], step + 1);
      if (options_.skip_existing && is_taken(file)) return;
      write_text_atomically(file, encode_image(preview, ImageFormat::kPng),
                            if_taken(options_.force));
    };
    return hooks;
  }

  void write(const EditJob& job, const EditRequest& request,
             const std::vector<EditedImage>& images) {
    // Source and mask are hashed once for all images, whose names end alike.
    Recipe recipe{run(),
                  source_record(job.settings.image),
                  {step_of(job.settings, request, job.outputs.front())},
                  {}};
    StepRecord& step = recipe.steps.back();
    std::string taken;
    for (size_t i = 0; i < images.size(); ++i) {
      add_made(images[i], i, step);
      save(job, i, encode_with_recipe(images[i], recipe), images[i], step, taken);
    }
    end_of(job, taken);
  }

  StepRecord step_of(const EditSettings& settings, const EditRequest& request, const Path& output) {
    StepRecord step = step_record(settings, request, editor_.residency().files().defaults());
    if (!settings.mask.empty()) step.mask = source_record(settings.mask);
    step.file.format = output == kStandardOutput ? ImageFormat::kPng : format_of(output);
    return step;
  }

  // The job's output `i`. Where its name was taken meanwhile, `taken` says so.
  void save(const EditJob& job, size_t i, const std::string& bytes, const EditedImage& edited,
            const StepRecord& step, std::string& taken) {
    const Path& wanted = job.outputs[i];
    if (edited.speed) log::info(speed_text(*edited.speed));
    if (edited.detail && edited.detail->figures.kept == 100)
      log::warn(str(wanted.string(), ": nothing is changed, since all that the model changed is ",
                    "taken for its noise; try another seed, or a lower --detail-tolerance"));
    if (options_.skip_existing && is_taken(wanted)) return;  // of several images this one
    Written written = {wanted,
                       &job,
                       edited.image.width,
                       edited.image.height,
                       step.edit,
                       job.chain ? job.before.steps.size() + i + 1 : 0,
                       step.detail,
                       step.speed};
    if (wanted == kStandardOutput) {
      std::cout << bytes;
      log::info(str("seed ", edited.seed));
    } else {
      written.file = write_text_atomically(wanted, bytes, if_taken(options_.force));
      if (!options_.json)
        std::cout << written.file.string() << "  seed " << edited.seed << std::endl;
    }
    if (edited.detail && !job.settings.change_map.empty())
      write_text_atomically(job.settings.change_map,
                            encode_image(edited.detail->map, ImageFormat::kPng),
                            if_taken(options_.force));
    // What took so long is not thrown away.
    if (written.file != wanted && !job.any_name) taken = taken_meanwhile(wanted, written.file);
    written_.push_back(std::move(written));
  }

  void end_of(const EditJob& job, const std::string& taken) {
    claims_.erase(&job);
    if (taken.empty()) return;
    if (jobs_.size() == 1) throw UsageError(taken);
    failures_.push_back({&job, taken, ExitCode::kUsage});
  }

  // Made when it is first needed: hashing the files takes time before the first step.
  const RunRecord& run() {
    if (!run_) run_ = describe_run(editor_.residency());
    return *run_;
  }

  double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }

  const EditOptions& options_;
  const std::vector<EditJob>& jobs_;
  const int threads_;
  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  StageClock clock_;
  Editor editor_;
  RequestReader reader_;
  std::optional<RunRecord> run_;
  std::vector<Written> written_;
  std::vector<Failure> failures_;
  std::map<const EditJob*, ProcessLock> claims_;  // with --skip-existing
  std::vector<const EditJob*> group_;             // those that are edited together
  size_t next_ = 0;                               // of them, the job that is denoised next
  const EditJob* current_ = nullptr;              // and now
  int64_t image_ = 0;                             // which of its images
};

}  // namespace

int run_edit(const Arguments& arguments) {
  const EditOptions options = parse_edit_options(arguments);
  if (options.help) {
    std::cout << edit_help();
    return 0;
  }
  const std::vector<EditJob> jobs = plan_jobs(options);
  if (options.settings.output == kStandardOutput && isatty(STDOUT_FILENO) != 0) {
    throw UsageError(
        "-o - writes a picture to standard output, which is a terminal; end the command with > "
        "out.png");
  }
  if (jobs.empty()) {
    log::info("nothing to do: every output exists");
    if (options.json) std::cout << "{\"outputs\": [], \"failures\": []}\n";
    return 0;
  }
  const Threads threads(options.model.threads);
  const ModelFiles files = ModelFiles::find(options.model.request);
  check_previews(jobs, options, files.defaults().num_inference_steps);
  for (const std::string& line : settings_warnings(options, jobs, files.defaults()))
    log::warn(line);
  if (options.dry_run) {
    dry_run(options, jobs, files, threads.count());
    return 0;
  }
  return EditRun(options, jobs, files, threads.count()).all();
}

}  // namespace icedit::cli
