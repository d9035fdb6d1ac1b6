// Routes without connections and without a model: who is let in, and what is answered.
#include "server/api.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "http/base64.h"
#include "server/web_files.h"

namespace icedit::server {
namespace {

class ApiRoutes : public ::testing::Test {
 protected:
  ApiRoutes() { facts_.name = "nano"; }

  Api& api() {
    if (!api_) {
      api_.emplace(Api::Parts{options_, facts_, queue_, store_, metrics_,
                              [this] { return draining_; }, [] { return http::Counts(); }});
    }
    return *api_;
  }

  static http::Request request(const std::string& method, const std::string& path,
                               http::Headers headers = {}) {
    http::Request request;
    request.method = method;
    request.path = path;
    request.headers = std::move(headers);
    request.headers.emplace_back("Host", "localhost:7860");
    request.address = "127.0.0.1";
    return request;
  }

  // What a connection would do; kPart's bytes are the body of a stream.
  http::Response ask(http::Request request) {
    if (auto no = api().gate(request)) return *no;
    outgoing_ = std::make_shared<http::Outgoing>([] {});
    api().handle(std::make_shared<http::Exchange>(std::move(request), outgoing_));
    return answer();
  }
  http::Response answer() {
    http::Response response;
    response.status = 0;
    std::string body;
    while (std::optional<http::Piece> piece = outgoing_->take()) {
      if (piece->kind <= http::Piece::Kind::kHead) response = piece->response;
      body += piece->bytes;
    }
    if (!body.empty()) response.body = body;
    return response;
  }
  http::Response get(const std::string& path) { return ask(request("GET", path)); }

  http::Request edit(const std::string& path, Json fields = Json::object()) {
    http::Request r = request("POST", path, {{"Content-Type", "application/json"}});
    fields["prompt"] = "make it winter";
    fields["image"] = "data:image/png;base64,Zm9v";
    r.body = fields.dump();
    return r;
  }

