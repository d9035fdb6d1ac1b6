#pragma once
// What made a picture, written into the picture: enough to make it again, and to see whether the
// model is the same.
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "edit/edit_settings.h"
#include "edit/residency.h"
#include "io/image.h"

namespace icedit {

inline constexpr const char* kRecipeKey = "icedit";  // of the picture's text

// Which bytes they were. Up to 256 MiB all are hashed ("contents"); of larger files names, sizes
// and safetensors headers ("headers and sizes"), since nobody waits for 24 GB to be read.
struct Fingerprint {
  std::string sha256, of;
};
Fingerprint fingerprint(const std::vector<Path>& files);

struct ComponentRecord {
  std::vector<std::string> files;  // names without folders
  uint64_t bytes = 0;
  Fingerprint fingerprint;
};

struct AdapterRecord {
  std::string name, file;  // as it was asked for; the file's name
  double scale = 1;
  Fingerprint fingerprint;
};

// What the pictures of a run have in common.
struct RunRecord {
  std::string version;
  std::string model;                                  // its name or folder
  std::map<std::string, ComponentRecord> components;  // by part_name
  std::vector<AdapterRecord> adapters;
  std::string device, dtype, noise_dtype, quant;
  std::string cpu;  // cpu_kind(); with `threads`, what the last bits hang on
  int threads = 0;
};

// Opens every component; weights are read only as far as the fingerprints need.
RunRecord describe_run(const Residency& residency);
Json run_json(const RunRecord& run);
// What an object says; what is missing or of another type stays empty.
RunRecord run_from_json(const Json& json);
// What is not as it was, a line each: another model, other adapters, another dtype or version; and
// what only the last bits hang on: CPU and threads.
std::vector<std::string> differences(const RunRecord& then, const RunRecord& now);
std::vector<std::string> small_differences(const RunRecord& then, const RunRecord& now);

struct SourceRecord {
  std::string file, sha256;  // the name without folders
};
SourceRecord source_record(const Path& file);

// How a picture was written.
struct FileRecord {
  ImageFormat format = ImageFormat::kPng;
  int quality = kQuality;
};
bool is_lossless(const FileRecord& file);  // whether it gives the pixels back

// One edit of a chain, each on the full-size result of the one before.
struct StepRecord {
  EditSettings edit;               // resolved (edit/edit_settings.h); without paths
  std::optional<int64_t> picture;  // of several that share a draw of noise
  std::optional<SourceRecord> mask;
  FileRecord file;
  // What was found while it was made; not read back.
  std::optional<DetailFigures> detail = {};  // where the photo's was kept
  std::optional<SpeedFigures> speed = {};    // where fewer calls were asked for
};

// Formats of pictures by their names in recipes and requests: png, jpeg, webp.
const Choices<ImageFormat>& format_choices();

// Of an edit, without what is known of each picture alone: `request` as it was read of `settings`.
// The mask's record and the file's are the caller's to fill in.
StepRecord step_record(const EditSettings& settings, const EditRequest& request,
                       const ModelDefaults& defaults);
// What is known of a picture alone; `index` of those of its request.
void add_made(const EditedImage& edited, size_t index, StepRecord& step);

struct Recipe {
  RunRecord run;                  // of the last step
  SourceRecord source;            // what the first step edited
  std::vector<StepRecord> steps;  // the last one made the picture
  std::string result;             // pixels_hash of it, as it is in the file; "" in older recipes
};

// A picture's pixels as results are compared: with alpha where there is some.
Image stored_pixels(Bytes bytes, const std::string& where);
// SHA-256 of them and their size: another program's change of a picture is told by it.
std::string pixels_hash(const Image& image);
// Whether `there`, the picture's pixels, are not those that were written; false where the recipe is
// older than such hashes.
bool was_changed(const Recipe& recipe, const Image& there);

// How the edit lay, and percent kept, colour and content.
Json detail_json(const DetailFigures& figures);
// Calls, steps, and the estimated decibels from the edit that asks in every step.
Json speed_json(const SpeedFigures& figures);

// The recipe, without the folders of this machine, and what other programs show of a picture.
PictureText recipe_text(const Recipe& recipe);

// A picture as a file, in the last step's format, with its recipe, whose `result` is filled in.
std::string encode_with_recipe(const EditedImage& edited, Recipe recipe);
// The recipe's text in a picture, "" when there is none. Throws NoInputError.
std::string read_recipe_text(const Path& picture);
// Throws DataError when the text is no recipe, UsageError for a setting that this version has not;
// `where` names the picture.
Recipe parse_recipe(const std::string& text, const std::string& where);
// Of a picture that has one. Throws DataError where it has none.
Recipe read_recipe(const Path& picture);

// The file with these bytes: beside `picture`, under its name there or another; else `given` (a
// path, "" for none). Throws NoInputError where there is none, or `given` is another file. `what`:
// "the original", for the error; `flag`: what it is given with, nullptr for nothing.
Path find_source(const SourceRecord& source, const Path& picture, const std::string& given,
                 const std::string& what, const char* flag);

// What the first step edited: beside `picture`, or `given`.
Path find_original(const Recipe& recipe, const Path& picture, const std::string& given);
// The mask of step i, from 0: beside `picture`; "" where it had none.
Path find_mask(const Recipe& recipe, size_t i, const Path& picture);

// An id stays; of a path only the last name goes along with what may be given away.
std::string without_folders(const std::string& name);

// What the transformer's matrices are computed in: "none", "int8", "none, GGUF in int8".
std::string quant_text(const Residency& residency);

// "float32", "bfloat16", ... as Python names it.
std::string dtype_text(at::ScalarType type);

}  // namespace icedit
