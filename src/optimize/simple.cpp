#include "optimize/extra.hpp"
#include "optimize/strategies.hpp"

/// Optimizers of one field each: `enable_seed` and `keep_alive`.

namespace modelforge::optimize {

namespace {

class fixed_seed_optimizer : public optimizer {
public:
  explicit fixed_seed_optimizer(int64_t seed) : seed_(seed) {}

  std::string_view name() const override { return "enable_seed"; }

  std::optional<std::string> apply(chat_request& request) const override {
    if (request.sampling.seed || has_extra(request, "seed"))
      return {};
    request.sampling.seed = seed_;
    return "seed " + std::to_string(seed_);
  }

private:
  int64_t seed_;
};

class keep_alive_optimizer : public optimizer {
public:
  explicit keep_alive_optimizer(std::chrono::seconds how_long) : seconds_(std::to_string(how_long.count())) {}

  std::string_view name() const override { return "keep_alive"; }

  std::optional<std::string> apply(chat_request& request) const override {
    if (has_extra(request, "keep_alive"))
      return {};
    add_extra(request, "keep_alive", seconds_);
    return "the model stays loaded for " + seconds_ + " s";
  }

private:
  std::string seconds_;
};

} // namespace

std::shared_ptr<const optimizer> fixed_seed(int64_t seed) {
  return std::make_shared<fixed_seed_optimizer>(seed);
}

std::shared_ptr<const optimizer> keep_alive(std::chrono::seconds how_long) {
  return std::make_shared<keep_alive_optimizer>(how_long);
}

} // namespace modelforge::optimize
