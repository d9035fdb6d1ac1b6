#include "io/hub.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <map>
#include <optional>

#include "base/error.h"
#include "io/checkpoint.h"
#include "temporary_folder.h"

namespace icedit {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kVariables[] = {"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME",
                                      "XDG_CACHE_HOME", "HOME"};
const std::string kCommit = "0123456789abcdef0123456789abcdef01234567";
const std::string kOther = "0123ffff89abcdef0123456789abcdef01234567";

// A cache as huggingface_hub leaves it; the environment is put back afterwards.
class Hub : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const char* name : kVariables) {
      if (const char* value = ::getenv(name)) before_[name] = value;
      ::unsetenv(name);
    }
    set("HF_HUB_CACHE", folder_.path().string());
  }
  void TearDown() override {
    for (const char* name : kVariables) {
      if (before_.count(name)) {
        ::setenv(name, before_[name].c_str(), 1);
      } else {
        ::unsetenv(name);
      }
    }
  }
  static void set(const char* name, const std::string& value) { ::setenv(name, value.c_str(), 1); }

  // A file of a snapshot: a link into blobs/, as the cache has it.
  Path add(const std::string& file, const std::string& text, const std::string& commit = kCommit) {
    const std::string blob = "models--org--name/blobs/" + std::to_string(++blobs_);
    folder_.write(blob, text);
    const Path link = folder_ / ("models--org--name/snapshots/" + commit + "/" + file);
    fs::create_directories(link.parent_path());
    fs::create_symlink(fs::relative(folder_ / blob, link.parent_path()), link);
    return link;
  }
  void ref(const std::string& name, const std::string& commit) {
    folder_.write("models--org--name/refs/" + name, commit);
  }
  Path snapshot(const std::string& commit = kCommit) {
    return folder_ / ("models--org--name/snapshots/" + commit);
  }
  static std::string error_for(const std::string& id) {
    return error_of<ModelUnavailable>([&] { find_in_hub_cache(id); });
  }

  TemporaryFolder folder_;
  std::map<std::string, std::string> before_;
  int blobs_ = 0;
};

TEST_F(Hub, CacheFollowsTheEnvironment) {
  set("HOME", "/home/me");
  set("XDG_CACHE_HOME", "/xdg");
  set("HF_HOME", "~/hf");
  set("HUGGINGFACE_HUB_CACHE", "/old");
  set("HF_HUB_CACHE", "~/new");
  EXPECT_EQ(hub_cache(), "/home/me/new");
  ::unsetenv("HF_HUB_CACHE");
  EXPECT_EQ(hub_cache(), "/old");
  set("HUGGINGFACE_HUB_CACHE", "");
  EXPECT_EQ(hub_cache(), "/home/me/hf/hub");
  ::unsetenv("HF_HOME");
  EXPECT_EQ(hub_cache(), "/xdg/huggingface/hub");
  ::unsetenv("XDG_CACHE_HOME");
  EXPECT_EQ(hub_cache(), "/home/me/.cache/huggingface/hub");
  ::unsetenv("HOME");
  EXPECT_TRUE(hub_cache().is_absolute());
}

TEST(HubId, IsTold) {
  for (const char* id : {"org/name", "black-forest-labs/FLUX.1-Fill-dev", "a/b", "org/name@main",
                         "org/name@refs/pr/3", "org/name@abc123", "org/name/file.safetensors",
                         "org/name/deep/er/file.safetensors@v1.0", "under_score/x.y"}) {
    EXPECT_TRUE(looks_like_hub_id(id)) << id;
  }
  for (const char* text : {"",
                           "name",
                           "./org/name",
                           "/org/name",
                           "../x",
                           "~/x",
                           "org/",
                           "org/name/",
                           "org//name",
                           "org/name/../x",
                           "org/..",
                           "org/na--me",
                           "o..rg/name",
                           "-org/name",
                           "org/name-",
                           "org/name@",
                           "org/name@../x",
                           "org/name@/x",
                           "org/na me",
                           "org/name/./x",
                           "https://huggingface.co/org/name"}) {
    EXPECT_FALSE(looks_like_hub_id(text)) << text;
  }
  EXPECT_FALSE(looks_like_hub_id("org/" + std::string(97, 'n')));
  EXPECT_FALSE(looks_like_hub_id("org/name/" + std::string(10'000'000, 'n')));
}

