#include "cli/serve_options.h"

#include <algorithm>
#include <cstdlib>
#include <sstream>

#include "base/error.h"
#include "cli/arguments.h"
#include "cli/paths.h"
#include "http/fetch.h"

namespace icedit::cli {
namespace {

constexpr int64_t kMostMegabytes = int64_t{1} << 20;
constexpr const char* kKeyVariable = "ICEDIT_API_KEY";

Variable added_to(std::vector<std::string>& list) {
  return {[&list](const Given& given) { list.push_back(text_value(given)); }};
}

bool is_name(const std::string& text) {
  return !text.empty() && text != "none" &&
         std::all_of(text.begin(), text.end(), [](unsigned char c) {
           return std::isalnum(c) != 0 || c == '.' || c == '_' || c == '-';
         });
}

// "RiverZ/normal-lora@main" and "models/nano/lora/" have a last name each.
std::string last_name(const std::string& path) {
  std::string name = Path(path).lexically_normal().filename().string();
  if (name.empty()) name = Path(path).lexically_normal().parent_path().filename().string();
  if (name.ends_with(".safetensors")) name = Path(name).stem().string();
  const std::string folder = Path(path).parent_path().filename().string();
  if (name == "pytorch_lora_weights" && !folder.empty()) name = folder;  // diffusers' name for all
  name = name.substr(0, name.find('@'));
  std::replace_if(
      name.begin(), name.end(), [](char c) { return !is_name(std::string(1, c)); }, '-');
  return name.empty() ? "lora" : name;
}

SettingGroup place_group(ServeOptions& o) {
  server::Options& s = o.server;
  return {
      "Where",
      {{"host", "ADDRESS",
        "the address to listen on; others than this machine's own need a "
        "key and --allowed-host",
        s.host, into(s.host)},
       {"port", "N", "0: one that is free", "7860", integer(s.port, 0, 65535)},
       {"name", "TEXT", "of this replica, in its jobs' ids: letters and digits", "",
        [&s](const Given& given) {
          s.name = text_value(given);
          if (!is_name(s.name) || s.name.find('_') != std::string::npos)
            throw_value_error(given, "letters, digits, dots and dashes");
        }},
       {"tls-cert", "FILE",
        "encrypt connections (HTTPS): a PEM file with the certificate and those that vouch for it",
        "", into(o.certificate.chain)},
       {"tls-key", "FILE", "its private key, in PEM", "", into(o.certificate.key)}}};
}

SettingGroup access_group(ServeOptions& o) {
  server::Options& s = o.server;
  return {
      "Who may",
      {{"api-key", "KEY",
        "needed with every request; several times for several; also ICEDIT_API_KEY, which no "
        "list of processes shows",
        "", added_to(s.access.keys)},
       {"api-key-file", "FILE", "a file with a key a line", "", into(o.key_file)},
       {"no-auth", "", "no key, though other machines reach the server", "", into(s.no_auth)},
       {"allowed-host", "NAME", "a name by which the server is asked; several times for several",
        "this machine's own", added_to(s.access.hosts)},
       {"cors", "ORIGIN", "pages of this origin may use the API; several times for several", "none",
        added_to(s.access.origins)},
       {"allow-fetch", "",
        "JSON requests may name pictures by https:// URLs of the public internet, which the server "
        "fetches",
        "", into(s.allow_fetch)},
       {"trusted-proxy", "ADDRESS", "a proxy whose X-Forwarded-For is believed", "none",
        added_to(s.access.proxies)}}};
}

SettingGroup limits_group(ServeOptions& o) {
  server::Options& s = o.server;
  return {
      "Limits",
      {{"queue", "N", "jobs that may wait; more get 503 with Retry-After", "64",
        integer(s.queue, 1, 100'000)},
       {"batch", "N",
        "edits of one size that are denoised together: more of them in the same time, each of them "
        "later; equal to edits alone but for rounding",
        "1", integer(s.batch, 1, 64)},
       {"max-body", "MB", "of a request", "50", integer(o.max_body_mb, 1, 4096)},
       {"max-pixels", "N", "of a picture, before it is decoded", "50000000",
        integer(s.max_pixels, 256, int64_t{1} << 31)},
       {"max-prompt", "BYTES", "of an instruction", "2000", integer(s.max_prompt, 1, 8192)},
       {"max-steps", "N", "that a request may ask for", "100", integer(s.max_steps, 1, kMostSteps)},
       {"max-width", "PIXELS", "at which a request may have the model work",
        "8 times its own, at most 2048", integer(s.max_width, 16, kWidest)},
       {"max-connections", "N", "at a time", "1024", integer(o.max_connections, 1, 65535)},
       {"max-connections-per-address", "N", "at a time", "256",
        integer(o.max_connections_per_address, 1, 65535)},
       {"drain-seconds", "N", "for what was taken, after SIGTERM", "30",
        integer(s.drain_seconds, 0, 86'400)}}};
}

SettingGroup results_group(ServeOptions& o) {
  server::Options& s = o.server;
  return {"Results",
          {{"keep-minutes", "N", "of a finished job", "60", integer(s.keep_minutes, 1, 10'080)},
           {"keep-mb", "MB", "of all finished jobs in memory", "512",
            integer(o.keep_mb, 1, kMostMegabytes)},
           {"save-dir", "FOLDER", "keep every result there too, as result_N", "", into(s.save_dir)},
           {"save-mb", "MB", "of results there; beyond it the oldest go", "10240",
            integer(o.save_mb, 1, kMostMegabytes)}}};
}

SettingGroup serve_model_group(ServeOptions& o) {
  SettingGroup group = model_options(o.model);
  for (Setting& option : group.settings) {
    if (option.name != "lora") continue;
    option.value = "[NAME=]PATH_OR_ID[:SCALE]";
    option.help =
        "a LoRA that requests name by NAME; several times for several, the first is the "
        "default";
    option.variable = {
        [&o](const Given& given) { o.server.adapters.push_back(parse_named_adapter(given)); }};
  }
  return group;
}

void add_keys(const std::string& text, std::vector<std::string>& keys) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.ends_with('\r')) line.pop_back();
    if (!line.empty()) keys.push_back(line);
  }
}

}  // namespace

std::vector<SettingGroup> serve_option_groups(ServeOptions& o) {
  return {place_group(o),       access_group(o),          limits_group(o),        results_group(o),
          serve_model_group(o), machine_options(o.model), general_options(o.help)};
}

std::string serve_help() {
  ServeOptions options;
  return command_help(
      {"icedit serve [--model MODEL] [--lora [NAME=]PATH_OR_ID[:SCALE]]... [options]"},
      "Serves a page to edit pictures in, and OpenAI's images API, at "
      "http://127.0.0.1:7860/.",
      serve_option_groups(options), exit_codes_help());
}

ServeOptions parse_serve_options(const std::vector<std::string>& arguments) {
  ServeOptions o;
  const std::vector<std::string> rest = parse_arguments("serve", serve_option_groups(o), arguments);
  if (o.help) return o;
  if (!rest.empty())
    throw UsageError(str("'", rest[0], "' is no option; icedit serve takes options alone"));
  if (!o.key_file.empty()) {
    add_keys(read_file(o.key_file), o.server.access.keys);
    if (o.server.access.keys.empty())
      throw UsageError(str(o.key_file, " holds no key, expected one a line"));
  }
  if (const char* key = std::getenv(kKeyVariable)) add_keys(key, o.server.access.keys);
  for (const std::string& key : o.server.access.keys) {
    if (key.empty()) throw UsageError("--api-key is empty, expected a key");
  }
  if (o.certificate.chain.empty() != o.certificate.key.empty()) {
    throw UsageError(o.certificate.key.empty() ? "--tls-cert needs --tls-key, its private key"
                                               : "--tls-key needs --tls-cert, its certificate");
  }
  if (!o.certificate.key.empty()) o.server.certificate = o.certificate;
  if (o.server.allow_fetch) o.server.limits.handler_threads += http::Fetcher::Rules().at_once;
  o.server.limits.body = uint64_t(o.max_body_mb) * 1'000'000;
  o.server.limits.bodies = std::max(o.server.limits.bodies, 4 * o.server.limits.body);
  o.server.limits.connections = int(o.max_connections);
  o.server.limits.connections_per_address = int(o.max_connections_per_address);
  o.server.keep_bytes = uint64_t(o.keep_mb) * 1'000'000;
  o.server.save_bytes = uint64_t(o.save_mb) * 1'000'000;
  return o;
}

server::NamedAdapter parse_named_adapter(const Given& given) {
  const size_t equals = given.text.find('=');
  const std::string name = given.text.substr(0, equals);
  if (equals == std::string::npos || !is_name(name) || is_there(given.text)) {
    const AdapterRequest adapter = parse_adapter(given);
    return {last_name(adapter.path), adapter};
  }
  Given path = given;
  path.text = given.text.substr(equals + 1);
  return {name, parse_adapter(path)};
}

std::vector<server::NamedAdapter> named_adapters(const ServeOptions& o,
                                                 const ModelDefaults& defaults,
                                                 const std::string& model) {
  std::vector<server::NamedAdapter> all = o.server.adapters;
  ModelOptions asked = o.model;
  for (const auto& named : all) asked.adapters.push_back(named.adapter);
  for (const AdapterRequest& adapter : adapters_of(asked, defaults))
    if (o.server.adapters.empty()) all.push_back({last_name(model), adapter});  // the model's own
  std::vector<std::string> names;
  for (const auto& named : all) {
    if (std::find(names.begin(), names.end(), named.name) != names.end()) {
      throw UsageError(str("two LoRAs are called '", named.name, "'; name them, as in --lora ",
                           named.name, "-2=", named.adapter.path));
    }
    names.push_back(named.name);
  }
  return all;
}

}  // namespace icedit::cli
