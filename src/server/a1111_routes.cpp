// What programs for AUTOMATIC1111's web UI call for an img2img: /sdapi/v1. Source: the calls of the
// package webuiapi 0.9.17.
#include <nlohmann/json.hpp>

#include "http/base64.h"
#include "server/api.h"
#include "server/job_json.h"
#include "server/problem.h"

namespace icedit::server {
namespace {

// A picture there is base64, with a data URL's head or without.
std::string picture_of(const Json& value, const char* field) {
  const std::string* text = value.get_ptr<const std::string*>();
  if (text == nullptr) throw_bad_field(field, str("'", field, "' is no text"));
  if (auto url = http::parse_data_url(*text)) return std::move(url->bytes);
  if (auto bytes = http::from_base64(*text)) return std::move(*bytes);
  throw_bad_field(field, str("'", field, "' is no picture in base64"));
}

// Of its fields those that an edit has. The others describe a diffusion that starts from the
// picture's noise, which ICEdit's does not: they change nothing.
Json fields_of(const Json& asked) {
  Json fields = Json::object();
  const auto copy = [&](const char* from, const char* to) {
    if (asked.contains(from) && !asked[from].is_null()) fields[to] = asked[from];
  };
  copy("prompt", "prompt");
  copy("steps", "steps");
  copy("distilled_cfg_scale", "guidance");
  copy("lora", "lora");
  if (asked.contains("mask") && !asked["mask"].is_null()) copy("mask_blur", "feather");
  if (asked.value("seed", Json()) != Json(-1)) copy("seed", "seed");
  if (asked.contains("width") && asked.contains("height"))
    fields["size"] = str(text_of(asked["width"]), "x", text_of(asked["height"]));
  const auto count = [&](const char* name) {
    const Json value = asked.value(name, Json(1));
    return value.is_number_integer() ? value.get<int64_t>() : 1;
  };
  fields["n"] = count("batch_size") * count("n_iter");
  fields["previews"] = 20;
  return fields;
}

std::vector<http::File> files_of(const Json& asked) {
  const Json& images = asked.contains("init_images") ? asked["init_images"] : Json();
  if (!images.is_array() || images.empty())
    throw_bad_field("init_images", "'init_images' holds no picture", "missing_image");
  std::vector<http::File> files;
  for (const Json& image : images) files.push_back({"image", "", picture_of(image, "init_images")});
  if (!asked.contains("mask") || asked["mask"].is_null()) return files;
  if (asked.value("inpainting_mask_invert", Json(0)) != Json(0)) {
    throw_bad_field("inpainting_mask_invert",
                    "'inpainting_mask_invert' is not known here; send the mask inverted");
  }
  files.push_back({"mask", "", picture_of(asked["mask"], "mask")});
  return files;
}

Json answer(const Job& job, const JobStatus& status) {
  Json images = Json::array(), seeds = Json::array();
  for (const auto& result : status.results) {
    images.push_back(http::to_base64(result->bytes));
    seeds.push_back(result->seed);
  }
  Json info = {{"all_seeds", seeds}, {"job", job.id}};
  info["seed"] = seeds.empty() ? Json(-1) : seeds[0];
  info["interrupted"] = status.state == JobState::kCancelled;
  return {{"images", std::move(images)}, {"parameters", Json::object()}, {"info", dumped(info)}};
}

// The client's jobs of this API: those of the page beside it are none of its business.
std::vector<std::shared_ptr<Job>> under_way(const JobStore& store, const std::string& client) {
  std::vector<std::shared_ptr<Job>> jobs = store.under_way(client);
  std::erase_if(jobs, [](const auto& job) { return !job->input.a1111; });
  return jobs;
}

}  // namespace

void Api::a1111_img2img(const ExchangePtr& exchange, const Captures&) {
  http::Request& request = exchange->request;
  Json asked = http::parse_json(request.body, http::FormLimits().depth);
  request.body = {};
  if (!asked.is_object()) throw_bad_field("", "the body's JSON is no object");
  EditForm form = read_edit_form(fields_of(asked), files_of(asked), FormKind::kJobs, parts_.options,
                                 parts_.facts);
  asked = {};
  form.input.a1111 = true;
  const std::shared_ptr<Job> job = new_job(std::move(form.input), request);
  job->listen([this, exchange, job = job.get()](Job::Change change, const JobStatus& status) {
    if (change != Job::Change::kOver) return;
    if (status.state == JobState::kFailed)
      return respond(exchange, problem_response(status.problem));
    respond(exchange, json_response(answer(*job, status)));
  });
  parts_.store.add(job);  // progress and interrupt find it
  submit(job);
  cancel_when_left(exchange, job);
}

// Of the client's own jobs, the one that is first done.
void Api::a1111_progress(const ExchangePtr& exchange, const Captures&) {
  double progress = 0;
  int64_t steps = 0, step = 0;
  Json image;
  const auto jobs = under_way(parts_.store, access_.client(exchange->request));
  for (const auto& job : jobs) {
    const JobStatus s = job->status();
    if (s.state != JobState::kRunning) continue;
    step = s.step, steps = s.steps;
    if (steps > 0)
      progress = (double(s.image) + double(step) / double(steps)) / double(job->images);
    if (s.preview != nullptr) image = http::to_base64(*s.preview);
  }
  respond(exchange,
          json_response(
              {{"progress", progress},
               {"eta_relative", 0.0},
               {"state",
                {{"job_count", jobs.size()}, {"sampling_step", step}, {"sampling_steps", steps}}},
               {"current_image", image},
               {"textinfo", nullptr}}));
}

void Api::a1111_interrupt(const ExchangePtr& exchange, const Captures&) {
  for (const auto& job : under_way(parts_.store, access_.client(exchange->request))) cancel(job);
  respond(exchange, json_response(Json::object()));
}

void Api::a1111_options(const ExchangePtr& exchange, const Captures&) {
  const bool set = exchange->request.method == "POST";  // there is one model, and nothing to set
  respond(exchange, json_response(set ? Json() : Json{{"sd_model_checkpoint", parts_.facts.name}}));
}

void Api::a1111_models(const ExchangePtr& exchange, const Captures&) {
  const Json model = {{"title", parts_.facts.name},
                      {"model_name", parts_.facts.name},
                      {"hash", nullptr},
                      {"sha256", nullptr},
                      {"filename", ""},
                      {"config", nullptr}};
  respond(exchange, json_response(Json::array({model})));
}

}  // namespace icedit::server
