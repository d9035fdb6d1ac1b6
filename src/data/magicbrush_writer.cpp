#include "data/magicbrush_writer.h"

#include <arrow/api.h>
#include <arrow/io/interfaces.h>
#include <parquet/arrow/writer.h>

#include <exception>
#include <nlohmann/json.hpp>

#include "base/error.h"
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

}  // namespace

struct MagicBrushWriter::Impl {
  Path file;
  StreamSink sink;
  std::shared_ptr<arrow::Schema> schema;
  std::unique_ptr<parquet::arrow::FileWriter> writer;
  std::unique_ptr<arrow::RecordBatchBuilder> builder;
  size_t bytes = 0;  // in the builder
  int64_t in_group = 0, rows = 0;

  Impl(const Path& f, std::ostream& out, bool with_task)
      : file(f), sink(out), schema(schema_of(with_task)) {}

  void expect(const arrow::Status& status) const {
    if (status.ok()) return;
    sink.rethrow();
    throw IoError(str(file.string(), ": Parquet cannot be written: ", status.message()));
  }

  void text(int column, const std::string& value) {
    expect(builder->GetFieldAs<arrow::StringBuilder>(column)->Append(value));
  }

  void picture(int column, Bytes picture_bytes, const std::string& name) {
    auto* cell = builder->GetFieldAs<arrow::StructBuilder>(column);
    expect(cell->Append());
    expect(static_cast<arrow::BinaryBuilder*>(cell->field_builder(0))
               ->Append(reinterpret_cast<const uint8_t*>(picture_bytes.data()),
                        int32_t(picture_bytes.size())));
    expect(
        static_cast<arrow::StringBuilder*>(cell->field_builder(1))->Append(utf8_without_nul(name)));
    bytes += picture_bytes.size();
  }

  void write_group() {
    if (in_group == 0) return;
    const auto batch = builder->Flush();
    expect(batch.status());
    const auto table = arrow::Table::FromRecordBatches({*batch});
    expect(table.status());
    expect(writer->WriteTable(**table, in_group));
    in_group = 0;
    bytes = 0;
  }
};

MagicBrushWriter::MagicBrushWriter(const Path& file, std::ostream& out, bool with_task)
    : impl_(std::make_unique<Impl>(file, out, with_task)) {
  Impl& im = *impl_;
  // The Arrow schema goes along, so that pyarrow finds the same types again.
  const auto arrow_properties = parquet::ArrowWriterProperties::Builder().store_schema()->build();
  // The sink is a member, not Arrow's: a shared_ptr that does not own it.
  const std::shared_ptr<StreamSink> sink(&im.sink, [](StreamSink*) {});
  auto writer = parquet::arrow::FileWriter::Open(*im.schema, arrow::default_memory_pool(), sink,
                                                 parquet_properties(), arrow_properties);
  im.expect(writer.status());
  im.writer = std::move(*writer);
  auto builder = arrow::RecordBatchBuilder::Make(im.schema, arrow::default_memory_pool());
  im.expect(builder.status());
  im.builder = std::move(*builder);
}

MagicBrushWriter::~MagicBrushWriter() = default;

void MagicBrushWriter::add(const EncodedSample& sample) {
  Impl& im = *impl_;
  for (const std::string& instruction : sample.instructions) {
    im.text(0, utf8_without_nul(sample.name));
    im.expect(im.builder->GetFieldAs<arrow::Int32Builder>(1)->Append(1));
    im.picture(2, sample.source, sample.source_file);
    im.text(3, instruction);
    im.picture(4, sample.target, sample.target_file);
    if (im.schema->num_fields() > 5) im.text(5, utf8_without_nul(sample.task));
    ++im.rows;
    if (++im.in_group == kGroupRows || im.bytes >= kGroupBytes) im.write_group();
  }
}

int64_t MagicBrushWriter::finish() {
  impl_->write_group();
  impl_->expect(impl_->writer->Close());
  return impl_->rows;
}

}  // namespace icedit
