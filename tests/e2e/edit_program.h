#pragma once
// icedit edit on one of the pictures in assets/, and what it wrote.
#include <cmath>
#include <nlohmann/json.hpp>

#include "e2e/program.h"

namespace icedit::e2e {

class EditProgram : public Program {
 protected:
  EditProgram() { copy(asset("desert-car.png"), "car.png"); }

  Image output(const std::string& name) { return read_image(work() / name); }
  // PSNR of two results.
  double decibels(const std::string& a, const std::string& b) {
    const Image x = output(a), y = output(b);
    double sum = 0;
    for (size_t i = 0; i < x.pixels.size(); ++i) sum += std::pow(x.pixels[i] - y.pixels[i], 2);
    return 10 * std::log10(255.0 * 255.0 * double(x.pixels.size()) / std::max(sum, 1e-9));
  }
  // With tiny-fill, in f32.
  Image tiny(const std::string& name, const std::vector<std::string>& more) {
    std::vector<std::string> all = {
        "edit",      "car.png", "make it blue", "--model", golden("tiny-fill"),
        "--no-lora", "--width", "64",           "--steps", "4",
        "--seed",    "1",       "--dtype",      "f32",     "-o",
        name};
    all.insert(all.end(), more.begin(), more.end());
    const Result result = run(all);
    EXPECT_EQ(result.code, 0) << result.err;
    return output(name);
  }
  static double mean_difference(const Image& a, const Image& b) {
    double sum = 0;
    for (size_t i = 0; i < a.pixels.size(); ++i) sum += std::abs(a.pixels[i] - b.pixels[i]);
    return sum / static_cast<double>(a.pixels.size());
  }
  nlohmann::json inspect(const std::string& name) {
    return nlohmann::json::parse(run({"inspect", name, "--json"}).out);
  }
};

}  // namespace icedit::e2e
