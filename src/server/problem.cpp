#include "server/problem.h"

#include <c10/util/Exception.h>

#include <new>
#include <nlohmann/json.hpp>

#include "io/json.h"

namespace icedit::server {
namespace {

constexpr const char* kTooLarge =
    "the server has not enough memory for this edit; ask for a smaller width or picture";

// The codes of base/error.h in HTTP.
int status_of(const Error& error) {
  switch (error.code()) {
    case ExitCode::kUsage:
      return 400;
    case ExitCode::kNoInput:
      return 422;
    case ExitCode::kModelUnavailable:
      return 503;
    default:
      return 500;
  }
}

bool is_out_of_memory(const std::string& message) {
  return message.find("allocate memory") != std::string::npos ||
         message.find("out of memory") != std::string::npos;
}

const char* type_of(int status) {
  switch (status) {
    case 401:
      return "authentication_error";
    case 403:
      return "permission_error";
    case 429:
      return "rate_limit_error";
    default:
      return status < 500 ? "invalid_request_error" : "server_error";
  }
}

Json or_null(const std::string& text) {
  return text.empty() ? Json() : Json(text);
}

}  // namespace

Problem problem_of(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const RequestError& e) {
    return e.problem;
  } catch (const Error& e) {
    const int status = status_of(e);
    return {status,
            status == 422   ? "invalid_image"
            : status == 400 ? "invalid_value"
                            : "",
            "", e.what()};
  } catch (const c10::Error& e) {
    const std::string message = e.what_without_backtrace();
    if (is_out_of_memory(message)) return {503, "out_of_memory", "", kTooLarge};
    return {500, "", "", "libtorch: " + message.substr(0, message.find('\n'))};
  } catch (const std::bad_alloc&) {
    return {503, "out_of_memory", "", kTooLarge};
  } catch (const std::exception& e) {
    return {500, "", "", std::string("internal error: ") + e.what()};
  }
}

std::string problem_json(const Problem& p) {
  const Json error = {{"message", p.message},
                      {"type", type_of(p.status)},
                      {"param", or_null(p.param)},
                      {"code", or_null(p.code)}};
  return dumped({{"error", error}});
}

http::Response problem_response(const Problem& problem) {
  http::Response response{problem.status, "application/json", problem_json(problem)};
  if (problem.status == 503) response.headers.emplace_back("Retry-After", "2");
  if (problem.status == 401) response.headers.emplace_back("WWW-Authenticate", "Bearer");
  return response;
}

}  // namespace icedit::server
