// POST /v1/images/edits, as OpenAI's.
#include <nlohmann/json.hpp>

#include "http/base64.h"
#include "server/api.h"
#include "server/job_json.h"
#include "server/problem.h"

namespace icedit::server {
namespace {

// What OpenAI's objects say of a picture.
Json picture_facts(const Job& job, ImageFormat format, const std::string& size) {
  return {{"created_at", job.created},
          {"size", size},
          {"quality", "auto"},
          {"background", "opaque"},
          {"output_format", format_text(format)}};
}

std::string size_text(const JobResult& result) {
  return str(result.width, "x", result.height);
}

Json answer_json(const Job& job, const JobStatus& status, const std::string& url_base) {
  Json data = Json::array();
  for (size_t i = 0; i < status.results.size(); ++i) {
    const JobResult& result = *status.results[i];
    Json one = url_base.empty() ? Json{{"b64_json", http::to_base64(result.bytes)}}
                                : Json{{"url", str(url_base, "/v1/jobs/", job.id, "/results/", i)}};
    one["seed"] = result.seed;
    data.push_back(std::move(one));
  }
  Json json = {{"created", job.created}, {"data", std::move(data)}};
  if (!status.results.empty()) {
    const JobResult& first = *status.results.front();
    json.update(picture_facts(job, first.format, size_text(first)));
    json.erase("created_at");
  }
  json["usage"] = usage_json(status);
  return json;
}

Problem problem_of_end(const JobStatus& status) {
  if (status.state == JobState::kFailed) return status.problem;
  return {503, "cancelled", "", "the edit was cancelled, since the server is ending"};
}

// Tells of a job as OpenAI's events do. The head is sent with the first event, so that what fails
// before is an ordinary error.
class EventStream {
 public:
  EventStream(ExchangePtr exchange, const Job& job, std::function<void(const ExchangePtr&)> begin,
              std::function<void(const ExchangePtr&, http::Response)> respond)
      : exchange_(std::move(exchange)),
        job_(job),
        begin_(std::move(begin)),
        respond_(std::move(respond)) {}

  void tell(Job::Change change, const JobStatus& status) {
    if (change == Job::Change::kPreview) partial(status);
    if (change == Job::Change::kOver) over(status);
  }

 private:
  void send(const std::string& event, Json json) {
    if (!begun_) begin_(exchange_);
    begun_ = true;
    json["type"] = event;
    exchange_->send(http::event_text(event, dumped(json)));
  }

  void partial(const JobStatus& status) {
    Json json = picture_facts(job_, ImageFormat::kPng, "auto");
    json["b64_json"] = http::to_base64(*status.preview);
    json["partial_image_index"] = status.preview_index;
    send("image_edit.partial_image", std::move(json));
  }

  void over(const JobStatus& status) {
    if (status.state != JobState::kDone) {
      const Problem problem = problem_of_end(status);
      if (!begun_) return respond_(exchange_, problem_response(problem));
      exchange_->send(http::event_text("error", problem_json(problem)));
      return exchange_->end();
    }
    for (const auto& result : status.results) {
      Json json = picture_facts(job_, result->format, size_text(*result));
      json["b64_json"] = http::to_base64(result->bytes);
      json["seed"] = result->seed;
      json["usage"] = usage_json(status);
      send("image_edit.completed", std::move(json));
    }
    exchange_->end();
  }

  const ExchangePtr exchange_;
  const Job& job_;
  const std::function<void(const ExchangePtr&)> begin_;
  const std::function<void(const ExchangePtr&, http::Response)> respond_;
  bool begun_ = false;
};

}  // namespace

void Api::edit_image(const ExchangePtr& exchange, const Captures&) {
  http::Request& request = exchange->request;
  EditForm form =
      read_edit_form(request, FormKind::kImages, parts_.options, parts_.facts, fetcher_.get());
  const std::shared_ptr<Job> job = new_job(std::move(form.input), request);
  const std::string base = form.as_url ? access_.origin(request) : "";
  const auto respond_to = [this](const ExchangePtr& to, http::Response response) {
    respond(to, std::move(response));
  };
  if (form.stream) {
    const auto stream = std::make_shared<EventStream>(
        exchange, *job, [this](const ExchangePtr& to) { begin_events(to); }, respond_to);
    job->listen(
        [stream](Job::Change change, const JobStatus& status) { stream->tell(change, status); });
  } else {
    job->listen(
        [exchange, job = job.get(), base, respond_to](Job::Change change, const JobStatus& status) {
          if (change != Job::Change::kOver) return;
          if (status.state != JobState::kDone)
            return respond_to(exchange, problem_response(problem_of_end(status)));
          respond_to(exchange, json_response(answer_json(*job, status, base)));
        });
  }
  if (form.as_url) parts_.store.add(job);
  submit(job);
  cancel_when_left(exchange, job);
}

}  // namespace icedit::server
