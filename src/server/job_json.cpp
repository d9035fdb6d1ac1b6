#include "server/job_json.h"

#include <nlohmann/json.hpp>

#include "edit/recipe.h"
#include "http/base64.h"
#include "server/problem.h"

namespace icedit::server {
namespace {

const char* state_name(JobState state) {
  switch (state) {
    case JobState::kQueued:
      return "queued";
    case JobState::kRunning:
      return "running";
    case JobState::kDone:
      return "succeeded";
    case JobState::kFailed:
      return "failed";
    case JobState::kCancelled:
      break;
  }
  return "cancelled";
}

Json result_json(const Job& job, const JobResult& result, size_t index) {
  const std::string url = str("/v1/jobs/", job.id, "/results/", index);
  Json json = {
      {"index", index},        {"seed", result.seed},     {"url", url},
      {"width", result.width}, {"height", result.height}, {"format", format_text(result.format)}};
  if (!result.model_bytes.empty()) json["model_url"] = url + "/model";
  json["recipe"] = Json::parse(result.recipe, nullptr, /*allow_exceptions=*/false);
  return json;
}

}  // namespace

std::string format_text(ImageFormat format) {
  return name_of(format_choices(), format);
}

std::string media_type(ImageFormat format) {
  return str("image/", format_text(format));
}

http::Response json_response(const Json& json, int status) {
  return {status, "application/json", dumped(json), {}};
}

Json job_json(const Job& job, const JobStatus& s) {
  Json json = {{"id", job.id},
               {"object", "edit.job"},
               {"created_at", job.created},
               {"status", state_name(s.state)}};
  if (s.state == JobState::kQueued) json["position"] = s.position;
  if (s.state == JobState::kRunning) {
    json["progress"] = {{"stage", s.stage},
                        {"image", s.image},
                        {"images", job.images},
                        {"step", s.step},
                        {"steps", s.steps}};
  }
  if (s.state == JobState::kDone) {
    json["results"] = Json::array();
    for (size_t i = 0; i < s.results.size(); ++i)
      json["results"].push_back(result_json(job, *s.results[i], i));
  }
  if (s.state == JobState::kFailed) json.update(Json::parse(problem_json(s.problem)));
  return json;
}

std::pair<std::string, Json> event_json(const Job& job, Job::Change change, const JobStatus& s) {
  if (change == Job::Change::kPreview) {
    return {"preview",
            {{"image", s.image}, {"step", s.step}, {"b64_png", http::to_base64(*s.preview)}}};
  }
  return {s.state == JobState::kRunning ? "progress" : state_name(s.state), job_json(job, s)};
}

Json usage_json(const JobStatus& status) {
  int64_t tokens = 0;
  for (const auto& result : status.results) tokens += result->tokens;
  return {{"input_tokens", tokens},
          {"input_tokens_details", {{"image_tokens", tokens}, {"text_tokens", 0}}},
          {"output_tokens", tokens},
          {"total_tokens", 2 * tokens}};
}

}  // namespace icedit::server
