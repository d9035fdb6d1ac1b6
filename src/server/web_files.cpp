#include "server/web_files.h"

// The assembler puts the files where the linker finds them: no generated source, no copy at run
// time. ICEDIT_SOURCE is the repository's root; src/CMakeLists.txt knows what this depends on.
#define EMBED(symbol, file)                                                                  \
  asm(".pushsection .rodata\n" #symbol ":\n.incbin \"" ICEDIT_SOURCE "/" file "\"\n" #symbol \
      "_end:\n.byte 0\n.popsection");                                                        \
  extern "C" const char symbol[], symbol##_end[]

EMBED(icedit_page_html, "src/server/web/page.html");
EMBED(icedit_app_js, "src/server/web/app.js");
EMBED(icedit_mask_js, "src/server/web/mask.js");
EMBED(icedit_style_css, "src/server/web/style.css");
EMBED(icedit_icon_svg, "src/server/web/icon.svg");
EMBED(icedit_meadow_tree, "assets/meadow-tree.png");
EMBED(icedit_desert_car, "assets/desert-car.png");
EMBED(icedit_snow_house, "assets/snow-house.png");
EMBED(icedit_desert_balloon, "assets/desert-balloon.png");
EMBED(icedit_cat, "assets/cat.jpg");
EMBED(icedit_coffee, "assets/coffee.jpg");

namespace icedit::server {
namespace {

std::string_view between(const char* begin, const char* end) {
  return {begin, size_t(end - begin)};
}

}  // namespace

#define CONTENT(symbol) between(symbol, symbol##_end)

const std::vector<WebFile>& web_files() {
  static const std::vector<WebFile> all = {
      {"/", "text/html; charset=utf-8", CONTENT(icedit_page_html)},
      {"/app.js", "text/javascript; charset=utf-8", CONTENT(icedit_app_js)},
      {"/mask.js", "text/javascript; charset=utf-8", CONTENT(icedit_mask_js)},
      {"/style.css", "text/css; charset=utf-8", CONTENT(icedit_style_css)},
      {"/icon.svg", "image/svg+xml", CONTENT(icedit_icon_svg)},
  };
  return all;
}

// Edits that the embedded model is good at (scripts/quickstart.sh).
const std::vector<Example>& examples() {
  static const std::vector<Example> all = {
      {"desert-car.png", "make the car red", CONTENT(icedit_desert_car)},
      {"meadow-tree.png", "make it night", CONTENT(icedit_meadow_tree)},
      {"snow-house.png", "add a sun on the left", CONTENT(icedit_snow_house)},
      {"desert-balloon.png", "without the cloud", CONTENT(icedit_desert_balloon)},
      {"cat.jpg", "make it night", CONTENT(icedit_cat)},
      {"coffee.jpg", "give it a warm sunset light", CONTENT(icedit_coffee)},
  };
  return all;
}

}  // namespace icedit::server
