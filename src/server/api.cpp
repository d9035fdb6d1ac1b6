#include "server/api.h"

#include <algorithm>

#include "base/log.h"
#include "server/problem.h"

namespace icedit::server {
namespace {

std::vector<std::string> parts_of(const std::string& path) {
  std::vector<std::string> parts;
  for (size_t begin = 0; begin < path.size();) {
    const size_t end = std::min(path.find('/', begin + 1), path.size());
    parts.push_back(path.substr(begin + 1, end - begin - 1));
    begin = end;
  }
  return parts;
}

bool matches(const std::string& pattern, const std::string& path, Captures& captures) {
  const auto wanted = parts_of(pattern), given = parts_of(path);
  captures.clear();
  if (wanted.size() != given.size()) return false;
  for (size_t i = 0; i < wanted.size(); ++i) {
    if (wanted[i] == "{id}" && !given[i].empty()) {
      captures.push_back(given[i]);
    } else if (wanted[i] != given[i]) {
      return false;
    }
  }
  return true;
}

bool has_body(const http::Request& head) {
  const std::string_view length = head.header("content-length");
  return !head.header("transfer-encoding").empty() || !(length.empty() || length == "0");
}

std::string known_method(const std::string& method) {
  return method == "HEAD" ? "GET" : method;
}

}  // namespace

const std::vector<Api::Route>& Api::routes() {
  static const std::vector<Route> all = {
      {"GET", "/", true, &Api::get_page},
      {"GET", "/app.js", true, &Api::get_page},
      {"GET", "/mask.js", true, &Api::get_page},
      {"GET", "/style.css", true, &Api::get_page},
      {"GET", "/icon.svg", true, &Api::get_page},
      {"GET", "/examples/{id}", true, &Api::get_example},
      {"GET", "/examples/{id}/small", true, &Api::get_example},
      {"GET", "/health", true, &Api::get_health},
      {"GET", "/metrics", false, &Api::get_metrics},
      {"POST", "/session", true, &Api::post_session},
      {"DELETE", "/session", true, &Api::delete_session},
      {"GET", "/v1/info", false, &Api::get_info},
      {"GET", "/v1/models", false, &Api::get_models},
      {"GET", "/v1/models/{id}", false, &Api::get_model},
      {"GET", "/v1/loras", false, &Api::get_loras},
      {"POST", "/v1/images/edits", false, &Api::edit_image},
      {"POST", "/sdapi/v1/img2img", false, &Api::a1111_img2img},
      {"GET", "/sdapi/v1/progress", false, &Api::a1111_progress},
      {"POST", "/sdapi/v1/interrupt", false, &Api::a1111_interrupt},
      {"GET", "/sdapi/v1/options", false, &Api::a1111_options},
      {"POST", "/sdapi/v1/options", false, &Api::a1111_options},
      {"GET", "/sdapi/v1/sd-models", false, &Api::a1111_models},
      {"POST", "/v1/jobs", false, &Api::post_job},
      {"GET", "/v1/jobs/{id}", false, &Api::get_job},
      {"DELETE", "/v1/jobs/{id}", false, &Api::delete_job},
      {"GET", "/v1/jobs/{id}/events", false, &Api::get_events},
      {"GET", "/v1/jobs/{id}/results/{id}", false, &Api::get_result},
      {"GET", "/v1/jobs/{id}/results/{id}/model", false, &Api::get_model_result},
  };
  return all;
}

std::vector<std::string> Api::list() {
  std::vector<std::string> all;
  for (const Route& route : routes()) all.push_back(str(route.method, " ", route.path));
  return all;
}

Api::Api(Parts parts)
    : parts_(std::move(parts)),
      access_(parts_.options.access),
      fetcher_(parts_.options.allow_fetch ? std::make_unique<http::Fetcher>(
                                                http::Fetcher::Rules{parts_.options.limits.body})
                                          : nullptr) {}

const Api::Route* Api::find(const std::string& method, const std::string& path,
                            Captures& captures) {
  for (const Route& route : routes()) {
    if (route.method == known_method(method) && matches(route.path, path, captures)) return &route;
  }
  return nullptr;
}

http::Response Api::refusal(int status, const std::string& why) {
  return problem_response({status, "", "", why});
}

http::Response Api::with_headers(const http::Request& request, http::Response response) const {
  auto& headers = response.headers;
  headers.emplace_back("X-Content-Type-Options", "nosniff");
  const bool cached = std::any_of(headers.begin(), headers.end(),
                                  [](const auto& h) { return h.first == "Cache-Control"; });
  if (!cached) headers.emplace_back("Cache-Control", "no-store");
  for (auto& header : access_.cors(request)) headers.push_back(std::move(header));
  return response;
}

std::optional<http::Response> Api::gate(const http::Request& head) const {
  const auto refuse = [&](Problem problem) {
    return with_headers(head, problem_response(std::move(problem)));
  };
  // Says nothing, and balancers ask by address.
  if (head.path == "/health" && !has_body(head)) return std::nullopt;
  if (const auto denial = access_.check_place(head))
    return refuse({denial->status, denial->code, "", denial->message});
  if (head.method == "OPTIONS")
    return with_headers(head, {204, "", "", {{"Allow", "GET, POST, DELETE"}}});
  Captures captures;
  const Route* route = find(head.method, head.path, captures);
  if (route == nullptr) {
    const bool other = std::any_of(routes().begin(), routes().end(), [&](const Route& r) {
      return matches(r.path, head.path, captures);
    });
    return refuse({other ? 405 : 404, "", "",
                   other ? str("'", head.path.substr(0, 200), "' takes no ", head.method)
                         : str("there is no '", head.path.substr(0, 200), "' here")});
  }
  if (route->open && has_body(head))
    return refuse({413, "", "", "this takes no body, and needs no key, so none is read"});
  if (route->open) return std::nullopt;
  if (const auto denial = access_.check_key(head))
    return refuse({denial->status, denial->code, "", denial->message});
  // Before the pictures are sent.
  if (head.method == "POST" && parts_.draining())
    return refuse({503, "shutting_down", "", "the server is ending; ask another, or again later"});
  return std::nullopt;
}

void Api::respond(const ExchangePtr& exchange, http::Response response) const {
  exchange->respond(with_headers(exchange->request, std::move(response)));
}

void Api::begin_events(const ExchangePtr& exchange) const {
  // nginx would gather events before it passes them on.
  exchange->begin(with_headers(exchange->request,
                               {200, "text/event-stream", "", {{"X-Accel-Buffering", "no"}}}));
}

void Api::handle(const ExchangePtr& exchange) {
  Captures captures;
  const Route* route = find(exchange->request.method, exchange->request.path, captures);
  try {
    if (route == nullptr) throw RequestError({404, "", "", "there is nothing here"});
    (this->*route->answer)(exchange, captures);
  } catch (...) {
    respond(exchange, problem_response(problem_of(std::current_exception())));
  }
}

std::shared_ptr<Job> Api::new_job(JobInput input, http::Request& request) const {
  request.body = {};
  const std::string& name = parts_.options.name;
  return std::make_shared<Job>(str("job_", name, name.empty() ? "" : "_", http::random_id(12)),
                               access_.client(request), std::move(input));
}

void Api::submit(const std::shared_ptr<Job>& job) {
  if (!parts_.draining() && parts_.queue.push(job)) return;
  parts_.store.forget(*job);
  if (parts_.draining())
    throw RequestError({503, "shutting_down", "", "the server is ending; try again later"});
  ++parts_.metrics.refused;
  throw RequestError({503, "queue_full", "",
                      str("all ", parts_.options.queue, " places of the queue, or your share of ",
                          "them, are taken; try again in some seconds")});
}

void Api::cancel_when_left(const ExchangePtr& exchange, const std::shared_ptr<Job>& job) {
  exchange->on_leave([this, weak = std::weak_ptr(job)] {
    if (const auto left = weak.lock()) cancel(left);
  });
}

void Api::cancel(const std::shared_ptr<Job>& job) {
  job->cancel();
  if (!parts_.queue.remove(*job)) return;
  ++parts_.metrics.cancelled;
  job->end_cancelled();
}

std::shared_ptr<Job> Api::job_of(const Captures& captures) const {
  std::shared_ptr<Job> job = parts_.store.find(captures.at(0));
  if (job == nullptr) {
    throw RequestError({404, "job_not_found", "id",
                        "there is no job of this id, or no longer: results are kept for a while"});
  }
  return job;
}

}  // namespace icedit::server
