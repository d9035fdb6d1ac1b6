#include <algorithm>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "adapters/fit.h"
#include "base/counted.h"
#include "base/error.h"
#include "cli/inspect.h"
#include "edit/model_files.h"
#include "io/json.h"

namespace icedit::cli {
namespace {

struct Row {
  std::string module;
  int64_t rank, experts, top_k, in, out;  // experts: 0 without a router
  double alpha, norm;                     // || s B A ||_F
};

std::vector<Row> rows_of(const AdapterFile& file) {
  std::vector<Row> rows;
  for (const AdapterModule& m : file.modules) {
    rows.push_back({m.module, m.rank(), m.has_router() ? m.experts() : 0, m.top_k, m.in(), m.out(),
                    m.alpha, m.delta_norm()});
  }
  std::sort(rows.begin(), rows.end(),
            [](const Row& a, const Row& b) { return a.module < b.module; });
  return rows;
}

// "transformer_blocks.3.attn.to_q" -> "transformer_blocks.*.attn.to_q".
std::string pattern_of(const std::string& module) {
  std::string pattern;
  for (size_t begin = 0; begin <= module.size();) {
    const size_t end = std::min(module.find('.', begin), module.size());
    const std::string part = module.substr(begin, end - begin);
    const bool first_number = !part.empty() &&
                              part.find_first_not_of("0123456789") == std::string::npos &&
                              pattern.find('*') == std::string::npos;
    pattern += (pattern.empty() ? "" : ".") + (first_number ? "*" : part);
    begin = end + 1;
  }
  return pattern;
}

int64_t blocks_of(const std::vector<Row>& rows, const std::string& name) {
  int64_t most = 0;
  for (const Row& row : rows) {
    if (row.module.starts_with(name + "."))
      most = std::max<int64_t>(most, std::atoll(row.module.c_str() + name.size() + 1) + 1);
  }
  return most;
}

// The width of the model it was made for, from modules that have it as their input; 0 when there is
// none of them.
int64_t hidden_of(const std::vector<Row>& rows) {
  for (const Row& row : rows) {
    for (const char* end : {"attn.to_q", "attn.to_k", "attn.to_v", "ff.net.0.proj", "proj_mlp",
                            "norm.linear", "norm1.linear"}) {
      if (row.module.ends_with(end)) return row.in;
    }
  }
  return 0;
}

std::string fits_by_shape(const std::vector<Row>& rows) {
  struct Known {
    const char* name;
    int64_t hidden, double_blocks, single_blocks;
  };
  constexpr Known kKnown[] = {{"FLUX.1, full size", 3072, 19, 38}, {"the nano model", 256, 2, 4}};
  const int64_t hidden = hidden_of(rows), doubles = blocks_of(rows, "transformer_blocks"),
                singles = blocks_of(rows, "single_transformer_blocks");
  std::string text = hidden == 0 ? "unknown: no module tells the model's width" : "";
  for (const Known& known : kKnown) {
    if (hidden == known.hidden && doubles <= known.double_blocks && singles <= known.single_blocks)
      text = known.name;
  }
  if (text.empty()) {
    text = str("a FLUX of hidden size ", hidden, " with at least ", doubles, " double and ",
               singles, " single blocks");
  }
  for (const Row& row : rows) {
    if (row.module == "x_embedder") {
      text += row.in == 64 ? "; made for FLUX.1-dev (64 input channels): zero-padded for Fill"
                           : str("; ", row.in, " input channels", row.in == 384 ? " (Fill)" : "");
    }
  }
  return text;
}

// Compared with a model's own tensors, without loading them.
Json compare(const AdapterFile& file, const std::string& model) {
  ModelRequest request;
  request.model = model;
  const Component transformer = ModelFiles::find(request).open(Part::kTransformer);
  const FittedAdapter fitted = fit_adapter(shapes_of(transformer.checkpoint), file);
  Json json;
  json["model"] = model;
  json["fitting"] = fitted.modules.size();
  json["not_fitting"] = fitted.problems;
  return json;
}

Json norms_json(std::vector<Row> rows) {
  std::sort(rows.begin(), rows.end(), [](const Row& a, const Row& b) { return a.norm < b.norm; });
  Json json;
  json["smallest"] = {{"module", rows.front().module}, {"norm", rows.front().norm}};
  json["median"] = rows[rows.size() / 2].norm;
  json["largest"] = {{"module", rows.back().module}, {"norm", rows.back().norm}};
  json["zero"] =
      std::count_if(rows.begin(), rows.end(), [](const Row& row) { return row.norm == 0; });
  return json;
}

Json adapter_json(const AdapterFile& file, const std::vector<Row>& rows) {
  Json json;
  json["kind"] = "adapter";
  json["path"] = file.path.string();
  json["layout"] = file.layout;
  std::set<double> ranks, alphas, experts, top_k;
  std::map<std::string, int64_t> targets;
  for (const Row& row : rows) {
    ranks.insert(double(row.rank));
    alphas.insert(row.alpha);
    if (row.experts > 0) experts.insert(double(row.experts)), top_k.insert(double(row.top_k));
    ++targets[pattern_of(row.module)];
  }
  json["modules"] = rows.size();
  json["ranks"] = ranks;
  json["alphas"] = alphas;
  if (!experts.empty()) json["experts"] = experts, json["top_k"] = top_k;
  for (const auto& [target, count] : targets) json["targets"][target] = count;
  json["norms"] = norms_json(rows);
  json["fits"] = fits_by_shape(rows);
  json["skipped"] = file.skipped;
  json["unmatched"] = file.unmatched;
  json["notes"] = file.notes;
  return json;
}

std::string list(const Json& numbers) {
  std::string text;
  for (const Json& number : numbers) text += (text.empty() ? "" : ", ") + str(number.get<double>());
  return text;
}

void print_text(const Json& json, const std::vector<Row>& rows, bool all) {
  std::cout << text_of(json["path"]) << "\nLoRA adapter in the " << text_of(json["layout"])
            << " layout: " << rows.size() << " layers, rank " << list(json["ranks"]) << ", alpha "
            << list(json["alphas"]);
  if (json.contains("experts")) {
    std::cout << "; mixtures of " << list(json["experts"]) << " experts, top "
              << list(json["top_k"]);
  }
  std::cout << "\nfits     " << text_of(json["fits"]) << "\ntargets\n";
  for (const auto& [target, count] : json["targets"].items())
    std::cout << "  " << count << " x " << target << "\n";
  const Json& norms = json["norms"];
  std::cout << "deltas   || s B A ||: median " << norms["median"].get<double>() << ", from "
            << norms["smallest"]["norm"].get<double>() << " ("
            << text_of(norms["smallest"]["module"]) << ") to "
            << norms["largest"]["norm"].get<double>() << " (" << text_of(norms["largest"]["module"])
            << ")";
  if (norms["zero"] > 0) std::cout << "; " << norms["zero"] << " are zero";
  std::cout << "\n";
  for (const Row& row : rows) {
    if (!all) break;
    std::cout << "  " << row.module << "  " << row.norm << "  rank " << row.rank << ", "
              << str(std::vector{row.out, row.in})
              << (row.experts > 0 ? str(", ", row.experts, " experts") : "") << "\n";
  }
  for (const Json& note : json["notes"]) std::cout << "note     " << text_of(note) << "\n";
  if (!json["unmatched"].empty())
    std::cout << counted(json["unmatched"].size(), "tensor") << " of no known layout\n";
  if (!json.contains("compared")) return;
  const Json& compared = json["compared"];
  std::cout << "compared with " << text_of(compared["model"]) << ": " << compared["fitting"]
            << " of " << rows.size() << " layers fit\n";
  for (const Json& line : compared["not_fitting"]) std::cout << "  " << text_of(line) << "\n";
}

}  // namespace

void inspect_adapter(const Path& path, const InspectOptions& options) {
  const AdapterFile file = AdapterFile::open(path);
  const std::vector<Row> rows = rows_of(file);
  Json json = adapter_json(file, rows);
  if (!options.model.empty()) json["compared"] = compare(file, options.model);
  if (!options.json) return print_text(json, rows, options.all);
  for (const Row& row : rows) {
    if (options.all) json["deltas"][row.module] = row.norm;
  }
  std::cout << dumped(json, 2) << "\n";
}

}  // namespace icedit::cli
