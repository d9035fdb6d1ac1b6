#include <nlohmann/json.hpp>
#include <set>

#include "base/counted.h"
#include "base/error.h"
#include "base/log.h"
#include "data/parquet.h"
#include "data/rows.h"
#include "io/utf8.h"

namespace icedit {
namespace {

enum : size_t { kSource, kTarget, kInstruction, kTask };  // the columns' order below

class ParquetRows : public EditRows {
 public:
  ParquetRows(std::vector<Path> files, std::vector<Column> columns, size_t cache_bytes)
      : table_(std::move(files), std::move(columns), cache_bytes) {}

  // Keeps only the rows of these tasks. Throws UsageError for a task that no row has.
  void keep(const std::vector<std::string>& wanted) {
    tasks_ = table_.text_column("task");
    const std::set<std::string> known(tasks_.begin(), tasks_.end());
    for (const std::string& task : wanted)
      if (!known.count(task))
        throw UsageError(str("train.dataset.specific_task: no row is of the task '", task, "', ",
                             known.empty() ? "there is no text in a column 'task'"
                                           : "there are: " + joined({known.begin(), known.end()})));
    const std::set<std::string> kept(wanted.begin(), wanted.end());
    std::vector<std::string> kept_tasks;
    for (size_t row = 0; row < tasks_.size(); ++row) {
      if (!kept.count(tasks_[row])) continue;
      selected_.push_back(int64_t(row));
      kept_tasks.push_back(tasks_[row]);
    }
    log::info(str("specific_task keeps ", selected_.size(), " of ", tasks_.size(), " rows"));
    tasks_ = std::move(kept_tasks);
  }

  int64_t size() const override {
    return selected_.empty() ? table_.rows() : int64_t(selected_.size());
  }

  std::string where(int64_t row) const override { return table_.where(in_table(row)); }

  EncodedSample read(int64_t row) const override {
    auto found = std::make_shared<ParquetRow>(table_.read(in_table(row)));
    EncodedSample sample;
    sample.where = found->where();
    sample.source = found->picture(kSource);
    sample.target = found->picture(kTarget);
    for (const std::string& text : found->texts(kInstruction))
      sample.instructions.push_back(utf8_text(text, sample.where + ": the instruction"));
    if (sample.instructions.empty())
      throw DataError(str(sample.where, ": the list of instructions is empty"));
    if (found->has(kTask)) sample.task = found->text(kTask);
    sample.owner = std::move(found);
    return sample;
  }

  std::vector<std::string> tasks() const override {
    return tasks_.empty() ? table_.text_column("task") : tasks_;
  }

 private:
  int64_t in_table(int64_t row) const { return selected_.empty() ? row : selected_.at(row); }

  ParquetTable table_;
  std::vector<int64_t> selected_;   // empty: all
  std::vector<std::string> tasks_;  // of the selected
};

}  // namespace

std::unique_ptr<EditRows> magicbrush_rows(std::vector<Path> files, size_t cache_bytes) {
  const std::vector<Column> columns = {{"source_img", ColumnKind::kPicture},
                                       {"target_img", ColumnKind::kPicture},
                                       {"instruction", ColumnKind::kTexts},
                                       {"task", ColumnKind::kText, /*optional=*/true}};
  return std::make_unique<ParquetRows>(std::move(files), columns, cache_bytes);
}

std::unique_ptr<EditRows> omniedit_rows(std::vector<Path> files,
                                        const std::vector<std::string>& only_tasks,
                                        size_t cache_bytes) {
  const std::vector<Column> columns = {{"src_img", ColumnKind::kPicture},
                                       {"edited_img", ColumnKind::kPicture},
                                       {"edited_prompt_list", ColumnKind::kTexts},
                                       {"task", ColumnKind::kText, /*optional=*/true}};
  auto rows = std::make_unique<ParquetRows>(std::move(files), columns, cache_bytes);
  if (!only_tasks.empty()) rows->keep(only_tasks);
  return rows;
}

Json json_of(const std::vector<BadRow>& rows) {
  Json json = Json::array();
  for (const BadRow& row : rows) json.push_back({{"row", row.where}, {"reason", row.reason}});
  return json;
}

EditSample decode(const EncodedSample& encoded) {
  return {encoded, open_image(encoded.source, encoded.where + ", source"),
          open_image(encoded.target, encoded.where + ", target")};
}

}  // namespace icedit
