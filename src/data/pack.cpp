#include "data/pack.h"

#include "base/error.h"
#include "base/log.h"
#include "base/progress.h"
#include "data/magicbrush_writer.h"
#include "data/scan.h"

namespace icedit {
namespace {

struct PackedRow {
  EncodedSample sample;
  std::string unreadable;  // why
};

PackedRow read_row(const EditRows& rows, int64_t row) {
  PackedRow packed;
  auto sample = if_readable(
      [&] {
        EncodedSample read = rows.read(row);
        decode(read);
        return read;
      },
      &packed.unreadable);
  if (sample) packed.sample = std::move(*sample);
  return packed;
}

}  // namespace

PackResult pack_rows(const EditRows& rows, const Path& file, int threads) {
  PackResult result;
  const bool with_task = !rows.tasks().empty();
  write_atomically(file, [&](std::ostream& out) {
    MagicBrushWriter writer(file, out, with_task);
    Progress progress("packing", rows.size(), "pair");
    const auto take = [&](int64_t row, const PackedRow& packed) {
      progress.update(row + 1);
      if (packed.unreadable.empty()) return writer.add(packed.sample);
      log::warn("a row cannot be read and is left out: " + packed.unreadable);
      result.unreadable.push_back({rows.where(row), packed.unreadable});
    };
    scan_rows(
        rows.size(), threads, [&](int64_t row) { return read_row(rows, row); }, take);
    result.rows = writer.finish();
    if (result.rows == 0)
      throw DataError(str("none of the ", rows.size(), " rows can be read; nothing was written"));
  });
  return result;
}

}  // namespace icedit
