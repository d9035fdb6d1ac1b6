#include "data/pack.h"

#include <arrow/api.h>
#include <arrow/io/interfaces.h>
#include <parquet/arrow/writer.h>

#include <exception>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/log.h"
#include "base/progress.h"
#include "data/scan.h"
#include "io/utf8.h"

namespace icedit {
namespace {

constexpr size_t kGroupBytes = size_t{64} << 20;
constexpr int64_t kGroupRows = 100;  // as the published sets have it

// Arrow's way to a std::ostream. What the stream throws is kept and thrown again outside of Arrow.
class StreamSink : public arrow::io::OutputStream {
 public:
  explicit StreamSink(std::ostream& out) : out_(out) { set_mode(arrow::io::FileMode::WRITE); }

  arrow::Status Write(const void* data, int64_t size) override {
    if (error_) return arrow::Status::IOError("failed before");
    try {
      out_.write(static_cast<const char*>(data), size);
    } catch (...) {
      error_ = std::current_exception();
      return arrow::Status::IOError("the stream refuses");
    }
    written_ += size;
    return arrow::Status::OK();
  }
  arrow::Result<int64_t> Tell() const override { return written_; }
  arrow::Status Close() override {
    closed_ = true;
    return arrow::Status::OK();
  }
  bool closed() const override { return closed_; }
  void rethrow() const {
    if (error_) std::rethrow_exception(error_);
  }

 private:
  std::ostream& out_;
  int64_t written_ = 0;
  bool closed_ = false;
  std::exception_ptr error_;
};

// What the datasets library reads its features from.
std::string features_json(const arrow::Schema& schema) {
  nlohmann::json features = nlohmann::json::object();
  for (const auto& field : schema.fields()) {
    if (field->type()->id() == arrow::Type::STRUCT)
      features[field->name()] = {{"_type", "Image"}};
    else
      features[field->name()] = {{"dtype", field->type()->ToString()}, {"_type", "Value"}};
  }
  return nlohmann::json{{"info", {{"features", features}}}}.dump();
}

std::shared_ptr<arrow::Schema> schema_of(bool with_task) {
  const auto picture =
      arrow::struct_({arrow::field("bytes", arrow::binary()), arrow::field("path", arrow::utf8())});
  arrow::FieldVector fields = {
      arrow::field("img_id", arrow::utf8()), arrow::field("turn_index", arrow::int32()),
      arrow::field("source_img", picture), arrow::field("instruction", arrow::utf8()),
      arrow::field("target_img", picture)};
  if (with_task) fields.push_back(arrow::field("task", arrow::utf8()));
  const auto schema = arrow::schema(fields);
  return schema->WithMetadata(arrow::key_value_metadata({"huggingface"}, {features_json(*schema)}));
}

// Pictures are compressed already.
std::shared_ptr<parquet::WriterProperties> parquet_properties() {
  parquet::WriterProperties::Builder properties;
  properties.disable_dictionary()->disable_statistics()->enable_page_checksum();
  return properties.build();
}

class MagicBrushWriter {
 public:
  // `file`: for errors. `out` outlives the writer.
  MagicBrushWriter(const Path& file, std::ostream& out, bool with_task)
      : file_(file), sink_(out), schema_(schema_of(with_task)) {
    // The Arrow schema goes along, so that pyarrow finds the same types again.
    const auto arrow_properties = parquet::ArrowWriterProperties::Builder().store_schema()->build();
    // The sink is a member, not Arrow's: a shared_ptr that does not own it.
    const std::shared_ptr<StreamSink> sink(&sink_, [](StreamSink*) {});
    writer_ = value(parquet::arrow::FileWriter::Open(*schema_, arrow::default_memory_pool(), sink,
                                                     parquet_properties(), arrow_properties));
    builder_ = value(arrow::RecordBatchBuilder::Make(schema_, arrow::default_memory_pool()));
  }

  // A row for each instruction; the bytes are copied. Throws IoError.
  void add(const EncodedSample& sample) {
    for (const std::string& instruction : sample.instructions) {
      text(0, utf8_without_nul(sample.name));
      expect(builder_->GetFieldAs<arrow::Int32Builder>(1)->Append(1));
      picture(2, sample.source, sample.source_file);
      text(3, instruction);
      picture(4, sample.target, sample.target_file);
      if (schema_->num_fields() > 5) text(5, utf8_without_nul(sample.task));
      ++rows_;
      if (++in_group_ == kGroupRows || bytes_ >= kGroupBytes) write_group();
    }
  }

  // Writes what is left and the footer; returns the number of rows.
  int64_t finish() {
    write_group();
    expect(writer_->Close());
    return rows_;
  }

 private:
  void expect(const arrow::Status& status) const {
    if (status.ok()) return;
    sink_.rethrow();
    throw IoError(str(file_.string(), ": Parquet cannot be written: ", status.message()));
  }

  template <class T>
  T value(arrow::Result<T> result) const {
    expect(result.status());
    return std::move(*result);
  }

  void text(int column, const std::string& value) {
    expect(builder_->GetFieldAs<arrow::StringBuilder>(column)->Append(value));
  }

  void picture(int column, Bytes picture_bytes, const std::string& name) {
    auto* cell = builder_->GetFieldAs<arrow::StructBuilder>(column);
    expect(cell->Append());
    expect(static_cast<arrow::BinaryBuilder*>(cell->field_builder(0))
               ->Append(reinterpret_cast<const uint8_t*>(picture_bytes.data()),
                        int32_t(picture_bytes.size())));
    expect(
        static_cast<arrow::StringBuilder*>(cell->field_builder(1))->Append(utf8_without_nul(name)));
    bytes_ += picture_bytes.size();
  }

  void write_group() {
    if (in_group_ == 0) return;
    const auto batch = value(builder_->Flush());
    expect(writer_->WriteTable(*value(arrow::Table::FromRecordBatches({batch})), in_group_));
    in_group_ = 0;
    bytes_ = 0;
  }

  Path file_;
  StreamSink sink_;
  std::shared_ptr<arrow::Schema> schema_;
  std::unique_ptr<parquet::arrow::FileWriter> writer_;
  std::unique_ptr<arrow::RecordBatchBuilder> builder_;
  size_t bytes_ = 0;  // in the builder
  int64_t in_group_ = 0, rows_ = 0;
};

// Its pictures were decoded once.
EncodedSample good_row(const EditRows& rows, int64_t row) {
  EncodedSample sample = rows.read(row);
  decode(sample);
  return sample;
}

}  // namespace

PackResult pack_rows(const EditRows& rows, const Path& file, int threads) {
  PackResult result;
  const bool with_task = !rows.tasks().empty();
  write_atomically(file, [&](std::ostream& out) {
    MagicBrushWriter writer(file, out, with_task);
    Progress progress("packing", rows.size(), "pair");
    const auto read = [&](int64_t row) { return if_readable([&] { return good_row(rows, row); }); };
    const auto take = [&](int64_t row, const Readable<EncodedSample>& sample) {
      progress.update(row + 1);
      if (sample) return writer.add(*sample);
      log::warn("a row cannot be read and is left out: " + sample.why_not);
      result.unreadable.push_back({rows.where(row), sample.why_not});
    };
    scan_rows(rows.size(), threads, read, take);
    result.rows = writer.finish();
    if (result.rows == 0)
      throw DataError(str("none of the ", rows.size(), " rows can be read; nothing was written"));
  });
  return result;
}

}  // namespace icedit
