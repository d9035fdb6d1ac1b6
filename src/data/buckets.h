#pragma once
// Aspect buckets: pictures keep about their shape, and a micro-batch has pictures of one shape.
#include <vector>

#include "data/dataset.h"

namespace icedit {

constexpr int kBucketMultiple = 16;      // pixels of a token: 8 of the VAE, 2 of the packing
constexpr double kMaxBucketRatio = 2.0;  // of the longer side to the shorter

// Sizes whose sides are multiples of kBucketMultiple, of at most size^2 pixels and as near to it as
// that allows, from 1:2 to 2:1; by width. Throws UsageError when `size` is too small for one.
std::vector<Size> bucket_sizes(int size);

// The bucket whose ratio is nearest, measured by its logarithm.
size_t nearest_bucket(const std::vector<Size>& buckets, Size picture);

// Every row's bucket, by its source's size as the headers say. Reads all rows once, in order, with
// progress on stderr; a row that cannot be read goes to the fullest one.
std::vector<int32_t> assign_buckets(const EditDataset& dataset, const std::vector<Size>& buckets);

}  // namespace icedit
