#include "cli/dry_run.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <iostream>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/process.h"
#include "base/progress.h"
#include "cli/table.h"
#include "edit/memory_estimate.h"
#include "edit/recipe.h"

namespace icedit::cli {
namespace {

struct PlannedEdit {  // a job, or a step of one
  const EditSettings* settings;
  std::vector<Path> outputs;
  Size source, edited, half;  // edited: the region, or all
};

// What the step edits of the picture.
Size edited_part(const EditSettings& step, Size picture, const EditOptions& options,
                 const Residency& residency) {
  if (!step.request.region) return picture;
  std::optional<Image> mask;
  if (!step.mask.empty()) mask = read_mask(step.mask, options.read);
  const int64_t width = step.request.width.value_or(residency.files().defaults().width);
  const Box box =
      resolved_box(*step.request.region, picture, mask ? &*mask : nullptr, static_cast<int>(width));
  return {box.width, box.height};
}

// Decodes each picture for its size; nothing is kept. Throws what the edits would of their speed.
std::vector<PlannedEdit> measure(const std::vector<EditJob>& jobs, const EditOptions& options,
                                 const Residency& residency) {
  std::vector<PlannedEdit> edits;
  for (const EditJob& job : jobs) {
    const Image image = read_image(job.settings.image, options.read);
    const Size source{image.width, image.height};
    for (size_t i = 0; i < job.steps(); ++i) {
      const EditSettings& step = job.step(i);
      check_speed(step.request, residency.files().defaults());
      const auto outputs = job.chain ? std::vector<Path>{job.outputs[i]} : job.outputs;
      const Size edited = edited_part(step, source, options, residency);
      edits.push_back({&step, outputs, source, edited, half_size(residency, step.request, edited)});
    }
  }
  return edits;
}

EditSize largest(const std::vector<PlannedEdit>& edits, const Residency& residency) {
  EditSize size;
  for (const PlannedEdit& edit : edits)
    size = larger(size, edit_size(residency, edit.settings->request, edit.half, edit.source));
  return size;
}

const char* keep_text(Keep keep) {
  switch (keep) {
    case Keep::kOne:
      return "one component at a time";
    case Keep::kImageParts:
      return "the text encoders go before the transformer comes";
    default:
      return "everything stays loaded";
  }
}

Json part_json(const PartEstimate& e) {
  Json json;
  json["name"] = part_name(e.part);
  json["from"] = e.where;
  json["dtype"] = e.dtype;
  json["parameters"] = e.parameters;
  json["bytes_stored"] = e.stored;
  json["bytes_in_memory"] = e.weights;
  json["bytes_streamed"] = e.streamed;
  json["converted_at_each_use"] = e.mapped;
  json["bytes_of_activations"] = e.activations;
  return json;
}

Json edit_json(const PlannedEdit& edit, const ModelDefaults& defaults) {
  const EditSettings& asked = *edit.settings;
  Json json = settings_json(resolved(asked, defaults, *asked.seed));
  json["num_images"] = asked.request.num_images;
  Json out;
  out["input"] = asked.image;
  if (!asked.mask.empty()) out["mask"] = asked.mask;
  out["input_size"] = {edit.source.width, edit.source.height};
  if (asked.request.region) out["region_size"] = {edit.edited.width, edit.edited.height};
  out["edit_size"] = {edit.half.width, edit.half.height};
  out["outputs"] = Json::array();
  for (const Path& output : edit.outputs) out["outputs"].push_back(output.string());
  out["settings"] = json;
  return out;
}

// The largest edit first would be enough, but sizes differ in two directions.
std::string first_shortage(const Residency& residency, const std::vector<PlannedEdit>& edits) {
  MemoryCheck check(residency);
  for (const PlannedEdit& edit : edits) {
    const std::string shortage = check.shortage(edit.settings->request, edit.half, edit.source);
    if (!shortage.empty()) return edit.settings->image + ": " + shortage;
  }
  return "";
}

Json memory_json(const Residency& residency, const std::vector<PartEstimate>& parts,
                 const std::vector<PlannedEdit>& edits) {
  Json json;
  json["blocks_streamed"] = residency.streamed().blocks.size();
  if (residency.most_memory()) json["limit_bytes"] = *residency.most_memory();
  json["peak_bytes"] = process_bytes(residency, largest(edits, residency));
  json["policy"] = keep_text(residency.keep());
  json["available_bytes"] = available_memory_bytes();
  const std::string shortage = first_shortage(residency, edits);
  if (!shortage.empty()) json["shortage"] = shortage;
  return json;
}

std::string millions(int64_t count) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f M", static_cast<double>(count) / 1e6);
  return text;
}

void print_components(const Json& json) {
  const std::vector<size_t> widths = {15, 10, 16, 10};
  print_row({"component", "parameters", "stored", "in memory", "from"}, widths);
  for (const Json& part : json["components"]) {
    const bool mapped = part["converted_at_each_use"];
    print_row({part["name"], millions(part["parameters"]),
               str(bytes_text(part["bytes_stored"]), " ", part["dtype"].get<std::string>()),
               mapped ? "mapped" : bytes_text(part["bytes_in_memory"]), part["from"]},
              widths);
  }
  for (const Json& adapter : json["adapters"]) {
    print_row({"adapter", "", bytes_text(adapter["bytes"]),
               str("x ", adapter["scale"].get<double>()), adapter["file"]},
              widths);
  }
  if (!json.contains("merged")) return;
  for (const auto& [name, scale] : json["merged"].items())
    print_row({"merged", "", "", str("x ", scale.get<double>()), name}, widths);
}

void print_text(const Json& json) {
  std::cout << "model      " << json["model"].get<std::string>() << "\n"
            << "device     " << json["device"].get<std::string>() << ", " << json["threads"]
            << " threads\n"
            << "dtype      " << json["dtype"].get<std::string>() << ", noise in "
            << json["noise_dtype"].get<std::string>() << "\n"
            << "quant      " << json["quant"].get<std::string>() << "\n\n";
  print_components(json);
  const int64_t streamed = json["memory"]["blocks_streamed"];
  const std::string blocks =
      streamed > 0
          ? str(", ", streamed, " of the transformer's blocks only while they are computed")
          : "";
  std::cout << "\nmemory     about " << bytes_text(json["memory"]["peak_bytes"]) << " at the peak ("
            << json["memory"]["policy"].get<std::string>() << blocks << "); "
            << bytes_text(json["memory"]["available_bytes"]) << " available\n";
  if (json["memory"].contains("shortage"))
    std::cout << "too little: " << json["memory"]["shortage"].get<std::string>() << "\n";
  for (const Json& edit : json["edits"]) {
    const Json& size = edit["edit_size"];
    std::cout << "\n"
              << edit["input"].get<std::string>() << " (" << edit["input_size"][0] << "x"
              << edit["input_size"][1] << ") at " << size[0] << "x" << size[1] << "\n";
    for (const auto& [key, value] : edit["settings"].items())
      print_row({"  " + key, text_of(value)}, {22});
    for (const Json& output : edit["outputs"])
      std::cout << "  -> " << output.get<std::string>() << "\n";
  }
}

}  // namespace

