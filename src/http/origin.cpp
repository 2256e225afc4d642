#include "http/origin.hpp"

#include <arpa/inet.h>
#include <curl/curl.h>

#include <algorithm>
#include <memory>

namespace modelforge::http {

namespace {

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

bool is_address(std::string host) {
  if (host.starts_with('['))
    return true;
  in_addr ignored{};
  return inet_pton(AF_INET, host.c_str(), &ignored) == 1;
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

std::string_view origin_part(std::string_view url) {
  auto begin = url.find("://");
  if (begin == std::string_view::npos)
    return url.substr(0, 0);
  return url.substr(0, url.find_first_of("/?#", begin + 3));
}

std::optional<origin> parse_origin(std::string_view text) {
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
  result.literal = is_address(host);
  result.name = host + ':' + port;
  result.forget = '-' + result.name;
  return result;
}

std::string refuse_reason(const request& x) {
  if (!is_token(x.method))
    return "the HTTP method is not valid";
  for (auto& [name, value] : x.headers) {
    if (!is_token(name))
      return "a header's name is not valid";
    if (value.find_first_of(std::string_view{"\r\n\0", 3}) != std::string::npos)
      return "the value of header \"" + name + "\" holds a line break or a NUL";
  }
  return {};
}

} // namespace modelforge::http
