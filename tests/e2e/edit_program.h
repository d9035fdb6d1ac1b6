#pragma once
// icedit edit on one of the pictures in assets/, and what it wrote.
#include <nlohmann/json.hpp>

#include "e2e/program.h"

namespace icedit::e2e {

class EditProgram : public Program {
 protected:
  EditProgram() { copy(asset("desert-car.png"), "car.png"); }

  Image output(const std::string& name) { return read_image(work() / name); }
  nlohmann::json inspect(const std::string& name) {
    return nlohmann::json::parse(run({"inspect", name, "--json"}).out);
  }
};

}  // namespace icedit::e2e
