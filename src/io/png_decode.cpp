// PNG's pixels and text, by libpng.
#include <png.h>

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "io/exif.h"
#include "io/picture_codecs.h"
#include "io/png_calls.h"
#include "io/utf8.h"

namespace icedit {
namespace {

void on_read(png_structp png, png_bytep to, size_t size) {
  auto* state = static_cast<png::State*>(png_get_io_ptr(png));
  if (size > state->in.size() - state->at) png_error(png, "the file ends too early");
  std::memcpy(to, state->in.data() + state->at, size);
  state->at += size;
}

struct PngChunk {
  std::string_view name, whole;
};

// libpng allocates what a chunk's head says before it looks whether the file has it; so this looks
// first, to the last chunk. 8 bytes signature, then chunks: 4 bytes size, 4 bytes name, data, 4
// bytes checksum. As for Pillow the last chunk, IEND, may be missing, or its end.
std::vector<PngChunk> chunks_of(Bytes bytes, const std::string& where) {
  const std::string_view file = as_text(bytes);
  std::vector<PngChunk> chunks;
  std::string_view rest = file.substr(8);
  for (size_t at = 8; at + 12 <= file.size();) {
    const uint64_t size =
        12 + uint64_t{png_get_uint_32(reinterpret_cast<png_const_bytep>(&file[at]))};
    if (size > file.size() - at) break;
    chunks.push_back({file.substr(at + 4, 4), file.substr(at, size)});
    at += size;
    rest = file.substr(at);
    if (chunks.back().name == "IEND") return chunks;
  }
  if (rest.size() < 8 || rest.substr(4, 4) == "IEND") return chunks;
  throw_damaged(where, "PNG", "it ends before its last chunk");
}

// With the IEND that the file lacks; `made` holds it then.
Bytes with_end(Bytes bytes, const std::vector<PngChunk>& chunks, std::string& made) {
  if (!chunks.empty() && chunks.back().name == "IEND") return bytes;
  made = as_text(bytes).substr(0, 8);
  for (const PngChunk& chunk : chunks) made += chunk.whole;
  made += std::string_view("\0\0\0\0IEND\xae\x42\x60\x82", 12);
  return as_bytes(made);
}

// The same file with the wanted chunks in front of the pixels, and no pixels: what libpng reads as
// header.
std::string without_pixels(Bytes bytes, const std::string& where,
                           std::initializer_list<std::string_view> more) {
  std::string headers(as_text(bytes).substr(0, 8));
  for (const PngChunk& chunk : chunks_of(bytes, where))
    if (chunk.name == "IHDR" || chunk.name == "PLTE" ||
        std::find(more.begin(), more.end(), chunk.name) != more.end())
      headers += chunk.whole;
  return headers + std::string("\0\0\0\0IDAT\x35\xaf\x06\x1e", 12);
}

class PngReader {
 public:
  PngReader(Bytes bytes, const std::string& where) : where_(where) {
    state_.in = bytes;
    png_ = png_create_read_struct(PNG_LIBPNG_VER_STRING, &state_, png::on_error, png::on_warning);
    info_ = png_ ? png_create_info_struct(png_) : nullptr;
    if (!info_) {
      png_destroy_read_struct(&png_, &info_, nullptr);
      throw std::bad_alloc();
    }
    run([&] {
      png_set_read_fn(png_, &state_, on_read);
      png_set_user_limits(png_, PNG_UINT_31_MAX, PNG_UINT_31_MAX);  // check_size has the say
      png_set_chunk_malloc_max(png_, 16 << 20);                     // text, unpacked
      static const png_byte kUnused[] = "iCCP\0sPLT\0hIST\0pCAL\0sCAL";
      png_set_keep_unknown_chunks(png_, PNG_HANDLE_CHUNK_NEVER, kUnused, 5);
    });
  }
  ~PngReader() { png_destroy_read_struct(&png_, &info_, nullptr); }
  PngReader(const PngReader&) = delete;
  PngReader& operator=(const PngReader&) = delete;

