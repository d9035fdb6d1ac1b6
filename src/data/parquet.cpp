#include "data/parquet.h"

#include <algorithm>
#include <future>
#include <list>
#include <mutex>
#include <semaphore>

#include "base/error.h"
#include "data/listing.h"
#include "data/parquet_file.h"
#include "data/rows.h"

namespace icedit {

struct ParquetRow::Group : ParquetGroup {
  std::vector<Column> columns;
  std::string damaged;  // why there are no values: kept, so that its other rows do not try again

  const Cell& cell(size_t column, size_t row) const {
    static const Cell none;
    return row < cells.at(column).size() ? cells[column][row] : none;
  }
};

const std::vector<std::string_view>& ParquetRow::values(size_t column) const {
  const Cell& cell = group_->cell(column, row_);
  if (cell.given) return cell.values;
  throw DataError(str(where_, ": column '", group_->columns[column].name, "' has no value"));
}

Bytes ParquetRow::picture(size_t column) const {
  const auto file = files_.find(column);
  return as_bytes(file != files_.end() ? std::string_view(file->second) : values(column).at(0));
}

std::string ParquetRow::text(size_t column) const {
  return std::string(values(column).at(0));
}

std::vector<std::string> ParquetRow::texts(size_t column) const {
  return {values(column).begin(), values(column).end()};
}

bool ParquetRow::has(size_t column) const {
  return group_->cell(column, row_).given;
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

// How many row groups are loaded at once: each takes twice its bytes.
class Loads {
 public:
  void lock() { permits_.acquire(); }
  void unlock() { permits_.release(); }

 private:
  std::counting_semaphore<> permits_{2};
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
  std::vector<int64_t> first_rows = {0};  // of every group, then the number of rows
  size_t cache_bytes = 0;

  std::mutex mutex;
  std::list<Kept> kept;  // the last used first
  size_t bytes = 0;
  int64_t groups_read = 0;
  mutable Loads loads;

  void add(const Path& path);
  std::shared_ptr<const Group> load(size_t group) const;
  std::shared_ptr<const Group> load_to_keep(size_t group);
  std::shared_ptr<const Group> get(size_t group);
  std::list<Kept>::iterator find(size_t group);
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
  const std::lock_guard permit(loads);
  const GroupPlace& place = groups[number];
  const File& known = files[place.file];
  const ParquetFile file(known.path);
  if (file.group_rows() != known.group_rows)
    throw DataError(str(known.path.string(), ": the file has changed since the run began"));
  auto values = if_readable([&] { return file.read(place.group, columns); });
  if (!values) values.emplace();
  return std::make_shared<Group>(Group{std::move(*values), columns, values.why_not});
}

std::list<ParquetTable::Impl::Kept>::iterator ParquetTable::Impl::find(size_t group) {
  return std::find_if(kept.begin(), kept.end(),
                      [group](const Kept& one) { return one.group == group; });
}

void ParquetTable::Impl::shrink() {
  for (auto it = kept.end(); bytes > cache_bytes && it != kept.begin();) {
    --it;
    if (it == kept.begin() || it->bytes == 0) continue;  // the newest stays; one on its way, too
    bytes -= it->bytes;
    it = kept.erase(it);
  }
}

std::shared_ptr<const ParquetRow::Group> ParquetTable::Impl::load_to_keep(size_t group) {
  try {
    const auto loaded = load(group);
    const std::lock_guard lock(mutex);
    const size_t size = std::max<size_t>(loaded->bytes, 1);
    find(group)->bytes = size;
    bytes += size;
    ++groups_read;
    shrink();
    return loaded;
  } catch (...) {
    const std::lock_guard lock(mutex);
    kept.erase(find(group));  // the next one tries again
    throw;
  }
}

std::shared_ptr<const ParquetRow::Group> ParquetTable::Impl::get(size_t group) {
  std::unique_lock lock(mutex);
  if (const auto known = find(group); known != kept.end())
    kept.splice(kept.begin(), kept, known);
  else
    kept.push_front(
        {group, std::async(std::launch::deferred, [=, this] { return load_to_keep(group); })});
  const Loading loading = kept.front().loading;
  lock.unlock();
  return loading.get();  // the first thread to ask loads it here, the others wait
}

ParquetTable::ParquetTable(std::vector<Path> files, std::vector<Column> columns, size_t cache_bytes)
    : impl_(std::make_unique<Impl>()) {
  impl_->columns = std::move(columns);
  impl_->cache_bytes = cache_bytes;
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
  found.row_ = size_t(row - impl_->first_rows[group]);
  found.group_ = impl_->get(group);
  if (!found.group_->damaged.empty()) throw DataError(found.group_->damaged);
  for (size_t column = 0; column < impl_->columns.size(); ++column)
    if (const Cell& cell = found.group_->cell(column, found.row_); !cell.path.empty())
      found.files_[column] =
          picture_file(str(found.where_, ": column '", impl_->columns[column].name, "'"),
                       place(row).first.parent_path(), std::string(cell.path));
  return found;
}

std::vector<std::string> ParquetTable::text_column(const std::string& name) const {
  const std::vector<Column> wanted = {{name, ColumnKind::kText, /*optional=*/true}};
  std::vector<std::string> texts;
  for (const Impl::File& known : impl_->files) {
    const ParquetFile file(known.path);
    for (int group = 0; group < int(known.group_rows.size()); ++group) {
      const size_t end = texts.size() + size_t(known.group_rows[size_t(group)]);
      const ParquetGroup values = file.read(group, wanted);
      for (const Cell& cell : values.cells[0])
        texts.emplace_back(cell.given ? cell.values.at(0) : "");
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

int64_t ParquetTable::groups_read() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->groups_read;
}

}  // namespace icedit
