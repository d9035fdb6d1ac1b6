#pragma once
// A JSON object from a file (a component's config.json), read by key with errors that name file,
// key and value.
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "io/files.h"
#include "io/json.h"

namespace icedit {

class JsonFile {
 public:
  // Throws NoInputError, CheckpointError (not JSON, not an object).
  explicit JsonFile(const Path& path);
  // The same of a text; `where` names it in errors.
  static JsonFile parse(const std::string& text, const std::string& where);
  ~JsonFile();
  JsonFile(JsonFile&&) noexcept;
  JsonFile(const JsonFile&);

  bool has(const std::string& key) const;      // present and not null
  bool is_text(const std::string& key) const;  // present and a string
  std::vector<std::string> keys() const;

  // Required: throw CheckpointError when the key is missing or of another type.
  int64_t integer(const std::string& key) const;
  double number(const std::string& key) const;
  bool boolean(const std::string& key) const;
  std::string text(const std::string& key) const;
  std::vector<int64_t> integers(const std::string& key) const;
  std::vector<std::string> texts(const std::string& key) const;
  JsonFile object(const std::string& key) const;

  // Optional: the fallback when missing or null; still an error for another type.
  int64_t integer_or(const std::string& key, int64_t fallback) const;
  double number_or(const std::string& key, double fallback) const;
  bool boolean_or(const std::string& key, bool fallback) const;
  std::string text_or(const std::string& key, const std::string& fallback) const;

  const std::string& where() const;
  Json json() const;  // all of it

 private:
  struct Impl;
  explicit JsonFile(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace icedit
