#include "http/transfer.hpp"

#include "base/ascii.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <charconv>
#include <memory>

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

using ascii::lower;
using ascii::trim;

/// The number behind `prefix`, which is at most `max_distance` characters from the start.
std::optional<uint32_t> number_behind(std::string_view text, std::string_view prefix, std::size_t max_distance = 0) {
  auto position = text.substr(0, max_distance + prefix.size()).find(prefix);
  uint32_t result = 0;
  if (position == std::string_view::npos)
    return {};
  auto digits = text.substr(position + prefix.size());
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

bool has_header(const request& request, std::string_view name) {
  return std::any_of(request.headers.begin(), request.headers.end(),
                     [&](auto& header) { return ascii::iequals(header.name, name); });
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

// Until the first answer over TLS shows which version the server speaks, HTTP/2 is taken for granted: then transfers
// that start together wait for one connection (PIPEWAIT) instead of opening one each. What may be paused shares none.
bool transfer::may_share() const {
  return !state.may_pause && state.origin->secure && request.http2 && state.origin->speaks_http2.value_or(true);
}

// This decides whether a request may have run, and been paid for, so every doubt counts as yes: a byte of an answer, or
// libcurl's wish to send it again. A server's word that it has not processed it counts more than what was written.
bool transfer::request_written() const {
  if (state.any_byte)
    return true;
  if (state.refused)
    return false;
  if (state.repeated)
    return true;
  if (!state.begun)
    return false;
  if (request.content().empty()) {
    long head_bytes = 0;
    curl_easy_getinfo(easy.get(), CURLINFO_REQUEST_SIZE, &head_bytes);
    return head_bytes > 0;
  }
  curl_off_t sent = 0;
  curl_easy_getinfo(easy.get(), CURLINFO_SIZE_UPLOAD_T, &sent);
  return static_cast<uint64_t>(sent) >= request.content().size();
}

bool transfer::follows_sending() const {
  return request.content().size() > sent_at_once;
}

void transfer::note_sent(steady::time_point time) {
  state.sent = time;
  if (request.on_written)
    request.on_written();
}

// libcurl does not say where it is, so it follows from what we have seen: callbacks, and whether the socket is
// connected.
phase transfer::phase() const {
  if (state.any_byte)
    return phase::receive;
  if (state.begun)
    return request_written() ? phase::wait : phase::send;
  if (state.multi == nullptr)
    return phase::queued;
  if (!state.opened_socket)
    return phase::resolve;
  sockaddr_storage ignored{};
  socklen_t size = sizeof ignored;
  auto connected = getpeername(state.socket, reinterpret_cast<sockaddr*>(&ignored), &size) == 0;
  return connected && state.origin->secure ? phase::tls : phase::connect;
}

// The earliest of the bounds that run now. Which ones do depends on how far the transfer has come; while it is paused,
// it is we who keep the server waiting, so only the total time runs.
steady::time_point transfer::deadline() const {
  auto result = steady::time_point::max();
  auto bound = [&](steady::time_point start, std::chrono::nanoseconds length) {
    if (length.count() > 0 && length < steady::time_point::max() - start)
      result = std::min(result, start + length);
  };
  bound(state.started, request.total_timeout);
  if (!state.begun)
    bound(state.started, request.connect_timeout);
  else if (state.first_byte != steady::time_point{}) {
    if (!state.paused)
      bound(state.last_byte, request.idle_timeout);
  } else if (state.sent != steady::time_point{})
    bound(state.sent, request.first_byte_timeout);
  return result;
}

// Heads of interim answers (1xx) come first and are dropped: each status line begins a new head, and only the final one
// is handed on. Lines behind it are trailers.
verdict transfer::take_line(std::string_view line) {
  state.any_byte = true;
  if (state.head_given) { // a trailer
    state.trailer_bytes += line.size();
    if (state.trailer_bytes <= max_trailer_bytes)
      return verdict::taken;
    state.stop = errc::invalid_response;
    return verdict::abort;
  }
  state.head_bytes += line.size();
  if (state.head_bytes > max_head_bytes) {
    state.stop = errc::invalid_response;
    return verdict::abort;
  }
  state.last_byte = steady::now();
  if (!state.in_head) {
    state.in_head = true;
    state.head.status = status_of(line);
    state.head.headers.clear();
    state.head.headers.reserve(usual_headers);
    if (state.head.status >= 200)
      state.first_byte = state.last_byte;
  } else if (auto text = trim(line); text.empty()) {
    state.in_head = false;
    if (state.head.status >= 200) {
      state.head_given = true;
      note_route();
      state.compressed.begin(state.head.get("content-encoding"),
                             ascii::icontains(state.head.get("transfer-encoding"), "chunked"));
      if (state.compressed.is_watching())
        curl_easy_setopt(easy.get(), CURLOPT_VERBOSE, 1L); // libcurl shows the bytes in no other way
      state.receiver->on_head(std::move(state.head));
    }
  } else if ((line[0] == ' ' || line[0] == '\t') && !state.head.headers.empty()) {
    (state.head.headers.back().value += ' ') += text; // a folded line
  } else if (auto colon = text.find(':'); colon != std::string_view::npos) {
    state.head.headers.push_back({lower(trim(text.substr(0, colon))), std::string{trim(text.substr(colon + 1))}});
  }
  return verdict::taken;
}

// Of a tunnel the answer is the server's: the proxy has no part in it.
void transfer::note_route() {
  auto is_proxied = !state.origin->proxy.empty() && !state.origin->secure;
  if (state.head.status / 100 == 3)
    state.head.route = std::make_shared<route>(route{request.url, {}});
  else if (state.head.status >= 400 && is_proxied)
    state.head.route = std::make_shared<route>(route{{}, state.origin->proxy_name});
}

// The words are libcurl's, of 7.88 (misspelt) and later. Only what begins so is taken: other lines quote our headers.
std::optional<uint32_t> transfer::take_note(std::string_view line) {
  if (auto number = number_behind(line, "Using Stream ID: ")) {
    state.stream = *number;
  } else if (line.starts_with("[HTTP/2] [") && line.find("] OPENED stream for ") < 24) {
    state.stream = number_behind(line, "[HTTP/2] [").value_or(0);
  } else if (line.starts_with("REFUSED_STREAM, retrying")) {
    state.refused = !state.any_byte;
  } else if (line.starts_with("recveived GOAWAY, ") || line.starts_with("received GOAWAY, ")) {
    return number_behind(line, "last_stream=", 48);
  }
  return {};
}

void transfer::note_last_stream(uint32_t last_stream) {
  if (state.stream > last_stream && !state.any_byte)
    state.refused = true;
}

// libcurl holds a whole piece back when it is asked to pause, also the part that we have taken already. So we remember
// how much of it was handed on, and skip that when the piece comes again.
verdict transfer::take_data(std::string_view piece) {
  auto known = std::min(state.delivered_of_held, piece.size()); // libcurl may cut what it held back into other pieces
  piece.remove_prefix(known);
  state.delivered_of_held -= known;
  if (piece.size() > request.max_response_bytes - state.received) {
    state.stop = errc::response_too_large;
    return verdict::abort;
  }
  auto part = piece.substr(0, state.credit);
  if (!part.empty()) {
    state.last_byte = steady::now();
    state.received += part.size();
    if (state.credit != UINT64_MAX)
      state.credit -= part.size();
    if (state.compressed.is_watching())
      state.compressed.take_decompressed(part);
    state.receiver->on_data(part);
  }
  if (part.size() < piece.size()) {
    state.delivered_of_held = known + part.size();
    return verdict::pause;
  }
  return verdict::taken;
}

// All options that depend on the request are set here, each to some value: the easy handle still has the last
// request's.
void transfer::configure() {
  auto* handle = easy.get();
  auto set = [handle](CURLoption option, auto value) { curl_easy_setopt(handle, option, value); };
  lines.clear();
  for (auto& [name, value] : request.headers)
    lines.add(name, value);
  lines.add_raw("Expect:"); // libcurl would wait a second for "100 Continue" before large bodies
  if (!request.compression && !has_header(request, "accept-encoding"))
    lines.add_raw("Accept-Encoding: identity");
  auto head = request.method == "HEAD";
  if (head) {
    request.body.clear();
    request.shared_body.reset();
  }
  auto with_body = request.method == "POST" || !request.content().empty();
  if (with_body && !has_header(request, "content-type"))
    lines.add_raw("Content-Type:");
  set(CURLOPT_URL, request.url.c_str());
  set(CURLOPT_PROXY, state.origin->proxy.c_str()); // nothing: none, whatever the environment says
  set(CURLOPT_NOBODY, 0L);
  if (with_body) {
    set(CURLOPT_POST, 1L);
    set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.content().size()));
    set(CURLOPT_POSTFIELDS, request.content().data());
  } else {
    set(CURLOPT_HTTPGET, 1L);
  }
  if (head)
    set(CURLOPT_NOBODY, 1L);
  auto implied = head || request.method == (with_body ? "POST" : "GET");
  set(CURLOPT_CUSTOMREQUEST, implied ? nullptr : request.method.c_str());
  set(CURLOPT_HTTPHEADER, lines.list());
  set(CURLOPT_ACCEPT_ENCODING, ""); // decodes all that libcurl can, and asks for it unless a header says otherwise
  set(CURLOPT_NOPROGRESS, follows_sending() ? 0L : 1L);
  set(CURLOPT_VERBOSE, 0L); // until it is sent: see `loop::on_ready`
  auto http2 = request.http2 && state.origin->secure;
  set(CURLOPT_HTTP_VERSION, static_cast<long>(http2 ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_1_1));
  error_text[0] = '\0';
}

} // namespace modelforge::http
