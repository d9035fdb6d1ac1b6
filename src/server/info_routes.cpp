// The page, and what there is to know of the server: models, LoRAs, health, figures, sessions.
#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "base/version.h"
#include "io/image.h"
#include "io/resize.h"
#include "server/api.h"
#include "server/job_json.h"
#include "server/problem.h"
#include "server/web_files.h"

namespace icedit::server {
namespace {

// Nothing but the page's own; pictures that it makes are blobs.
constexpr const char* kPolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
constexpr int kSmallSide = 160;

http::Response file_response(const http::Request& request, const char* type,
                             std::string_view content, http::Headers headers) {
  const std::string tag = str("\"", sha256(content).substr(0, 16), "\"");
  headers.emplace_back("ETag", tag);
  headers.emplace_back("Cache-Control", "no-cache");
  if (request.header("if-none-match") == tag) return {304, "", "", std::move(headers)};
  return {200, type, std::string(content), std::move(headers)};
}

std::string made_small(std::string_view file) {
  const Image image = decode_image(as_bytes(file), "the example");
  const int longer = std::max(image.width, image.height);
  const auto side = [&](int length) {
    return std::max(1, length * kSmallSide / std::max(longer, kSmallSide));
  };
  return encode_image(resize(image, side(image.width), side(image.height), Filter::kLanczos),
                      ImageFormat::kJpeg, {}, 80);
}

// Made once: nobody needs a key for them.
const std::string& small_picture(std::string_view name) {
  static const std::map<std::string_view, std::string> all = [] {
    std::map<std::string_view, std::string> made;
    for (const Example& e : examples()) made.emplace(e.name, made_small(e.content));
    return made;
  }();
  return all.at(name);
}

Json model_json(const ModelFacts& facts) {
  return {{"id", facts.name}, {"object", "model"}, {"created", 0}, {"owned_by", "icedit"}};
}

Json loras_json(const ModelFacts& facts) {
  Json loras = Json::array();
  for (size_t i = 0; i < facts.adapters.size(); ++i) {
    loras.push_back({{"id", facts.adapters[i]}, {"scale", facts.scales[i]}, {"default", i == 0}});
  }
  return loras;
}

}  // namespace

void Api::get_page(const ExchangePtr& exchange, const Captures&) {
  const http::Request& request = exchange->request;
  const auto found = std::find_if(web_files().begin(), web_files().end(),
                                  [&](const WebFile& file) { return file.path == request.path; });
  respond(exchange, file_response(request, found->type, found->content,
                                  {{"Content-Security-Policy", kPolicy},
                                   {"Referrer-Policy", "no-referrer"},
                                   {"Cross-Origin-Opener-Policy", "same-origin"},
                                   {"X-Frame-Options", "DENY"}}));
}

void Api::get_example(const ExchangePtr& exchange, const Captures& captures) {
  const auto found = std::find_if(examples().begin(), examples().end(),
                                  [&](const Example& e) { return e.name == captures.at(0); });
  if (found == examples().end()) throw RequestError({404, "", "", "there is no such example"});
  const http::Request& request = exchange->request;
  if (request.path.ends_with("/small"))
    return respond(exchange, file_response(request, "image/jpeg", small_picture(found->name), {}));
  const char* type = found->name.ends_with(".png") ? "image/png" : "image/jpeg";
  respond(exchange, file_response(request, type, found->content, {}));
}

void Api::get_info(const ExchangePtr& exchange, const Captures&) {
  const ModelDefaults& d = parts_.facts.defaults;
  const Options& o = parts_.options;
  Json shown = Json::array();
  for (const Example& e : examples())
    shown.push_back({{"name", std::string(e.name)}, {"instruction", std::string(e.instruction)}});
  respond(
      exchange,
      json_response(
          {{"version", version()},
           {"model", parts_.facts.name},
           {"defaults",
            {{"width", d.width}, {"steps", d.num_inference_steps}, {"guidance", d.guidance_scale}}},
           {"limits",
            {{"body", o.limits.body},
             {"pixels", o.max_pixels},
             {"prompt", o.max_prompt},
             {"steps", o.max_steps}}},
           {"loras", loras_json(parts_.facts)},
           {"needs_key", access_.needs_key()},
           {"settings", setting_fields()},
           {"examples", std::move(shown)}}));
}

void Api::get_models(const ExchangePtr& exchange, const Captures&) {
  respond(exchange,
          json_response({{"object", "list"}, {"data", Json::array({model_json(parts_.facts)})}}));
}

void Api::get_model(const ExchangePtr& exchange, const Captures& captures) {
  if (captures.at(0) != parts_.facts.name) {
    throw RequestError({404, "model_not_found", "model",
                        str("there is no such model here, only '", parts_.facts.name, "'")});
  }
  respond(exchange, json_response(model_json(parts_.facts)));
}

void Api::get_loras(const ExchangePtr& exchange, const Captures&) {
  respond(exchange, json_response({{"object", "list"}, {"data", loras_json(parts_.facts)}}));
}

void Api::get_health(const ExchangePtr& exchange, const Captures&) {
  const bool draining = parts_.draining();
  http::Response response = json_response({{"status", draining ? "draining" : "ok"}});
  if (draining) response.status = 503;
  respond(exchange, std::move(response));
}

void Api::get_metrics(const ExchangePtr& exchange, const Captures&) {
  respond(exchange,
          {200,
           "text/plain; version=0.0.4",
           metrics_text(parts_.metrics, parts_.counts(), parts_.queue.size(), parts_.store.bytes()),
           {}});
}

// The key, in the header that every request may have, for a cookie.
void Api::post_session(const ExchangePtr& exchange, const Captures&) {
  if (const auto denial = access_.check_key(exchange->request))
    throw RequestError({denial->status, denial->code, "", denial->message});
  http::Response response{204, "", "", {}};
  if (access_.needs_key())
    response.headers.emplace_back("Set-Cookie", access_.session(exchange->request));
  respond(exchange, std::move(response));
}

void Api::delete_session(const ExchangePtr& exchange, const Captures&) {
  respond(exchange,
          {204, "", "", {{"Set-Cookie", access_.session(exchange->request, /*end=*/true)}}});
}

}  // namespace icedit::server
