#pragma once
// From what was thrown to what a client is told.
#include <exception>

#include "http/message.h"
#include "server/request_error.h"

namespace icedit::server {

Problem problem_of(const std::exception_ptr& error);

// OpenAI's error object.
std::string problem_json(const Problem& problem);
http::Response problem_response(const Problem& problem);

}  // namespace icedit::server
