// The fuzz targets as ordinary tests: every file of the corpus, and mutations of it that are the
// same in every run. A target that ends in an exception or a signal fails the test. The asan preset
// runs them under the sanitizers.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "io/files.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace icedit {
namespace {

constexpr int kMutationsPerFile = 400;

using Random =
    std::mt19937;  // its numbers are the same everywhere; the standard's distributions are not

size_t below(Random& random, size_t limit) {
  return limit == 0 ? 0 : random() % limit;
}

void run(const std::string& text) {
  // A block of the exact size, so that one byte too far is seen by AddressSanitizer.
  const std::vector<uint8_t> data(text.begin(), text.end());
  LLVMFuzzerTestOneInput(data.data(), data.size());
}

void mutate(std::string& text, const std::string& other, Random& random) {
  const size_t at = below(random, text.size());
  const size_t length = std::min(text.size() - at, 1 + below(random, 8));
  static const unsigned char kEdges[] = {0, 1, 0x7f, 0x80, 0xff, '"', '{', '[', ',', '9'};
  switch (below(random, 8)) {
    case 0:
      if (!text.empty()) text[at] = static_cast<char>(text[at] ^ (1 << below(random, 8)));
      break;
    case 1:
      if (!text.empty()) text[at] = static_cast<char>(kEdges[below(random, sizeof kEdges)]);
      break;
    case 2:
      if (!text.empty()) text[at] = static_cast<char>(random());
      break;
    case 3:
      text.resize(at);
      break;
    case 4:
      text.erase(at, length);
      break;
    case 5:
      text.insert(at, text.substr(at, length));
      break;
    case 6:
      text.insert(at, 1, static_cast<char>(kEdges[below(random, sizeof kEdges)]));
      break;
    case 7: {  // a part of another file of the corpus
      const size_t from = below(random, other.size());
      text.replace(at, length, other.substr(from, 1 + below(random, 32)));
      break;
    }
  }
}

std::vector<Path> corpus() {
  std::vector<Path> files;
  for (const auto& item : std::filesystem::directory_iterator(ICEDIT_CORPUS)) {
    files.push_back(item.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

TEST(Corpus, EveryFileEndsInAValueOrAnError) {
  run("");
  ASSERT_FALSE(corpus().empty());
  for (const Path& file : corpus()) {
    SCOPED_TRACE(file);
    run(read_file(file));
  }
}

TEST(Corpus, SoDoMutations) {
  std::vector<std::string> texts;
  for (const Path& file : corpus()) texts.push_back(read_file(file));
  Random random(4);
  for (const std::string& text : texts) {
    for (int i = 0; i < kMutationsPerFile; ++i) {
      std::string mutated = text;
      const size_t changes = 1 + below(random, 4);
      for (size_t k = 0; k < changes; ++k) {
        mutate(mutated, texts[below(random, texts.size())], random);
      }
      run(mutated);
    }
  }
}

}  // namespace
}  // namespace icedit
