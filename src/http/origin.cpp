#include "http/origin.hpp"

#include "base/ip_address.hpp"
#include "http/transfer.hpp"

#include <curl/curl.h>

#include <algorithm>
#include <memory>

namespace modelforge::http {

namespace {

/// Origins known before those that nobody uses are forgotten.
constexpr std::size_t many_origins = 1024;

struct free_url {
  void operator()(CURLU* x) const { curl_url_cleanup(x); }
};

std::string part_of(CURLU* url, CURLUPart part, unsigned flags = 0) {
  char* text = nullptr;
  if (curl_url_get(url, part, &text, flags) != CURLUE_OK)
    return {};
  std::string result{text};
  curl_free(text);
  return result;
}

/// A "token" of RFC 9110, 5.6.2.
bool is_token(std::string_view text) {
  auto allowed = [](unsigned char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')
           || (c && std::string_view{"!#$%&'*+-.^_`|~"}.find(static_cast<char>(c)) != std::string_view::npos);
  };
  return !text.empty() && std::all_of(text.begin(), text.end(), allowed);
}

} // namespace

// Keyed by the text in front of the path, so that a URL is parsed once per origin. Forgetting waits while some may be
// resumed: their origins' users are counted, but the list holds pointers.
origin* origin_table::find(const std::string& url) {
  auto key = origin_part(url);
  if (auto found = origins_.find(key); found != origins_.end())
    return &found->second;
  auto made = parse_origin(key, proxies_);
  if (!made)
    return nullptr;
  if (origins_.size() >= many_origins && to_resume_.empty())
    std::erase_if(origins_, [](auto& entry) { return entry.second.users == 0; });
  return &origins_.emplace(key, std::move(*made)).first->second;
}

void origin_table::give_up_resolving(transfer& transfer) {
  auto& origin = *transfer.state.origin;
  if (origin.resolver != &transfer)
    return;
  origin.resolver = nullptr;
  if (!origin.waiting.empty())
    to_resume_.push_back(&origin);
}

transfer_id origin_table::take_resumed() {
  while (!to_resume_.empty()) {
    auto& origin = *to_resume_.back();
    if (!origin.waiting.empty() && (origin.resolver == nullptr || steady::now() < origin.fresh_until)) {
      auto id = origin.waiting.front();
      origin.waiting.pop_front();
      return id;
    }
    to_resume_.pop_back();
  }
  return 0;
}

std::string_view origin_part(std::string_view url) {
  auto begin = url.find("://");
  if (begin == std::string_view::npos)
    return url.substr(0, 0);
  return url.substr(0, url.find_first_of("/?#", begin + 3));
}

std::optional<origin> parse_origin(std::string_view text, const proxy_rules& proxies) {
  std::unique_ptr<CURLU, free_url> url{curl_url()};
  if (!url || curl_url_set(url.get(), CURLUPART_URL, std::string{text}.c_str(), 0) != CURLUE_OK)
    return std::nullopt;
  origin result;
  auto scheme = part_of(url.get(), CURLUPART_SCHEME);
  if (scheme != "http" && scheme != "https")
    return std::nullopt;
  auto host = part_of(url.get(), CURLUPART_HOST);
  auto port = part_of(url.get(), CURLUPART_PORT, CURLU_DEFAULT_PORT);
  result.secure = scheme == "https";
  result.literal = host.starts_with('[') || !ip_bytes(host).empty();
  result.name = host + ':' + port;
  result.forget = '-' + result.name;
  auto bare = host.starts_with('[') ? host.substr(1, host.size() - 2) : host;
  result.proxy = proxies.find(result.secure, bare, port);
  if (result.proxy.empty())
    return result;
  result.proxy_name = http::proxy_name(result.proxy);
  result.proxy_flaw = flaw_of_proxy(result.proxy);
  return result;
}

// libcurl would send what it gets. Line breaks in a value would become further headers, chosen by whoever chose the
// value.
std::string refuse_reason(const request& request) {
  if (!is_token(request.method))
    return "the HTTP method is not valid";
  for (auto& [name, value] : request.headers) {
    if (!is_token(name))
      return "a header's name is not valid";
    if (value.find_first_of(std::string_view{"\r\n\0", 3}) != std::string::npos)
      return "the value of header \"" + name + "\" holds a line break or a NUL";
  }
  return {};
}

} // namespace modelforge::http
