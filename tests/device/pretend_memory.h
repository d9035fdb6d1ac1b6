#pragma once
// Memory of the pretend accelerator (pretend_device.h). Each byte is mapped twice, a fixed distance
// apart: where tensors point nobody may read or write, as on a GPU, so that host code that follows
// a device's pointer ends with SIGSEGV; the device itself uses the other mapping. What was given
// back nobody may touch, so that a kernel that comes too late ends in the same way.
#include <cstdint>
#include <limits>
#include <map>
#include <mutex>

#include "base/tensor.h"

namespace icedit::pretend {

// Bytes of what is taken, until it is written: NaN in every floating type.
constexpr int kPoison = 0xff;

class Memory {
 public:
  static Memory& all();

  // Throws c10::OutOfMemoryError above the limit, with CUDA's words.
  void* take(uint64_t bytes);
  void give_back(void* at);
  // Where the device reads and writes what `at` points to. Throws c10::Error where that is not
  // taken, or was given back.
  void* on_device(const void* at);

  int64_t now() const { return now_; }
  int64_t most() const { return most_; }      // at once since start()
  int64_t copied() const { return copied_; }  // to here from the host since start()
  void copies(int64_t bytes) { copied_ += bytes; }
  void start() { most_ = now_, copied_ = 0; }
  void set_limit(int64_t bytes) { limit_ = bytes; }
  static constexpr int64_t kNoLimit = std::numeric_limits<int64_t>::max();

 private:
  Memory();
  uint64_t place(uint64_t bytes);
  void protect(uint64_t at, uint64_t bytes, int how);

  std::mutex mutex_;
  std::byte *handed_out_, *usable_;    // the two mappings
  std::map<uint64_t, uint64_t> used_;  // place -> bytes
  uint64_t next_ = 0;                  // what was given back last is taken again last
  int64_t now_ = 0, most_ = 0, copied_ = 0, limit_ = kNoLimit;
};

}  // namespace icedit::pretend
