#include "data/parquet.h"

#include <arrow/api.h>

#include <algorithm>
#include <future>
#include <list>
#include <mutex>
#include <semaphore>

#include "base/error.h"
#include "data/listing.h"
#include "data/parquet_file.h"
#include "data/parquet_values.h"
#include "data/rows.h"

namespace icedit {

struct ParquetRow::Group {
  std::vector<Column> columns;
  std::vector<Chunks> values;
  size_t bytes = 0;
  std::string damaged;  // why there are no values: kept, so that its other rows do not try again

  // The piece of the column that holds the row, and the row's number in it; nullptr for a missing
  // column.
  std::pair<const arrow::Array*, int64_t> find(size_t column, int64_t row) const {
    for (const auto& chunk : values.at(column)) {
      if (row < chunk->length()) return {chunk.get(), row};
      row -= chunk->length();
    }
    return {nullptr, 0};
  }

  // get(array, row); nothing where there is no value.
  template <class Get>
  auto value(size_t column, int64_t row, Get get) const {
    const auto [array, at] = find(column, row);
    return array ? get(*array, at) : std::nullopt;
  }

  // The same, or an error that names the column.
  template <class Get>
  auto value(size_t column, int64_t row, const std::string& where, Get get) const {
    if (auto found = value(column, row, get)) return std::move(*found);
    throw DataError(str(where, ": column '", columns.at(column).name, "' has no value"));
  }
};

Bytes ParquetRow::picture(size_t column) const {
  const auto file = files_.find(column);
  return std::as_bytes(std::span<const char>(
      file != files_.end() ? std::string_view(file->second)
                           : group_->value(column, row_, where_, picture_at)));
}

std::string ParquetRow::text(size_t column) const {
  return std::string(group_->value(column, row_, where_, text_at));
}

std::vector<std::string> ParquetRow::texts(size_t column) const {
  return group_->value(column, row_, where_, texts_at);
}

bool ParquetRow::has(size_t column) const {
  const auto [array, at] = group_->find(column, row_);
  return array && !array->IsNull(at);
}

namespace {

std::string picture_file(const std::string& where, const Path& folder, const std::string& path) {
  const Path file = in_either_form(folder / path);
  std::error_code ignored;
  if (std::filesystem::is_regular_file(file, ignored)) return read_file(file);
  throw NoInputError(
      str(where, " has the path '", path, "' and no bytes, and there is no file ", file.string(),
          "; put it there, or write the pictures themselves into the table: ds.with_format('arrow')"
          ".map(datasets.table.embed_table_storage, batched=True)"));
}

class LoadPermit {
 public:
  explicit LoadPermit(std::counting_semaphore<>& permits) : permits_(permits) {
    permits_.acquire();
  }
  ~LoadPermit() { permits_.release(); }
  LoadPermit(const LoadPermit&) = delete;
  LoadPermit& operator=(const LoadPermit&) = delete;

 private:
  std::counting_semaphore<>& permits_;
};

}  // namespace

struct ParquetTable::Impl {
  using Group = ParquetRow::Group;
  using Loading = std::shared_future<std::shared_ptr<const Group>>;

  struct File {
    Path path;
    std::vector<int64_t> group_rows;
  };
  struct GroupPlace {
    size_t file = 0;
    int group = 0;
    int64_t first_in_file = 0;
  };
  struct Kept {
    size_t group;  // in `groups`
    Loading loading;
    size_t bytes = 0;  // 0 until it is there
  };

  std::vector<File> files;
  std::vector<Column> columns;
  std::vector<GroupPlace> groups;
  std::vector<int64_t> first_rows;  // of every group, then the number of rows
  size_t cache_bytes = 0;

  std::mutex mutex;
  std::list<Kept> kept;  // the last used first
  size_t bytes = 0;
  int64_t groups_read = 0;
  mutable std::counting_semaphore<> loads{2};  // at once: each takes twice its row group's bytes

