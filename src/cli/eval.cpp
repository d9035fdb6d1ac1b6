// icedit eval: edits the rows of a data set and says how well.
#include <algorithm>
#include <iostream>

#include "base/counted.h"
#include "base/error.h"
#include "base/log.h"
#include "cli/arguments.h"
#include "cli/command.h"
#include "cli/eval_options.h"
#include "data/locate.h"
#include "edit/memory_estimate.h"
#include "edit/recipe.h"
#include "edit/threads.h"
#include "edit/warnings.h"
#include "eval/evaluation.h"

namespace icedit::cli {
namespace {

constexpr size_t kRowCacheBytes = size_t{256} << 20;  // of row groups
constexpr int64_t kSmallBatch = 8;                    // of a model that stays in memory whole
constexpr int64_t kGroup =
    64;  // rows for which components are loaded again, where not all can stay

// Fixes what stays in memory, and gives how many rows are edited together.
int64_t plan_batch(Residency& residency, const EvalCommand& options) {
  EditSize size = usual_size(residency, options.settings.request);
  size.together = options.batch.value_or(1);
  plan_memory(residency, options.model.memory, /*several_pictures=*/true, size);
  if (options.batch || residency.keep() != Keep::kAll) return size.together;
  size.together = kSmallBatch;
  const std::optional<uint64_t> most = residency.most_memory();
  return !most || process_bytes(residency, size, kProgramAtMost) <= *most ? kSmallBatch : 1;
}

void announce(const Residency& r, const EvalCommand& options, int threads) {
  log::info(str(r.files().name(), " on ", r.device().str(), " in ",
                dtype_text(r.precision().compute), ", ",
                counted(static_cast<uint64_t>(threads), "thread")));
  const std::string odd = adapter_warning(r, options.model.no_lora);
  if (!odd.empty()) log::warn(odd);
  if (!options.output_dir.empty()) {
    log::info(str("results go to ", options.output_dir,
                  "; when it was stopped, the same command goes on"));
  }
}

}  // namespace

int run_eval(const Arguments& arguments) {
  const EvalCommand options = parse_eval_options(arguments);
  if (options.help) {
    std::cout << eval_help();
    return 0;
  }
  if (options.data.empty()) throw UsageError("what is to be edited? Give --data FILE.parquet");
  const std::vector<Path> files = find_parquet({options.data}, "", "test", "", "--data");
  const auto rows = magicbrush_rows(files, kRowCacheBytes);
  const uint64_t seed = options.settings.seed.value_or(0);
  expect_seeds(seed, std::max<int64_t>(rows->size(), 1), "--seed");
  const Threads threads(options.model.threads);
  const ModelFiles model = ModelFiles::find(options.model.request);
  Editor editor(model, residency_options(options.model, model));
  Residency& residency = editor.residency();
  const int64_t batch = plan_batch(residency, options);
  EditSettings settings = options.settings;
  settings.request.source_size = settings.request.keep_detail.has_value();
  if (settings.request.detail_tolerance && !settings.request.keep_detail.value_or(false))
    throw UsageError(
        "--detail-tolerance says what --detail keep takes for noise; add --detail keep");
  EvalOptions eval = options.eval;
  eval.edit = settings.request;
  eval.edit.seed = seed;
  eval.batch = batch;
  eval.group = residency.keep() == Keep::kAll ? eval.batch : std::max(eval.batch, kGroup);

  std::optional<ResultFolder> folder;
  if (!options.output_dir.empty()) {
    folder.emplace(options.output_dir, describe_run(residency),
                   resolved(settings, model.defaults(), seed), files);
  }
  announce(residency, options, threads.count());
  const Summary summary = summarise(evaluate(editor, *rows, eval, folder ? &*folder : nullptr));
  std::cout << (options.json ? summary_json(summary) + "\n" : table_text(summary));
  return 0;
}

}  // namespace icedit::cli
