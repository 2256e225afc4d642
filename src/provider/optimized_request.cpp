#include "provider/optimized_request.hpp"

#include <utility>

namespace modelforge::provider {

optimized_request optimize_and_encode(const optimize::list& optimizers, chat_request& x,
                                      const std::function<std::variant<wire::encoded_request, failure>()>& encode) {
  auto told = optimize::apply(optimizers, x);
  optimized_request result{encode(), std::move(told.changes), std::move(told.failed)};
  if (auto* why = std::get_if<failure>(&result.encoded); why != nullptr && told.original) {
    auto problem = why->message;
    x = std::move(*told.original);
    optimize::apply({}, x); // markers must go all the same
    result.encoded = encode();
    if (std::holds_alternative<wire::encoded_request>(result.encoded)) {
      result.failed.push_back("together: " + problem);
      told.warnings.push_back("what the optimizers made of the request cannot be sent (" + problem
                              + "); it was sent as it came");
    }
    result.changes.clear();
  }
  if (auto* good = std::get_if<wire::encoded_request>(&result.encoded))
    good->warnings.insert(good->warnings.begin(), told.warnings.begin(), told.warnings.end());
  return result;
}

} // namespace modelforge::provider
