#include "provider/model_query.hpp"

#include "provider/explanations.hpp"
#include "provider/guarded.hpp"
#include "provider/masking.hpp"

#include <chrono>
#include <string>
#include <utility>

namespace modelforge::provider {

namespace {

/// A list of models is no answer of a model: it comes at once, or not at all.
constexpr auto query_timeout = std::chrono::seconds{30};

/// Of up to 1,000 models each. Whoever has more, or goes round in circles, would be asked for ever.
constexpr uint32_t max_pages = 50;

failure too_many_pages() {
  return make_failure(errc::too_large,
                      "the provider's list of models has more than " + std::to_string(max_pages) + " pages");
}

std::variant<model_list, failure> read_page(const setup& setup, const http::response& answer) {
  return guarded<model_list>([&]() -> std::variant<model_list, failure> {
    if (answer.end.error)
      return describe(*answer.end.error);
    return setup.dialect().decode_models(answer.head, answer.body);
  });
}

failure masked_failure(const setup& setup, failure why) {
  why.provider = setup.settings.name;
  mask(*setup.secrets, why);
  return why;
}

} // namespace

// With the first credential: all of a provider's see the same models.
http::request model_query::next(const setup& setup) const {
  http::request out;
  out.method = "GET";
  out.url = setup.base_url + (path_.empty() ? std::string{setup.dialect().models_path()} : path_);
  setup.add_headers(0, out.headers);
  out.connect_timeout = setup.settings.timeouts.connect;
  out.total_timeout = query_timeout;
  return out;
}

// A server that does not know how to turn pages sends the first one again: a page that brings nothing new is the end.
std::optional<std::variant<model_list, failure>> model_query::take(const setup& setup, const http::response& answer) {
  auto page = read_page(setup, answer);
  if (auto* why = std::get_if<failure>(&page))
    return masked_failure(setup, std::move(*why));
  auto& names = std::get<model_list>(page).models;
  auto is_repeated = !names.empty();
  for (auto& name : names)
    if (names_.insert(name).second) {
      found_.models.push_back(std::move(name));
      is_repeated = false;
    }
  auto before = std::exchange(path_, setup.dialect().next_models_path(answer.body));
  if (!path_.empty() && path_ != before && !is_repeated) {
    if (++pages_ < max_pages)
      return {};
    return masked_failure(setup, too_many_pages());
  }
  mask_whole(*setup.secrets, found_);
  found_.provider = setup.settings.name;
  return std::move(found_);
}

} // namespace modelforge::provider
