#include <iostream>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "cli/inspect.h"
#include "edit/recipe.h"
#include "io/picture_kind.h"

namespace icedit::cli {
namespace {

using Json = nlohmann::ordered_json;

const char* format_name(ImageFormat format) {
  switch (format) {
    case ImageFormat::kPng:
      return "PNG";
    case ImageFormat::kJpeg:
      return "JPEG";
    default:
      return "WebP";
  }
}

// Nested objects become "model.transformer.sha256  ...".
void print_flat(const Json& json, const std::string& prefix) {
  if (json.is_structured() && !json.empty()) {
    for (const auto& [key, value] : json.items())
      print_flat(value, prefix.empty() ? key : prefix + "." + key);
    return;
  }
  std::cout << "  " << prefix << "  " << (json.is_string() ? json.get<std::string>() : json.dump())
            << "\n";
}

}  // namespace

void inspect_picture(const Path& file, const InspectOptions& options) {
  const ImageFormat format = [&] {
    const MappedFile mapped(file);
    return picture_kind(mapped.bytes(), file.string());
  }();
  ReadOptions read;
  read.keep_alpha = true;
  const Image image = read_image(file, read);
  const std::string recipe = read_recipe(file);

  Json json;
  json["kind"] = "picture";
  json["path"] = file.string();
  json["format"] = format_name(format);
  json["width"] = image.width;
  json["height"] = image.height;
  json["mode"] = image.channels == 4 ? "RGBA" : "RGB";
  if (!recipe.empty()) {
    json["recipe"] = Json::parse(recipe, nullptr, /*allow_exceptions=*/false);
    if (json["recipe"].is_discarded())
      throw DataError(str(file.string(), ": its recipe is damaged: no JSON"));
  }
  if (options.json) {
    std::cout << json.dump(2, ' ', false, Json::error_handler_t::replace) << "\n";
    return;
  }
  std::cout << file.string() << "\n"
            << format_name(format) << ", " << image.width << "x" << image.height << ", "
            << json["mode"].get<std::string>() << "\n";
  if (recipe.empty()) {
    std::cout << "no recipe: icedit did not write this picture\n";
  } else {
    std::cout << "recipe (icedit edit PICTURE --recipe " << file.string() << " makes it again):\n";
    print_flat(json["recipe"], "");
  }
}

}  // namespace icedit::cli
