#pragma once
// The modules of the tiny transformer as gguf reads them off the published code: BFL's name, and
// the diffusers modules whose rows it stacks.
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "golden.h"
#include "io/files.h"

namespace icedit {

inline std::map<std::string, std::vector<std::string>> flux_modules() {
  std::map<std::string, std::vector<std::string>> modules;
  const auto golden = nlohmann::json::parse(read_file(golden::path("gguf/names.json"))).at("map");
  for (const auto& [bfl, names] : golden.items())
    modules[bfl] =
        names.is_string() ? std::vector<std::string>{names} : names.get<std::vector<std::string>>();
  return modules;
}

}  // namespace icedit
