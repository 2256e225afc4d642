#include "provider/delivery.hpp"

#include <string>

namespace modelforge::provider {

std::optional<failure> misdelivery(const request& asked, completion& answer) {
  auto came = answer.alternatives.size() + 1;
  if (came < asked.encoded.choices)
    answer.warnings.push_back(std::to_string(asked.encoded.choices) + " answers were asked for, and "
                              + std::to_string(came) + " came: the server seems to ignore that field of extra");
  if (asked.encoded.logprobs && answer.logprobs.empty() && !answer.text.empty())
    answer.warnings.emplace_back("log probabilities were asked for, and none came");
  return asked.json != nullptr ? asked.json->judge(answer) : std::nullopt;
}

std::optional<failure> misdelivery(const request& asked, const embedding& answer) {
  if (!asked.dimensions || answer.vectors.empty() || answer.vectors.front().size() == *asked.dimensions)
    return {};
  auto why = make_failure(errc::unsupported,
                          "dimensions: vectors of " + std::to_string(*asked.dimensions)
                            + " numbers were asked for, and " + std::to_string(answer.vectors.front().size()) + " came",
                          "the model or its server has no choice of dimensions: leave them out, or take another model");
  why.provider_request_id = answer.provider_request_id;
  why.usage = answer.usage;
  why.cost = answer.cost;
  return why;
}

} // namespace modelforge::provider
