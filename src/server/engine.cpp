#include "server/engine.h"

#include <algorithm>
#include <map>

#include "base/error.h"
#include "base/log.h"
#include "diffusion/schedule.h"
#include "edit/mask.h"
#include "edit/warnings.h"
#include "io/json.h"
#include "server/problem.h"

namespace icedit::server {
namespace {

using Clock = std::chrono::steady_clock;

uint64_t microseconds_since(Clock::time_point begin) {
  return uint64_t(
      std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - begin).count());
}

ReadOptions read_options(const Options& options) {
  ReadOptions read;
  read.max_pixels = options.max_pixels;
  return read;
}

// The largest part of this aspect, in the middle.
Box middle(Size of, Size aspect) {
  Box box{0, 0, of.width, of.height};
  if (int64_t(of.width) * aspect.height > int64_t(of.height) * aspect.width) {
    box.width = int(std::max<int64_t>(1, int64_t(of.height) * aspect.width / aspect.height));
  } else {
    box.height = int(std::max<int64_t>(1, int64_t(of.width) * aspect.height / aspect.width));
  }
  box.x = (of.width - box.width) / 2;
  box.y = (of.height - box.height) / 2;
  return box;
}

void crop_to(Size aspect, EditRequest& request) {
  const Box box = middle({request.source.width, request.source.height}, aspect);
  request.source = crop(request.source, box);
  if (!request.mask) return;
  request.mask = crop(*request.mask, box);
  if (!has_white(*request.mask))
    throw_bad_field("mask", "of the mask nothing is left within the aspect that size asks for",
                    "invalid_mask");
}

// OpenAI's mask: what is transparent is edited. As a mask whose white is edited.
Image painted_white(const std::string& bytes, ReadOptions read) {
  read.keep_alpha = true;
  const Image mask = decode_image(as_bytes(bytes), "the mask", read);
  if (mask.channels != 4) {
    throw_bad_field("mask",
                    "the mask has no alpha channel, expected a picture that is transparent where "
                    "the edit may change something",
                    "invalid_mask");
  }
  Image white(mask.width, mask.height, 1);
  for (size_t i = 0; i < white.pixels.size(); ++i)
    white.pixels[i] = uint8_t(255 - mask.pixels[4 * i + 3]);
  return white;
}

SourceRecord record_of(const std::string& name, const std::string& bytes) {
  return {name, sha256(bytes)};
}

}  // namespace

// One job on its way.
struct Engine::Work {
  Job& job;
  Clock::time_point begin;
  EditRequest request;
  Recipe recipe;
};

Engine::Engine(const Options& options, ModelFiles files, ResidencyOptions residency,
               const MemoryLimit& memory, Metrics& metrics)
    : metrics_(metrics),
      editor_(std::move(files), std::move(residency)),
      read_(read_options(options)),
      reader_(read_, editor_.residency()) {
  Residency& parts = editor_.residency();
  facts_.name = without_folders(parts.files().name());
  facts_.defaults = parts.files().defaults();
  for (const NamedAdapter& named : options.adapters) {
    facts_.adapters.push_back(named.name);
    facts_.scales.push_back(named.adapter.scale);
  }
  all_ = describe_run(parts);
  editor_.set_batch(options.batch);
  EditSize size = usual_size(parts);
  size.together = options.batch;
  plan_memory(parts, memory, /*several_pictures=*/true, size);
  const std::string odd = adapter_warning(parts, options.no_lora);
  if (!odd.empty()) log::warn(odd);
  if (parts.keep() == Keep::kOne) return;
  if (parts.keep() == Keep::kAll) parts.clip(), parts.t5();
  parts.vae();
  parts.transformer();
}

void Engine::use_adapters(const std::vector<double>& scales) {
  Residency& parts = editor_.residency();
  for (size_t i = 0; i < scales.size(); ++i) {
    if (parts.adapters()[i].scale != scales[i]) parts.set_adapter_scale(i, scales[i]);
  }
}

// As the command line would say it that uses these adapters alone.
RunRecord Engine::run_record() {
  RunRecord run = all_;
  run.adapters.clear();
  const std::vector<EditAdapter>& now = editor_.residency().adapters();
  for (size_t i = 0; i < now.size(); ++i) {
    if (now[i].scale == 0) continue;
    run.adapters.push_back(all_.adapters[i]);
    run.adapters.back().scale = now[i].scale;
  }
  return run;
}

EditRequest Engine::read(const JobInput& input) {
  const Bytes source = as_bytes(input.image);
  EditRequest request = input.mask_by_alpha && !input.mask.empty()
                            ? reader_.read(input.settings, source, painted_white(input.mask, read_))
                            : reader_.read(input.settings, source, as_bytes(input.mask));
  if (input.size) crop_to(*input.size, request);
  return request;
}

EditHooks Engine::hooks(const std::vector<Work*>& works, const StopCheck& stop) {
  EditHooks hooks;
  hooks.stop = [works, stop] {
    if (std::all_of(works.begin(), works.end(), [](Work* w) { return w->job.is_cancelled(); }))
      throw Interrupted("the job was cancelled");
    stop();
  };
  hooks.on_stage = [this, works](const std::string& stage) {
    last_ = Clock::now();
    for (Work* work : works) work->job.set_stage(stage);
  };
  hooks.on_step = [this, works](int64_t image, int64_t step, int64_t steps) {
    ++metrics_.steps;
    metrics_.step_microseconds += microseconds_since(last_);
    last_ = Clock::now();
    for (Work* work : works) work->job.set_step(image, step + 1, steps);
  };
  if (works.size() == 1) add_previews(works[0]->job, hooks);
  return hooks;
}

