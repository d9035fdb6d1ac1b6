#pragma once
// The options of icedit serve.
#include <string>
#include <vector>

#include "cli/model_options.h"
#include "server/options.h"

namespace icedit::cli {

struct ServeOptions {
  server::Options server;
  ModelOptions model;
  std::string key_file;
  http::Certificate certificate;
  int64_t max_body_mb = 50, keep_mb = 512, save_mb = 10'240;
  int64_t max_connections = 1024, max_connections_per_address = 256;
  bool help = false;
};

std::vector<SettingGroup> serve_option_groups(ServeOptions& options);
std::string serve_help();

// Also reads the key's file and ICEDIT_API_KEY. Throws UsageError.
ServeOptions parse_serve_options(const std::vector<std::string>& arguments);

// "[NAME=]PATH_OR_ID[:SCALE]"; the name is the file's or the folder's where none is given.
server::NamedAdapter parse_named_adapter(const Given& given);

// Those that were given, or the own one of `model`, under its name. Throws UsageError where two
// have one name.
std::vector<server::NamedAdapter> named_adapters(const ServeOptions& options,
                                                 const ModelDefaults& defaults,
                                                 const std::string& model);

}  // namespace icedit::cli
