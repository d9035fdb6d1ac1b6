#include <iostream>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/shell.h"
#include "cli/inspect.h"
#include "edit/recipe.h"
#include "io/picture_kind.h"

namespace icedit::cli {
namespace {

// Nested objects become "model.transformer.sha256  ...".
void print_flat(const Json& json, const std::string& prefix) {
  if (json.is_structured() && !json.empty()) {
    for (const auto& [key, value] : json.items())
      print_flat(value, prefix.empty() ? key : prefix + "." + key);
    return;
  }
  std::cout << "  " << prefix << "  " << text_of(json) << "\n";
}

// What people look for comes first: the instruction, the seed and the other settings, what was
// edited, by which adapters and model; then the files' hashes.
void print_recipe(Json recipe) {
  if (!recipe.is_object()) return print_flat(recipe, "");
  for (const char* key : {"edit", "picture", "source", "mask", "adapters"}) {
    const auto found = recipe.find(key);
    if (found == recipe.end()) continue;
    print_flat(*found, std::string(key) == "edit" ? "" : key);
    recipe.erase(found);
  }
  Json model = recipe.value("model", Json());
  if (model.is_object() && model.contains("name")) {
    print_flat(model["name"], "model.name");
    model.erase("name");
  }
  recipe.erase("model");
  print_flat(recipe, "");
  if (!model.is_null()) print_flat(model, "model");
}

std::string name_in(const Json& recipe, const char* key) {
  const Json part = recipe.is_object() ? recipe.value(key, Json()) : Json();
  const Json name = part.is_object() ? part.value("file", Json()) : Json();
  return name.is_string() ? name.get<std::string>() : "";
}

// The command that makes it again, to be pasted; the source and the mask by the names they had.
std::string again(const Path& file, const Json& recipe) {
  if (recipe.is_object() && recipe.contains("before"))
    return "icedit reproduce " + shell_quoted(file.string()) + " (a chain of " +
           std::to_string(recipe["before"].size() + 1) + " steps)";
  const std::string source = name_in(recipe, "source"), mask = name_in(recipe, "mask");
  return "icedit edit " + (source.empty() ? "PICTURE" : shell_quoted(source)) + " --recipe " +
         shell_quoted(file.string()) + (mask.empty() ? "" : " --mask " + shell_quoted(mask));
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
  const std::string recipe = read_recipe_text(file);

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
    std::cout << dumped(json, 2) << "\n";
    return;
  }
  std::cout << file.string() << "\n"
            << format_name(format) << ", " << image.width << "x" << image.height << ", "
            << text_of(json["mode"]) << "\n";
  if (recipe.empty()) {
    std::cout << "no recipe: icedit did not write this picture\n";
  } else {
    std::cout << "made by: " << again(file, json["recipe"]) << "\n";
    print_recipe(json["recipe"]);
  }
}

}  // namespace icedit::cli