  Options options_;
  ModelFacts facts_;
  JobQueue queue_{4};
  JobStore store_{std::chrono::hours(1), 1 << 20};
  Metrics metrics_;
  bool draining_ = false;
  std::optional<Api> api_;
  std::shared_ptr<http::Outgoing> outgoing_;
};

std::string header(const http::Response& response, const std::string& name) {
  for (const auto& [key, value] : response.headers) {
    if (key == name) return value;
  }
  return "";
}

TEST_F(ApiRoutes, AreTheseAndNoOthers) {
  for (const char* path :
       {"/", "/app.js", "/style.css", "/icon.svg", "/health", "/metrics", "/v1/models",
        "/v1/models/nano", "/v1/loras", "/v1/info", "/examples/cat.jpg", "/examples/cat.jpg/small"})
    EXPECT_EQ(get(path).status, 200) << path;
  for (const char* path : {"", "/x", "/v1", "/v1/models/other", "/v1/jobs/none", "/../etc/passwd",
                           "/%2e%2e/etc/passwd", "/examples/..%2fREADME.md", "/examples/../x", "//",
                           "/v1/jobs//events", "/examples/nothing.png"})
    EXPECT_EQ(get(path).status, 404) << path;
  EXPECT_EQ(ask(request("PUT", "/v1/models")).status, 405);
  EXPECT_EQ(ask(request("GET", "/v1/images/edits")).status, 405);
}

// Programs depend on them: a change of the list is a change for them. Those of /v1 are documented.
TEST_F(ApiRoutes, AreFrozen) {
  std::string all;
  for (const std::string& route : Api::list()) all += route + "\n";
  EXPECT_EQ(all,
            "GET /\nGET /app.js\nGET /mask.js\nGET /style.css\nGET /icon.svg\n"
            "GET /examples/{id}\nGET /examples/{id}/small\nGET /health\nGET /metrics\n"
            "POST /session\nDELETE /session\nGET /v1/info\nGET /v1/models\nGET /v1/models/{id}\n"
            "GET /v1/loras\nPOST /v1/images/edits\nPOST /sdapi/v1/img2img\n"
            "GET /sdapi/v1/progress\nPOST /sdapi/v1/interrupt\nGET /sdapi/v1/options\n"
            "POST /sdapi/v1/options\nGET /sdapi/v1/sd-models\nPOST /v1/jobs\nGET /v1/jobs/{id}\n"
            "DELETE /v1/jobs/{id}\nGET /v1/jobs/{id}/events\nGET /v1/jobs/{id}/results/{id}\n"
            "GET /v1/jobs/{id}/results/{id}/model\n");
  const std::string documented = read_file(Path(ICEDIT_SOURCE) / "docs/openapi.yaml");
  for (std::string route : Api::list()) {
    std::string path = route.substr(route.find(' ') + 1);
    if (!path.starts_with("/v1/")) continue;
    if (const size_t number = path.find("results/{id}"); number != std::string::npos)
      path.replace(number, 12, "results/{number}");
    EXPECT_NE(documented.find("\n  " + path + ":\n"), std::string::npos) << route;
  }
}

TEST_F(ApiRoutes, ThePageLoadsNothingFromElsewhere) {
  size_t all = 0;
  for (const WebFile& file : web_files()) {
    const http::Response response = get(std::string(file.path));
    all += response.body.size();
    EXPECT_NE(header(response, "Content-Security-Policy").find("default-src 'none'"),
              std::string::npos);
    EXPECT_EQ(header(response, "Content-Security-Policy").find("unsafe"), std::string::npos);
    for (const char* elsewhere : {"https://", "//cdn", "@import"})
      EXPECT_EQ(response.body.find(elsewhere), std::string::npos) << file.path;
    const http::Response again =
        ask(request("GET", std::string(file.path), {{"If-None-Match", header(response, "ETag")}}));
    EXPECT_EQ(again.status, 304);
  }
  EXPECT_LT(all, 80'000U);  // with six small pictures below 100 kB
  for (const Example& example : examples())
    EXPECT_LT(get("/examples/" + std::string(example.name) + "/small").body.size(), 8'000U);
}

TEST_F(ApiRoutes, EverythingButThePageAndHealthNeedsTheKey) {
  options_.access.keys = {"secret"};
  for (const char* path : {"/", "/app.js", "/health", "/examples/cat.jpg"})
    EXPECT_EQ(get(path).status, 200) << path;
  for (const char* path : {"/metrics", "/v1/models", "/v1/loras", "/v1/info", "/v1/jobs/x",
                           "/v1/jobs/x/events", "/v1/jobs/x/results/0"})
    EXPECT_EQ(get(path).status, 401) << path;
  EXPECT_EQ(ask(edit("/v1/images/edits")).status, 401);
  EXPECT_EQ(ask(edit("/v1/jobs")).status, 401);
  EXPECT_EQ(ask(request("POST", "/session")).status, 401);
  EXPECT_EQ(ask(request("POST", "/session", {{"Authorization", "Bearer wrong"}})).status, 401);
  const http::Response session =
      ask(request("POST", "/session", {{"Authorization", "Bearer secret"}}));
  EXPECT_EQ(session.status, 204);
  const std::string set = header(session, "Set-Cookie");
  const std::string cookie = set.substr(0, set.find(';'));
  EXPECT_EQ(ask(request("GET", "/v1/models", {{"Cookie", cookie}})).status, 200);
  http::Request post = edit("/v1/jobs");
  post.headers.emplace_back("Cookie", cookie);
  EXPECT_EQ(ask(post).status, 403);
  post.headers.emplace_back("Origin", "http://localhost:7860");
  EXPECT_EQ(ask(post).status, 202);
}

TEST_F(ApiRoutes, NothingIsReadOfThoseWithoutAKey) {
  options_.access.keys = {"secret"};
  for (const char* path : {"/session", "/", "/health"}) {
    const char* method = std::string(path) == "/session" ? "POST" : "GET";
    const auto refused = api().gate(request(method, path, {{"Content-Length", "5"}}));
    EXPECT_TRUE(refused) << path;
    EXPECT_FALSE(api().gate(request(method, path, {{"Content-Length", "0"}}))) << path;
  }
  EXPECT_EQ(api().gate(request("POST", "/session", {{"Transfer-Encoding", "chunked"}}))->status,
            413);
}

TEST_F(ApiRoutes, ForeignHostsAndOriginsAreRefused) {
  http::Request other = request("GET", "/");
  other.headers = {{"Host", "evil.org"}};
  EXPECT_EQ(ask(other).status, 403);
  EXPECT_EQ(ask(request("GET", "/v1/models", {{"Origin", "http://evil.org"}})).status, 403);
  EXPECT_EQ(ask(request("POST", "/v1/jobs", {{"Origin", "null"}})).status, 403);
  options_.access.origins = {"https://app.org"};
  api_.reset();
  const http::Response there =
      ask(request("OPTIONS", "/v1/images/edits", {{"Origin", "https://app.org"}}));
  EXPECT_EQ(there.status, 204);
  EXPECT_EQ(header(there, "Access-Control-Allow-Origin"), "https://app.org");
  EXPECT_NE(header(there, "Access-Control-Allow-Methods").find("POST"), std::string::npos);
}

TEST_F(ApiRoutes, AJobIsFoundCancelledAndForgotten) {
  const http::Response made = ask(edit("/v1/jobs"));
  ASSERT_EQ(made.status, 202) << made.body;
  const std::string path = header(made, "Location");
  EXPECT_EQ(Json::parse(get(path).body)["status"], "queued");
  EXPECT_EQ(get(path + "/results/0").status, 404);
  const http::Response gone = ask(request("DELETE", path));
  EXPECT_EQ(Json::parse(gone.body)["status"], "cancelled");
  EXPECT_EQ(queue_.size(), 0U);
  EXPECT_EQ(ask(request("DELETE", path)).status, 200);
  EXPECT_EQ(get(path).status, 404);
}

TEST_F(ApiRoutes, EventsTellOfAJobToItsEnd) {
  const std::string path = header(ask(edit("/v1/jobs", {{"previews", 2}})), "Location");
  const auto job = queue_.pop(std::chrono::milliseconds(0));
  ASSERT_TRUE(job->start());
  EXPECT_NE(get(path + "/events").body.find("event: progress\n"), std::string::npos);
  job->set_preview("PNG");
  const auto result = std::make_shared<JobResult>();
  result->bytes = "picture", result->seed = 7, result->recipe = "{}";
  job->finish({result});
  const std::string rest = answer().body;
  EXPECT_NE(rest.find("event: preview\ndata: {\"image\":0,\"step\":0,\"b64_png\":\"UE5H\"}\n\n"),
            std::string::npos)
      << rest;
  EXPECT_NE(rest.find("event: succeeded\n"), std::string::npos);
  EXPECT_TRUE(outgoing_->is_answered());
  const http::Response picture = get(path + "/results/0");
  EXPECT_EQ(picture.body, "picture");
  EXPECT_EQ(picture.type, "image/png");
  EXPECT_EQ(get(path + "/results/0/model").status, 404);
}

TEST_F(ApiRoutes, AnEditIsAnsweredInOpenAIsShape) {
  EXPECT_EQ(ask(edit("/v1/images/edits", {{"n", 2}})).status, 0);  // not yet
  const auto job = queue_.pop(std::chrono::milliseconds(0));
  job->start();
  const auto result = std::make_shared<JobResult>();
  result->bytes = "picture", result->width = 4, result->height = 2, result->tokens = 3;
  job->finish({result, result});
  const Json json = Json::parse(answer().body);
  EXPECT_EQ(json["data"][1]["b64_json"], http::to_base64("picture"));
  EXPECT_EQ(json["size"], "4x2");
  EXPECT_EQ(json["usage"]["total_tokens"], 12);
}

TEST_F(ApiRoutes, AStreamHasPartialImagesAndAnEnd) {
  ask(edit("/v1/images/edits", {{"stream", true}, {"partial_images", 1}}));
  const auto job = queue_.pop(std::chrono::milliseconds(0));
  job->start();
  job->set_preview("PNG");
  auto result = std::make_shared<JobResult>();
  job->finish({result});
  const http::Response response = answer();
  EXPECT_EQ(response.type, "text/event-stream");
  EXPECT_NE(response.body.find("event: image_edit.partial_image\n"), std::string::npos);
  EXPECT_NE(response.body.find("\"partial_image_index\":0"), std::string::npos);
  EXPECT_NE(response.body.find("event: image_edit.completed\n"), std::string::npos);
}

TEST_F(ApiRoutes, WhatFailsBeforeTheFirstEventIsAnOrdinaryError) {
  ask(edit("/v1/images/edits", {{"stream", true}}));
  const auto job = queue_.pop(std::chrono::milliseconds(0));
  job->start();
  job->fail({422, "invalid_image", "", "no picture"});
  const http::Response response = answer();
  EXPECT_EQ(response.status, 422);
  EXPECT_EQ(Json::parse(response.body)["error"]["code"], "invalid_image");
}

TEST_F(ApiRoutes, AClientThatLeavesCancelsItsRequestButNoJob) {
  ask(edit("/v1/images/edits"));
  outgoing_->leave();
  EXPECT_EQ(queue_.size(), 0U);
  EXPECT_EQ(metrics_.cancelled, 1U);
  ask(edit("/v1/jobs"));
  outgoing_->leave();
  EXPECT_EQ(queue_.size(), 1U);
}

TEST_F(ApiRoutes, AFullQueueAndAServerThatEndsSaySo) {
  for (int i = 0; i < 3; ++i) EXPECT_EQ(ask(edit("/v1/jobs")).status, 202);
  const http::Response full = ask(edit("/v1/jobs"));
  EXPECT_EQ(full.status, 503);
  EXPECT_EQ(header(full, "Retry-After"), "2");
  EXPECT_EQ(Json::parse(full.body)["error"]["code"], "queue_full");
  draining_ = true;
  EXPECT_EQ(Json::parse(ask(edit("/v1/images/edits")).body)["error"]["code"], "shutting_down");
  EXPECT_EQ(get("/health").status, 503);
  EXPECT_EQ(get("/v1/models").status, 200);
}

}  // namespace
}  // namespace icedit::server
