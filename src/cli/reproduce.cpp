// icedit reproduce: a picture's recipe, run again, and whether the same picture comes of it.
#include "cli/reproduce.h"

#include <algorithm>
#include <iostream>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "base/progress.h"
#include "cli/arguments.h"
#include "cli/command.h"
#include "edit/recipe.h"
#include "edit/request_reader.h"
#include "edit/threads.h"
#include "eval/metrics.h"

namespace icedit::cli {
namespace {

constexpr double kMostPsnr = 100;

ReproduceOptions parse(const Arguments& arguments) {
  ReproduceOptions options;
  const std::vector<std::string> rest =
      parse_arguments("reproduce", reproduce_option_groups(options), arguments);
  if (options.help) return options;
  if (rest.size() != 1) {
    throw UsageError(str("icedit reproduce takes one picture that icedit made, not ", rest.size(),
                         ", as in icedit reproduce edit.png"));
  }
  options.picture = rest.front();
  return options;
}

// Runs every step on the file of the one before, as they were written.
class Replay {
 public:
  Replay(const ReproduceOptions& options, const Recipe& recipe, const ModelFiles& files)
      : options_(options),
        recipe_(recipe),
        editor_(files, residency_options(options.model, files)),
        reader_(options.read, editor_.residency()) {
    EditSize size;
    for (const StepRecord& step : recipe.steps)
      size = larger(size, usual_size(editor_.residency(), step.edit.request));
    plan_memory(editor_.residency(), options.model.memory, recipe.steps.size() > 1, size);
  }

  // The picture as the last step's file.
  std::string run() {
    const Path original = find_original(recipe_, options_.picture, options_.original);
    std::string file = read_file(original);
    for (size_t i = 0; i < recipe_.steps.size(); ++i) {
      const StepRecord& step = recipe_.steps[i];
      EditSettings settings = step.edit;
      settings.image = original.string();
      settings.mask = find_mask(recipe_, i, options_.picture).string();
      const std::string mask = settings.mask.empty() ? "" : read_file(settings.mask);
      const EditRequest request = reader_.read(settings, as_bytes(file), as_bytes(mask));
      const std::vector<EditedImage> images = editor_.edit(request, hooks(i));
      const size_t which = std::min<size_t>(size_t(std::max<int64_t>(step.picture.value_or(0), 0)),
                                            images.size() - 1);
      const EditedImage& made = images[which];  // the next step needs no recipe of it
      file = encode_image(made.image, step.file.format, {}, step.file.quality, made.colour_profile,
                          made.exif);
    }
    return file;
  }

  RunRecord now() { return describe_run(editor_.residency()); }

 private:
  EditHooks hooks(size_t step) {
    EditHooks hooks;
    hooks.stop = throw_if_interrupted;
    hooks.on_stage = [this, step](const std::string& stage) {
      bar_.reset();
      log::info(str("step ", step + 1, "/", recipe_.steps.size(), ": ", stage));
    };
    hooks.on_step = [this](int64_t, int64_t done, int64_t steps) {
      if (!bar_) bar_ = std::make_unique<Progress>("denoising", steps, "step");
      bar_->update(done + 1);
    };
    return hooks;
  }

  const ReproduceOptions& options_;
  const Recipe& recipe_;
  Editor editor_;
  RequestReader reader_;
  std::unique_ptr<Progress> bar_;
};

struct Comparison {
  bool same_size = false, identical = false;
  double psnr = 0;  // dB; 0 for pictures of two sizes
  int largest = 0;  // difference of a channel
};

Comparison compared(const Image& made, const Image& there) {
  Comparison c;
  c.same_size =
      made.width == there.width && made.height == there.height && made.channels == there.channels;
  if (!c.same_size) return c;
  for (size_t i = 0; i < made.pixels.size(); ++i)
    c.largest = std::max(c.largest, std::abs(int(made.pixels[i]) - int(there.pixels[i])));
  c.identical = c.largest == 0;
  c.psnr = icedit::compare(made, there).psnr;
  return c;
}

std::string fixed(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2f", value);
  return text;
}

void report(const ReproduceOptions& options, const Comparison& c,
            const std::vector<std::string>& other, bool accepted) {
  if (options.json) {
    const Json json = {
        {"picture", options.picture},      {"identical", c.identical}, {"psnr", c.psnr},
        {"largest_difference", c.largest}, {"other", other},           {"accepted", accepted}};
    std::cout << dumped(json, 2) << "\n";
    return;
  }
  std::string line = options.picture + ": ";
  if (c.identical) {
    line += "bit-identical";
  } else if (!c.same_size) {
    line += "of another size than what its recipe gives";
  } else {
    line += str("PSNR ", fixed(c.psnr), " dB, the largest difference is ", c.largest, " of 255");
  }
  std::cout << line << "\n";
  for (const std::string& what : other) std::cout << "  " << what << "\n";
  if (!c.identical && other.empty())
    std::cout << "  nothing that the recipe names is other than it was\n";
}

}  // namespace

std::vector<SettingGroup> reproduce_option_groups(ReproduceOptions& o) {
  return {{"What is compared",
           {{"image", "FILE", "the original that was edited", "found beside PICTURE by its hash",
             into(o.original)},
            {"psnr", "DB", "so close is close enough", "identical", number(o.psnr, 0, kMostPsnr)},
            {"json", "", "print the result as JSON", "", into(o.json)}}},
          model_options(o.model),
          machine_options(o.model),
          general_options(o.help)};
}

int run_reproduce(const Arguments& arguments) {
  const ReproduceOptions options = parse(arguments);
  if (options.help) {
    ReproduceOptions shown;
    std::cout << command_help(
        {"icedit reproduce PICTURE [--image ORIGINAL] [options]"},
        "Runs the recipe in a picture again, a chain of edits too, and says whether the same "
        "picture comes of it; if not, how far it is and what is not as it was. Ends with 0 where "
        "it is identical or, with --psnr, close enough, else with 1.",
        reproduce_option_groups(shown), exit_codes_help());
    return 0;
  }
  const Recipe recipe = read_recipe(options.picture);
  const std::string bytes = read_file(options.picture);
  const Image there = stored_pixels(as_bytes(bytes), options.picture);
  if (was_changed(recipe, there)) {
    log::warn(
        str(options.picture,
            " was changed by another program since icedit wrote it; it is compared as it is"));
  }
  const Threads threads(options.model.threads);
  const ModelFiles files = ModelFiles::find(options.model.request);
  Replay replay(options, recipe, files);
  const std::string made = replay.run();
  const Comparison c = compared(stored_pixels(as_bytes(made), "the reproduction"), there);
  const RunRecord now = replay.now();
  std::vector<std::string> other = differences(recipe.run, now);
  if (!c.identical) {
    const std::vector<std::string> small = small_differences(recipe.run, now);
    other.insert(other.end(), small.begin(), small.end());
  }
  const bool accepted = c.identical || (options.psnr && c.same_size && c.psnr >= *options.psnr);
  report(options, c, other, accepted);
  return accepted ? 0 : static_cast<int>(ExitCode::kFailure);
}

}  // namespace icedit::cli
