#include "provider/optimized_request.hpp"

#include "optimize/markers.hpp"

#include <utility>

namespace modelforge::provider {

// An optimizer must never make a request fail that would have been sent without it. So if what they made of it cannot
// be encoded, the original is encoded; only if that fails too, it is the caller's problem, in the original's words.
optimized_request optimize_and_encode(const optimize::pipeline& optimizers, chat_request& request,
                                      const std::function<std::variant<wire::encoded_request, failure>()>& encode) {
  auto applied = optimize::apply(optimizers, request);
  optimized_request result{encode(), std::move(applied.changes), std::move(applied.failed)};
  if (auto* why = std::get_if<failure>(&result.encoded); why != nullptr && applied.original) {
    auto problem = why->message;
    request = std::move(*applied.original);
    optimize::remove_markers(request); // they must go all the same
    result.encoded = encode();
    if (std::holds_alternative<wire::encoded_request>(result.encoded)) {
      result.failed.push_back("together: " + problem);
      applied.warnings.push_back("what the optimizers made of the request cannot be sent (" + problem
                                 + "); it was sent as it came");
    }
    result.changes.clear();
  }
  if (auto* good = std::get_if<wire::encoded_request>(&result.encoded))
    good->warnings.insert(good->warnings.begin(), applied.warnings.begin(), applied.warnings.end());
  return result;
}

} // namespace modelforge::provider
