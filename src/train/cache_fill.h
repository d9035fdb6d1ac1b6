#pragma once
// Everything that training will ask of the frozen encoders, asked for beforehand, so that they need
// not stay in memory.
#include "data/loader.h"
#include "dist/group.h"
#include "train/conditioning.h"

namespace icedit {

// Puts every readable pair of the data and every prompt that may be drawn for it through the
// conditioner, shows progress, and lets go of the encoders. With a cache on disk the ranks share
// the work. Nothing is done where an earlier run has done it, and where it is not `worth_it`, the
// run being too short. Throws Interrupted, PeerError.
void fill_cache(Conditioner& conditioner, const EditDataset& dataset, const Loader& loader,
                Group& group, bool worth_it);

}  // namespace icedit
