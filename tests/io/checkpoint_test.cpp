#include "io/checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "temporary_folder.h"

namespace icedit {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

const Path kGoldens = ICEDIT_GOLDENS;

// A checkpoint of these tensors, each one byte.
void write_tensors(const Path& path, const std::vector<std::string>& names) {
  static const std::byte one{1};
  std::vector<TensorBytes> tensors;
  for (const std::string& name : names) tensors.push_back({name, Dtype::kU8, {1}, {&one, 1}});
  write_safetensors(path, tensors);
}

std::string unavailable(const Path& path) {
  return error_of<ModelUnavailable>([&] { Checkpoint::open(path); });
}
std::string wrong(const Path& path) {
  return error_of<CheckpointError>([&] { Checkpoint::open(path); });
}

TEST(Checkpoint, OpensFoldersFilesAndIndices) {
  EXPECT_EQ(Checkpoint::open(kGoldens / "tiny-fill/transformer").entries().size(), 126u);
  EXPECT_EQ(Checkpoint::open(kGoldens / "tiny-fill/vae").entries().size(), 240u);
  EXPECT_EQ(Checkpoint::open(kGoldens / "tiny-fill/text_encoder").entries().size(), 36u);
  EXPECT_EQ(Checkpoint::open(kGoldens / "tiny-fill/text_encoder_2").entries().size(), 21u);
  EXPECT_EQ(Checkpoint::open(kGoldens / "tiny-fill/text_encoder/model.safetensors").files().size(),
            1u);
  const Checkpoint sharded = Checkpoint::open(
      kGoldens / "tiny-fill-sharded/transformer/diffusion_pytorch_model.safetensors.index.json");
  EXPECT_EQ(sharded.files().size(), 3u);
  EXPECT_EQ(sharded.entries().size(), 126u);
  // A folder with one file of any name: an adapter's.
  EXPECT_EQ(Checkpoint::open(kGoldens / "lora/kohya/lora.safetensors").entries().size(), 87u);
  EXPECT_EQ(Checkpoint::open(kGoldens / "lora/alpha4").entries().size(), 62u);
}

TEST(Checkpoint, ShardsHoldTheSameTensorsAsOneFile) {
  const Checkpoint whole = Checkpoint::open(kGoldens / "tiny-fill/transformer");
  const Checkpoint sharded = Checkpoint::open(kGoldens / "tiny-fill-sharded/transformer");
  EXPECT_EQ(whole.total_bytes(), 2 * sharded.total_bytes());
  for (const auto& [name, entry] : whole.entries()) {
    const Checkpoint::Entry& other = sharded.entry(name);
    EXPECT_EQ(other.info.shape, entry.info.shape) << name;
    EXPECT_EQ(other.info.dtype, Dtype::kBF16) << name;
    EXPECT_EQ(other.stored_name, name);
    // Every weight is exact in bfloat16, the upper half of a float.
    const Bytes f32 = entry.bytes(), bf16 = other.bytes();
    for (size_t i = 0; i < bf16.size(); ++i) {
      ASSERT_EQ(bf16[i], f32[i / 2 * 4 + 2 + i % 2]) << name << " byte " << i;
    }
  }
}

TEST(Checkpoint, RowsAreARangeOfBytesInEveryType) {
  const TensorInfo plain{Dtype::kBF16, {6, 64}, 100, 100 + 6 * 64 * 2};
  EXPECT_EQ(plain.rows(2, 5).shape, (std::vector<int64_t>{3, 64}));
  EXPECT_EQ(plain.rows(2, 5).begin, 100u + 2 * 128);
  EXPECT_EQ(plain.rows(2, 5).end, 100u + 5 * 128);
  const TensorInfo blocks{Dtype::kQ8_0, {6, 64}, 100, 100 + 6 * 2 * 34};  // two blocks a row
  EXPECT_EQ(blocks.rows(2, 5).begin, 100u + 2 * 68);
  EXPECT_EQ(blocks.rows(2, 5).end, 100u + 5 * 68);
  EXPECT_EQ(blocks.rows(0, 6).bytes(), blocks.bytes());
  const TensorInfo vector{Dtype::kF32, {6}, 0, 24};
  EXPECT_EQ(vector.rows(5, 6).begin, 20u);
}

TEST(Checkpoint, Renames) {
  const Checkpoint vae = Checkpoint::open(kGoldens / "tiny-fill/vae");
  const Checkpoint decoder = vae.renamed([](const std::string& name) {
    return name.starts_with("decoder.") ? "vae." + name : std::string();
  });
  EXPECT_LT(decoder.entries().size(), vae.entries().size());
  EXPECT_EQ(decoder.entry("vae.decoder.conv_in.bias").stored_name, "decoder.conv_in.bias");
  EXPECT_FALSE(decoder.has("decoder.conv_in.bias"));
  EXPECT_EQ(decoder.where(), vae.where());
  EXPECT_THAT(error_of<CheckpointError>([&] { vae.renamed([](auto&) { return "x"; }); }),
              HasSubstr("are both 'x' here"));
  EXPECT_THAT(error_of<CheckpointError>([&] { vae.entry("x"); }),
              HasSubstr("vae has no tensor 'x' among its 240"));
}

TEST(Checkpoint, TakesHalfPrecisionOnlyWhereThereIsNothingElse) {
  const TemporaryFolder folder;
  write_tensors(folder / "a/model.fp16.safetensors", {"half"});
  EXPECT_TRUE(Checkpoint::open(folder / "a").has("half"));
  write_tensors(folder / "a/model.safetensors", {"full"});
  EXPECT_TRUE(Checkpoint::open(folder / "a").has("full"));
  write_tensors(folder / "b/x-00001-of-00001.safetensors", {"t"});
  folder.write("b/diffusion_pytorch_model.safetensors.index.fp16.json",
               R"({"weight_map":{"t":"x-00001-of-00001.safetensors"}})");
  EXPECT_TRUE(Checkpoint::open(folder / "b").has("t"));
}

// Both places that diffusers and transformers have put a variant's name in, of every component.
TEST(Checkpoint, TakesAnyVariant) {
  for (const std::string stem : {"diffusion_pytorch_model", "model"}) {
    for (const std::string& index :
         {stem + ".safetensors.index.bf16.json", stem + ".bf16.safetensors.index.json"}) {
      const TemporaryFolder folder;
      const std::string first = stem + ".bf16-00001-of-00002.safetensors";
      const std::string second = stem + ".bf16-00002-of-00002.safetensors";
      write_tensors(folder / first, {"a"});
      write_tensors(folder / second, {"b"});
      EXPECT_THAT(unavailable(folder.path()), HasSubstr("no index of its shards"));
      folder.write(index, str(R"({"weight_map":{"a":")", first, R"(","b":")", second, R"("}})"));
      EXPECT_EQ(Checkpoint::open(folder.path()).entries().size(), 2u) << index;
      write_tensors(folder / (stem + ".fp16.safetensors"), {"half"});
      EXPECT_THAT(wrong(folder.path()), HasSubstr("several checkpoints"));
      write_tensors(folder / (stem + ".safetensors"), {"full"});
      EXPECT_TRUE(Checkpoint::open(folder.path()).has("full"));
    }
  }
}

TEST(Checkpoint, HalfADownloadComesWithTheCommand) {
  const TemporaryFolder folder;
  const Path component = folder / "models--org--na--me/snapshots/0123/transformer";
  fs::create_directories(component);
  EXPECT_THAT(unavailable(component),
              AllOf(HasSubstr("holds no tensors"), HasSubstr("was its download interrupted?"),
                    HasSubstr("\n  hf download org/na--me")));
  fs::create_symlink("gone", component / "model.safetensors");
  EXPECT_THAT(unavailable(component), HasSubstr("hf download"));
  EXPECT_THAT(unavailable(component / "../vae"), HasSubstr("hf download"));
  EXPECT_THAT(unavailable(folder / "elsewhere"), Not(HasSubstr("hf download")));
}

TEST(Checkpoint, NamesWhatIsNotThere) {
  const TemporaryFolder folder;
  EXPECT_THAT(unavailable(folder / "nothing"), HasSubstr("nothing: no such file or folder"));
  fs::create_directories(folder / "empty");
  EXPECT_THAT(unavailable(folder / "empty"),
              HasSubstr("looked for diffusion_pytorch_model.safetensors"));
  EXPECT_THAT(unavailable(kGoldens / "tiny-fill"), HasSubstr("is a whole pipeline"));
  fs::create_symlink(folder / "gone", folder / "model.safetensors");
  EXPECT_THAT(unavailable(folder.path()), HasSubstr("was its download interrupted?"));
  EXPECT_THAT(unavailable(folder / "model.safetensors"), HasSubstr("is a link to"));
}

TEST(Checkpoint, NamesWhatIsNotSupported) {
  const TemporaryFolder folder;
  folder.write("t5/pytorch_model.bin", "PK\x03\x04");
  EXPECT_THAT(unavailable(folder / "t5"), HasSubstr("pytorch_model.bin is a PyTorch pickle"));
  EXPECT_THAT(unavailable(folder / "t5/pytorch_model.bin"),
              HasSubstr("safetensors.torch.save_file"));
  for (const char* name : {"a.pt", "a.pth", "a.ckpt"}) {
    EXPECT_THAT(unavailable(folder.write(name, "x")), HasSubstr("Convert it"));
  }
}

TEST(Checkpoint, GgufIsReadByItsContentAndFromAFolder) {
  const TemporaryFolder folder;
  const Path gguf = kGoldens / "gguf/tiny-fill-q8_0.gguf";
  const Checkpoint plain = Checkpoint::open(gguf);
  EXPECT_EQ(plain.entries().size(), 92u);
  EXPECT_EQ(plain.entry("img_in.weight").info.dtype, Dtype::kQ8_0);
  fs::create_directories(folder / "g");
  fs::copy_file(gguf, folder / "g/renamed.safetensors");
  EXPECT_EQ(Checkpoint::open(folder / "g/renamed.safetensors").entries().size(), 92u);
  fs::rename(folder / "g/renamed.safetensors", folder / "g/model.gguf");
  EXPECT_EQ(Checkpoint::open(folder / "g").entries().size(), 92u);
  fs::copy_file(gguf, folder / "g/other.gguf");
  EXPECT_THAT(unavailable(folder / "g"), HasSubstr("several .gguf files (model.gguf, other.gguf)"));
}

TEST(Checkpoint, RefusesToGuess) {
  const TemporaryFolder folder;
  write_tensors(folder / "a/model.safetensors", {"t"});
  write_tensors(folder / "a/diffusion_pytorch_model.safetensors", {"t"});
  EXPECT_THAT(
      wrong(folder / "a"),
      HasSubstr("several checkpoints (diffusion_pytorch_model.safetensors, model.safetensors)"));
  write_tensors(folder / "b/one.safetensors", {"t"});
  EXPECT_TRUE(Checkpoint::open(folder / "b").has("t"));
  write_tensors(folder / "b/two.safetensors", {"t"});
  EXPECT_THAT(unavailable(folder / "b"), HasSubstr("(one.safetensors, two.safetensors)"));
  write_tensors(folder / "c/model-00001-of-00002.safetensors", {"t"});
  EXPECT_THAT(unavailable(folder / "c"), HasSubstr("no index of its shards"));
}

class CheckpointIndex : public ::testing::Test {
 protected:
  void SetUp() override {
    write_tensors(folder_ / "1.safetensors", {"a", "b"});
    write_tensors(folder_ / "2.safetensors", {"c"});
  }
  std::string error_with(const std::string& weight_map) {
    return wrong(folder_.write("model.safetensors.index.json",
                               "{\"metadata\":{},\"weight_map\":" + weight_map + "}"));
  }
  TemporaryFolder folder_;
};

TEST_F(CheckpointIndex, MustAgreeWithItsShards) {
  EXPECT_EQ(error_with(R"({"a":"1.safetensors","b":"1.safetensors","c":"2.safetensors"})"), "");
  EXPECT_THAT(error_with(R"({"a":"1.safetensors","b":"1.safetensors","c":"3.safetensors"})"),
              HasSubstr("the shard 3.safetensors is not there (tensor 'c'"));
  EXPECT_THAT(error_with(R"({"a":"1.safetensors","b":"1.safetensors","d":"1.safetensors"})"),
              HasSubstr("1.safetensors has no tensor 'd'"));
  EXPECT_THAT(error_with(R"({"a":"1.safetensors"})"),
              HasSubstr("holds tensor 'b', which model.safetensors.index.json does not list"));
  EXPECT_THAT(
      error_with(R"({"a":"1.safetensors","b":"2.safetensors","c":"2.safetensors"})"),
      HasSubstr("holds tensor 'b', which model.safetensors.index.json lists in 2.safetensors"));
}

TEST_F(CheckpointIndex, MalformedIsRefusedByName) {
  for (const char* shard : {"../1.safetensors", "/etc/passwd", "x/1.safetensors", "", ".", ".."}) {
    EXPECT_THAT(error_with(str("{\"a\":\"", shard, "\"}")), HasSubstr("a file beside the index"))
        << shard;
  }
  EXPECT_THAT(error_with("{}"), HasSubstr("names no tensor"));
  EXPECT_THAT(error_with("[]"), HasSubstr("'weight_map' is []; expected an object"));
  EXPECT_THAT(error_with(R"({"a":1})"), HasSubstr("'a' is 1; expected a string"));
  EXPECT_THAT(wrong(folder_.write("config.json", "{}")), HasSubstr("has no 'weight_map'"));
  EXPECT_THAT(wrong(folder_.write("x.index.json", "{")), HasSubstr("is not JSON"));
  folder_.write("2.safetensors", "short");
  EXPECT_THAT(error_with(R"({"c":"2.safetensors"})"), HasSubstr("2.safetensors has 5 bytes"));
}

TEST(CheckpointMalformed, TruncatedFileIsNamed) {
  const TemporaryFolder folder;
  const std::string whole =
      read_file(kGoldens / "tiny-fill/vae/diffusion_pytorch_model.safetensors");
  for (const size_t size :
       {size_t{0}, size_t{7}, size_t{100}, whole.size() / 2, whole.size() - 1}) {
    folder.write("model.safetensors", whole.substr(0, size));
    EXPECT_THAT(wrong(folder.path()), HasSubstr("model.safetensors")) << size;
  }
}

}  // namespace
}  // namespace icedit
