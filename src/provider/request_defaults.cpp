#include "provider/request_defaults.hpp"

#include "optimize/extra.hpp"

#include <algorithm>
#include <limits>
#include <utility>

namespace modelforge::provider {

namespace {

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
    fill_in(result.sampling_, sampling_of(*one));
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
  fill_in(request.sampling, sampling_);
  for (auto& field : extra_)
    if (!optimize::has_extra(request, field.name))
      optimize::add_extra(request, field.name, field.value);
}

} // namespace modelforge::provider