  template <class Calls>
  void run(Calls calls) {
    if (!png::guarded(png_, calls)) throw_damaged(where_, "PNG", state_.reason);
  }

  png_structp png() { return png_; }
  png_infop info() { return info_; }

 private:
  std::string where_;
  png::State state_;
  png_structp png_ = nullptr;
  png_infop info_ = nullptr;
};

struct Header {
  png_uint_32 width = 0, height = 0;
  int depth = 0, type = 0;
  bool transparency = false;  // tRNS
};

Header read_header(PngReader& reader) {
  Header h;
  Header* const to = &h;
  reader.run([&reader, to] {
    png_read_info(reader.png(), reader.info());
    png_get_IHDR(reader.png(), reader.info(), &to->width, &to->height, &to->depth, &to->type,
                 nullptr, nullptr, nullptr);
    to->transparency = png_get_valid(reader.png(), reader.info(), PNG_INFO_tRNS);
  });
  return h;
}

// Deflate packs at most 1032 to 1, so a small file that claims a large picture is refused before it
// is allocated.
void check_plausible(const Header& h, int channels, size_t file_size, const std::string& where) {
  const double bytes = double(h.width) * h.height * h.depth * channels / 8;
  if (bytes > 1032.0 * double(file_size))
    throw_damaged(where, "PNG",
                  str("its header says ", h.width, "x", h.height, " pixels, its ", file_size,
                      " bytes cannot hold them"));
}

// Reads the rows as they are (after the transformations set), `bytes` of them in all, and what
// follows them.
std::vector<uint8_t> read_rows(PngReader& reader, const Header& h) {
  size_t row_bytes = 0;
  size_t* const to = &row_bytes;
  reader.run([&reader, to] {
    png_set_interlace_handling(reader.png());
    png_read_update_info(reader.png(), reader.info());
    *to = png_get_rowbytes(reader.png(), reader.info());
  });
  std::vector<uint8_t> pixels(row_bytes * h.height);
  std::vector<uint8_t*> rows(h.height);
  for (size_t y = 0; y < rows.size(); ++y) rows[y] = &pixels[y * row_bytes];
  reader.run([&reader, &rows] {
    png_read_image(reader.png(), rows.data());
    png_read_end(reader.png(), nullptr);
  });
  return pixels;
}

// One byte a pixel to RGB or RGBA. An index that the file's palette lacks is grey of that value, as
// for Pillow.
Image read_palette(PngReader& reader, const Header& h) {
  png_colorp colors = nullptr;
  png_bytep alphas = nullptr;
  int color_count = 0, alpha_count = 0;
  png_get_PLTE(reader.png(), reader.info(), &colors, &color_count);
  if (h.transparency) png_get_tRNS(reader.png(), reader.info(), &alphas, &alpha_count, nullptr);
  uint8_t table[256][4];
  for (int i = 0; i < 256; ++i) {
    const png_color color = i < color_count ? colors[i] : png_color{0, 0, 0};
    const uint8_t alpha = i < alpha_count ? alphas[i] : 255;
    const uint8_t entry[4] = {color.red, color.green, color.blue, alpha};
    std::copy_n(entry, 4, table[i]);
  }
  png_set_packing(reader.png());
  const std::vector<uint8_t> indices = read_rows(reader, h);
  Image image(int(h.width), int(h.height), alpha_count > 0 ? 4 : 3);
  const int channels = image.channels;
  uint8_t* to = image.pixels.data();
  for (const uint8_t index : indices)
    for (int c = 0; c < channels; ++c) *to++ = table[index][c];
  return image;
}

// Pillow's mode I;16 to L: clipped, not scaled.
Image read_grey16_clipped(PngReader& reader, const Header& h) {
  const std::vector<uint8_t> words = read_rows(reader, h);  // big-endian
  Image image(int(h.width), int(h.height), 1);
  for (size_t i = 0; i < image.pixels.size(); ++i)
    image.pixels[i] = words[2 * i] != 0 ? 255 : words[2 * i + 1];
  return image;
}

Image read_direct(PngReader& reader, const Header& h, bool color_key) {
  const bool alpha = color_key || (h.type & PNG_COLOR_MASK_ALPHA);
  reader.run([&reader, &h, color_key, alpha] {
    if (h.type == PNG_COLOR_TYPE_GRAY) png_set_expand_gray_1_2_4_to_8(reader.png());
    if (color_key) png_set_tRNS_to_alpha(reader.png());
    if (h.depth == 16) png_set_strip_16(reader.png());  // the high byte, as Pillow
    if (alpha) png_set_gray_to_rgb(reader.png());
  });
  Image image;
  image.pixels = read_rows(reader, h);
  image.width = int(h.width), image.height = int(h.height);
  image.channels = alpha ? 4 : (h.type & PNG_COLOR_MASK_COLOR) ? 3 : 1;
  if (image.pixels.size() != size_t(h.width) * h.height * image.channels)
    throw std::logic_error("libpng's row size is not the one asked for");
  return image;
}

// "\nexif\n    LENGTH\nHEX...": how ImageMagick kept EXIF before PNG had a chunk for it.
int raw_profile_orientation(std::string_view profile) {
  for (int line = 0; line < 3; ++line) {
    const size_t end = profile.find('\n');
    if (end == profile.npos) return 0;
    profile.remove_prefix(end + 1);
  }
  std::vector<std::byte> bytes;
  int high = -1;
  for (const char c : profile) {
    const int digit = c >= '0' && c <= '9'   ? c - '0'
                      : c >= 'a' && c <= 'f' ? c - 'a' + 10
                      : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                             : -1;
    if (digit < 0) continue;
    if (high >= 0) bytes.push_back(std::byte(high << 4 | digit));
    high = high < 0 ? digit : -1;
  }
  return exif_orientation(bytes);
}

// Calls see(key, text, whether it is UTF-8) for the text chunks of a file.
template <class See>
void each_text(Bytes bytes, const std::string& where, See see) {
  const std::string headers = without_pixels(bytes, where, {"tEXt", "zTXt", "iTXt"});
  PngReader reader(as_bytes(headers), where);
  reader.run([&reader] { png_read_info(reader.png(), reader.info()); });
  png_textp texts = nullptr;
  int count = 0;
  png_get_text(reader.png(), reader.info(), &texts, &count);
  for (int i = 0; i < count; ++i) {
    const bool itxt = texts[i].compression >= PNG_ITXT_COMPRESSION_NONE;
    const size_t size = itxt ? texts[i].itxt_length : texts[i].text_length;
    if (texts[i].key && texts[i].text)
      see(std::string_view(texts[i].key), std::string_view(texts[i].text, size), itxt);
  }
}

// libpng knows no eXIf with "Exif\0\0" in front, as several programs write it.
int orientation(const std::vector<PngChunk>& chunks, Bytes bytes, const std::string& where) {
  bool text = false;
  for (const PngChunk& chunk : chunks) {
    text = text || chunk.name == "tEXt" || chunk.name == "zTXt" || chunk.name == "iTXt";
    if (chunk.name != "eXIf") continue;
    const std::string_view exif = chunk.whole.substr(8, chunk.whole.size() - 12);
    if (const int found = exif_orientation(as_bytes(exif))) return found;
  }
  int from_profile = 0, from_xmp = 0;
  if (text) {
    each_text(bytes, where, [&](std::string_view key, std::string_view value, bool) {
      if (key == "Raw profile type exif") from_profile = raw_profile_orientation(value);
      if (key == "XML:com.adobe.xmp") from_xmp = xmp_orientation(value);
    });
  }
  return from_profile ? from_profile : std::max(1, from_xmp);
}

// tEXt and zTXt are Latin-1.
std::string from_latin1(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto byte = uint8_t(c);
    if (byte < 0x80) {
      out += c;
    } else {
      out += char(0xc0 | byte >> 6);
      out += char(0x80 | (byte & 0x3f));
    }
  }
  return out;
}

PictureHead png_head(Bytes bytes, const std::string& where) {
  const std::vector<PngChunk> chunks = chunks_of(bytes, where);
  if (chunks.empty() || chunks[0].name != "IHDR" || chunks[0].whole.size() < 17) return {};
  const auto* header = reinterpret_cast<png_const_bytep>(chunks[0].whole.data());
  return {png_get_uint_32(header + 8), png_get_uint_32(header + 12),
          orientation(chunks, bytes, where), chunks[0].whole[16] == 16 ? "16 bits a channel" : ""};
}

Decoded decode_png(Bytes bytes, const std::string& where, const ReadOptions& options) {
  const std::vector<PngChunk> chunks = chunks_of(bytes, where);
  std::string made;
  PngReader reader(with_end(bytes, chunks, made), where);
  const Header h = read_header(reader);
  check_size(h.width, h.height, options, where);
  check_plausible(h, png_get_channels(reader.png(), reader.info()), bytes.size(), where);
  Decoded decoded;
  if (h.type == PNG_COLOR_TYPE_PALETTE)
    decoded.image = read_palette(reader, h);
  else if (options.pillow_exact && h.type == PNG_COLOR_TYPE_GRAY && h.depth == 16)
    decoded.image = read_grey16_clipped(reader, h);
  else  // a transparent colour is no alpha channel for Pillow's convert("RGB")
    decoded.image = read_direct(reader, h, h.transparency && !options.pillow_exact);
  decoded.orientation = orientation(chunks, bytes, where);
  return decoded;
}

// acTL: size, name, number of frames, number of plays; 4 bytes each.
int64_t png_frames(Bytes bytes, const std::string& where) {
  for (const PngChunk& chunk : chunks_of(bytes, where)) {
    if (chunk.name == "acTL" && chunk.whole.size() >= 12)
      return png_get_uint_32(reinterpret_cast<png_const_bytep>(&chunk.whole[8]));
  }
  return 0;
}

std::string read_png_exif(Bytes bytes, const std::string& where) {
  for (const PngChunk& chunk : chunks_of(bytes, where)) {
    if (chunk.name == "eXIf") return std::string(chunk.whole.substr(8, chunk.whole.size() - 12));
  }
  return {};
}

PictureText read_png_text(Bytes bytes, const std::string& where) {
  PictureText found;
  each_text(bytes, where, [&](std::string_view key, std::string_view text, bool utf8) {
    found[from_latin1(key)] = utf8 ? utf8_without_nul(std::string(text)) : from_latin1(text);
  });
  return found;
}

StoredProfile read_png_profile(Bytes bytes, const std::string& where) {
  const std::string headers = without_pixels(bytes, where, {"iCCP"});
  PngReader reader(as_bytes(headers), where);
  reader.run([&reader] {
    static const png_byte kWanted[] = "iCCP";
    png_set_keep_unknown_chunks(reader.png(), PNG_HANDLE_CHUNK_AS_DEFAULT, kWanted, 1);
    png_read_info(reader.png(), reader.info());
  });
  StoredProfile stored;
  stored.rgb_picture = png_get_color_type(reader.png(), reader.info()) & PNG_COLOR_MASK_COLOR;
  png_charp name = nullptr;
  int compression = 0;
  png_bytep profile = nullptr;
  png_uint_32 size = 0;
  if (png_get_iCCP(reader.png(), reader.info(), &name, &compression, &profile, &size))
    stored.bytes.assign(reinterpret_cast<const char*>(profile), size);
  return stored;
}

}  // namespace

const Codec kPngCodec = {decode_png,    png_head,         read_png_text,
                         read_png_exif, read_png_profile, png_frames};

}  // namespace icedit
