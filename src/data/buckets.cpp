#include "data/buckets.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "base/error.h"
#include "base/interrupt.h"
#include "base/progress.h"

namespace icedit {
namespace {

// Nothing for a row that cannot be read: the loader reports it when its turn comes.
std::optional<Size> source_size(const EditDataset& dataset, int64_t row) {
  return if_readable([&] {
    const EncodedSample sample = dataset.read(row);
    return picture_size(sample.source, sample.where);
  });
}

}  // namespace

std::vector<Size> bucket_sizes(int size) {
  std::vector<Size> buckets;
  const double pixels = double(size) * size;
  for (int width = kBucketMultiple; width <= 2 * size; width += kBucketMultiple) {
    const int height = int(pixels / width / kBucketMultiple) * kBucketMultiple;
    if (height < kBucketMultiple) break;
    const double ratio = double(width) / height;
    if (ratio <= kMaxBucketRatio && ratio >= 1 / kMaxBucketRatio)
      buckets.push_back({width, height});
  }
  if (buckets.empty())
    throw UsageError(str("train.dataset.condition_size is ", size, ", expected at least ",
                         kBucketMultiple, " pixels with resize: bucket"));
  return buckets;
}

size_t nearest_bucket(const std::vector<Size>& buckets, Size picture) {
  const double wanted = std::log(double(picture.width) / picture.height);
  size_t nearest = 0;
  double least = INFINITY;
  for (size_t i = 0; i < buckets.size(); ++i) {
    const double distance =
        std::abs(std::log(double(buckets[i].width) / buckets[i].height) - wanted);
    if (distance >= least) continue;
    least = distance;
    nearest = i;
  }
  return nearest;
}

std::vector<int32_t> assign_buckets(const EditDataset& dataset, const std::vector<Size>& buckets) {
  std::vector<int32_t> assigned(dataset.size());
  std::vector<int64_t> counts(buckets.size()), unreadable;
  Progress progress("measuring the pictures", dataset.size(), "row");
  for (int64_t row = 0; row < dataset.size(); ++row) {
    throw_if_interrupted();
    if (const auto size = source_size(dataset, row)) {
      assigned[row] = int32_t(nearest_bucket(buckets, *size));
      ++counts[assigned[row]];
    } else {
      unreadable.push_back(row);
    }
    progress.update(row + 1);
  }
  // Where there is most to stand in for them.
  const auto fullest = std::max_element(counts.begin(), counts.end()) - counts.begin();
  for (const int64_t row : unreadable) assigned[row] = int32_t(fullest);
  return assigned;
}

}  // namespace icedit
