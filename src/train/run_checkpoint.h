#pragma once
// A run's state on disk, so that it goes on bit for bit. A run's folder holds step-N folders and
// the link `latest` (io/folder_link.h); a step-N folder holds
//   pytorch_lora_weights.safetensors   the adapter as diffusers and peft write it, alpha in its
//                                      header: `icedit edit --lora RUN/step-N` takes it
//   transformer/                       in its place for a run of all weights: `--transformer`
//   ema/                               the same of the moving averages, where there are any
//   optimizer.safetensors, state.json  all else
//   manifest.json, manifest.json.sha256   every file's size and SHA-256, and the manifest's own
// A folder comes to be under another name, is synced and then renamed, so that whatever has the
// name step-N is whole.
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "adapters/adapter_file.h"
#include "base/tensor.h"
#include "io/files.h"
#include "train/checkpoint_folder.h"
#include "train/optimizer.h"

namespace icedit {

// What the data were, so that others under the same name are noticed.
struct DataMark {
  int64_t rows = 0;         // 0: not known
  std::string digest = {};  // of a few rows
};

struct RunState {
  int64_t step = 0;                      // optimizer steps done
  int64_t epoch = 0;                     // for people; what counts is `position`
  int64_t position = 0;                  // Loader::position
  std::vector<int64_t> draw_state = {};  // Loader::draw_state
  NamedTensors generators = {};          // states of torch generators (uint8), with reference draws

  AdapterFile adapter = {};   // content_of(...); without layers where all weights are trained
  NamedTensors weights = {};  // then: by diffusers' names
  std::string transformer_config = {};  // and the model's config.json, for loading them again
  NamedTensors ema = {};  // named as tensors_of has them, or as `weights`; empty: none
  OptimizerState optimizer = {};

  std::map<std::string, double> figures = {};  // whatever else counts on: "loss.running", ...
  // What the run must be resumed with: "train.batch_size" -> "4". Only keys that change what is
  // computed.
  std::map<std::string, std::string> settings = {};
  std::string working_folder = {};  // of the run, which relative paths among them start from
  int64_t ranks = 0;  // that shared a step; 0: not known, as in files before it was written
  int threads = 0;    // of the first rank, on which the last bits hang; 0: not known
  DataMark data = {};
};

// Writes run_folder/step-N and moves `latest` there; only then are checkpoints before the last
// `keep_last` removed (0: none is; those of later steps never are). Returns the folder. Throws
// IoError: too little space (nothing was written then), or a failed write; `latest` and all
// checkpoints are then as before.
// Damaged ones are not counted as kept; `known`: what was found of them before, so that each is
// read once.
Path save_checkpoint(const Path& run_folder, const RunState& state, int keep_last,
                     WholeSteps* known = nullptr);

struct LoadedCheckpoint {
  Path folder;
  RunState state;
};

// `place`: a step-N folder, a run's folder, or its `latest`. A damaged checkpoint is reported by a
// warning, and the one before it is taken; of a run's folder the first that is tried is `latest`.
// The tensors look at the mapped files. Throws NoInputError: no checkpoint there, or not this one,
// naming those that are; CheckpointError:
// none that is whole, saying what is wrong with each.
LoadedCheckpoint load_checkpoint(const Path& place);

// Whether there is anything to resume from.
bool has_checkpoint(const Path& run_folder);

// Copies the values by name into tensors that exist (trainable leaves too). Throws CheckpointError,
// with nothing copied: a name that only one side has, another shape or dtype. `where`: for the
// error, the checkpoint's folder.
void restore_tensors(const NamedTensors& from, const NamedTensors& into, const std::string& where);

}  // namespace icedit
