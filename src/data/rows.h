#pragma once
// One row of any kind of file, and how it is read: what is common to Parquet files and folders.
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "io/json.h"
#include "io/picture_modes.h"

namespace icedit {

struct RowText {
  std::vector<std::string> instructions;  // one of which is drawn; never empty
  std::string task;                       // "" where the file does not say
  std::string where;                      // "FILE: row N", for errors and the quarantine list
};

// As it lies in the file.
struct EncodedSample : RowText {
  Bytes source, target;                  // PNG, JPEG or WebP
  std::shared_ptr<const void> owner;     // of those bytes
  std::string name;                      // of a folder's pair; "" in Parquet files
  std::string source_file, target_file;  // the pictures' own names in a folder
};

struct EditSample : RowText {
  OpenedImage source, target;
};

struct BadRow {
  std::string where, reason;
};
// [{"row": ..., "reason": ...}, ...]
Json json_of(const std::vector<BadRow>& rows);

// Throws NoInputError naming the row and which of its pictures cannot be read.
EditSample decode(const EncodedSample& encoded);

// A value, or why there is none.
template <class T>
struct Readable : std::optional<T> {
  std::string why_not;
};

// What `read` gives, but for the errors that make a row one that cannot be read.
template <class Read>
auto if_readable(const Read& read) -> Readable<decltype(read())> {
  std::string why_not;
  try {
    return {read(), ""};
  } catch (const DataError& error) {
    why_not = error.what();
  } catch (const NoInputError& error) {
    why_not = error.what();
  } catch (const IoError& error) {
    why_not = error.what();
  }
  return {std::nullopt, why_not};
}

class EditRows {
 public:
  virtual ~EditRows() = default;
  virtual int64_t size() const = 0;
  // Threads may read at once. Throws DataError, NoInputError, IoError: this row cannot be read.
  virtual EncodedSample read(int64_t row) const = 0;
  virtual std::string where(
      int64_t row) const = 0;  // "FILE: row N", also of a row that cannot be read
  // Of every row, without its pictures; empty where no row has one.
  virtual std::vector<std::string> tasks() const = 0;
};

// MagicBrush's columns source_img, target_img, instruction, or OmniEdit's src_img, edited_img,
// edited_prompt_list; `task` where there is one. `only_tasks`: empty for all.
std::unique_ptr<EditRows> magicbrush_rows(std::vector<Path> files, size_t cache_bytes);
std::unique_ptr<EditRows> omniedit_rows(std::vector<Path> files,
                                        const std::vector<std::string>& only_tasks,
                                        size_t cache_bytes);

// Pictures in a folder. By a JSONL file (`place` itself, or the only one in the folder) with a line
// of {"source", "target", "instruction" (a text or a list of them), "task"?} for each pair, paths
// from the file's folder; or by names: source/NAME.png, target/NAME.jpg, instruction/NAME.txt, or
// NAME_source.png, NAME_target.png, NAME.txt in one folder. Throws NoInputError (as
// throw_not_there), UsageError, DataError naming the file and line, or the name without its
// counterpart.
std::unique_ptr<EditRows> folder_rows(const std::string& place,
                                      const std::string& config_folder = "",
                                      const std::string& key = "train.dataset.path");

}  // namespace icedit
