#include "tests/simulator/client.hpp"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <charconv>
#include <stdexcept>

namespace modelforge::test {

namespace {

/// Removes chunked framing; nothing until the last chunk is there. `size` becomes what it took.
std::optional<std::string> dechunk(std::string_view text, std::size_t& size) {
  auto newest = text.substr(text.size() - std::min<std::size_t>(text.size(), 1 << 17)); // more than one read brings
  if (newest.find("0\r\n\r\n") == newest.npos)
    return std::nullopt; // not complete: do not go through all of it for each piece
  std::string body;
  for (std::size_t at = 0;;) {
    auto line = text.find("\r\n", at);
    std::size_t length = 0;
    if (line == text.npos)
      return std::nullopt;
    std::from_chars(text.data() + at, text.data() + line, length, 16);
    at = line + 2;
    if (text.size() < at + length + 2)
      return std::nullopt;
    body.append(text.substr(at, length));
    at += length + 2;
    if (length == 0) {
      size = at;
      return body;
    }
  }
}

std::map<std::string, std::string> read_headers(std::string_view text) {
  std::map<std::string, std::string> headers;
  while (!text.empty()) {
    auto line = text.substr(0, text.find("\r\n"));
    text.remove_prefix(std::min(line.size() + 2, text.size()));
    auto colon = line.find(": ");
    if (colon == line.npos)
      continue;
    std::string name(line.substr(0, colon));
    std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
    headers[name] = line.substr(colon + 2);
  }
  return headers;
}

} // namespace

std::optional<http_answer> take_answer(std::string& received, bool is_closed, bool is_head) {
  auto head = received.find("\r\n\r\n");
  if (head == received.npos)
    return std::nullopt;
  http_answer x;
  x.status = std::stoi(received.substr(9, 3));
  x.headers = read_headers(std::string_view(received).substr(0, head));
  auto rest = std::string_view(received).substr(head + 4);
  std::size_t size = 0;
  if (is_head || x.status == 100) {
    // no body
  } else if (auto length = x.headers.find("content-length"); length != x.headers.end()) {
    size = std::stoul(length->second);
    if (rest.size() < size)
      return std::nullopt;
    x.body = rest.substr(0, size);
  } else if (x.headers.contains("transfer-encoding")) {
    auto body = dechunk(rest, size);
    if (!body)
      return std::nullopt;
    x.body = std::move(*body);
  } else if (is_closed) {
    x.body = rest;
    size = rest.size();
  } else {
    return std::nullopt;
  }
  received.erase(0, head + 4 + size);
  return x;
}

connection::connection(uint16_t port) : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  timeval limit{30, 0};
  setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
  setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0)
    throw std::runtime_error("cannot connect");
}

connection::~connection() {
  close();
}

connection::connection(connection&& x) noexcept : fd_(std::exchange(x.fd_, -1)), received_(std::move(x.received_)) {
  // nop
}

void connection::send(std::string_view bytes) {
  while (!bytes.empty()) {
    auto size = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (size <= 0)
      return; // the answer will tell
    bytes.remove_prefix(static_cast<std::size_t>(size));
  }
}

std::string connection::receive_some() {
  std::string bytes(64 << 10, '\0');
  auto size = recv(fd_, bytes.data(), bytes.size(), 0);
  was_reset_ = size < 0 && errno == ECONNRESET;
  bytes.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
  return bytes;
}

http_answer connection::receive(bool is_head) {
  for (auto is_closed = false;;) {
    if (auto x = take_answer(received_, is_closed, is_head))
      return std::move(*x);
    if (is_closed)
      return {};
    auto bytes = receive_some();
    is_closed = bytes.empty();
    received_ += bytes;
  }
}

bool connection::receive_until(std::string_view text) {
  while (received_.find(text) == received_.npos) {
    auto bytes = receive_some();
    if (bytes.empty())
      return false;
    received_ += bytes;
  }
  return true;
}

void connection::close() {
  if (fd_ >= 0)
    ::close(std::exchange(fd_, -1));
}

std::string http_request(std::string_view method, std::string_view path, std::string_view body,
                         std::string_view headers) {
  std::string text(method);
  text.append(" ").append(path).append(" HTTP/1.1\r\nhost: test\r\n").append(headers);
  if (!body.empty() || method == "POST")
    text.append("content-length: ").append(std::to_string(body.size())).append("\r\n");
  return text.append("\r\n").append(body);
}

http_answer fetch(uint16_t port, std::string_view method, std::string_view path, std::string_view body,
                  std::string_view headers) {
  connection to(port);
  to.send(http_request(method, path, body, headers));
  return to.receive(method == "HEAD");
}

http_answer chat(uint16_t port, std::string_view body, std::string_view headers) {
  return fetch(port, "POST", "/v1/chat/completions", body, headers);
}

std::string ask(std::string_view prompt, std::string_view more) {
  auto x = json::parse(R"({"model": "sim-mini", "messages": [{"role": "user"}]})");
  x["messages"][0]["content"] = prompt;
  return merged(x.dump(), more);
}

std::vector<event> events_of(std::string_view body) {
  std::vector<event> all;
  event next;
  auto is_open = false;
  while (!body.empty()) {
    auto line = body.substr(0, body.find('\n'));
    body.remove_prefix(std::min(line.size() + 1, body.size()));
    if (line.ends_with('\r'))
      line.remove_suffix(1);
    if (line.starts_with("event: "))
      next.name = line.substr(7);
    if (line.starts_with("data: "))
      next.data = json::parse(line.substr(6), nullptr, false);
    is_open = is_open || line.starts_with("event: ") || line.starts_with("data: ");
    if (!is_open || (!line.empty() && !body.empty()))
      continue;
    all.push_back(std::exchange(next, {}));
    is_open = false;
  }
  return all;
}

simulator::options always_with(std::string fault) {
  simulator::options x;
  x.faults = {{std::move(fault), 1}};
  return x;
}

std::string merged(std::string_view x, std::string_view more) {
  auto result = json::parse(x);
  result.update(json::parse(more));
  return result.dump();
}

std::string content_of(const json& answer) {
  const auto& content = answer["choices"][0]["message"]["content"];
  return content.is_string() ? content.get<std::string>() : std::string();
}

stream_content read_stream(std::string_view body) {
  stream_content x;
  while (!body.empty()) {
    auto event = body.substr(0, body.find("\n\n"));
    body.remove_prefix(std::min(event.size() + 2, body.size()));
    if (event == "data: [DONE]") {
      x.is_done = body.empty();
      continue;
    }
    auto chunk = event.starts_with("data: ") ? json::parse(event.substr(6), nullptr, false) : json();
    if (!chunk.is_object())
      return {};
    if (auto usage = chunk.find("usage"); usage != chunk.end() && !usage->is_null())
      x.usage = *usage;
    for (const auto& choice : chunk.value("choices", json::array())) {
      if (choice["index"] != 0)
        continue;
      const auto& delta = choice["delta"];
      auto piece = delta.contains("content") && delta["content"].is_string() ? delta["content"].get<std::string>() : "";
      if (delta.contains("tool_calls"))
        x.arguments += delta["tool_calls"][0]["function"]["arguments"];
      x.deltas += !piece.empty() || (delta.contains("tool_calls") && !delta.contains("role"));
      x.text += piece;
      if (choice["finish_reason"].is_string())
        x.finish_reason = choice["finish_reason"];
    }
    x.chunks.push_back(std::move(chunk));
  }
  return x;
}

} // namespace modelforge::test
