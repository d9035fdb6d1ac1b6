#include "nn/large_blocks.h"

#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>
#include <malloc.h>
#include <sys/mman.h>

#include <algorithm>
#include <list>
#include <mutex>
#include <unordered_map>

namespace icedit {
namespace {

constexpr size_t kLeast = size_t{4} << 20, kPage = size_t{64} << 10, kHugePage = size_t{2} << 20;

size_t rounded_up(size_t bytes, size_t page) {
  return (bytes + page - 1) / page * page;
}

// Begins at a huge page. What is behind the last whole one lies in small pages (kPage is a multiple
// of any system's): of a matrix of 3072 x 3072 bytes a tenth would be lost.
void* map(size_t bytes) {
  void* whole =
      mmap(nullptr, bytes + kHugePage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  TORCH_CHECK(whole != MAP_FAILED, "not enough memory for ", bytes, " bytes");
  const auto begin = reinterpret_cast<uintptr_t>(whole), at = rounded_up(begin, kHugePage);
  if (at > begin) munmap(whole, at - begin);
  if (const size_t behind = begin + kHugePage - at; behind > 0)
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
    void* block = take(rounded_up(bytes, kPage));
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
    peak_ = used_bytes_;
  }

 private:
  struct Block {
    void* at;
    size_t bytes;
  };

  void* take(size_t bytes) {
    const std::lock_guard lock(mutex_);
    auto found = free_.end();  // the smallest that is large enough, and the last of these
    for (auto i = free_.begin(); i != free_.end(); ++i) {
      if (i->bytes >= bytes && i->bytes <= bytes + bytes / 4 &&
          (found == free_.end() || i->bytes <= found->bytes))
        found = i;
    }
    Block block{nullptr, bytes};
    if (found != free_.end()) {
      block = *found;
      free_.erase(found);
      kept_ -= block.bytes;
    }
    used_bytes_ += block.bytes;
    peak_ = std::max(peak_, used_bytes_);
    shrink_to(most_kept());
    if (block.at == nullptr) block.at = map(bytes);
    used_.emplace(block.at, block.bytes);
    return block.at;
  }

  static void give_back(void* block);

  void put(void* at) {
    const std::lock_guard lock(mutex_);
    const auto found = used_.find(at);
    if (found == used_.end()) return small_->raw_deleter()(at);
    const Block block{at, found->second};
    used_.erase(found);
    used_bytes_ -= block.bytes;
    free_.push_back(block);
    kept_ += block.bytes;
    shrink_to(most_kept());
  }

  uint64_t most_kept() const { return std::min(most_, peak_ - used_bytes_); }

  void shrink_to(uint64_t most) {
    while (kept_ > most) {
      const Block block = free_.front();
      munmap(block.at, block.bytes);
      kept_ -= block.bytes;
      free_.pop_front();
    }
  }

  c10::Allocator* small_;
  std::mutex mutex_;
  uint64_t most_ = 0, kept_ = 0;        // bytes
  uint64_t used_bytes_ = 0, peak_ = 0;  // now, and the most at once since the last release
  std::list<Block> free_;               // what was given back last is at the end
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
  malloc_trim(0);
}

}  // namespace icedit
