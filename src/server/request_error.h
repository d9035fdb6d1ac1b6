#pragma once
// An error of a request, as OpenAI's clients tell them apart.
#include <string>

#include "base/error.h"

namespace icedit::server {

struct Problem {
  int status = 500;
  std::string code;   // "invalid_mask"; "" for none
  std::string param;  // the field at fault; "" for none
  std::string message;
};

class RequestError : public Error {
 public:
  explicit RequestError(Problem problem)
      : Error(ExitCode::kUsage, problem.message), problem(std::move(problem)) {}
  const Problem problem;
};

// A 400 of a field.
[[noreturn]] inline void throw_bad_field(const std::string& param, const std::string& message,
                                         const std::string& code = "invalid_value") {
  throw RequestError({400, code, param, message});
}

}  // namespace icedit::server
