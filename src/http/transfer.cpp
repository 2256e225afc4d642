#include "http/transfer.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <charconv>

namespace modelforge::http {

namespace {

/// Of one head; libcurl bounds a single line (100 KB) but not their number.
constexpr std::size_t max_head_bytes = 256u << 10;

/// Of what comes behind a body: providers send nothing there, or a checksum.
constexpr std::size_t max_trailer_bytes = 64u << 10;

/// A body up to this size is taken as sent as soon as its sending starts; larger ones are followed.
constexpr std::size_t sent_at_once = 8u << 10;

/// Room for the headers of most answers.
constexpr std::size_t usual_headers = 16;

std::string_view trim(std::string_view x) {
  auto begin = x.find_first_not_of(" \t\r\n");
  if (begin == std::string_view::npos)
    return {};
  return x.substr(begin, x.find_last_not_of(" \t\r\n") - begin + 1);
}

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

std::string lower(std::string_view x) {
  std::string result{x};
  for (auto& c : result)
    c = lower(c);
  return result;
}

/// The number behind `prefix`, which is at most `within` characters from the begin.
std::optional<uint32_t> number_behind(std::string_view text, std::string_view prefix, std::size_t within = 0) {
  auto at = text.substr(0, within + prefix.size()).find(prefix);
  uint32_t result = 0;
  if (at == std::string_view::npos)
    return {};
  auto digits = text.substr(at + prefix.size());
  if (std::from_chars(digits.data(), digits.data() + digits.size(), result).ec != std::errc{})
    return {};
  return result;
}

uint16_t status_of(std::string_view line) {
  uint16_t result = 0;
  if (auto gap = line.find(' '); gap != std::string_view::npos)
    std::from_chars(line.data() + gap + 1, line.data() + line.size(), result);
  return result;
}

bool has_header(const request& x, std::string_view name) {
  return std::any_of(x.headers.begin(), x.headers.end(), [&](auto& h) {
    return std::equal(h.name.begin(), h.name.end(), name.begin(), name.end(),
                      [](char a, char b) { return lower(a) == b; });
  });
}

} // namespace

void header_lines::clear() {
  text_.clear();
  starts_.clear();
}

void header_lines::add(std::string_view name, std::string_view value) {
  starts_.push_back(text_.size());
  text_ += name;
  if (value.empty())
    text_ += ';'; // libcurl's spelling of a header without a value: "name:" would remove the header
  else
    (text_ += ": ") += value;
  text_ += '\0';
}

void header_lines::add_raw(std::string_view line) {
  starts_.push_back(text_.size());
  text_ += line;
  text_ += '\0';
}

curl_slist* header_lines::list() {
  nodes_.resize(starts_.size());
  for (std::size_t i = 0; i < nodes_.size(); ++i)
    nodes_[i] = {text_.data() + starts_[i], i + 1 < nodes_.size() ? &nodes_[i + 1] : nullptr};
  return nodes_.empty() ? nullptr : nodes_.data();
}

bool transfer::may_share() const {
  return !now.may_pause && now.at->secure && asked.http2 && now.at->speaks_http2.value_or(true);
}

bool transfer::request_written() const {
  if (now.any_byte)
    return true;
  if (now.refused)
    return false;
  if (now.repeated)
    return true;
  if (!now.begun)
    return false;
  if (asked.body.empty()) {
    long head_bytes = 0;
    curl_easy_getinfo(easy.get(), CURLINFO_REQUEST_SIZE, &head_bytes);
    return head_bytes > 0;
  }
  curl_off_t sent = 0;
  curl_easy_getinfo(easy.get(), CURLINFO_SIZE_UPLOAD_T, &sent);
  return static_cast<uint64_t>(sent) >= asked.body.size();
}

bool transfer::follows_sending() const {
  return asked.body.size() > sent_at_once;
}

void transfer::note_sent(steady::time_point when) {
  now.sent = when;
  if (asked.on_written)
    asked.on_written();
}

phase transfer::phase() const {
  if (now.any_byte)
    return phase::receive;
  if (now.begun)
    return request_written() ? phase::wait : phase::send;
  if (now.in == nullptr)
    return phase::queued;
  if (!now.opened_socket)
    return phase::resolve;
  sockaddr_storage ignored{};
  socklen_t size = sizeof ignored;
  auto connected = getpeername(now.socket, reinterpret_cast<sockaddr*>(&ignored), &size) == 0;
  return connected && now.at->secure ? phase::tls : phase::connect;
}

steady::time_point transfer::deadline() const {
  auto result = steady::time_point::max();
  auto bound = [&](steady::time_point from, std::chrono::nanoseconds length) {
    if (length.count() > 0 && length < steady::time_point::max() - from)
      result = std::min(result, from + length);
  };
  bound(now.started, asked.total_timeout);
  if (!now.begun)
    bound(now.started, asked.connect_timeout);
  else if (now.first_byte != steady::time_point{}) {
    if (!now.paused)
      bound(now.last_byte, asked.idle_timeout);
  } else if (now.sent != steady::time_point{})
    bound(now.sent, asked.first_byte_timeout);
  return result;
}

verdict transfer::take_line(std::string_view line) {
  now.any_byte = true;
  if (now.head_given) { // a trailer
    now.trailer_bytes += line.size();
    if (now.trailer_bytes <= max_trailer_bytes)
      return verdict::taken;
    now.stop = errc::invalid_response;
    return verdict::abort;
  }
  now.head_bytes += line.size();
  if (now.head_bytes > max_head_bytes) {
    now.stop = errc::invalid_response;
    return verdict::abort;
  }
  now.last_byte = steady::now();
  if (!now.in_head) {
    now.in_head = true;
    now.head.status = status_of(line);
    now.head.headers.clear();
    now.head.headers.reserve(usual_headers);
    if (now.head.status >= 200)
      now.first_byte = now.last_byte;
  } else if (auto text = trim(line); text.empty()) {
    now.in_head = false;
    if (now.head.status >= 200) {
      now.head_given = true;
      now.to->on_head(std::move(now.head));
    }
  } else if ((line[0] == ' ' || line[0] == '\t') && !now.head.headers.empty()) {
    (now.head.headers.back().value += ' ') += text; // a folded line
  } else if (auto colon = text.find(':'); colon != std::string_view::npos) {
    now.head.headers.push_back({lower(trim(text.substr(0, colon))), std::string{trim(text.substr(colon + 1))}});
  }
  return verdict::taken;
}

// The words are libcurl's, of 7.88 (misspelt) and later. Only what begins so is taken: other lines quote our headers.
std::optional<uint32_t> transfer::take_note(std::string_view line) {
  if (auto number = number_behind(line, "Using Stream ID: ")) {
    now.stream = *number;
  } else if (line.starts_with("[HTTP/2] [") && line.find("] OPENED stream for ") < 24) {
    now.stream = number_behind(line, "[HTTP/2] [").value_or(0);
  } else if (line.starts_with("REFUSED_STREAM, retrying")) {
    now.refused = !now.any_byte;
  } else if (line.starts_with("recveived GOAWAY, ") || line.starts_with("received GOAWAY, ")) {
    return number_behind(line, "last_stream=", 48);
  }
  return {};
}

void transfer::note_last_stream(uint32_t last) {
  if (now.stream > last && !now.any_byte)
    now.refused = true;
}

verdict transfer::take_data(std::string_view piece) {
  auto known = std::min(now.delivered_of_held, piece.size()); // libcurl may cut what it held back into other pieces
  piece.remove_prefix(known);
  now.delivered_of_held -= known;
  if (piece.size() > asked.max_response_bytes - now.received) {
    now.stop = errc::response_too_large;
    return verdict::abort;
  }
  auto part = piece.substr(0, now.credit);
  if (!part.empty()) {
    now.last_byte = steady::now();
    now.received += part.size();
    if (now.credit != UINT64_MAX)
      now.credit -= part.size();
    now.to->on_data(part);
  }
  if (part.size() < piece.size()) {
    now.delivered_of_held = known + part.size();
    return verdict::pause;
  }
  return verdict::taken;
}

void transfer::configure() {
  auto* handle = easy.get();
  auto set = [handle](CURLoption option, auto value) { curl_easy_setopt(handle, option, value); };
  lines.clear();
  for (auto& [name, value] : asked.headers)
    lines.add(name, value);
  lines.add_raw("Expect:"); // libcurl would wait a second for "100 Continue" before large bodies
  auto head = asked.method == "HEAD";
  if (head)
    asked.body.clear();
  auto with_body = asked.method == "POST" || !asked.body.empty();
  if (with_body && !has_header(asked, "content-type"))
    lines.add_raw("Content-Type:");
  set(CURLOPT_URL, asked.url.c_str());
  set(CURLOPT_NOBODY, 0L);
  if (with_body) {
    set(CURLOPT_POST, 1L);
    set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(asked.body.size()));
    set(CURLOPT_POSTFIELDS, asked.body.data());
  } else {
    set(CURLOPT_HTTPGET, 1L);
  }
  if (head)
    set(CURLOPT_NOBODY, 1L);
  auto implied = head || asked.method == (with_body ? "POST" : "GET");
  set(CURLOPT_CUSTOMREQUEST, implied ? nullptr : asked.method.c_str());
  set(CURLOPT_HTTPHEADER, lines.list());
  set(CURLOPT_ACCEPT_ENCODING, asked.compression ? "" : nullptr);
  set(CURLOPT_NOPROGRESS, follows_sending() ? 0L : 1L);
  set(CURLOPT_VERBOSE, 0L); // until it is sent: see `loop::on_ready`
  auto http2 = asked.http2 && now.at->secure;
  set(CURLOPT_HTTP_VERSION, static_cast<long>(http2 ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_1_1));
  error_text[0] = '\0';
}

} // namespace modelforge::http
