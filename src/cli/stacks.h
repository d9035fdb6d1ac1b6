#pragma once
// A component's tensors as files in other layouts have them.
#include <functional>
#include <string>
#include <vector>

#include "nn/block.h"
#include "nn/weights.h"

namespace icedit::cli {

// What stands under one name in such a file: tensors whose rows lie one below the other.
struct Stack {
  std::string name;
  std::vector<std::string> parts;  // by the component's names, each ends in .weight or .bias
  bool swapped = false;            // the second half of the rows comes first
};

// In BFL's names. Throws CheckpointError: a tensor that FLUX does not have.
std::vector<Stack> flux_stacks(const Checkpoint& transformer);
// In llama.cpp's. Throws CheckpointError: no T5 encoder's.
std::vector<Stack> t5_stacks(const Checkpoint& encoder);

class StackReader {
 public:
  explicit StackReader(const Checkpoint& checkpoint);

  Shape shape(const Stack& stack) const;  // of elements: of a matrix [out, in]
  Dtype dtype(const Stack& stack) const;  // of its first part
  bool is_matrix(const Stack& stack) const { return shape(stack).size() == 2; }
  // Calls with each part in turn, some rows of a matrix at a time, as f32, and gives the file's
  // pages back. Throws CheckpointError: not finite.
  void each(const Stack& stack, const std::function<void(const Tensor&)>& use) const;
  const std::string& where() const { return checkpoint_.where(); }

 private:
  void each_rows(const std::string& part, const std::function<void(const Tensor&)>& use) const;

  Checkpoint checkpoint_;
  Weights weights_;
};

// A tensor of a file, and how its bytes are made: once, in the order of the file.
struct FileTensor {
  TensorPlan plan;
  std::function<void(const PutBytes&)> write;
};

Bytes bytes_of(const Tensor& tensor);  // a dense one on the CPU

// Plans for a writer, and the function it calls, which shows progress and heeds Ctrl+C.
std::vector<TensorPlan> plans_of(const std::vector<FileTensor>& planned);
std::function<void(size_t, const PutBytes&)> writer_of(const std::vector<FileTensor>& planned);

}  // namespace icedit::cli
