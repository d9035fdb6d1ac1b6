#include "train/trainer.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <nlohmann/json.hpp>

#include "adapters/save.h"
#include "base/error.h"
#include "base/log.h"
#include "train/config.h"
#include "train/resume_check.h"

namespace icedit {
namespace {

constexpr double kRunning = 0.95;
constexpr const char* kReferenceDraws = "reference_draws";

}  // namespace

Trainer::Trainer(const TrainConfig& config, Residency& residency, const EditDataset& dataset,
                 Quarantine& quarantine, Group& group, int64_t planned,
                 const LoadedCheckpoint* from, const std::vector<std::string>& prompts)
    : config_(config),
      residency_(residency),
      dataset_(dataset),
      quarantine_(quarantine),
      group_(group),
      data_mark_(mark_of(dataset)),
      objective_(config.objective()),
      schedule_(config.lr_schedule, config.warmup_steps, config.max_steps),
      conditioner_(residency, icedit::text_tokens(config, residency.files()),
                   {config.cache, config.cache_dir}),
      loading_(loader_options(config, dataset)),
      reference_draws_(at::detail::createCPUGenerator(uint64_t(config.seed))) {
  if (objective_.timesteps == TimestepSampling::kFluxShift)
    objective_.scheduler = SchedulerConfig::from(residency.files().scheduler());
  expect_same_rows(data_mark_, group);
  loading_.rank = group.rank();
  loading_.world_size = group.size();
  open_loader(0);
  generator_state_ = reference_draws_.get_state();
  // Refuses what is wrong before the long part.
  const OptimizerMaker make_optimizer = optimizer_maker(config.optimizer);
  if (from != nullptr) expect_resumable(*from, config, data_mark_, group.size());
  const std::optional<AdapterFile> start = expect_trainable(residency, config);
  // Before the transformer comes, so that the encoders are never in memory beside it.
  const int64_t seen = planned * config.accumulate_grad_batches * config.batch_size * group.size();
  conditioner_.fill_cache(dataset, *loader_, group, planned < 0 || seen >= dataset.size(), prompts);
  trainable_ = make_trainable(residency.transformer(), config, start, /*quiet=*/from != nullptr);
  optimizer_ = make_optimizer(trainable_.parameters);
  base_lr_ = optimizer_->lr();
  if (config.mode == TrainMode::kMoeLora) {
    watch_ = std::make_unique<ExpertWatch>(*trainable_.adapter);
    watch_->balance(config.lora.balance_loss / double(config.accumulate_grad_batches));
  }
  if (config.ema_decay > 0) {
    for (const auto& [name, parameter] : trainable_.parameters)
      ema_.emplace_back(name, parameter.detach().clone());
  }
  if (from != nullptr) restore(*from);
}

Trainer::~Trainer() = default;

void Trainer::open_loader(int64_t start) {
  loading_.start = start;
  loader_.reset();
  loader_ = std::make_unique<Loader>(dataset_, loading_, quarantine_);
  position_ = loader_->position();
  draw_state_ = loader_->draw_state();
}

int64_t Trainer::epoch() const {
  return position_ / loader_->batches_per_epoch();
}

at::Generator Trainer::generator_for(const DrawKey& key) {
  if (config_.draws == DrawMode::kReference) return reference_draws_;
  return at::detail::createCPUGenerator(generator_seed(DrawPurpose::kNoise, key));
}

// Adds the gradients of one micro-batch; returns its loss.
double Trainer::micro_batch(int64_t micro) {
  const TrainBatch batch = loader_->next();
  at::Generator generator = generator_for(batch.key);
  const StepDraws draws = draw_step(generator, conditioner_.latent_shape(batch.image), objective_);
  const StepInputs in = conditioner_.encode(batch.image, batch.mask, batch.descriptions, draws);
  const Tensor t =
      timesteps_of(draws.t_draw, draws.x_1.size(1), objective_).to(residency_.device());
  const Tensor x_1 = draws.x_1.to(residency_.device());
  if (watch_) watch_->begin();
  const StepOutput out = objective(residency_.transformer(), in, t, x_1, objective_);
  if (watch_) watch_->end();  // recomputing in the backward pass does not count
  (out.loss / double(config_.accumulate_grad_batches)).backward();
  if (trace_ != nullptr) trace_->micro_batch(step_, micro, draws, in, t, out);
  last_ = MicroBatch{in, t, x_1};
  return out.loss.item<double>();
}

// Gradients and figures become their means over the ranks; returns the loss.
double Trainer::gather_gradients(double loss, ExpertUse& experts) {
  if (group_.size() == 1) return loss;
  std::vector<Tensor> grads;
  for (const auto& [name, parameter] : trainable_.parameters) {
    Tensor& grad = parameter.mutable_grad();
    if (!grad.defined()) grad = at::zeros_like(parameter);  // another rank may have one
    grads.push_back(grad);
  }
  std::vector<double*> figures = experts.figures();
  figures.push_back(&loss);
  std::vector<double> values;
  for (const double* figure : figures) values.push_back(*figure);
  const Tensor mean = at::tensor(values, at::kDouble);
  grads.push_back(mean);
  group_.all_reduce_mean(grads);
  for (size_t i = 0; i < figures.size(); ++i) *figures[i] = mean.const_data_ptr<double>()[i];
  return loss;
}

// Where the numbers of the last micro-batch stop being finite: a module, or else a gradient.
std::string Trainer::skip(double loss) {
  std::string where = first_bad_gradient(trainable_.parameters);
  if (!where.empty()) where = "gradient of " + where;
  const at::NoGradGuard no_grad;
  Trace trace;
  objective(residency_.transformer(), last_->in, last_->t, last_->x_1, objective_, &trace);
  for (const auto& [name, tensor] : trace.tensors()) {
    if (at::isfinite(tensor).all().item<bool>()) continue;
    where = name;
    break;
  }
  if (where.empty()) where = "another rank's micro-batch";
  log::warn(str("step ", step_ + 1, " is skipped: the loss is ", loss,
                " or a gradient is not finite, first in ", where));
  if (++bad_steps_ >= config_.max_bad_steps)
    throw DataError(str(bad_steps_, " steps in a row were not finite, the last one first in ",
                        where, "; lower the rate, try dtype: float32, or look at the data"));
  return where;
}

bool Trainer::is_finite() const {
  if (bad_steps_ > 0) return false;
  const auto all_finite = [](const auto& named) {
    return at::isfinite(named.second).all().template item<bool>();
  };
  return std::all_of(trainable_.parameters.begin(), trainable_.parameters.end(), all_finite) &&
         std::all_of(ema_.begin(), ema_.end(), all_finite);
}

void Trainer::update_ema() {
  const at::NoGradGuard no_grad;
  for (size_t i = 0; i < ema_.size(); ++i)
    ema_[i].second.lerp_(trainable_.parameters[i].second, 1 - config_.ema_decay);
}

void Trainer::with_averages(const std::function<void()>& f) {
  // Each tensor lends its place: nothing is copied, and what was trained comes back as it was.
  struct Exchange {
    const NamedTensors& places;
    const NamedTensors& values;
    std::vector<Tensor> own;
    Exchange(const NamedTensors& p, const NamedTensors& v) : places(p), values(v) {
      for (size_t i = 0; i < values.size(); ++i) {
        own.push_back(places[i].second.detach());
        places[i].second.set_data(values[i].second);
      }
    }
    ~Exchange() {
      for (size_t i = 0; i < own.size(); ++i) places[i].second.set_data(own[i]);
    }
  };
  const Exchange exchange(trainable_.parameters, ema_);
  f();
}

void Trainer::trace_into(StepTrace* trace) {
  trace_ = trace;
  if (trace != nullptr) trace->start(trainable_.parameters);
}

StepFigures Trainer::step() {
  const auto start = std::chrono::steady_clock::now();
  optimizer_->zero_grad();
  double loss = 0;
  for (int64_t micro = 0; micro < config_.accumulate_grad_batches; ++micro)
    loss += micro_batch(micro) / double(config_.accumulate_grad_batches);
  StepFigures figures;
  if (watch_) figures.experts = watch_->take();
  figures.loss = gather_gradients(loss, figures.experts);
  if (trace_ != nullptr) trace_->gradients(step_, trainable_.parameters);
  figures.gradient = clip_gradients(trainable_.parameters, config_.gradient_clip_val);
  figures.lr = base_lr_ * schedule_.factor(step_);
  if (figures.gradient.finite && std::isfinite(figures.loss)) {
    optimizer_->set_lr(figures.lr);
    optimizer_->step();
    update_ema();
    bad_steps_ = 0;
    running_loss_ =
        running_loss_ < 0 ? figures.loss : kRunning * running_loss_ + (1 - kRunning) * figures.loss;
  } else {
    figures.bad = skip(figures.loss);
  }
  figures.d = optimizer_->estimated_d();
  last_.reset();
  position_ = loader_->position();
  draw_state_ = loader_->draw_state();
  generator_state_ = reference_draws_.get_state();
  figures.step = ++step_;
  figures.running_loss = running_loss_;
  figures.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return figures;
}

RunState Trainer::state() const {
  RunState state;
  state.step = step_;
  state.epoch = epoch();
  state.position = position_;
  state.draw_state = draw_state_;
  if (config_.draws == DrawMode::kReference)
    state.generators.emplace_back(kReferenceDraws, generator_state_);
  if (trainable_.adapter) {
    state.adapter = content_of(*trainable_.adapter);
  } else {
    state.weights = trainable_.parameters;
    state.transformer_config = dumped(residency_.files().open(Part::kTransformer).config.json());
  }
  state.ema = ema_;
  state.optimizer = optimizer_->state();
  state.figures = {{"loss.running", running_loss_}, {"bad_steps", double(bad_steps_)}};
  state.settings = computing_settings(config_);
  state.working_folder = std::filesystem::current_path().string();
  state.ranks = group_.size();
  state.threads = at::get_num_threads();
  state.data = data_mark_;
  return state;
}

void Trainer::restore(const LoadedCheckpoint& checkpoint) {
  const RunState& from = checkpoint.state;
  const std::string where = checkpoint.folder.string();
  restore_tensors(trainable_.adapter ? tensors_of(from.adapter.modules) : from.weights,
                  trainable_.parameters, where);
  if (!ema_.empty()) restore_tensors(from.ema, ema_, where);
  optimizer_->load(from.optimizer);
  for (const auto& [name, tensor] : from.generators)
    if (name == kReferenceDraws) reference_draws_.set_state(tensor.clone());
  generator_state_ = reference_draws_.get_state();
  const auto figure = [&](const char* name, double fallback) {
    const auto found = from.figures.find(name);
    return found == from.figures.end() ? fallback : found->second;
  };
  running_loss_ = figure("loss.running", -1);
  bad_steps_ = int64_t(figure("bad_steps", 0));
  step_ = from.step;
  open_loader(from.position);
  loader_->set_draw_state(from.draw_state);
  draw_state_ = loader_->draw_state();
}

}  // namespace icedit
