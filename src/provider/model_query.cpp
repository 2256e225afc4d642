#include "provider/model_query.hpp"

#include "provider/explanations.hpp"
#include "provider/guarded.hpp"
#include "provider/masking.hpp"

#include <chrono>
#include <string>

namespace modelforge::provider {

namespace {

constexpr auto query_timeout = std::chrono::seconds{30};

} // namespace

http::request model_query(const setup& by) {
  http::request out;
  out.method = "GET";
  out.url = by.base_url + std::string{by.dialect().models_path()};
  by.add_headers(0, out.headers);
  out.connect_timeout = by.settings.timeouts.connect;
  out.total_timeout = query_timeout;
  return out;
}

std::variant<model_list, failure> read_models(const setup& by, const http::response& answer) {
  auto result = guarded<model_list>([&]() -> std::variant<model_list, failure> {
    if (answer.end.error)
      return describe(*answer.end.error);
    return by.dialect().decode_models(answer.head, answer.body);
  });
  if (auto* good = std::get_if<model_list>(&result)) {
    mask_whole(*by.secrets, *good);
    good->provider = by.settings.name;
  } else {
    auto& why = std::get<failure>(result);
    why.provider = by.settings.name;
    mask(*by.secrets, why);
  }
  return result;
}

} // namespace modelforge::provider
