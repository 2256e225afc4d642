#include "provider/model_query.hpp"

#include "provider/explanations.hpp"
#include "provider/guarded.hpp"
#include "provider/masking.hpp"

#include <chrono>
#include <string>

namespace modelforge::provider {

namespace {

/// A list of models is no answer of a model: it comes at once, or not at all.
constexpr auto query_timeout = std::chrono::seconds{30};

} // namespace

// With the first credential: all of a provider's see the same models.
http::request model_query(const setup& setup) {
  http::request out;
  out.method = "GET";
  out.url = setup.base_url + std::string{setup.dialect().models_path()};
  setup.add_headers(0, out.headers);
  out.connect_timeout = setup.settings.timeouts.connect;
  out.total_timeout = query_timeout;
  return out;
}

std::variant<model_list, failure> read_models(const setup& setup, const http::response& answer) {
  auto result = guarded<model_list>([&]() -> std::variant<model_list, failure> {
    if (answer.end.error)
      return describe(*answer.end.error);
    return setup.dialect().decode_models(answer.head, answer.body);
  });
  if (auto* good = std::get_if<model_list>(&result)) {
    mask_whole(*setup.secrets, *good);
    good->provider = setup.settings.name;
  } else {
    auto& why = std::get<failure>(result);
    why.provider = setup.settings.name;
    mask(*setup.secrets, why);
  }
  return result;
}

} // namespace modelforge::provider
