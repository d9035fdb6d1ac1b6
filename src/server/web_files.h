#pragma once
// The page and the examples, as they are embedded in the program.
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace icedit::server {

struct WebFile {
  std::string_view path;  // "/app.js"
  const char* type;
  std::string_view content;
};
const std::vector<WebFile>& web_files();

struct Example {
  std::string_view name;  // "meadow-tree.png"
  std::string_view instruction;
  std::string_view content;  // the picture's file
};
const std::vector<Example>& examples();

}  // namespace icedit::server
