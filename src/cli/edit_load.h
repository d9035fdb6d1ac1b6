#pragma once
// A job's pictures, read, and everything found out that would else only fail after the text
// encoders have run.
#include "cli/edit_jobs.h"
#include "edit/memory_estimate.h"

namespace icedit::cli {

class JobLoader {
 public:
  // Before weights are loaded: what memory is available is measured here.
  JobLoader(const ReadOptions& read, const Residency& residency);

  // Throws Error when this picture cannot be edited: it or its mask cannot be read, the mask is of
  // another size, or the edit would not fit into the memory.
  EditRequest load(const EditJob& job);

  // Throws IoError when the disk has no room for the job's outputs and previews.
  void expect_disk_space(const EditJob& job, const EditRequest& request,
                         const EditOptions& options) const;

 private:
  Size half(const EditRequest& request) const;
  void load_mask(const EditSettings& settings, EditRequest& request) const;

  const ReadOptions read_;
  const Residency& residency_;
  MemoryCheck memory_;
};

}  // namespace icedit::cli
