#include "nn/large_blocks.h"

#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>
#include <sys/mman.h>

#include <map>
#include <mutex>
#include <unordered_map>

namespace icedit {
namespace {

constexpr size_t kLeast = size_t{4} << 20, kPage = size_t{2} << 20;

size_t rounded_up(size_t bytes) {
  return (bytes + kPage - 1) / kPage * kPage;
}

// Begins at a multiple of kPage.
void* map(size_t bytes) {
  void* whole =
      mmap(nullptr, bytes + kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  TORCH_CHECK(whole != MAP_FAILED, "not enough memory for ", bytes, " bytes");
  const auto begin = reinterpret_cast<uintptr_t>(whole), at = rounded_up(begin);
  if (at > begin) munmap(whole, at - begin);
  if (const size_t behind = begin + kPage - at; behind > 0)
    munmap(reinterpret_cast<void*>(at + bytes), behind);
  void* block = reinterpret_cast<void*>(at);
  madvise(block, bytes, MADV_HUGEPAGE);
  return block;
}

class LargeBlocks final : public c10::Allocator {
 public:
  explicit LargeBlocks(c10::Allocator* small) : small_(small) {}

  c10::DataPtr allocate(size_t bytes) override {
    if (bytes < kLeast) return small_->allocate(bytes);
    void* block = take(rounded_up(bytes));
    return {block, block, &give_back, c10::Device(c10::DeviceType::CPU)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &give_back; }
  void copy_data(void* to, const void* from, size_t bytes) const override {
    default_copy_data(to, from, bytes);
  }

  void set_most(uint64_t most) {
    const std::lock_guard lock(mutex_);
    most_ = most;
    shrink_to(most);
  }
  void release() {
    const std::lock_guard lock(mutex_);
    shrink_to(0);
  }

 private:
  void* take(size_t bytes) {
    const std::lock_guard lock(mutex_);
    const auto found = free_.lower_bound(bytes);
    if (found != free_.end() && found->first <= bytes + bytes / 4) {
      void* block = found->second;
      used_.emplace(block, found->first);
      kept_ -= found->first;
      free_.erase(found);
      return block;
    }
    // Nobody waits for these sizes any more when others are needed.
    shrink_to(most_ / 2);
    void* block = map(bytes);
    used_.emplace(block, bytes);
    return block;
  }

  static void give_back(void* block);

  void put(void* block) {
    const std::lock_guard lock(mutex_);
    const auto found = used_.find(block);
    if (found == used_.end()) return small_->raw_deleter()(block);
    const size_t bytes = found->second;
    used_.erase(found);
    free_.emplace(bytes, block);
    kept_ += bytes;
    shrink_to(most_);
  }

  // The largest go first.
  void shrink_to(uint64_t most) {
    while (kept_ > most) {
      const auto last = std::prev(free_.end());
      munmap(last->second, last->first);
      kept_ -= last->first;
      free_.erase(last);
    }
  }

  c10::Allocator* small_;
  std::mutex mutex_;
  uint64_t most_ = 0, kept_ = 0;
  std::multimap<size_t, void*> free_;
  std::unordered_map<void*, size_t> used_;
};

LargeBlocks& blocks() {
  // Never destroyed: tensors of other statics may come back after it.
  static LargeBlocks& all = *new LargeBlocks(c10::GetDefaultCPUAllocator());
  return all;
}

void LargeBlocks::give_back(void* block) {
  blocks().put(block);
}

}  // namespace

void keep_large_blocks(uint64_t most) {
  blocks().set_most(most);
  c10::SetCPUAllocator(&blocks(), /*priority=*/1);
}

void release_large_blocks() {
  blocks().release();
}

}  // namespace icedit
