// icedit serve: a page to edit pictures in, and OpenAI's images API.
#include "server/serve.h"

#include <iostream>

#include "base/counted.h"
#include "base/log.h"
#include "cli/command.h"
#include "cli/serve_options.h"
#include "edit/threads.h"

namespace icedit::cli {

int run_serve(const Arguments& arguments) {
  ServeOptions options = parse_serve_options(arguments);
  if (options.help) {
    std::cout << serve_help();
    return 0;
  }
  const Threads threads(options.model.threads);
  const ModelFiles files = ModelFiles::find(options.model.request);
  options.server.adapters = named_adapters(options, files.defaults(), files.name());
  options.server.no_lora = options.model.no_lora;
  for (const auto& named : options.server.adapters) options.model.adapters.push_back(named.adapter);
  const ResidencyOptions residency = residency_options(options.model, files);
  log::info(str(files.name(), " on ", residency.device.str(), ", ",
                counted(static_cast<uint64_t>(threads.count()), "thread")));
  return server::serve(options.server, files, residency, options.model.memory);
}

}  // namespace icedit::cli
