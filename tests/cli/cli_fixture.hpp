#pragma once

#include "tests/http/misbehaving_server.hpp"
#include "tests/support/places.hpp"
#include "tests/support/process.hpp"
#include "tests/support/temporary_folder.hpp"

#include <catch2/catch_test_macros.hpp>

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <utility>
#include <vector>

/// The program as its user meets it: what it prints, on which stream, with which exit code.

namespace modelforge::test {

struct cli_test {
  temporary_folder folder;

  process_options command(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), program());
    process_options x;
    x.arguments = std::move(arguments);
    x.environment = {"HOME=" + folder.path(""), "PATH=/usr/bin:/bin"};
    x.folder = folder.path("");
    return x;
  }

  process_result run(std::vector<std::string> arguments) { return run_process(command(std::move(arguments))); }

  /// Writes a configuration for a server and returns its path.
  std::string configure(const std::string& url, const std::string& more = {}) {
    return folder.write("test.toml", "[providers.test]\nkind = \"openai_compatible\"\nbase_url = \"" + url
                                       + "/v1\"\ndefault_model = \"m\"\n" + more);
  }

  process_result chat_with(const std::string& url, const std::string& more = {}) {
    return run({"chat", "-c", configure(url, more), "hello"});
  }
};

/// Waits until the process says these words, and returns the line.
inline std::string line_with(background_process& from, const std::string& words) {
  std::string line;
  do
    line = from.read_line();
  while (!line.empty() && line.find(words) == line.npos);
  INFO("waited for: " << words);
  REQUIRE_FALSE(line.empty());
  return line;
}

inline constexpr auto good_answer =
  R"({"model":"m-1","choices":[{"index":0,"message":{"role":"assistant","content":"fine"},)"
  R"("finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1}})";

/// A port on which nobody listens, taken for as long as the object lives.
class closed_port {
public:
  closed_port() : socket_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    bind(socket_, reinterpret_cast<sockaddr*>(&address), size);
    getsockname(socket_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
  }

  ~closed_port() { close(socket_); }

  closed_port(const closed_port&) = delete;
  closed_port& operator=(const closed_port&) = delete;

  std::string url() const { return "http://" + address(); }
  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
  uint16_t port() const { return port_; }

private:
  int socket_;
  uint16_t port_ = 0;
};

inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

inline misbehaving_server::behaviour always(std::string raw) {
  return [raw = std::move(raw)](peer& x) {
    while (x.read_request())
      if (!x.send(raw))
        return;
  };
}

inline std::string whole_answer(int status, const std::string& body, const std::string& type = "application/json") {
  return "HTTP/1.1 " + std::to_string(status) + " X\r\nContent-Type: " + type
         + "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

} // namespace modelforge::test