TEST_F(Hub, FindsSnapshotsAndFiles) {
  add("config.json", "{}");
  const Path file = add("sub/lora.safetensors", "x");
  ref("main", kCommit + "\n");
  EXPECT_EQ(find_in_hub_cache("org/name"), snapshot());
  EXPECT_EQ(find_in_hub_cache("org/name/sub/lora.safetensors"), file);
  EXPECT_EQ(find_in_hub_cache("org/name/sub"), file.parent_path());
  EXPECT_EQ(read_file(find_in_hub_cache("org/name/sub/lora.safetensors@main")), "x");
}

TEST_F(Hub, RevisionsAreBranchesCommitsOrTheirFirstDigits) {
  add("a", "1");
  add("a", "2", kOther);
  ref("main", kCommit);
  ref("v1.0", kOther);
  ref("refs/pr/3", kOther);
  EXPECT_EQ(find_in_hub_cache("org/name"), snapshot());
  EXPECT_EQ(find_in_hub_cache("org/name@v1.0"), snapshot(kOther));
  EXPECT_EQ(find_in_hub_cache("org/name@refs/pr/3"), snapshot(kOther));
  EXPECT_EQ(find_in_hub_cache("org/name@" + kOther), snapshot(kOther));
  EXPECT_EQ(find_in_hub_cache("org/name@0123f"), snapshot(kOther));
  EXPECT_EQ(find_in_hub_cache("org/name/a@01234"), snapshot() / "a");
  EXPECT_THAT(error_for("org/name@0123"), HasSubstr("org/name@0123 may be any of"));
  EXPECT_THAT(error_for("org/name@012"), HasSubstr("not its revision '012'"));
  EXPECT_THAT(error_for("org/name@v2"), AllOf(HasSubstr("not its revision 'v2'"), HasSubstr(kOther),
                                              HasSubstr("hf download org/name --revision v2")));
  ref("v2", "../../..");
  EXPECT_THAT(error_for("org/name@v2"), HasSubstr("holds no commit"));
  ref("v3", "");
  EXPECT_THAT(error_for("org/name@v3"), HasSubstr("holds no commit"));
}

TEST_F(Hub, WhatIsNotThereComesWithTheCommands) {
  EXPECT_THAT(
      error_for("org/name"),
      AllOf(HasSubstr("org/name is not in the Hugging Face cache (" + folder_.path().string()),
            HasSubstr("(`hf auth login` first if it is gated)\n  hf download org/name")));
  EXPECT_THAT(error_for("black-forest-labs/FLUX.1-dev"),
              HasSubstr("\n  hf auth login\n  hf download black-forest-labs/FLUX.1-dev"));
  EXPECT_THAT(error_for("org/name/a/b.safetensors@v1"),
              HasSubstr("\n  hf download org/name a/b.safetensors --revision v1"));
  EXPECT_THAT(error_for("org/name/transformer"),
              HasSubstr("hf download org/name --include 'transformer/*'"));
  EXPECT_THAT(error_for("black-forest-labs/flux.1-fill-dev"), HasSubstr("gated"));
  EXPECT_THAT(error_for("black-forest-labs/FLUX.1-Fill-dev"),
              AllOf(HasSubstr("gated"),
                    HasSubstr("https://huggingface.co/black-forest-labs/FLUX.1-Fill-dev"),
                    HasSubstr("hf download black-forest-labs/FLUX.1-Fill-dev --exclude "
                              "flux1-fill-dev.safetensors")));
  EXPECT_THAT(error_for("../name"), HasSubstr("is no Hugging Face id"));
  add("a", "1");
  ref("main", kCommit);
  EXPECT_THAT(
      error_for("org/name/b.safetensors"),
      AllOf(HasSubstr("has no 'b.safetensors'"), HasSubstr("hf download org/name b.safetensors")));
  EXPECT_THAT(error_for("org/name/b.safetensors").substr(0, 10), "org/name i");
}

TEST_F(Hub, HalfADownloadIsTold) {
  folder_.write("models--org--name/refs/main", kCommit);
  EXPECT_THAT(error_for("org/name"), HasSubstr("without any file: was its download interrupted?"));
  const Path link = add("transformer/model.safetensors", "x");
  EXPECT_EQ(find_in_hub_cache("org/name"), snapshot());
  fs::remove(fs::read_symlink(link).is_absolute() ? fs::read_symlink(link)
                                                  : link.parent_path() / fs::read_symlink(link));
  EXPECT_THAT(
      error_for("org/name"),
      AllOf(HasSubstr("is not complete (transformer/model.safetensors is a link to nothing)"),
            HasSubstr("hf download org/name")));
  EXPECT_THAT(error_for("org/name/transformer/model.safetensors"), HasSubstr("is not complete"));
}

