#pragma once
// A job as /v1/jobs shows it, and its pictures as OpenAI's images.
#include "http/message.h"
#include "io/json.h"
#include "server/job.h"

namespace icedit::server {

Json job_json(const Job& job, const JobStatus& status);
// Of an event: its name and its data.
std::pair<std::string, Json> event_json(const Job& job, Job::Change change,
                                        const JobStatus& status);

std::string format_text(ImageFormat format);  // "png"
std::string media_type(ImageFormat format);   // "image/png"
http::Response json_response(const Json& json, int status = 200);

// What an edit is said to have used, in OpenAI's shape: the transformer's tokens.
Json usage_json(const JobStatus& status);

}  // namespace icedit::server
