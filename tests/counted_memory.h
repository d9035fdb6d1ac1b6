#pragma once
// How many bytes CPU tensors take, by libtorch's allocator.
#include <c10/core/CPUAllocator.h>

#include <algorithm>
#include <atomic>
#include <cstddef>

namespace icedit {

// Counts what is allocated while it lives, on all threads; one at a time.
class CountedMemory {
 public:
  CountedMemory() { c10::SetCPUAllocator(&allocator(), /*priority=*/1), start(); }
  ~CountedMemory() { c10::SetCPUAllocator(allocator().inner, /*priority=*/1); }
  CountedMemory(const CountedMemory&) = delete;
  CountedMemory& operator=(const CountedMemory&) = delete;

  void start() { allocator().most = allocator().live = 0; }
  int64_t most() const { return allocator().most; }  // more than at the start, at once
  int64_t live() const { return allocator().live; }

 private:
  struct Allocator final : c10::Allocator {
    c10::DataPtr allocate(size_t bytes) override {
      // The size stands before the bytes.
      auto* block = static_cast<std::byte*>(inner->raw_allocate(bytes + kHead));
      *reinterpret_cast<int64_t*>(block) = int64_t(bytes);
      live += int64_t(bytes);
      for (int64_t seen = most; live > seen && !most.compare_exchange_weak(seen, live);) {
      }
      return {block + kHead, block + kHead, &give_back, c10::Device(c10::DeviceType::CPU)};
    }
    c10::DeleterFnPtr raw_deleter() const override { return &give_back; }
    void copy_data(void* to, const void* from, size_t bytes) const override {
      default_copy_data(to, from, bytes);
    }
    static void give_back(void* data) {
      auto* block = static_cast<std::byte*>(data) - kHead;
      allocator().live -= *reinterpret_cast<int64_t*>(block);
      allocator().inner->raw_deallocate(block);
    }

    static constexpr size_t kHead = 64;
    c10::Allocator* inner = c10::GetCPUAllocator();
    std::atomic<int64_t> live = 0, most = 0;
  };
  // Never destroyed: tensors may come back after the count.
  static Allocator& allocator() {
    static Allocator& one = *new Allocator;
    return one;
  }
};

}  // namespace icedit