TEST_F(Hub, AMissingShardIsTold) {
  ref("main", kCommit);
  add("t5/model.safetensors.index.json",
      R"({"weight_map":{"a":"1.safetensors","b":"2.safetensors"}})");
  add("t5/1.safetensors", "x");
  EXPECT_THAT(
      error_for("org/name"),
      HasSubstr("(t5/model.safetensors.index.json names 2.safetensors, which is not there)"));
  add("t5/2.safetensors", "x");
  EXPECT_EQ(find_in_hub_cache("org/name"), snapshot());
}

TEST_F(Hub, AnIncompleteBlobMattersWhereSomethingIsMissing) {
  ref("main", kCommit);
  add("README.md", "x");
  folder_.write("models--org--name/blobs/abcd.1234.incomplete", "x");
  EXPECT_THAT(error_for("org/name"),
              HasSubstr("no .safetensors file yet, but blobs/abcd.1234.incomplete"));
  add("vae/model.safetensors", "x");
  EXPECT_EQ(find_in_hub_cache("org/name"), snapshot());
  add("model_index.json",
      R"({"_class_name":"FluxFillPipeline","vae":["diffusers","AutoencoderKL"],"feature_extractor":[null,null],
          "transformer":["diffusers","FluxTransformer2DModel"]})");
  EXPECT_THAT(error_for("org/name"), HasSubstr("(transformer/ is not there"));
  add("transformer/model.safetensors", "x");
  EXPECT_EQ(find_in_hub_cache("org/name"), snapshot());
}

// Runs `test` as a user who has no rights here.
template <class Test>
void without_rights(const Test& test) {
  const uid_t us = ::geteuid();
  ASSERT_EQ(::seteuid(us == 0 ? 65534 : us), 0);
  test();
  ASSERT_EQ(::seteuid(us), 0);
}

TEST_F(Hub, WhatMayNotBeReadIsNotSaidToBeAbsent) {
  ref("main", kCommit);
  const Path file = add("a.safetensors", "x");
  fs::permissions(folder_.path(), fs::perms::owner_all | fs::perms::others_exec);
  const auto unreadable = [&](const Path& closed) {
    fs::permissions(closed, fs::perms::none);
    std::string id, path, checkpoint;
    without_rights([&] {
      id = error_of<IoError>([] { find_in_hub_cache("org/name"); });
      path = error_of<IoError>([&] { resolve_path_or_id(file.string(), "--lora"); });
      checkpoint = error_of<IoError>([&] { Checkpoint::open(file); });
    });
    fs::permissions(closed, fs::perms::owner_all);
    for (const std::string& message : {id, path, checkpoint})
      EXPECT_THAT(message, HasSubstr("Permission denied")) << closed;
  };
  unreadable(folder_.path());
  unreadable(folder_ / "models--org--name");
  unreadable(folder_ / "models--org--name/snapshots");
}

TEST_F(Hub, APathThatExistsGoesFirst) {
  add("a", "1");
  ref("main", kCommit);
  EXPECT_EQ(resolve_path_or_id("org/name", "--model"), snapshot());
  const Path file = folder_.write("x.safetensors", "");
  EXPECT_EQ(resolve_path_or_id(file.string(), "--model"), file);
  const auto message = [](const std::string& text) {
    return error_of<ModelUnavailable>([&] { resolve_path_or_id(text, "--model"); });
  };
  EXPECT_THAT(message("/nothing/here"),
              HasSubstr("--model: there is no file or folder '/nothing/here'"));
  EXPECT_THAT(message("/nothing/here"), HasSubstr("check the path"));
  EXPECT_THAT(message("https://huggingface.co/org/other"), HasSubstr("give its id, ORG/NAME"));
  EXPECT_THAT(error_of<ModelUnavailable>([] { resolve_path_or_id("nanoo", "--model", {"nano"}); }),
              HasSubstr("did you mean 'nano'?"));
  EXPECT_THAT(message("org/other"),
              AllOf(HasSubstr("--model: there is no file or folder 'org/other' here"),
                    HasSubstr("hf download org/other")));
  EXPECT_THAT(message(""), HasSubstr("--model"));
  fs::create_symlink(folder_ / "gone", folder_ / "link");
  EXPECT_THAT(message((folder_ / "link").string()), HasSubstr("is a link to"));
}

}  // namespace
}  // namespace icedit
