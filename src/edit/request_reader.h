#pragma once
// From what was asked for to a request that will run: the pictures, read, and everything found out
// that would else only fail after the text encoders have run.
#include "edit/edit_settings.h"
#include "edit/memory_estimate.h"

namespace icedit {

class RequestReader {
 public:
  // Before weights are loaded: what memory is available is measured here.
  RequestReader(const ReadOptions& read, const Residency& residency);

  // Of the pictures that the settings name. Throws Error where one cannot be edited: it or its mask
  // cannot be read, the mask is of another size, or the edit would not fit into the memory.
  EditRequest read(const EditSettings& settings);
  // Of pictures that are in memory already; settings.image and .mask are their names for messages.
  // An empty mask is none.
  EditRequest read(const EditSettings& settings, Bytes source, Bytes mask);
  // With a mask that is decoded already: grey, white is edited.
  EditRequest read(const EditSettings& settings, Bytes source, Image mask);

  // The size of the edit that the model makes.
  Size half(const EditRequest& request) const;
  // About what a picture of the edit takes in a file; with a preview every so many steps (0: none)
  // theirs too.
  uint64_t output_bytes(const EditRequest& request, int64_t preview_every, bool preview_full) const;

 private:
  EditRequest read_source(const EditSettings& settings, Bytes source) const;
  Image read_mask(const EditSettings& settings, Bytes mask, const Image& source) const;
  void add_mask(const EditSettings& settings, Image mask, EditRequest& request) const;
  EditRequest checked(const EditSettings& settings, EditRequest request);
  void take_region(EditRequest& request) const;
  void expect_selection(const EditSettings& settings, const EditRequest& request) const;

  ReadOptions read_;
  const Residency& residency_;
  MemoryCheck memory_;
};

}  // namespace icedit
