// /v1/jobs: edits that do not end with the connection.
#include <charconv>
#include <nlohmann/json.hpp>

#include "http/base64.h"
#include "server/api.h"
#include "server/job_json.h"
#include "server/problem.h"

namespace icedit::server {
namespace {

std::shared_ptr<const JobResult> result_of(const Job& job, const std::string& number) {
  const JobStatus status = job.status();
  size_t index = 0;
  const char* end = number.data() + number.size();
  const auto [stop, error] = std::from_chars(number.data(), end, index);
  if (error != std::errc() || stop != end || index >= status.results.size())
    throw RequestError({404, "result_not_found", "", "the job has no such result"});
  return status.results[index];
}

http::Response picture(const std::string& bytes, ImageFormat format, uint64_t seed,
                       const char* what) {
  return {200,
          media_type(format),
          bytes,
          {{"Content-Disposition",
            str("inline; filename=\"icedit-", what, seed, ".", format_text(format), "\"")},
           {"Cache-Control", "private, max-age=3600"}}};
}

}  // namespace

void Api::post_job(const ExchangePtr& exchange, const Captures&) {
  http::Request& request = exchange->request;
  EditForm form =
      read_edit_form(request, FormKind::kJobs, parts_.options, parts_.facts, fetcher_.get());
  const std::shared_ptr<Job> job = new_job(std::move(form.input), request);
  submit(job);
  parts_.store.add(job);
  http::Response response = json_response(job_json(*job, job->status()), 202);
  response.headers.emplace_back("Location", "/v1/jobs/" + job->id);
  respond(exchange, std::move(response));
}

void Api::get_job(const ExchangePtr& exchange, const Captures& captures) {
  const std::shared_ptr<Job> job = job_of(captures);
  respond(exchange, json_response(job_json(*job, job->status())));
}

void Api::get_events(const ExchangePtr& exchange, const Captures& captures) {
  const std::shared_ptr<Job> job = job_of(captures);
  begin_events(exchange);
  const auto tell = [exchange, job = job.get()](Job::Change change, const JobStatus& status) {
    const auto [event, json] = event_json(*job, change, status);
    exchange->send(http::event_text(event, dumped(json)));
    if (change == Job::Change::kOver) exchange->end();
  };
  const JobStatus now = job->status();
  if (!now.over()) tell(Job::Change::kStage, now);
  if (!now.over() && now.preview != nullptr) tell(Job::Change::kPreview, now);
  job->listen(tell);
}

void Api::delete_job(const ExchangePtr& exchange, const Captures& captures) {
  const std::shared_ptr<Job> job = job_of(captures);
  const bool was_over = job->status().over();
  cancel(job);
  if (was_over) parts_.store.forget(*job);
  respond(exchange, json_response(job_json(*job, job->status())));
}

void Api::get_result(const ExchangePtr& exchange, const Captures& captures) {
  const auto result = result_of(*job_of(captures), captures.at(1));
  respond(exchange, picture(result->bytes, result->format, result->seed, ""));
}

void Api::get_model_result(const ExchangePtr& exchange, const Captures& captures) {
  const auto result = result_of(*job_of(captures), captures.at(1));
  if (result->model_bytes.empty()) {
    throw RequestError({404, "result_not_found", "",
                        "the result itself is the model's picture; it is not of full size"});
  }
  respond(exchange, picture(result->model_bytes, ImageFormat::kPng, result->seed, "model-"));
}

}  // namespace icedit::server