  void add(const Path& path);
  std::shared_ptr<const Group> load(size_t group) const;
  std::shared_ptr<const Group> get(size_t group);
  void shrink();
  size_t group_of(int64_t row) const;
};

void ParquetTable::Impl::add(const Path& path) {
  const ParquetFile file(path);
  file.check(columns);
  files.push_back({path, file.group_rows()});
  int64_t first_in_file = 0;
  for (size_t group = 0; group < files.back().group_rows.size(); ++group) {
    const int64_t rows = files.back().group_rows[group];
    if (rows > 0) {
      groups.push_back({files.size() - 1, int(group), first_in_file});
      first_rows.push_back(first_rows.back() + rows);
    }
    first_in_file += rows;
  }
}

size_t ParquetTable::Impl::group_of(int64_t row) const {
  return size_t(std::upper_bound(first_rows.begin(), first_rows.end(), row) - first_rows.begin()) -
         1;
}

// Opens the file anew: thousands of files cannot all stay open, and a footer is small beside a row
// group.
std::shared_ptr<const ParquetRow::Group> ParquetTable::Impl::load(size_t number) const {
  const LoadPermit permit(loads);
  const GroupPlace& place = groups[number];
  const File& known = files[place.file];
  const ParquetFile file(known.path);
  if (file.group_rows() != known.group_rows)
    throw DataError(str(known.path.string(), ": the file has changed since the run began"));
  auto group = std::make_shared<Group>();
  group->columns = columns;
  auto values =
      if_readable([&] { return file.read(place.group, columns, &group->bytes); }, &group->damaged);
  if (values)
    group->values = std::move(*values);
  else
    group->bytes = 0;
  return group;
}

void ParquetTable::Impl::shrink() {
  for (auto it = kept.end(); bytes > cache_bytes && it != kept.begin();) {
    --it;
    if (it == kept.begin() || it->bytes == 0) continue;  // the newest stays; one on its way, too
    bytes -= it->bytes;
    it = kept.erase(it);
  }
}

std::shared_ptr<const ParquetRow::Group> ParquetTable::Impl::get(size_t group) {
  std::promise<std::shared_ptr<const Group>> promise;
  std::unique_lock lock(mutex);
  for (auto it = kept.begin(); it != kept.end(); ++it) {
    if (it->group != group) continue;
    kept.splice(kept.begin(), kept, it);
    const Loading loading = it->loading;
    lock.unlock();
    return loading.get();  // perhaps another thread is still at it
  }
  kept.push_front({group, promise.get_future().share()});
  const auto mine = kept.begin();
  lock.unlock();
  try {
    const auto loaded = load(group);
    promise.set_value(loaded);
    lock.lock();
    mine->bytes = std::max<size_t>(loaded->bytes, 1);
    bytes += mine->bytes;
    ++groups_read;
    shrink();
    return loaded;
  } catch (...) {
    promise.set_exception(std::current_exception());
    if (!lock.owns_lock()) lock.lock();
    kept.erase(mine);  // the next one tries again
    throw;
  }
}

ParquetTable::ParquetTable(std::vector<Path> files, std::vector<Column> columns, size_t cache_bytes)
    : impl_(std::make_unique<Impl>()) {
  impl_->columns = std::move(columns);
  impl_->cache_bytes = cache_bytes;
  impl_->first_rows = {0};
  for (const Path& path : files) impl_->add(path);
}

ParquetTable::~ParquetTable() = default;
ParquetTable::ParquetTable(ParquetTable&&) noexcept = default;

int64_t ParquetTable::rows() const {
  return impl_->first_rows.back();
}

ParquetRow ParquetTable::read(int64_t row) const {
  if (row < 0 || row >= rows()) throw std::out_of_range(str("row ", row, " of ", rows()));
  const size_t group = impl_->group_of(row);
  ParquetRow found;
  found.where_ = where(row);
  found.row_ = row - impl_->first_rows[group];
  found.group_ = impl_->get(group);
  if (!found.group_->damaged.empty()) throw DataError(found.group_->damaged);
  for (size_t column = 0; column < impl_->columns.size(); ++column)
    if (impl_->columns[column].kind == ColumnKind::kPicture)
      if (const auto path = found.group_->value(column, found.row_, picture_path_at))
        found.files_[column] =
            picture_file(str(found.where_, ": column '", impl_->columns[column].name, "'"),
                         place(row).first.parent_path(), std::string(*path));
  return found;
}

std::vector<std::string> ParquetTable::text_column(const std::string& name) const {
  const std::vector<Column> wanted = {{name, ColumnKind::kText, /*optional=*/true}};
  std::vector<std::string> texts;
  for (const Impl::File& known : impl_->files) {
    const ParquetFile file(known.path);
    for (int group = 0; group < int(known.group_rows.size()); ++group) {
      const size_t end = texts.size() + size_t(known.group_rows[size_t(group)]);
      size_t bytes = 0;
      const std::vector<Chunks> values = file.read(group, wanted, &bytes);
      for (const auto& chunk : values[0])
        for (int64_t row = 0; row < chunk->length(); ++row)
          texts.emplace_back(text_at(*chunk, row).value_or(""));
      texts.resize(end);
    }
  }
  if (std::all_of(texts.begin(), texts.end(), [](const auto& text) { return text.empty(); }))
    texts.clear();
  return texts;
}

std::pair<Path, int64_t> ParquetTable::place(int64_t row) const {
  const size_t group = impl_->group_of(row);
  const Impl::GroupPlace& place = impl_->groups.at(group);
  return {impl_->files[place.file].path, place.first_in_file + row - impl_->first_rows[group]};
}

std::string ParquetTable::where(int64_t row) const {
  const auto [path, number] = place(row);
  return str(path.string(), ": row ", number);
}

size_t ParquetTable::cached_bytes() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->bytes;
}

int64_t ParquetTable::groups_read() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->groups_read;
}

}  // namespace icedit
