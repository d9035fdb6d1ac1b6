#pragma once
// From a request's fields and pictures to a job: OpenAI's names, and every other setting of an edit
// by the name that a batch's line has.
#include "http/fetch.h"
#include "http/form.h"
#include "server/engine.h"

namespace icedit::server {

enum class FormKind {
  kImages,  // POST /v1/images/edits: OpenAI's mask, whose alpha 0 is edited
  kJobs     // POST /v1/jobs: white is edited, as by the command line's --mask
};

struct EditForm {
  JobInput input;
  bool stream = false;  // events rather than one answer
  bool as_url = false;  // response_format "url"
};

// The names of a request's fields that are settings of an edit by the one table
// (edit/edit_settings.h): all but paths.
std::vector<std::string> setting_fields();

// Throws RequestError naming the field.
EditForm read_edit_form(Json fields, std::vector<http::File> files, FormKind kind,
                        const Options& options, const ModelFacts& facts);
// The same of a request's body (http/form.h). `fetcher`: nullptr where URLs are refused.
EditForm read_edit_form(const http::Request& request, FormKind kind, const Options& options,
                        const ModelFacts& facts, http::Fetcher* fetcher);

}  // namespace icedit::server
