// icedit edit: pictures and an instruction in, edited pictures out.
#include <chrono>
#include <iostream>

#include "base/error.h"
#include "base/log.h"
#include "base/progress.h"
#include "cli/adapter_fit.h"
#include "cli/command.h"
#include "cli/dry_run.h"
#include "cli/edit_report.h"
#include "cli/memory_estimate.h"
#include "cli/paths.h"
#include "edit/recipe.h"
#include "io/hub.h"

namespace icedit::cli {
namespace {

namespace fs = std::filesystem;

constexpr size_t kBytesAtOnce = size_t{1} << 30;  // of decoded pictures

// Reads the job's pictures into its request, and refuses what would only fail after the text
// encoders have run.
EditRequest load(const EditJob& job, const EditOptions& options, int multiple,
                 const ModelDefaults& defaults) {
  const EditSettings& s = job.settings;
  EditRequest request = s.request;
  request.seed = *s.seed;
  request.source = read_image(s.image, options.read);
  const Size size{request.source.width, request.source.height};
  const Size half = half_size(size, static_cast<int>(request.width.value_or(defaults.width)),
                              request.sizing, multiple);
  if (!s.mask.empty()) {
    request.mask = read_mask(s.mask, options.read);
    if (Size{request.mask->width, request.mask->height} != size) {
      throw UsageError(str(s.mask, " is ", request.mask->width, "x", request.mask->height,
                           " pixels, expected ", size.width, "x", size.height, ", the size of ",
                           s.image));
    }
  }
  const Size out = request.source_size ? size : half;
  const uint64_t wanted = (uint64_t(out.width) * out.height * 3 + (64 << 10)) * job.outputs.size();
  if (const uint64_t left = free_disk_bytes(job.outputs[0]); left < wanted) {
    throw IoError(str(job.outputs[0].string(), ": the disk has ", bytes_text(double(left)),
                      " left, the edit may need ", bytes_text(double(wanted)),
                      "; make room or give another place with -o"));
  }
  return request;
}

Path preview_name(const Path& output, int64_t step) {
  const std::string number = std::to_string(step);
  Path name = output.stem();
  name +=
      ".preview-" + std::string(number.size() < 3 ? 3 - number.size() : 0, '0') + number + ".png";
  return output.parent_path() / name;
}

class EditRun {
 public:
  EditRun(const EditOptions& options, const std::vector<EditJob>& jobs, const ModelFiles& files,
          int threads)
      : options_(options),
        jobs_(jobs),
        threads_(threads),
        clock_(jobs.size()),
        editor_(files, residency_options(options.model, files)) {
    check_adapters();
    const bool several = jobs.size() > 1 || jobs[0].settings.request.num_images > 1;
    editor_.residency().set_keep(
        choose_keep(estimate_parts(editor_.residency(), {}), options.model.low_memory, several));
    announce();
  }

  // In groups, so that a folder of photos is never in memory at once.
  void all() {
    for (size_t begin = 0; begin < jobs_.size();) begin = group(begin);
    clock_.end();
    if (options_.json)
      std::cout << edit_result_json(run(), written_, clock_, seconds(), threads_) << "\n";
  }

 private:
  void announce() {
    const Residency& r = editor_.residency();
    log::info(str(r.files().name(), " on ", r.device().str(), " in ",
                  dtype_text(r.precision().compute), ", ", threads_, " threads"));
    if (r.adapters().empty() && !options_.model.no_lora) {
      log::warn(
          "no adapter: FLUX.1 Fill alone hardly follows instructions; give ICEdit's with --lora, "
          "or --no-lora to "
          "say that this is meant");
    }
    if (!options_.recipe.empty()) compare_with_recipe();
    if (jobs_.size() == 1) {
      const int64_t n = jobs_[0].settings.request.num_images;
      log::info(str("seed ", *jobs_[0].settings.seed, n > 1 ? str(" and on, ", n, " images") : ""));
    }
  }

  void compare_with_recipe() {
    const std::string recipe = read_recipe(options_.recipe);
    if (recipe_has_mask(recipe) && jobs_[0].settings.mask.empty()) {
      log::warn(
          str(options_.recipe, " was made with a mask, which is not in it; give it with --mask"));
    }
    const std::vector<std::string> lines = differences(recipe, run());
    if (lines.empty()) return;
    log::warn(
        str(options_.recipe, " was made with other things: ", lines, "; the edit will differ"));
  }

