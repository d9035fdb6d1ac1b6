#pragma once
// A photo's own detail, kept through an edit that was made at the model's size: the edit is laid
// over its source, what it meant to change is told from what the VAE and the sampling did to every
// pixel, and only that is done to the original. docs/photographs.md has the method.
#include <functional>

#include "io/resize.h"

namespace icedit {

struct DetailInput {
  const Image& original;        // RGB, of any size
  const Image& source;          // RGB, the original at the model's size
  const Image& reconstruction;  // the source through the VAE and back
  const Image& edit;            // what the model made of it
  const Image* mask = nullptr;  // white: may change; of the original's size
};

struct DetailOptions {
  double tolerance = 1;  // what counts as noise, times this: more is kept, or less
  int feather = 0;       // pixels of the original over which the mask's edge is blended
  int threads = 1;
  // Called on this thread with the share that is done, some 20 times; may throw to cancel.
  std::function<void(double)> on_progress;
};

struct DetailFigures {
  // How the edit lay: a point x of the source, from its centre, was found at zoom * x + shift, in
  // pixels of the model.
  double shift_x = 0, shift_y = 0, zoom = 1;
  double bend = 0;                           // mean further displacement, in pixels of the model
  double kept = 0, colour = 0, content = 0;  // percent of the picture
};

inline constexpr uint8_t kKept = 0, kColour = 128, kContent = 255;

struct DetailedEdit {
  Image image;  // of the original's size; where nothing was meant to change its pixels
  Image map;    // of the model's size, 1 channel: kKept, kColour, kContent
  DetailFigures figures;
};

// No result hangs on the number of threads. Throws UsageError for sizes that do not go together.
DetailedEdit keep_detail(const DetailInput& input, const DetailOptions& options = {});

}  // namespace icedit
