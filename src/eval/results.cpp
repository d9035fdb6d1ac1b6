#include "eval/results.h"

#include <fstream>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/log.h"
#include "io/files.h"

namespace icedit {
namespace {

namespace fs = std::filesystem;

constexpr const char* kRun = "run.json";
constexpr const char* kResults = "results.jsonl";

// Without what differs from row to row or has no part in it.
Json what_holds_for_all(const EditSettings& settings) {
  Json json = settings_json(settings);
  for (const char* key : {"instruction", "num_images", "batch_noise", "feather"}) json.erase(key);
  return json;
}

Json data_json(const std::vector<Path>& data) {
  const Fingerprint print = fingerprint(data);
  Json json;
  json["files"] = Json::array();
  for (const Path& file : data) json["files"].push_back(file.filename().string());
  json["sha256"] = print.sha256;
  json["sha256_of"] = print.of;
  return json;
}

std::vector<std::string> what_differs(const Json& then, const Json& now) {
  std::vector<std::string> lines = differences(run_from_json(then), run_from_json(now));
  for (const auto& [key, value] : now["settings"].items()) {
    const Json was = then.value("settings", Json::object()).value(key, Json());
    if (was != value) lines.push_back(str(key, " was ", was.dump(), ", is ", value.dump()));
  }
  if (then.value("data", Json::object()).value("sha256", "") != now["data"]["sha256"])
    lines.emplace_back("other data");
  return lines;
}

Json read_run(const Path& file) {
  Json json = Json::parse(read_file(file), nullptr, /*allow_exceptions=*/false);
  const auto is_object = [&](const char* key) {
    return !json.contains(key) || json[key].is_object();
  };
  if (!json.is_object() || !is_object("settings") || !is_object("data") || !is_object("model"))
    throw DataError(str(file.string(), " is damaged; give another folder with -o"));
  return json;
}

// Begins the folder, or makes sure that it was begun by the same run.
void begin_or_check(const Path& folder, const Json& now) {
  const Path file = folder / kRun;
  if (is_taken(file)) {
    const std::vector<std::string> lines = what_differs(read_run(file), now);
    if (lines.empty()) return;
    std::string list;
    for (const std::string& line : lines) list += (list.empty() ? "" : ", ") + line;
    throw UsageError(str(folder.string(), " holds the results of another run (", list,
                         "); give another folder with -o"));
  }
  // What an evaluation would write over.
  for (const char* name : {kResults, "summary.json", "sheet-01.png", "pictures"}) {
    std::error_code ignored;
    const Path place = folder / name;
    if (!is_taken(place)) continue;
    if (fs::is_directory(place, ignored) && fs::is_empty(place, ignored)) continue;
    throw UsageError(str(folder.string(), " has a ", name, " but no ", kRun,
                         " that tells what made it; give another folder with -o"));
  }
  const Path got = write_text_atomically(file, dumped(now, 2) + "\n", IfTaken::kNextName);
  if (got == file) return;
  fs::remove(got);
  begin_or_check(folder, now);  // another evaluation began there at the same moment
}

}  // namespace

std::string to_json(const RowResult& r) {
  Json json;
  json["row"] = r.row;
  json["task"] = r.task;
  json["instruction"] = r.instruction;
  json["seed"] = r.seed;
  if (!r.error.empty()) {
    json["error"] = r.error;
    return dumped(json);
  }
  json["l1"] = r.metrics.l1;
  json["l2"] = r.metrics.l2;
  json["psnr"] = r.metrics.psnr;
  json["change_left"] = r.judgement.change_left;
  json["spill"] = r.judgement.spill;
  json["success"] = r.judgement.success ? Json(*r.judgement.success) : Json();
  if (r.speed) json["speed"] = speed_json(*r.speed);
  return dumped(json);
}

RowResult result_from_json(const std::string& line, const std::string& where) try {
  const Json json = Json::parse(line);
  RowResult r;
  r.row = json.at("row");
  r.task = json.at("task");
  r.instruction = json.at("instruction");
  r.seed = json.at("seed");
  r.error = json.value("error", "");
  if (!r.error.empty()) return r;
  r.metrics = {json.at("l1"), json.at("l2"), json.at("psnr")};
  r.judgement.change_left = json.at("change_left");
  r.judgement.spill = json.at("spill");
  if (!json.at("success").is_null()) r.judgement.success = json.at("success").get<bool>();
  if (json.contains("speed")) {
    const Json& speed = json.at("speed");
    r.speed = SpeedFigures{speed.at("calls"), speed.at("steps"), {}};
    if (speed.contains("estimated_db")) r.speed->decibels = speed.at("estimated_db");
  }
  return r;
} catch (const Json::exception& error) {
  throw DataError(str(where, " is no result of icedit eval (", error.what(),
                      "); remove the line, and its row is done again"));
}

ResultFolder::ResultFolder(Path folder, const RunRecord& run, const EditSettings& settings,
                           const std::vector<Path>& data)
    : folder_(std::move(folder)) {
  std::error_code error;
  fs::create_directories(folder_ / "pictures", error);
  if (error) throw IoError(str(folder_.string(), ": cannot be made: ", error.message()));
  lock_ = ProcessLock::on_folder(folder_);
  if (!lock_)
    throw UsageError(
        str(folder_.string(),
            ": another process writes its results there; give another folder with -o"));
  Json now = run_json(run);
  now["settings"] = what_holds_for_all(settings);
  now["data"] = data_json(data);
  begin_or_check(folder_, now);
  read_results();
}

void ResultFolder::read_results() {
  const Path file = folder_ / kResults;
  if (!fs::exists(file)) return;
  const std::string text = read_file(file);
  const size_t whole = text.rfind('\n') == std::string::npos ? 0 : text.rfind('\n') + 1;
  // The last line of a process that was killed while it wrote.
  if (whole < text.size()) {
    std::error_code error;
    fs::resize_file(file, whole, error);
    if (error) throw IoError(str(file.string(), ": ", error.message()));
  }
  std::istringstream lines(text.substr(0, whole));
  int64_t number = 0;
  for (std::string line; std::getline(lines, line);) {
    RowResult r = result_from_json(line, str(file.string(), ", line ", ++number));
    if (r.error.empty() && fs::exists(picture(r.row))) done_[r.row] = std::move(r);
  }
}

Path ResultFolder::picture(int64_t row) const {
  const std::string number = std::to_string(row);
  return folder_ / "pictures" /
         (std::string(number.size() < 5 ? 5 - number.size() : 0, '0') + number + ".png");
}

// The picture first: a line says that both are there.
void ResultFolder::add(const RowResult& result, const Image* image) {
  if (image != nullptr) write_image(picture(result.row), *image);
  const Path file = folder_ / kResults;
  std::ofstream out(file, std::ios::app | std::ios::binary);
  out << to_json(result) << '\n';
  if (!out.flush()) {
    throw IoError(str(file.string(),
                      ": cannot be written; is the disk full? The same command "
                      "goes on from here"));
  }
}

}  // namespace icedit
