// The random streams that "same seed, same picture" stands on: libtorch's CPU generator.
#include <ATen/CPUGeneratorImpl.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>

#include "golden.h"

namespace icedit {
namespace {

// Two units in the last place are the README's, for floats of another libtorch build.
double allowed() {
  return std::max(2.4e-7, golden::tolerance::noise());
}

Shape shape_of(const std::string& text) {
  Shape shape;
  std::istringstream in(text);
  for (std::string size; std::getline(in, size, 'x');) shape.push_back(std::stoll(size));
  return shape;
}

at::Generator generator(const std::string& seed) {
  return at::detail::createCPUGenerator(std::stoull(seed));
}

TEST(Random, FirstDrawOfAFreshGenerator) {
  int compared = 0;
  for (const auto& [name, want] : golden::load("random/torch.safetensors")) {
    std::vector<std::string> parts;
    std::istringstream in(name);
    for (std::string part; std::getline(in, part, '.');) parts.push_back(part);
    at::Generator g = generator(parts[0]);
    const std::string& kind = parts[1];
    if (kind == "sequence") continue;
    Tensor got;
    if (kind == "rand") {
      got = at::rand(shape_of(parts[2]), g, at::kFloat);
    } else if (kind == "randperm") {
      got = at::randperm(std::stoll(parts[2]), g, at::kLong);
    } else if (kind == "randint") {
      got = at::randint(0, 100, {10}, g, at::kLong);
    } else {
      const bool plain = parts[2] != "bf16" && parts[2] != "f64";
      got = at::randn(shape_of(plain ? parts[2] : parts[3]), g, want.scalar_type());
    }
    EXPECT_TRUE(want.is_floating_point() ? golden::close(got, want, allowed())
                                         : golden::equal(got, want))
        << name;
    ++compared;
  }
  EXPECT_GE(compared, 80);
}

TEST(Random, SuccessiveDraws) {
  const auto golden = golden::load("random/torch.safetensors");
  int seeds = 0;
  for (const auto& [name, first] : golden) {
    if (name.find(".sequence.0") == std::string::npos) continue;
    const std::string seed = name.substr(0, name.find('.'));
    at::Generator g = generator(seed);
    for (int k = 0; k < 4; ++k) {
      const Tensor want = golden::get(golden, str(seed, ".sequence.", k));
      EXPECT_TRUE(golden::close(at::randn(want.sizes(), g, at::kFloat), want, allowed()))
          << seed << " draw " << k;
    }
    ++seeds;
  }
  EXPECT_EQ(seeds, 4);
}

}  // namespace
}  // namespace icedit