EditSize largest_edit(const std::vector<EditJob>& jobs, const EditOptions& options,
                      const Residency& residency) {
  EditSize size;
  for (const EditJob& job : jobs) {
    try {
      size = larger(size, largest(measure({job}, options, residency), residency));
    } catch (const Error&) {  // of a picture that cannot be read: told where it is edited
    }
  }
  return size == EditSize{} ? usual_size(residency) : size;
}

void dry_run(const EditOptions& options, const std::vector<EditJob>& jobs, const ModelFiles& files,
             int threads) {
  Residency residency(files, residency_options(options.model, files));
  const std::vector<PlannedEdit> edits = measure(jobs, options, residency);
  const bool several =
      edits.size() > 1 || (!jobs.empty() && jobs[0].settings.request.num_images > 1);
  plan_memory(residency, options.model.memory, several, largest(edits, residency));
  const std::vector<PartEstimate> parts = estimate_parts(residency, largest(edits, residency));

  Json json;
  json["model"] = files.name();
  json["device"] = residency.device().str();
  json["threads"] = threads;
  json["dtype"] = dtype_text(residency.precision().compute);
  json["noise_dtype"] = dtype_text(residency.precision().noise);
  json["quant"] = quant_text(residency);
  json["components"] = Json::array();
  for (const PartEstimate& part : parts) json["components"].push_back(part_json(part));
  json["adapters"] = Json::array();
  for (const EditAdapter& adapter : residency.adapters()) {
    const Path& file = adapter.fitted.path;
    json["adapters"].push_back({{"name", adapter.name},
                                {"file", file.string()},
                                {"scale", adapter.scale},
                                {"bytes", std::filesystem::file_size(file)}});
  }
  for (const MergedAdapter& m : files.defaults().merged) json["merged"][m.name] = m.scale;
  json["memory"] = memory_json(residency, parts, edits);
  json["edits"] = Json::array();
  for (const PlannedEdit& edit : edits) json["edits"].push_back(edit_json(edit, files.defaults()));
  if (options.json) {
    std::cout << dumped(json, 2) << "\n";
  } else {
    print_text(json);
  }
}

}  // namespace icedit::cli
