#include "eval/evaluation.h"

#include <algorithm>
#include <cstdio>

#include "base/error.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "base/progress.h"
#include "edit/conditioning.h"
#include "eval/sheet.h"

namespace icedit {
namespace {

namespace fs = std::filesystem;

struct LoadedRow {
  RowResult result;  // its figures not yet
  Image source, target;
};

// As MagicBrush's and ICEdit's scripts open them: convert("RGB").
Image picture(Bytes bytes, const std::string& where) {
  ReadOptions options;
  options.pillow_exact = true;
  return decode_image(bytes, where, options);
}

class Evaluator {
 public:
  Evaluator(Editor& editor, const EditRows& rows, const EvalOptions& options, ResultFolder* folder)
      : editor_(editor), rows_(rows), options_(options), folder_(folder) {
    if (rows.size() == 0) throw DataError("the data have no rows; is it the right file?");
    half_size({1, 1}, width(), options.edit.sizing, editor.token_pixels());  // refuses a bad width
    for (int64_t row = 0; row < rows.size(); row += options.every) {
      if (options.limit > 0 && int64_t(results_.size()) == options.limit) break;
      results_.emplace_back().row = row;
    }
  }

  std::vector<RowResult> run() {
    const std::vector<size_t> work = what_is_left();
    editor_.set_batch(options_.batch);
    Progress bar("editing", int64_t(results_.size()), "row");
    bar_ = &bar;
    const auto group = size_t(std::max(options_.group, options_.batch));
    for (size_t begin = 0; begin < work.size(); begin += group) {
      throw_if_interrupted();
      edit({work.begin() + long(begin), work.begin() + long(std::min(work.size(), begin + group))});
    }
    bar_ = nullptr;
    const auto readable = [](const RowResult& r) { return r.error.empty(); };
    if (std::none_of(results_.begin(), results_.end(), readable)) {
      throw DataError(str("none of the ", results_.size(),
                          " rows can be read; the first: ", results_.front().error));
    }
    if (folder_ != nullptr) finish();
    return results_;
  }

 private:
  int width() const {
    const ModelDefaults& defaults = editor_.residency().files().defaults();
    return static_cast<int>(options_.edit.width.value_or(defaults.width));
  }

  // Takes what the folder has.
  std::vector<size_t> what_is_left() {
    std::vector<size_t> left;
    for (size_t i = 0; i < results_.size(); ++i) {
      if (folder_ != nullptr && folder_->done().count(results_[i].row)) {
        results_[i] = folder_->done().at(results_[i].row);
        count(results_[i]);
      } else {
        left.push_back(i);
      }
    }
    if (left.size() < results_.size())
      log::info(str(results_.size() - left.size(), " of ", results_.size(), " rows are done"));
    return left;
  }

  // Throws what makes the row unreadable.
  LoadedRow load(int64_t row) const {
    LoadedRow loaded;
    const EncodedSample sample = rows_.read(row);
    loaded.result.row = row;
    loaded.result.seed = options_.edit.seed + static_cast<uint64_t>(row);
    loaded.result.task = sample.task;
    loaded.result.instruction = sample.instructions.front();
    if (only_space(loaded.result.instruction))
      throw DataError(str(sample.where, ": the instruction is empty"));
    loaded.source = picture(sample.source, sample.where + ", source");
    loaded.target = picture(sample.target, sample.where + ", target");
    const Size source{loaded.source.width, loaded.source.height};
    half_size(source, width(), options_.edit.sizing, editor_.token_pixels());  // refuses strips
    return loaded;
  }

  void edit(const std::vector<size_t>& places) {
    std::vector<EditRequest> requests;
    std::vector<LoadedRow> loaded;
    std::vector<size_t> where;
    for (const size_t i : places) {
      try {
        loaded.push_back(load(results_[i].row));
      } catch (const Error& error) {  // the rest of the rows are worth having
        pass_over(results_[i], error.what());
        continue;
      }
      where.push_back(i);
      requests.push_back(options_.edit);
      requests.back().source = loaded.back().source;
      requests.back().instruction = loaded.back().result.instruction;
      requests.back().seed = loaded.back().result.seed;
    }
    if (requests.empty()) return;
    EditHooks hooks;
    hooks.stop = throw_if_interrupted;
    editor_.edit(requests, hooks, [&](size_t k, std::vector<EditedImage> images) {
      RowResult& result = results_[where[k]];
      result = judged(loaded[k], images.front().image);
      result.speed = images.front().speed;
      if (folder_ != nullptr) folder_->add(result, &images.front().image);
      count(result);
    });
  }

  void pass_over(RowResult& result, const std::string& why) {
    const std::string where = rows_.where(result.row);
    result.error = why.starts_with(where) ? why : where + ": " + why;
    log::warn(str("a row cannot be read and is passed over: ", result.error));
    if (folder_ != nullptr) folder_->add(result, nullptr);
    count(result);
  }

  static RowResult judged(const LoadedRow& row, const Image& image) {
    RowResult result = row.result;
    result.metrics = compare(image, row.target);
    result.judgement = judge(row.source, image, row.target, kind_of(result.task));
    return result;
  }

  void count(const RowResult& result) {
    ++done_;
    judged_ += result.error.empty() && result.judgement.success.has_value();
    successes_ += result.judgement.success.value_or(false);
    if (bar_ != nullptr) bar_->update(done_, str(successes_, " of ", judged_, " succeeded"));
  }

  Path sheet_name(size_t number) const {
    char name[32];
    std::snprintf(name, sizeof name, "sheet-%02zu.png", number);
    return folder_->path() / name;
  }

  void finish() {
    write_text_atomically(folder_->path() / "summary.json",
                          summary_json(summarise(results_)) + "\n");
    size_t sheets = 0;
    std::vector<SheetEntry> entries;
    const auto write = [&] {
      if (!entries.empty()) write_image(sheet_name(++sheets), contact_sheet(entries));
      entries.clear();
    };
    for (const RowResult& result : results_) {
      throw_if_interrupted();
      if (!result.error.empty()) continue;
      const EncodedSample sample = rows_.read(result.row);
      entries.push_back({picture(sample.source, sample.where),
                         read_image(folder_->picture(result.row)),
                         picture(sample.target, sample.where), result.judgement.success});
      if (entries.size() == size_t(kSheetColumns) * kSheetLines) write();
    }
    write();
    // Those of an earlier run that took more rows.
    std::error_code ignored;
    while (fs::remove(sheet_name(++sheets), ignored)) {
    }
  }

  Editor& editor_;
  const EditRows& rows_;
  const EvalOptions& options_;
  ResultFolder* folder_;
  std::vector<RowResult> results_;
  Progress* bar_ = nullptr;
  int64_t done_ = 0, judged_ = 0, successes_ = 0;
};

}  // namespace

std::vector<RowResult> evaluate(Editor& editor, const EditRows& rows, const EvalOptions& options,
                                ResultFolder* folder) {
  return Evaluator(editor, rows, options, folder).run();
}

}  // namespace icedit
