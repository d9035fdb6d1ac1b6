// What of a photo's EXIF goes along with its edit, in every format.
#include <gtest/gtest.h>

#include <map>

#include "io/exif.h"
#include "io/image.h"
#include "io/picture_goldens.h"

namespace icedit {
namespace {

using std::literals::operator""s;

// Big-endian TIFF with the directories that a camera writes: IFD0, EXIF, GPS, and IFD1 with a
// thumbnail.
class CameraExif {
 public:
  std::string block() {
    const std::string exif_ifd = "EXIFPTR!", gps_ifd = "GPSPTR!!";
    out_ = "MM\0*\0\0\0\x08"s;
    const std::vector<Field> exif = {ascii(0x9003, "2026:11:26 13:00:00"),
                                     rational(0x829a, 1, 250),
                                     {0x927c, 7, 600, std::string(600, 'M')},
                                     {0x9286, 7, 13, "ASCII\0\0\0hello"s},
                                     number(0xa002, 4000)};
    const std::vector<Field> gps = {ascii(0x0001, "N"), rational(0x0002, 52, 1)};
    std::vector<Field> first = {ascii(0x010e, "my old caption"),
                                ascii(0x010f, "Maker"),
                                ascii(0x0110, "Model 1"),
                                short_number(0x0112, 6),
                                ascii(0x0131, "Firmware 2"),
                                number(0x8769, 0),
                                number(0x8825, 0)};
    const size_t first_end = 8 + size_of(first);
    first[5] = number(0x8769, uint32_t(first_end));
    first[6] = number(0x8825, uint32_t(first_end + size_of(exif)));
    const size_t second = first_end + size_of(exif) + size_of(gps);
    directory(first, uint32_t(second));
    directory(exif, 0);
    directory(gps, 0);
    const uint32_t thumbnail = uint32_t(second + 2 + 2 * 12 + 4);
    directory({number(0x0201, thumbnail), number(0x0202, 100)}, 0);
    return out_ + "\xff\xd8"s + std::string(98, 'T');
  }

 private:
  struct Field {
    uint16_t tag, type;
    uint32_t count;
    std::string value;
  };
  static std::string big(uint32_t value, int size) {
    std::string bytes;
    for (int i = size - 1; i >= 0; --i) bytes += char(value >> (8 * i) & 0xff);
    return bytes;
  }
  static Field ascii(uint16_t tag, const std::string& text) {
    return {tag, 2, uint32_t(text.size() + 1), text + '\0'};
  }
  static Field number(uint16_t tag, uint32_t value) { return {tag, 4, 1, big(value, 4)}; }
  static Field short_number(uint16_t tag, uint32_t value) { return {tag, 3, 1, big(value, 2)}; }
  static Field rational(uint16_t tag, uint32_t a, uint32_t b) {
    return {tag, 5, 1, big(a, 4) + big(b, 4)};
  }
  static size_t padded(size_t size) { return size <= 4 ? 0 : size + size % 2; }
  static size_t size_of(const std::vector<Field>& fields) {
    size_t size = 2 + 12 * fields.size() + 4;
    for (const Field& f : fields) size += padded(f.value.size());
    return size;
  }
  void directory(const std::vector<Field>& fields, uint32_t next) {
    std::string entries = big(uint32_t(fields.size()), 2), values;
    const size_t begin = out_.size() + 2 + 12 * fields.size() + 4;
    for (const Field& f : fields) {
      entries += big(f.tag, 2) + big(f.type, 2) + big(f.count, 4);
      if (f.value.size() <= 4) {
        entries += f.value + std::string(4 - f.value.size(), '\0');
      } else {
        entries += big(uint32_t(begin + values.size()), 4);
        values += f.value + std::string(f.value.size() % 2, '\0');
      }
    }
    out_ += entries + big(next, 4) + values;
  }

  std::string out_;
};

bool holds(const std::string& block, const std::string& what) {
  return block.find(what) != block.npos;
}

// Any tag in any directory, by its two bytes and a type that fits: enough to see that it is gone.
bool names_tag(const std::string& block, uint16_t tag) {
  for (const std::string& entry : {std::string{char(tag >> 8), char(tag & 0xff)},
                                   std::string{char(tag & 0xff), char(tag >> 8)}}) {
    if (holds(block, entry)) return true;
  }
  return false;
}

TEST(PhotoExif, KeepsDateAndCameraAndNothingElse) {
  const std::string camera = CameraExif().block();
  ASSERT_EQ(exif_orientation(as_bytes(camera)), 6);
  const std::string kept = photo_exif(as_bytes(camera), /*keep_location=*/false);
  for (const char* stays : {"2026:11:26 13:00:00", "Maker", "Model 1"})
    EXPECT_TRUE(holds(kept, stays)) << stays;
  for (const char* goes : {"MMMM", "TTTT", "hello", "my old caption", "Firmware"})
    EXPECT_FALSE(holds(kept, goes)) << goes;
  EXPECT_FALSE(names_tag(kept, 0x8825)) << "a directory of places";
  EXPECT_EQ(exif_orientation(as_bytes(kept)), 0);
  EXPECT_TRUE(names_tag(photo_exif(as_bytes(camera), /*keep_location=*/true), 0x8825));
}

TEST(PhotoExif, IsNothingWhereThereIsNone) {
  EXPECT_EQ(photo_exif({}, true), "");
  for (const std::string& bad : {"II*\0"s, "Exif\0\0"s, "MM\0*\xff\xff\xff\xff"s, "nonsense"s})
    EXPECT_EQ(photo_exif(as_bytes(bad), true), "") << bad;
  const std::string camera = CameraExif().block();
  for (size_t size = 0; size < camera.size(); size += 7)
    photo_exif(as_bytes(camera.substr(0, size)), true);
}

class PhotoExifIn : public ::testing::TestWithParam<ImageFormat> {};

TEST_P(PhotoExifIn, GoesAlongWithTheRecipe) {
  const Image picture = test_picture(12, 9, 3);
  const std::string photo = photo_exif(as_bytes(CameraExif().block()), false);
  const PictureText text = {{"Description", "make it winter"}, {"icedit", "{}"}};
  const std::string file = encode_image(picture, GetParam(), text, 95, {}, photo);
  EXPECT_EQ(read_picture_text(as_bytes(file), "x"), text);
  const std::string back = read_photo_exif(as_bytes(file), "x", true);
  EXPECT_TRUE(holds(back, "2026:11:26 13:00:00"));
  EXPECT_TRUE(holds(back, "Model 1"));
  EXPECT_FALSE(holds(back, "make it winter")) << "a caption is of one picture";
  // Without a recipe as well.
  const std::string bare = encode_image(picture, GetParam(), {}, 95, {}, photo);
  EXPECT_TRUE(holds(read_photo_exif(as_bytes(bare), "x", true), "Maker"));
  EXPECT_EQ(read_photo_exif(as_bytes(encode_image(picture, GetParam())), "x", true), "");
}

INSTANTIATE_TEST_SUITE_P(Formats, PhotoExifIn,
                         ::testing::Values(ImageFormat::kPng, ImageFormat::kJpeg,
                                           ImageFormat::kWebp));

}  // namespace
}  // namespace icedit
