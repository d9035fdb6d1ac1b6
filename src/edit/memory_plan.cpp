#include "edit/memory_plan.h"

#include <functional>

#include "base/error.h"
#include "base/progress.h"

namespace icedit {
namespace {

constexpr uint64_t kMib = uint64_t{1} << 20, kGib = uint64_t{1} << 30;

// Those of `blocks` that do not stay where `resident` of them do, spread evenly.
std::set<std::string> streamed_of(const std::vector<CallBytes>& blocks, size_t resident) {
  std::set<std::string> streamed;
  const size_t all = blocks.size();
  for (size_t i = 0; i < all; ++i)
    if ((i + 1) * resident / all == i * resident / all) streamed.insert(blocks[i].path);
  return streamed;
}

// The most blocks that may stay: none that the limit has room for is left out.
bool find_blocks(Residency& residency, const std::function<bool()>& fits) {
  const std::vector<CallBytes> blocks = transformer_blocks(residency);
  StreamedParts parts = residency.streamed();
  parts.t5 = parts.modulations = true;
  const auto try_with = [&](size_t resident) {
    parts.blocks = streamed_of(blocks, resident);
    residency.set_streamed(parts);
    return fits();
  };
  if (!try_with(0)) return false;
  size_t works = 0, too_many = blocks.size() + 1;
  while (works + 1 < too_many) {
    const size_t middle = (works + too_many) / 2;
    (try_with(middle) ? works : too_many) = middle;
  }
  return try_with(works);
}

// The one that the device's memory has.
std::optional<uint64_t> limit_of(const MemoryLimit& limit, at::Device device) {
  if (limit.vram && device.is_cpu()) {
    throw UsageError(
        "--max-vram is of a GPU's memory, but the device is cpu; give --max-memory, or --device");
  }
  if (limit.most && !device.is_cpu()) {
    throw UsageError(str("--max-memory is of the host's memory, of which an edit on ", device.str(),
                         " takes little; give --max-vram"));
  }
  return device.is_cpu() ? limit.most : limit.vram;
}

}  // namespace

PlainLimit plain_limit(uint64_t least) {
  if (least < 10 * kGib) {
    const uint64_t count = (least + kMib - 1) / kMib;
    return {count * kMib, str(count, "M")};
  }
  const uint64_t tenths = (least * 10 + kGib - 1) / kGib;
  return {tenths * kGib / 10, str(tenths / 10, ".", tenths % 10, "G")};
}

void plan_memory(Residency& residency, const MemoryLimit& limit, bool several_pictures,
                 const EditSize& size, uint64_t own) {
  residency.set_keep(
      choose_keep(estimate_parts(residency, size), limit.low_memory, several_pictures));
  const std::optional<uint64_t> most = limit_of(limit, residency.device());
  residency.set_most_memory(most);
  StreamedParts all_blocks_stay = residency.streamed();
  all_blocks_stay.blocks.clear();
  residency.set_streamed(all_blocks_stay);
  if (!most) return;
  const auto fits = [&] { return process_bytes(residency, size, own) <= *most; };
  if (fits()) return;
  residency.set_keep(Keep::kOne);
  if (fits() || find_blocks(residency, fits)) return;
  const bool one = size.together == 1;
  const uint64_t least = process_bytes(residency, size, own);
  throw UsageError(str(limit_flag(residency), " ", bytes_text(double(*most)),
                       " is too little: with nothing but one block in memory at a time ",
                       one ? "an edit" : str(size.together, " edits at once, each"), " of ",
                       size.pixels / 2, " pixels", one ? " takes about " : ", take about ",
                       bytes_text(double(least)), "; give ", limit_flag(residency), " ",
                       plain_limit(least).text, ", or a smaller ", one ? "" : "--batch or ",
                       "--width"));
}

uint64_t least_bytes(Residency& residency, const EditSize& size, uint64_t own) {
  residency.set_keep(Keep::kOne);
  residency.set_streamed({true, true, streamed_of(transformer_blocks(residency), 0)});
  return process_bytes(residency, size, own);
}

}  // namespace icedit
