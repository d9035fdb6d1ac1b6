#include "edit/prompt_cache.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <thread>

#include "golden.h"
#include "io/temporary_folder.h"

namespace icedit {
namespace {

namespace fs = std::filesystem;

const Prompt kPrompt{"a diptych ... make it winter", 32};

class PromptCacheTest : public ::testing::Test {
 protected:
  PromptCacheTest() {
    fs::copy(golden::path("tiny-fill/text_encoder"), folder_ / "clip");
    cache_.folder = folder_ / "cache";
    cache_.least_bytes = 0;  // tiny-fill's encoders are small
  }

  Residency residency() const {
    ModelRequest request;
    request.model = golden::path("tiny-fill").string();
    request.clip = (folder_ / "clip").string();
    ResidencyOptions options;
    options.dtype = DtypeChoice::kF32;
    options.keep = Keep::kAll;
    options.prompt_cache = cache_;
    return Residency(ModelFiles::find(request), options);
  }

  // Whether the text encoders had to be loaded.
  bool makes(const Prompt& prompt, PromptEmbeds* embeds = nullptr) const {
    Residency own = residency();
    const PromptEmbeds got = encode_prompts(own, {prompt}).front();
    if (embeds != nullptr) *embeds = got;
    EXPECT_EQ(own.is_loaded(Part::kT5), own.is_loaded(Part::kClip));
    return own.is_loaded(Part::kT5);
  }

  std::vector<Path> entries() const {
    std::vector<Path> files;
    if (!fs::exists(cache_.folder)) return files;
    for (const auto& entry : fs::directory_iterator(cache_.folder)) files.push_back(entry.path());
    return files;
  }

  static bool equal(const PromptEmbeds& a, const PromptEmbeds& b) {
    return at::equal(a.prompt_embeds, b.prompt_embeds) &&
           at::equal(a.pooled_prompt_embeds, b.pooled_prompt_embeds);
  }

  const c10::InferenceMode inference_;
  const TemporaryFolder folder_;
  PromptCacheOptions cache_;
};

TEST_F(PromptCacheTest, TheSecondTimeNoEncoderIsLoadedAndTheBitsAreTheSame) {
  PromptEmbeds made, found;
  EXPECT_TRUE(makes(kPrompt, &made));
  EXPECT_FALSE(makes(kPrompt, &found));
  EXPECT_TRUE(equal(made, found));
  EXPECT_EQ(entries().size(), 1u);
  cache_.folder.clear();
  PromptEmbeds without;
  EXPECT_TRUE(makes(kPrompt, &without));
  EXPECT_TRUE(equal(made, without));
}

TEST_F(PromptCacheTest, OfSeveralPromptsOnlyTheNewOnesAreMade) {
  makes(kPrompt);
  const Prompt other{"something else", 32};
  Residency own = residency();
  const auto both = encode_prompts(own, {other, kPrompt, other});
  EXPECT_TRUE(equal(both[0], both[2]));
  EXPECT_EQ(entries().size(), 2u);
  PromptEmbeds again;
  EXPECT_FALSE(makes(other, &again));
  EXPECT_TRUE(equal(both[0], again));
}

TEST_F(PromptCacheTest, WhatAnEntryHangsOnMakesAnotherEntry) {
  makes(kPrompt);
  EXPECT_TRUE(makes({kPrompt.text + " ", 32}));
  EXPECT_TRUE(makes({kPrompt.text, 16}));
  EXPECT_FALSE(makes(kPrompt));
  // The same bytes under the same name, but another file.
  const Path weights = folder_ / "clip/model.safetensors";
  fs::copy(weights, folder_ / "copy");
  fs::rename(folder_ / "copy", weights);
  EXPECT_TRUE(makes(kPrompt));
  EXPECT_FALSE(makes(kPrompt));
  const int threads = at::get_num_threads();
  at::set_num_threads(threads + 1);
  EXPECT_TRUE(makes(kPrompt));
  at::set_num_threads(threads);
  EXPECT_FALSE(makes(kPrompt));
}

TEST_F(PromptCacheTest, ADamagedEntryIsMadeAgain) {
  PromptEmbeds made, again;
  makes(kPrompt, &made);
  const Path entry = entries().front();
  const std::string whole = read_file(entry);
  std::string flipped = whole;
  flipped[flipped.size() - 5] ^= 1;
  for (const std::string& bytes : {std::string(), whole.substr(0, whole.size() / 2), flipped}) {
    std::ofstream(entry, std::ios::binary | std::ios::trunc) << bytes;
    EXPECT_TRUE(makes(kPrompt, &again));
    EXPECT_TRUE(equal(made, again));
    EXPECT_FALSE(makes(kPrompt));
  }
}

TEST_F(PromptCacheTest, WhatWasUsedLongestAgoGoesFirst) {
  makes({"one", 32});
  const uint64_t bytes = fs::file_size(entries().front());
  cache_.limit = 2 * bytes + bytes / 2;
  makes({"two", 32});
  const auto old = fs::file_time_type::clock::now() - std::chrono::hours(1);
  for (const Path& entry : entries()) fs::last_write_time(entry, old);
  EXPECT_FALSE(makes({"one", 32}));  // now used
  makes({"three", 32});
  EXPECT_EQ(entries().size(), 2u);
  EXPECT_FALSE(makes({"one", 32}));
  EXPECT_FALSE(makes({"three", 32}));
  EXPECT_TRUE(makes({"two", 32}));
}

TEST_F(PromptCacheTest, OfSmallEncodersNothingIsKept) {
  cache_.least_bytes = PromptCacheOptions().least_bytes;
  EXPECT_TRUE(makes(kPrompt));
  EXPECT_TRUE(makes(kPrompt));
  EXPECT_FALSE(fs::exists(cache_.folder));
}

TEST_F(PromptCacheTest, APlaceThatCannotBeWrittenStopsNothing) {
  std::ofstream(folder_ / "file") << "in the way";
  cache_.folder = folder_ / "file" / "cache";
  EXPECT_TRUE(makes(kPrompt));
  EXPECT_TRUE(makes(kPrompt));
}

TEST_F(PromptCacheTest, SeveralAtOnce) {
  PromptEmbeds made;
  makes(kPrompt, &made);
  cache_.limit = fs::file_size(entries().front()) * 3 / 2;  // each removes the others' entries
  const Residency own = residency();
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      const c10::InferenceMode inference;
      const PromptCache cache(own);
      for (int i = 0; i < 25; ++i) {
        const Prompt prompt{str("prompt ", (t + i) % 3), 32};
        cache.keep(prompt, made);
        const auto found = cache.find(prompt);
        EXPECT_TRUE(!found || equal(*found, made));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const Path& entry : entries()) EXPECT_EQ(entry.extension(), ".safetensors");
}

TEST(PromptCache, ItsPlaceIsTheUsersCache) {
  const char* was = std::getenv("XDG_CACHE_HOME");
  const std::string before = was == nullptr ? "" : was;
  setenv("XDG_CACHE_HOME", "/somewhere", 1);
  EXPECT_EQ(default_prompt_cache(), Path("/somewhere/icedit/prompts"));
  unsetenv("XDG_CACHE_HOME");
  EXPECT_TRUE(default_prompt_cache().string().ends_with("/.cache/icedit/prompts"));
  if (was != nullptr) setenv("XDG_CACHE_HOME", before.c_str(), 1);
}

}  // namespace
}  // namespace icedit
