// The tool's folders are models: every component loads, and an edit runs and stays finite.
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/wait.h>

#include <filesystem>
#include <set>

#include "base/str.h"
#include "edit/pipeline.h"
#include "io/files.h"
#include "io/temporary_folder.h"

namespace icedit {
namespace {

namespace fs = std::filesystem;

class RandomCheckpoint : public ::testing::Test {
 protected:
  int make(const std::string& name, const std::string& options) const {
    const std::string command =
        str("'", ICEDIT_MAKE_RANDOM_CHECKPOINT, "' '", (folder_ / name).string(),
            "' --tokenizers '", ICEDIT_SOURCE, "/models/nano/model' ", options, " >'",
            (folder_ / "stdout").string(), "' 2>'", (folder_ / "stderr").string(), "'");
    const int status = std::system(command.c_str());
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  int make_tiny(const std::string& name, const std::string& more = "") const {
    return make(name,
                "--double 1 --single 2 --hidden 128 --joint 64 --pooled 64 --t5-layers 2 "
                "--clip-layers 2 --t5-vocab 300 --clip-vocab 800 --vae-channels 32,32,32,32 " +
                    more);
  }
  ModelFiles model(const std::string& name) const {
    ModelRequest request;
    request.model = (folder_ / name).string();
    return ModelFiles::find(request);
  }
  std::string error() const { return read_file(folder_ / "stderr"); }
  // All that is beside the outputs of the last run.
  std::set<std::string> left() const {
    std::set<std::string> names;
    for (const auto& entry : fs::directory_iterator(folder_.path())) {
      const std::string name = entry.path().filename().string();
      if (name != "stdout" && name != "stderr") names.insert(name);
    }
    return names;
  }

  TemporaryFolder folder_;
};

TEST_F(RandomCheckpoint, AnEditRunsInEveryDtype) {
  for (const char* dtype : {"f32", "bf16", "f16"}) {
    ASSERT_EQ(make_tiny("model", str("--force --shard-size 500KB --dtype ", dtype)), 0) << error();
    ResidencyOptions options;
    options.dtype = DtypeChoice::kF32;
    Editor editor(model("model"), options);
    EditRequest request;
    request.source = Image(32, 32);
    request.instruction = "make it winter";
    request.width = 32;
    request.steps = 2;
    const auto images = editor.edit(request);  // throws where anything is not finite
    ASSERT_EQ(images.size(), 1u);
    const auto& pixels = images[0].image.pixels;
    EXPECT_GT(std::set<uint8_t>(pixels.begin(), pixels.end()).size(), 30u) << "a blank picture";
  }
}

TEST_F(RandomCheckpoint, ShardsAndSeeds) {
  ASSERT_EQ(make_tiny("a", "--shard-size 500KB"), 0) << error();
  ASSERT_EQ(make_tiny("b"), 0) << error();
  ASSERT_EQ(make_tiny("c", "--seed 1"), 0) << error();
  const Checkpoint a = model("a").open(Part::kTransformer).checkpoint;
  const Checkpoint b = model("b").open(Part::kTransformer).checkpoint;
  const Checkpoint c = model("c").open(Part::kTransformer).checkpoint;
  EXPECT_GT(a.files().size(), 2u);
  EXPECT_EQ(b.files().size(), 1u);
  const auto bytes = [](const Checkpoint& checkpoint, const char* name) {
    const Bytes all = checkpoint.entry(name).bytes();
    return std::string(reinterpret_cast<const char*>(all.data()), all.size());
  };
  const char* name = "single_transformer_blocks.1.proj_mlp.weight";
  EXPECT_EQ(bytes(a, name), bytes(b, name));
  EXPECT_NE(bytes(a, name), bytes(c, name));
  EXPECT_NE(bytes(a, name), bytes(a, "single_transformer_blocks.0.proj_mlp.weight"));
}

TEST_F(RandomCheckpoint, NothingIsOverwrittenOrHalfWritten) {
  ASSERT_EQ(make_tiny("model"), 0) << error();
  EXPECT_EQ(make_tiny("model"), 2);
  EXPECT_NE(error().find("--force replaces it"), std::string::npos) << error();
  EXPECT_EQ(make_tiny("model", "--force"), 0) << error();
  fs::create_directory(folder_ / "photos");
  write_text_atomically(folder_ / "photos" / "a.txt", "mine");
  EXPECT_EQ(make_tiny("photos", "--force"), 2);
  EXPECT_NE(error().find("it is no model"), std::string::npos) << error();
  EXPECT_EQ(make("other", "--hidden 200"), 2);
  EXPECT_NE(error().find("multiple of 128"), std::string::npos) << error();
  EXPECT_EQ(make("other", "--clip-vocab 10"), 2);
  EXPECT_NE(error().find("more than --clip-vocab 10"), std::string::npos) << error();
  EXPECT_EQ(make("other", "--double 100000"), 74);
  EXPECT_NE(error().find("the disk has"), std::string::npos) << error();
  EXPECT_EQ(left(), (std::set<std::string>{"model", "photos"}));
}

}  // namespace
}  // namespace icedit
