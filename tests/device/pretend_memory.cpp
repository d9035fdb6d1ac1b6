#include "device/pretend_memory.h"

#include <c10/util/Exception.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

namespace icedit::pretend {
namespace {

constexpr uint64_t kReserved = uint64_t{64} << 30;  // addresses; memory is taken as it is written
constexpr uint64_t kUnit = 512, kPage = 4096;       // CUDA's allocator counts in units of 512

uint64_t rounded_up(uint64_t bytes, uint64_t unit) {
  return (bytes + unit - 1) / unit * unit;
}

std::byte* map(int file, int protection) {
  void* at = mmap(nullptr, kReserved, protection, MAP_SHARED | MAP_NORESERVE, file, 0);
  TORCH_CHECK(at != MAP_FAILED, "no addresses for the pretend device");
  return static_cast<std::byte*>(at);
}

}  // namespace

Memory& Memory::all() {
  static Memory& one = *new Memory;  // never destroyed: tensors of other statics may come back
  return one;
}

Memory::Memory() {
  const int file = memfd_create("pretend_device", MFD_CLOEXEC);
  TORCH_CHECK(file >= 0 && ftruncate(file, int64_t(kReserved)) == 0, "no pretend device");
  handed_out_ = map(file, PROT_NONE);
  usable_ = map(file, PROT_NONE);  // until it is taken
  close(file);
}

// From `next_` on, then from the start; kReserved where there is no room.
uint64_t Memory::place(uint64_t bytes) {
  for (const uint64_t start : {next_, uint64_t{0}}) {
    uint64_t at = start;
    auto behind = used_.upper_bound(at);
    if (behind != used_.begin()) {
      const auto before = std::prev(behind);
      at = std::max(at, before->first + rounded_up(before->second, kPage));
    }
    for (; behind != used_.end() && behind->first < at + bytes; ++behind)
      at = behind->first + rounded_up(behind->second, kPage);
    if (at + bytes <= kReserved) return at;
  }
  return kReserved;
}

void* Memory::take(uint64_t wanted) {
  if (wanted == 0) return nullptr;
  const uint64_t bytes = rounded_up(wanted, kUnit);
  const std::lock_guard lock(mutex_);
  TORCH_CHECK_WITH(OutOfMemoryError, int64_t(bytes) <= limit_ - now_,
                   "pretend device out of memory. Tried to allocate ", bytes, " bytes, ", now_,
                   " of ", limit_, " are taken");
  const uint64_t at = place(bytes);
  TORCH_CHECK(at < kReserved, "the pretend device's addresses are used up");
  used_.emplace(at, bytes);
  next_ = at + rounded_up(bytes, kPage);
  now_ += int64_t(bytes);
  most_ = std::max(most_, now_);
  protect(at, bytes, PROT_READ | PROT_WRITE);
  madvise(usable_ + at, rounded_up(bytes, kPage), MADV_POPULATE_WRITE);  // faster than page by page
  std::memset(usable_ + at, kPoison, bytes);
  return handed_out_ + at;
}

void Memory::give_back(void* pointer) {
  const std::lock_guard lock(mutex_);
  const auto found = used_.find(uint64_t(static_cast<std::byte*>(pointer) - handed_out_));
  TORCH_CHECK(found != used_.end(), "memory of the pretend device is given back twice");
  const auto [at, bytes] = *found;
  now_ -= int64_t(bytes);
  used_.erase(found);
  madvise(usable_ + at, rounded_up(bytes, kPage), MADV_REMOVE);  // the machine has it again
  protect(at, bytes, PROT_NONE);
}

void Memory::protect(uint64_t at, uint64_t bytes, int how) {
  TORCH_CHECK(mprotect(usable_ + at, rounded_up(bytes, kPage), how) == 0,
              "the pretend device's memory is in too many pieces");
}

void* Memory::on_device(const void* pointer) {
  if (pointer == nullptr) return nullptr;
  const std::lock_guard lock(mutex_);
  const auto at = uint64_t(static_cast<const std::byte*>(pointer) - handed_out_);
  auto behind = used_.upper_bound(at);
  const bool taken =
      behind != used_.begin() && at < std::prev(behind)->first + std::prev(behind)->second;
  TORCH_CHECK(taken, "the pretend device is asked for memory that is not its own, or given back");
  return usable_ + at;
}

}  // namespace icedit::pretend
