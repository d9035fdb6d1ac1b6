// EXIF blocks, written by libexif.
#include <libexif/exif-data.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <nlohmann/json.hpp>
#include <vector>

#include "io/exif.h"
#include "io/utf8.h"

namespace icedit {
namespace {

using std::literals::operator""sv;

constexpr std::string_view kHeader = "Exif\0\0"sv;  // libexif wants and writes it
constexpr size_t kLargestExif = 1 << 20;

using ExifBlock = std::unique_ptr<ExifData, decltype(&exif_data_unref)>;

// Beside thumbnail and directories of other kinds: what is the maker's, of an editor, a second copy
// of something, or no longer true.
constexpr std::array kDropped = {
    EXIF_TAG_MAKER_NOTE,        EXIF_TAG_USER_COMMENT,         EXIF_TAG_IMAGE_DESCRIPTION,
    EXIF_TAG_SOFTWARE,          EXIF_TAG_ORIENTATION,          EXIF_TAG_XML_PACKET,
    EXIF_TAG_IPTC_NAA,          EXIF_TAG_IMAGE_RESOURCES,      EXIF_TAG_SUB_IFDS,
    EXIF_TAG_PIXEL_X_DIMENSION, EXIF_TAG_PIXEL_Y_DIMENSION,    EXIF_TAG_IMAGE_WIDTH,
    EXIF_TAG_IMAGE_LENGTH,      EXIF_TAG_INTER_COLOR_PROFILE,  EXIF_TAG_XP_TITLE,
    EXIF_TAG_XP_COMMENT,        EXIF_TAG_PRINT_IMAGE_MATCHING, EXIF_TAG_PADDING};

bool is_kept(ExifTag tag) {
  return std::find(kDropped.begin(), kDropped.end(), tag) == kDropped.end();
}

void set(ExifData* data, ExifIfd directory, ExifTag tag, ExifFormat format, std::string_view value,
         size_t components) {
  ExifMem* memory = exif_mem_new_default();
  ExifEntry* entry = exif_entry_new_mem(memory);
  entry->data =
      static_cast<unsigned char*>(exif_mem_alloc(memory, static_cast<ExifLong>(value.size())));
  if (entry->data == nullptr) throw std::bad_alloc();
  std::memcpy(entry->data, value.data(), value.size());
  entry->size = static_cast<unsigned>(value.size());
  entry->components = components;
  entry->tag = tag;
  entry->format = format;
  exif_content_add_entry(data->ifd[directory], entry);
  exif_entry_unref(entry);
  exif_mem_unref(memory);
}

void set_text(ExifData* data, ExifTag tag, const PictureText& text, const char* key) {
  const auto found = text.find(key);
  if (found == text.end()) return;
  const std::string value = utf8_without_nul(found->second) + '\0';
  set(data, EXIF_IFD_0, tag, EXIF_FORMAT_ASCII, value, value.size());
}

std::string saved(ExifData* data) {
  unsigned char* bytes = nullptr;
  unsigned size = 0;
  exif_data_save_data(data, &bytes, &size);
  const std::unique_ptr<unsigned char, decltype(&std::free)> owner(bytes, &std::free);
  if (size <= kHeader.size()) return {};
  return {reinterpret_cast<const char*>(bytes) + kHeader.size(), size - kHeader.size()};
}

ExifBlock new_block() {
  ExifBlock data(exif_data_new(), &exif_data_unref);
  if (!data) throw std::bad_alloc();
  exif_data_unset_option(data.get(), EXIF_DATA_OPTION_FOLLOW_SPECIFICATION);
  exif_data_set_byte_order(data.get(), EXIF_BYTE_ORDER_INTEL);
  return data;
}

ExifBlock loaded(std::string_view tiff) {
  ExifBlock data = new_block();
  if (tiff.empty()) return data;
  const std::string whole = std::string(kHeader) + std::string(tiff);
  exif_data_load_data(data.get(), reinterpret_cast<const unsigned char*>(whole.data()),
                      static_cast<unsigned>(whole.size()));
  return data;
}

}  // namespace

std::string photo_exif(Bytes tiff, bool keep_location) {
  std::string_view block = as_text(tiff);
  while (block.starts_with(kHeader)) block.remove_prefix(kHeader.size());
  if (block.empty() || block.size() > kLargestExif) return {};
  const ExifBlock photo = loaded(block), kept = new_block();
  exif_data_set_byte_order(kept.get(), exif_data_get_byte_order(photo.get()));
  std::vector<ExifIfd> directories = {EXIF_IFD_0, EXIF_IFD_EXIF};
  if (keep_location) directories.push_back(EXIF_IFD_GPS);
  size_t entries = 0;
  for (const ExifIfd directory : directories) {
    const ExifContent* from = photo->ifd[directory];
    for (size_t i = 0; i < from->count; ++i) {
      const ExifEntry& e = *from->entries[i];
      if (!is_kept(e.tag) || e.data == nullptr) continue;
      const std::string_view value(reinterpret_cast<const char*>(e.data), e.size);
      set(kept.get(), directory, e.tag, e.format, value, e.components);
      ++entries;
    }
  }
  return entries == 0 ? std::string() : saved(kept.get());
}

std::string make_exif(const PictureText& text, const std::string& photo) {
  if (text.empty()) return photo;
  nlohmann::json json = nlohmann::json::object();
  for (const auto& [key, value] : text) json[utf8_without_nul(key)] = utf8_without_nul(value);
  const std::string comment = std::string(kAsciiCode) + json.dump(-1, ' ', /*ensure_ascii=*/true);
  const ExifBlock data = loaded(photo);
  set_text(data.get(), EXIF_TAG_IMAGE_DESCRIPTION, text, "Description");
  set_text(data.get(), EXIF_TAG_SOFTWARE, text, "Software");
  set(data.get(), EXIF_IFD_EXIF, EXIF_TAG_USER_COMMENT, EXIF_FORMAT_UNDEFINED, comment,
      comment.size());
  return saved(data.get());
}

}  // namespace icedit
