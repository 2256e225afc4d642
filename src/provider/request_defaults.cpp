#include "provider/request_defaults.hpp"

#include "optimize/extra.hpp"

#include <algorithm>
#include <limits>
#include <utility>

namespace modelforge::provider {

namespace {

/// Gives `target` what it has not got.
template <class T>
void fill(std::optional<T>& target, const std::optional<T>& value) {
  if (!target)
    target = value;
}

template <class T>
void fill(T& target, const T& value) {
  if (target.empty())
    target = value;
}

void fill(sampling& target, const sampling& with) {
  fill(target.max_tokens, with.max_tokens);
  fill(target.temperature, with.temperature);
  fill(target.top_p, with.top_p);
  fill(target.seed, with.seed);
  fill(target.stop, with.stop);
  if (!target.reasoning_budget) // which says the same, exactly
    fill(target.reasoning_effort, with.reasoning_effort);
}

// All fields are named, so that one that is added does not compile until somebody has decided here what becomes of it.
sampling sampling_of(const default_settings& settings) {
  auto& [max_tokens, temperature, top_p, seed, stop, effort, options] = settings;
  static_cast<void>(options); // `make` reads them
  sampling result;
  if (max_tokens)
    result.max_tokens = static_cast<uint32_t>(std::min<uint64_t>(*max_tokens, std::numeric_limits<uint32_t>::max()));
  result.temperature = temperature;
  result.top_p = top_p;
  result.seed = seed;
  result.stop = stop;
  result.reasoning_effort = effort;
  return result;
}

} // namespace

std::variant<request_defaults, failure> request_defaults::make(const provider_settings& settings, uint32_t group) {
  request_defaults result;
  std::vector<const default_settings*> all{&settings.defaults};
  if (group > 0)
    all.insert(all.begin(), &settings.models[group - 1].defaults);
  for (auto* one : all) {
    fill(result.sampling_, sampling_of(*one));
    for (auto option = one->options.rbegin(); option != one->options.rend(); ++option) { // the last of a name counts
      auto read = wire::read_extra_field(*option);
      if (auto* problem = std::get_if<std::string>(&read))
        return make_failure(errc::configuration, "defaults.options: " + *problem);
      auto& field = std::get<wire::extra_field>(read);
      if (std::none_of(result.extra_.begin(), result.extra_.end(), [&](auto& x) { return x.name == field.name; }))
        result.extra_.push_back(std::move(field));
    }
  }
  return result;
}

void request_defaults::apply(chat_request& request) const {
  fill(request.sampling, sampling_);
  for (auto& field : extra_)
    if (!optimize::has_extra(request, field.name))
      optimize::add_extra(request, field.name, field.value);
}

} // namespace modelforge::provider
