#pragma once
// Which request gets which answer: OpenAI's images API, jobs with events, and the page.
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "http/access.h"
#include "server/edit_form.h"
#include "server/queue.h"
#include "server/store.h"

namespace icedit::server {

using ExchangePtr = std::shared_ptr<http::Exchange>;
using Captures = std::vector<std::string>;  // what stood for {id} in a path

class Api {
 public:
  struct Parts {
    const Options& options;
    const ModelFacts& facts;
    JobQueue& queue;
    JobStore& store;
    Metrics& metrics;
    std::function<bool()> draining;        // whether no new jobs are taken
    std::function<http::Counts()> counts;  // of the connections
  };
  explicit Api(Parts parts);

  // "GET /v1/models", and so on: what docs/openapi.yaml and the tests know.
  static std::vector<std::string> list();

  // http::Gate and http::Handler.
  std::optional<http::Response> gate(const http::Request& head) const;
  void handle(const ExchangePtr& exchange);
  // http::Refusal.
  static http::Response refusal(int status, const std::string& why);

 private:
  struct Route {
    const char* method;
    const char* path;  // with {id} for a part of any text
    bool open;         // to everybody, without a key
    void (Api::*answer)(const ExchangePtr&, const Captures&);
  };
  static const std::vector<Route>& routes();
  static const Route* find(const std::string& method, const std::string& path, Captures& captures);

  void respond(const ExchangePtr& exchange, http::Response response) const;
  void begin_events(const ExchangePtr& exchange) const;
  http::Response with_headers(const http::Request& request, http::Response response) const;

  // Puts it into the queue. Throws RequestError where there is no place, or none are taken.
  void submit(const std::shared_ptr<Job>& job);
  // Of what was read of the request, whose body goes.
  std::shared_ptr<Job> new_job(JobInput input, http::Request& request) const;
  void cancel_when_left(const ExchangePtr& exchange, const std::shared_ptr<Job>& job);
  void cancel(const std::shared_ptr<Job>& job);
  std::shared_ptr<Job> job_of(const Captures& captures) const;  // throws RequestError

  // images_routes.cpp
  void edit_image(const ExchangePtr& exchange, const Captures&);
  // jobs_routes.cpp
  void post_job(const ExchangePtr& exchange, const Captures&);
  void get_job(const ExchangePtr& exchange, const Captures&);
  void get_events(const ExchangePtr& exchange, const Captures&);
  void delete_job(const ExchangePtr& exchange, const Captures&);
  void get_result(const ExchangePtr& exchange, const Captures&);
  void get_model_result(const ExchangePtr& exchange, const Captures&);
  // a1111_routes.cpp
  void a1111_img2img(const ExchangePtr& exchange, const Captures&);
  void a1111_progress(const ExchangePtr& exchange, const Captures&);
  void a1111_interrupt(const ExchangePtr& exchange, const Captures&);
  void a1111_options(const ExchangePtr& exchange, const Captures&);
  void a1111_models(const ExchangePtr& exchange, const Captures&);
  // info_routes.cpp
  void get_page(const ExchangePtr& exchange, const Captures&);
  void get_example(const ExchangePtr& exchange, const Captures&);
  void get_info(const ExchangePtr& exchange, const Captures&);
  void get_models(const ExchangePtr& exchange, const Captures&);
  void get_model(const ExchangePtr& exchange, const Captures&);
  void get_loras(const ExchangePtr& exchange, const Captures&);
  void get_health(const ExchangePtr& exchange, const Captures&);
  void get_metrics(const ExchangePtr& exchange, const Captures&);
  void post_session(const ExchangePtr& exchange, const Captures&);
  void delete_session(const ExchangePtr& exchange, const Captures&);

  const Parts parts_;
  const http::Access access_;
  const std::unique_ptr<http::Fetcher> fetcher_;  // nullptr: pictures elsewhere are refused
};

}  // namespace icedit::server
