#include "data/check.h"

#include <algorithm>
#include <cstring>
#include <tuple>

#include "base/progress.h"
#include "data/scan.h"
#include "edit/conditioning.h"
#include "io/files.h"

namespace icedit {
namespace {

// What makes two rows the same: 96 bits of a SHA-256, enough for billions of rows.
struct RowPrint {
  uint64_t high = 0;
  uint32_t low = 0;
  int64_t row = 0;

  bool same(const RowPrint& other) const { return high == other.high && low == other.low; }
  bool operator<(const RowPrint& other) const {
    return std::tie(high, low, row) < std::tie(other.high, other.low, other.row);
  }
};

struct RowFacts {
  Size source, target;
  bool identical = false, empty = false;
  uint64_t bytes = 0;
  RowPrint print;
};

RowPrint print_of(const EncodedSample& sample, int64_t row) {
  std::string all = sha256(as_text(sample.source)) + sha256(as_text(sample.target));
  for (const std::string& instruction : sample.instructions)
    all += str(instruction.size(), ":", instruction);
  const std::string digest = sha256(all);  // hexadecimal
  RowPrint print;
  print.high = std::stoull(digest.substr(0, 16), nullptr, 16);
  print.low = uint32_t(std::stoull(digest.substr(16, 8), nullptr, 16));
  print.row = row;
  return print;
}

RowFacts facts_of(const EditDataset& dataset, int64_t row) {
  const EncodedSample encoded = dataset.read(row);
  const EditSample sample = decode(encoded);
  const Image &source = sample.source.image, &target = sample.target.image;
  RowFacts facts;
  facts.source = {source.width, source.height};
  facts.target = {target.width, target.height};
  facts.identical = source == target;
  facts.empty = std::any_of(sample.instructions.begin(), sample.instructions.end(), only_space);
  facts.bytes = encoded.source.size() + encoded.target.size();
  facts.print = print_of(encoded, row);
  return facts;
}

std::string size_text(Size size) {
  return str(size.width, "x", size.height);
}

void add_facts(const EditDataset& dataset, int64_t row, const RowFacts& facts, DataReport& report) {
  const std::string where = dataset.where(row);
  report.picture_bytes += facts.bytes;
  ++report.sizes[{facts.source.width, facts.source.height}];
  if (facts.identical) report.identical.add(where, "source and target are the same picture");
  if (facts.source != facts.target)
    report.misaligned.add(where, str("the source is ", size_text(facts.source), ", the target ",
                                     size_text(facts.target)));
  if (facts.empty) report.empty.add(where, "an instruction is empty");
}

void find_duplicates(const EditDataset& dataset, std::vector<RowPrint> prints, DataReport& report) {
  std::sort(prints.begin(), prints.end());
  std::vector<std::pair<int64_t, int64_t>> repeated;  // row, the first like it
  size_t first = 0;
  for (size_t i = 1; i < prints.size(); ++i) {
    if (!prints[i].same(prints[first]))
      first = i;
    else
      repeated.emplace_back(prints[i].row, prints[first].row);
  }
  std::sort(repeated.begin(), repeated.end());
  for (const auto& [row, original] : repeated)
    report.duplicates.add(dataset.where(row), "the same as " + dataset.where(original));
}

}  // namespace

void Findings::add(const std::string& where, const std::string& reason) {
  ++count;
  if (rows.size() < kListed) rows.push_back({where, reason});
}

DataReport check_dataset(const EditDataset& dataset, int threads) {
  DataReport report;
  report.rows = dataset.size();
  std::vector<RowPrint> prints;
  Progress progress("checking", dataset.size(), "row");
  const auto read = [&](int64_t row) {
    return if_readable([&] { return facts_of(dataset, row); });
  };
  const auto take = [&](int64_t row, const Readable<RowFacts>& facts) {
    progress.update(row + 1);
    if (!facts) return report.unreadable.add(dataset.where(row), facts.why_not);
    add_facts(dataset, row, *facts, report);
    prints.push_back(facts->print);
  };
  scan_rows(dataset.size(), threads, read, take);
  find_duplicates(dataset, std::move(prints), report);
  report.tasks = dataset.task_counts();
  return report;
}

}  // namespace icedit
