// GGML's blocks: the values that the reference gives, and products by tiles.
#include "nn/ggml.h"

#include <ATen/ATen.h>

#include "golden.h"

namespace icedit {
namespace {

const Checkpoint& types() {
  static const Checkpoint checkpoint = Checkpoint::open(golden::path("gguf/types.gguf"));
  return checkpoint;
}

TEST(Ggml, EveryTypesValuesAreTheReferences) {
  const auto want = golden::load("gguf/types_dequantised.safetensors");
  int blocks = 0;
  for (const auto& [name, entry] : types().entries()) {
    EXPECT_TRUE(golden::equal(mapped_tensor(entry).to(at::kFloat), golden::get(want, name)))
        << name;
    blocks += dtype_block(entry.info.dtype) > 1;
  }
  EXPECT_EQ(blocks, 10);
}

TEST(Ggml, AProductIsThatOfTheDenseMatrix) {
  for (const char* name : {"t.Q8_0", "t.Q4_K"}) {
    const Checkpoint::Entry& entry = types().entry(name);
    const Tensor dense = dequantised(entry);
    const MatrixPtr matrix = ggml_matrix(entry);
    const Tensor x = at::randn({3, dense.size(1)}), bias = at::randn({dense.size(0)});
    EXPECT_TRUE(at::allclose(matrix->times(x, bias), at::linear(x, dense, bias), 1e-5, 1e-5))
        << name;
    const Tensor g = at::randn({3, dense.size(0)});
    EXPECT_TRUE(at::allclose(matrix->times_transposed(g), at::matmul(g, dense), 1e-5, 1e-5));
    EXPECT_EQ(matrix->dense(at::kBFloat16).scalar_type(), at::kBFloat16);
  }
}

// BFL's last modulation has its halves the other way round.
TEST(Ggml, SwappedHalvesComeInTheModelsOrder) {
  Checkpoint::Entry entry = types().entry("t.Q8_0");
  const Tensor stored = dequantised(entry);
  const auto halves = stored.chunk(2, 0);
  const Tensor want = at::cat({halves[1], halves[0]}, 0);
  entry.swap_halves = true;
  EXPECT_TRUE(golden::equal(dequantised(entry), want));
  const Tensor one = at::eye(stored.size(1));
  EXPECT_TRUE(golden::equal(ggml_matrix(entry)->times(one, {}), want.t()));
}

TEST(Ggml, LargeMatricesAreMultipliedInTiles) {
  // 3 MiB of rows a tile; values that are whole numbers, so that every order gives the same sum.
  const int64_t in = 4096, out = 2500;
  std::string bytes;
  for (int64_t block = 0; block < in / 32 * out; ++block) {
    const c10::Half scale = 1;
    bytes.append(reinterpret_cast<const char*>(&scale), 2);
    for (int i = 0; i < 32; ++i) bytes += static_cast<char>((block + i) % 5 - 2);
  }
  const Path file = Path(::testing::TempDir()) / "icedit_ggml_test.bin";
  write_text_atomically(file, bytes);
  Checkpoint::Entry entry;
  entry.file = std::make_shared<const MappedFile>(file);
  entry.info = {Dtype::kQ8_0, {out, in}, 0, bytes.size()};
  const Tensor x = at::randint(-3, 4, {2, in}).to(at::kFloat);
  EXPECT_TRUE(golden::equal(ggml_matrix(entry)->times(x, {}), at::linear(x, dequantised(entry))));
  std::filesystem::remove(file);
}

}  // namespace
}  // namespace icedit
