#pragma once
// From what a configuration says to the Parquet files that are meant.
#include <string>
#include <vector>

#include "io/files.h"

namespace icedit {

// `places`: globs, files, folders (all .parquet below), and data set ids ("osunlp/MagicBrush") in
// the Hugging Face cache. Each place's files are sorted; of a folder that a glob matches, those
// below it. `split`: "train", "train+dev": only files of these splits, in that order. A file is of
// a split whose name is a word of its own or its folder's name ("train-00000-of-00051.parquet").
// With an empty split: of a folder or an id the files of `usual_split` where there are any, else
// those of no split, else all, and a line says which; with an empty `usual_split` all.
// `config_folder`: of the file that names the places, "" where there is none; `key`: what errors
// name. Throws NoInputError (as throw_not_there; a folder without such files), UsageError: a glob
// or an id with nothing (saying how to get it), no file of a split.
std::vector<Path> find_parquet(const std::vector<std::string>& places, const std::string& split,
                               const std::string& usual_split,
                               const std::string& config_folder = "",
                               const std::string& key = "train.dataset.path");

// Throws NoInputError: there is no file `place`, seen from the working folder; with the folder that
// it can be seen from, where that is `config_folder` or one above.
[[noreturn]] void throw_not_there(const std::string& place, const std::string& config_folder,
                                  const std::string& key);

// The snapshot of a data set in the Hugging Face cache, which need not exist; empty where there is
// none.
Path dataset_in_hub_cache(const std::string& id);

}  // namespace icedit
