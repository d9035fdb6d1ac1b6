#include "edit/residency.h"

#include "base/error.h"
#include "base/log.h"
#include "base/progress.h"
#include "io/hub.h"
#include "models/flux/names.h"
#include "nn/comfy_quant.h"
#include "nn/large_blocks.h"

namespace icedit {
namespace {

bool is_text(Part part) {
  return part == Part::kClip || part == Part::kT5;
}

void expect_no_products_of_cpus(const ResidencyOptions& options) {
  const bool quant = options.quant != Quant::kNone;
  if (!quant && options.gguf_compute != GgufCompute::kInt8) return;
  const std::string what =
      quant ? str("weights in ", quant_name(options.quant), " (--quant, train.base_quant) are")
            : "products of GGUF's blocks in 8 bits (--gguf-compute int8) are";
  throw UsageError(str(what, " for the CPU, but the device is ", options.device.str(),
                       "; leave one of them out"));
}

}  // namespace

std::string quant_fault(const Checkpoint& transformer, Quant quant, GgufCompute gguf_compute) {
  bool blocks = false, dense = false, eight = false, four = false;
  for (const auto& [name, entry] : transformer.entries()) {
    const std::string module = module_of(name);
    if (!name.ends_with(".weight") || entry.info.shape.size() != 2 || !may_be_quantised(module))
      continue;
    const bool whole = entry.info.dtype == Dtype::kI8;
    const bool in_4_bits = is_in_4_bits(transformer, module);
    blocks = blocks || dtype_block(entry.info.dtype) > 1;
    dense = dense || (!whole && dtype_block(entry.info.dtype) == 1);
    eight = eight || (whole && !in_4_bits);
    four = four || (whole && in_4_bits);
  }
  const bool compute = gguf_compute == GgufCompute::kInt8;
  if (compute && quant != Quant::kNone)
    return "--gguf-compute int8 does nothing beside --quant; leave one of them out";
  if (compute && !blocks) {
    return str("--gguf-compute int8: ", transformer.where(),
               " has no blocks of GGUF; leave it out, or give --quant int8");
  }
  const bool others = quant == Quant::kInt4 ? eight : four;
  if (quant == Quant::kNone || !others || blocks || dense) return "";
  return str(transformer.where(), " is in ", eight ? 8 : 4, " bits already, which --quant ",
             quant_name(quant), " does not change; leave it out");
}

Residency::Residency(ModelFiles files, ResidencyOptions options)
    : files_(std::move(files)), options_(std::move(options)) {
  const Component transformer = files_.open(Part::kTransformer);
  precision_ = choose_precision(options_.dtype, files_.defaults().dtype,
                                stored_dtype(transformer.checkpoint), options_.device);
  if (options_.noise_dtype) precision_.noise = *options_.noise_dtype;
  if (!options_.device.is_cpu()) expect_no_products_of_cpus(options_);
  const std::string fault =
      quant_fault(transformer.checkpoint, options_.quant, options_.gguf_compute);
  if (!fault.empty()) throw UsageError(fault);
  streamed_.modulations = transformer.checkpoint.total_bytes() >= options_.let_go_from;
  streamed_.t5 = files_.open(Part::kT5).checkpoint.total_bytes() >= options_.let_go_from;
  vae_config_ = VaeConfig::from(files_.open(Part::kVae).config);
  open_adapters(transformer.checkpoint);
}

LoadOptions Residency::load_options(const Component& component, Part part) const {
  LoadOptions load;
  load.compute = precision_.compute;
  load.device = options_.device;
  load.keep_stored = keep_as_stored(component.checkpoint, precision_.compute, options_.device);
  load.deferred = [this, part](const std::string& module) {
    return !streamed_call(part, module).empty();
  };
  if (part != Part::kTransformer) return load;
  load.quant = options_.quant;
  load.int8_blocks = options_.gguf_compute == GgufCompute::kInt8;
  if (load.quant != Quant::kNone || load.int8_blocks) load.quantises = may_be_quantised;
  return load;
}

// The call of a module whose matrix does not stay; "" for the others.
std::string Residency::streamed_call(Part part, const std::string& module) const {
  if (part == Part::kT5 && streamed_.t5) return t5_call_of_module(module);
  if (part != Part::kTransformer) return "";
  const std::string call = call_of_module(module);
  const bool streams =
      call.ends_with(kModulationCall) ? streamed_.modulations : streamed_.blocks.count(call) != 0;
  return streams ? call : "";
}

void Residency::stream(Part part, LinearList& linears) {
  const auto add = [&](bool modulations, bool again) {
    std::vector<BlockUnit> units = block_units(linears, [&](const std::string& module) {
      const std::string call = streamed_call(part, module);
      return call.ends_with(kModulationCall) == modulations ? call : "";
    });
    if (!units.empty())
      streams_[part].push_back(std::make_shared<BlockStream>(std::move(units), again));
  };
  add(/*modulations=*/false, /*again=*/part == Part::kTransformer);
  add(/*modulations=*/true, /*again=*/false);
}

AroundBlock Residency::around(Part part) const {
  const auto found = streams_.find(part);
  AroundBlock around;
  if (found == streams_.end()) return around;
  for (const auto& stream : found->second)
    around = [stream, around](const BlockCall& call) { return (*stream)(call, around); };
  return around;
}

void Residency::set_streamed(StreamedParts streamed) {
  release(Part::kT5);
  release(Part::kTransformer);
  streamed_ = std::move(streamed);
}

bool Residency::is_loaded(Part part) const {
  switch (part) {
    case Part::kClip:
      return clip_ != nullptr;
    case Part::kT5:
      return t5_ != nullptr;
    case Part::kVae:
      return vae_ != nullptr;
    case Part::kTransformer:
      break;
  }
  return transformer_ != nullptr;
}

void Residency::release(Part part) {
  streams_.erase(part);
  switch (part) {
    case Part::kClip:
      clip_.reset();
      break;
    case Part::kT5:
      t5_.reset();
      break;
    case Part::kVae:
      vae_.reset();
      break;
    case Part::kTransformer:
      attached_.clear();
      transformer_.reset();
      break;
  }
  release_large_blocks();
}

void Residency::release_text() {
  release(Part::kClip);
  release(Part::kT5);
}

// Lets go of what may not stay beside `part`.
void Residency::make_room(Part part) {
  for (const Part other : kParts) {
    if (other == part || options_.keep == Keep::kAll) continue;
    if (options_.keep == Keep::kOne || is_text(other) || is_text(part)) release(other);
  }
}

template <class Model>
Model& Residency::get(std::unique_ptr<Model>& held, Part part) {
  if (held != nullptr) return *held;
  make_room(part);
  const Component component = files_.open(part);
  log::verbose(str("loading ", part_name(part), " (",
                   bytes_text(double(component.checkpoint.total_bytes())), ") from ",
                   component.checkpoint.where()));
  held = std::make_unique<Model>(
      Model::load(component.checkpoint, component.config, load_options(component, part)));
  return *held;
}

const ClipTextEncoder& Residency::clip() {
  return get(clip_, Part::kClip);
}
const T5Encoder& Residency::t5() {
  const bool fresh = t5_ == nullptr;
  T5Encoder& model = get(t5_, Part::kT5);
  if (fresh) stream(Part::kT5, model.linears());
  return model;
}
const AutoencoderKl& Residency::vae() {
  return get(vae_, Part::kVae);
}

FluxTransformer& Residency::transformer() {
  const bool fresh = transformer_ == nullptr;
  FluxTransformer& model = get(transformer_, Part::kTransformer);
  if (!fresh) return model;
  for (const EditAdapter& adapter : adapters_)
    attached_.push_back(attach_adapter(model.linears(), adapter.fitted, attach_options(adapter)));
  for (auto& [path, linear] : model.linears()) linear.fold();
  stream(Part::kTransformer, model.linears());
  return model;
}

// Throws what loading it would: a damaged one is not blamed on an adapter.
void Residency::expect_whole_transformer() const {
  const Component component = files_.open(Part::kTransformer);
  LoadOptions load = load_options(component, Part::kTransformer);
  load.deferred = [](const std::string&) { return true; };
  FluxTransformer::load(component.checkpoint, component.config, load);
}

void Residency::open_adapters(const Checkpoint& transformer) {
  for (const AdapterRequest& request : options_.adapters) {
    const AdapterFile file = AdapterFile::open(resolve_path_or_id(request.path, "--lora"));
    adapters_.push_back({request.path, request.scale, fit_adapter(shapes_of(transformer), file)});
    if (!adapters_.back().fitted.problems.empty()) expect_whole_transformer();
    expect_fit(adapters_.back().fitted, attach_options(adapters_.back()));
  }
}

AttachOptions Residency::attach_options(const EditAdapter& adapter) const {
  AttachOptions attach;
  attach.name = adapter.name;
  attach.scale = adapter.scale;
  attach.allow_partial = options_.allow_partial_adapters;
  attach.allow_zero = options_.allow_zero_adapters;
  return attach;
}

std::string Residency::explain_not_finite(const std::string& what) const {
  for (const Part part : kParts) {
    const Component component = files_.open(part);
    const std::string name = first_not_finite(component.checkpoint);
    if (name.empty()) continue;
    return str(component.checkpoint.where(), ": tensor '", name, "' holds NaN or infinity, so ",
               what, "; the file is damaged, get it again");
  }
  return str(what, " though every weight is finite; try --dtype f32, or other --lora scales");
}

void Residency::set_adapter_scale(size_t index, double scale) {
  adapters_.at(index).scale = scale;
  if (index < attached_.size()) attached_[index].set_scale(scale);
}

const ClipTokenizer& Residency::clip_tokenizer() {
  if (!clip_tokenizer_) clip_tokenizer_ = std::make_unique<ClipTokenizer>(files_.tokenizer());
  return *clip_tokenizer_;
}

const T5Tokenizer& Residency::t5_tokenizer() {
  if (!t5_tokenizer_) t5_tokenizer_ = std::make_unique<T5Tokenizer>(files_.tokenizer_2());
  return *t5_tokenizer_;
}

}  // namespace icedit