  // An adapter that is missing or for another model is found now, not after the text encoders have
  // run.
  void check_adapters() {
    Residency& residency = editor_.residency();
    for (const AdapterRequest& adapter : residency.adapters()) {
      const AdapterFile file = AdapterFile::open(resolve_path_or_id(adapter.path, "--lora"));
      if (options_.model.allow_partial) continue;
      const Component transformer = residency.files().open(Part::kTransformer);
      if (!misfits(file, transformer.checkpoint).empty())
        residency.transformer();  // says what does not fit
    }
  }

  size_t group(size_t begin) {
    std::vector<EditRequest> requests;
    size_t bytes = 0, end = begin;
    for (; end < jobs_.size() && (end == begin || bytes < kBytesAtOnce); ++end) {
      requests.push_back(load(jobs_[end], options_, editor_.token_pixels(),
                              editor_.residency().files().defaults()));
      bytes += requests.back().source.pixels.size();
    }
    next_ = begin;
    editor_.edit(requests, hooks(), [&](size_t i, std::vector<EditedImage> images) {
      write(jobs_[begin + i], images);
    });
    return end;
  }

  EditHooks hooks() {
    EditHooks hooks;
    hooks.on_stage = [this](const std::string& stage) {
      if (stage != kDenoisingStage) return clock_.begin(stage);
      current_ = &jobs_[next_++];  // once a request, in their order
      const EditRequest& r = current_->settings.request;
      const ModelDefaults& defaults = editor_.residency().files().defaults();
      clock_.begin_denoising(r.num_images * r.steps.value_or(defaults.num_inference_steps));
    };
    hooks.on_step = [this](int64_t image, int64_t step, int64_t steps) {
      image_ = image;
      clock_.step(image * steps + step + 1);
    };
    if (options_.preview_every == 0) return hooks;
    hooks.preview_every = options_.preview_every;
    hooks.preview_full = options_.preview_full;
    hooks.on_preview = [this](const Image& preview, int64_t step) {
      write_image(preview_name(current_->outputs[image_], step + 1), preview);
    };
    return hooks;
  }

  void write(const EditJob& job, const std::vector<EditedImage>& images) {
    const EditSettings& s = job.settings;
    for (size_t i = 0; i < images.size(); ++i) {
      const EditedImage& edited = images[i];
      const std::string settings =
          settings_json(s, editor_.residency().files().defaults(), edited.seed);
      const Path& file = job.outputs[i];
      // It may have come into being meanwhile.
      if (!options_.force && !options_.skip_existing && is_there(file)) {
        throw UsageError(str(
            file.string(), " was made by another program while this edit ran; give another name"));
      }
      write_image(file, edited.image,
                  recipe_text(run(), settings, s.image, s.mask, static_cast<int64_t>(i)),
                  s.quality);
      written_.push_back(
          {file, &job, edited.seed, edited.image.width, edited.image.height, settings});
      if (!options_.json) std::cout << file.string() << "  seed " << edited.seed << std::endl;
    }
  }

  // Made when it is first needed: hashing the files takes time before the first step.
  const std::string& run() {
    if (run_.empty()) run_ = describe_run(editor_.residency());
    return run_;
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
  std::string run_;
  std::vector<Written> written_;
  size_t next_ = 0;                   // the job that is denoised next
  const EditJob* current_ = nullptr;  // and now
  int64_t image_ = 0;                 // which of its images
};

}  // namespace

int run_edit(const Arguments& arguments) {
  const EditOptions options = parse_edit_options(arguments);
  if (options.help) {
    std::cout << edit_help();
    return 0;
  }
  const std::vector<EditJob> jobs = plan_jobs(options);
  if (jobs.empty()) {
    log::info("nothing to do: every output exists");
    if (options.json) std::cout << "{\"outputs\": []}\n";
    return 0;
  }
  const int threads = use_threads(options.model);
  const ModelFiles files = ModelFiles::find(options.model.request);
  if (options.dry_run) {
    dry_run(options, jobs, files, threads);
  } else {
    EditRun(options, jobs, files, threads).all();
  }
  return 0;
}

}  // namespace icedit::cli