void Engine::add_previews(Job& job, EditHooks& hooks) {
  if (job.input.previews == 0) return;
  const int64_t steps =
      job.input.settings.request.steps.value_or(facts_.defaults.num_inference_steps);
  hooks.preview_every = std::max<int64_t>(1, steps / (job.input.previews + 1));
  hooks.preview_full = job.input.previews_full || editor_.residency().keep() == Keep::kAll;
  hooks.on_preview = [this, &job, steps](const Image& preview, int64_t step) {
    if (job.status().preview_index < job.input.previews && step + 1 < steps)
      job.set_preview(encode_image(preview, ImageFormat::kPng));
    last_ = Clock::now();  // a preview is no part of a step
  };
}

std::shared_ptr<const JobResult> Engine::result(const JobInput& input, const EditRequest& request,
                                                EditedImage edited, size_t index, Recipe& recipe) {
  auto result = std::make_shared<JobResult>();
  StepRecord& step = recipe.steps.back();
  add_made(edited, index, step);
  result->format = input.format;
  result->seed = edited.seed;
  const Size half = reader_.half(request);
  result->tokens =
      image_tokens(half.height, half.width, editor_.residency().vae_config().downscale());
  if (request.source_size) {
    const Image own = right_half(edited.diptych, half, request.sizing);
    result->model_bytes =
        encode_image(own, ImageFormat::kPng, {{"Description", request.instruction}}, kQuality,
                     edited.colour_profile);
  }
  if (input.size) {
    // Cropped and resized: no recipe says so, and one that did not would make another picture.
    edited.image = resize(edited.image, input.size->width, input.size->height, Filter::kLanczos);
    result->bytes = encode_image(edited.image, input.format, {{"Description", request.instruction}},
                                 step.file.quality, edited.colour_profile);
  } else {
    result->bytes = encode_with_recipe(edited, recipe);
  }
  result->width = edited.image.width, result->height = edited.image.height;
  result->recipe = recipe_text(recipe).at(kRecipeKey);
  return result;
}

bool Engine::go_together(const Job& a, const Job& b) {
  const auto plain = [](const Job& job) {
    return job.images == 1 && job.input.previews == 0 &&
           !call_limit(job.input.settings.request.speed, 1).any();
  };
  const EditRequest &x = a.input.settings.request, &y = b.input.settings.request;
  return plain(a) && plain(b) && a.input.scales == b.input.scales &&
         denoising_of(x) == denoising_of(y) && x.width == y.width &&
         x.max_sequence_length == y.max_sequence_length;
}

std::optional<Engine::Work> Engine::begin(Job& job) try {
  if (!job.start()) return std::nullopt;
  Work work{job, Clock::now(), {}, {}};
  job.set_stage("reading the picture");
  work.recipe = {run_record(), record_of(job.input.settings.image, job.input.image), {}, {}};
  std::optional<SourceRecord> mask;
  if (!job.input.mask.empty()) mask = record_of(job.input.settings.mask, job.input.mask);
  work.request = read(job.input);
  work.recipe.steps.push_back(step_record(job.input.settings, work.request, facts_.defaults));
  work.recipe.steps.back().mask = mask;
  work.recipe.steps.back().file.format = job.input.format;
  return work;
} catch (...) {
  end_badly(job);
  return std::nullopt;
}

void Engine::run(const std::vector<std::shared_ptr<Job>>& jobs, const StopCheck& stop) {
  metrics_.running = true;
  use_adapters(jobs.front()->input.scales);
  std::vector<Work> works;
  for (const auto& job : jobs) {
    if (auto work = begin(*job)) works.push_back(std::move(*work));
  }
  const auto half = [&](const Work& work) {
    const Size size = reader_.half(work.request);
    return std::pair(size.width, size.height);
  };
  std::map<std::pair<int, int>, std::vector<Work*>> by_size;
  for (Work& work : works) by_size[half(work)].push_back(&work);
  for (const auto& [size, group] : by_size) edit(group, stop);
  metrics_.running = false;
}

void Engine::edit(const std::vector<Work*>& works, const StopCheck& stop) try {
  std::vector<EditRequest> requests;
  for (Work* work : works) requests.push_back(work->request);
  editor_.edit(requests, hooks(works, stop), [&](size_t i, std::vector<EditedImage> images) {
    deliver(*works[i], std::move(images));
  });
} catch (const Interrupted&) {
  for (Work* work : works) end_badly(work->job);
} catch (...) {
  if (works.size() == 1) return end_badly(works[0]->job);
  // One may have spoilt it for the others.
  for (Work* work : works)
    if (!work->job.status().over()) edit({work}, stop);
}

void Engine::deliver(Work& work, std::vector<EditedImage> images) try {
  Job& job = work.job;
  if (job.is_cancelled()) throw Interrupted("the job was cancelled");
  job.set_stage("writing the picture");
  std::vector<std::shared_ptr<const JobResult>> results;
  for (size_t i = 0; i < images.size(); ++i)
    results.push_back(result(job.input, work.request, std::move(images[i]), i, work.recipe));
  ++metrics_.edits;
  metrics_.edit_microseconds += microseconds_since(work.begin);
  job.finish(std::move(results));
} catch (...) {
  end_badly(work.job);
}

void Engine::end_badly(Job& job) {
  if (job.status().over()) return;
  try {
    throw;
  } catch (const Interrupted&) {
    ++metrics_.cancelled;
    job.end_cancelled();
  } catch (...) {
    ++metrics_.failed;
    const Problem problem = problem_of(std::current_exception());
    if (problem.status >= 500) log::error(problem.message);
    job.fail(problem);
  }
}

}  // namespace icedit::server
