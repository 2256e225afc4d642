#include "http/proxy.hpp"
#include "tests/http/misbehaving_server.hpp"
#include "tests/http/waiting.hpp"

#include <catch2/catch_test_macros.hpp>

#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <string>

namespace modelforge::proxy_test {

using namespace modelforge::test;

namespace {

http::proxy_rules rules(std::map<std::string, std::string> environment) {
  return http::proxy_rules{[environment = std::move(environment)](const char* name) -> std::optional<std::string> {
    auto found = environment.find(name);
    return found != environment.end() ? std::optional{found->second} : std::nullopt;
  }};
}

/// A variable of this process for as long as it lives; without a value it is not set. Then it is what it was.
class variable {
public:
  explicit variable(const char* name, const std::optional<std::string>& value = {}) : name_(name) {
    if (auto* now = std::getenv(name))
      before_ = now;
    set(value);
  }

  ~variable() { set(before_); }

  variable(const variable&) = delete;
  variable& operator=(const variable&) = delete;

private:
  void set(const std::optional<std::string>& value) {
    if (value)
      setenv(name_, value->c_str(), 1);
    else
      unsetenv(name_);
  }

  const char* name_;
  std::optional<std::string> before_;
};

bool contains(const std::string& text, std::string_view part) {
  return text.find(part) != text.npos;
}

uint16_t unused_port() {
  misbehaving_server server{[](peer&) {}};
  return server.port();
}

} // namespace

TEST_CASE("the environment says which proxy a host is asked by") {
  struct {
    std::map<std::string, std::string> environment;
    bool secure;
    std::string_view host, port, proxy;
  } table[] = {
    {{}, true, "h", "443", ""},
    {{{"http_proxy", "p"}}, false, "h", "80", "p"},
    {{{"http_proxy", "p"}}, true, "h", "443", ""},
    {{{"HTTP_PROXY", "p"}}, false, "h", "80", ""},
    {{{"https_proxy", "p"}}, true, "h", "443", "p"},
    {{{"HTTPS_PROXY", "p"}}, true, "h", "443", "p"},
    {{{"https_proxy", "p"}, {"HTTPS_PROXY", "q"}}, true, "h", "443", "p"},
    {{{"https_proxy", ""}, {"ALL_PROXY", "q"}}, true, "h", "443", ""},
    {{{"ALL_PROXY", "q"}}, true, "h", "443", "q"},
    {{{"all_proxy", "p"}, {"ALL_PROXY", "q"}}, false, "h", "80", "p"},
    {{{"http_proxy", "p"}, {"no_proxy", "*"}}, false, "h", "80", ""},
    {{{"http_proxy", "p"}, {"NO_PROXY", "a, h b"}}, false, "h", "80", ""},
    {{{"http_proxy", "p"}, {"no_proxy", "a"}, {"NO_PROXY", "h"}}, false, "h", "80", "p"},
    {{{"http_proxy", "p"}, {"no_proxy", "Example.com"}}, false, "API.example.com", "80", ""},
    {{{"http_proxy", "p"}, {"no_proxy", ".example.com"}}, false, "example.com", "80", ""},
    {{{"http_proxy", "p"}, {"no_proxy", "example.com"}}, false, "badexample.com", "80", "p"},
    {{{"http_proxy", "p"}, {"no_proxy", "example.com"}}, false, "example.com.", "80", ""},
    {{{"http_proxy", "p"}, {"no_proxy", "h:8080"}}, false, "h", "8080", ""},
    {{{"http_proxy", "p"}, {"no_proxy", "h:8080"}}, false, "h", "80", "p"},
    {{{"http_proxy", "p"}, {"no_proxy", "127.0.0.1"}}, false, "127.0.0.1", "80", ""},
    {{{"http_proxy", "p"}, {"no_proxy", "0.0.1"}}, false, "127.0.0.1", "80", "p"},
    {{{"http_proxy", "p"}, {"no_proxy", "10.0.0.0/8"}}, false, "10.1.2.3", "80", ""},
    {{{"http_proxy", "p"}, {"no_proxy", "10.0.0.0/8"}}, false, "11.1.2.3", "80", "p"},
    {{{"http_proxy", "p"}, {"no_proxy", "10.0.0.0/x"}}, false, "10.1.2.3", "80", "p"},
    {{{"http_proxy", "p"}, {"no_proxy", "10.0.0.0/33"}}, false, "10.0.0.0", "80", "p"},
    {{{"http_proxy", "p"}, {"no_proxy", "10.128.0.0/9"}}, false, "10.200.1.1", "80", ""},
    {{{"http_proxy", "p"}, {"no_proxy", "10.128.0.0/9"}}, false, "10.100.1.1", "80", "p"},
    {{{"http_proxy", "p"}, {"no_proxy", "10.1.2.3/32"}}, false, "10.1.2.3", "80", ""},
    {{{"http_proxy", "p"}, {"no_proxy", "10.1.2.3/32"}}, false, "10.1.2.4", "80", "p"},
    {{{"http_proxy", "p"}, {"no_proxy", "0.0.0.0/0"}}, false, "10.1.2.4", "80", ""},
    {{{"http_proxy", "p"}, {"no_proxy", "10.0.0.0/8:8080"}}, false, "10.1.2.3", "80", "p"},
    {{{"http_proxy", "p"}, {"no_proxy", "::1"}}, false, "::1", "80", ""},
    {{{"http_proxy", "p"}, {"no_proxy", "[::1]"}}, false, "::1", "80", ""},
    {{{"http_proxy", "p"}, {"no_proxy", "0:0:0:0:0:0:0:1"}}, false, "::1", "80", ""},
    {{{"http_proxy", "p"}, {"no_proxy", "2001:DB8::1"}}, false, "2001:db8:0:0::1", "80", ""},
    {{{"http_proxy", "p"}, {"no_proxy", "2001:db8::1"}}, false, "2001:db8::2", "80", "p"},
    {{{"http_proxy", "p"}, {"no_proxy", "2001:db8::/32"}}, false, "2001:db8:1::2", "80", ""},
    {{{"http_proxy", "p"}, {"no_proxy", "2001:db8::/32"}}, false, "2001:db9::2", "80", "p"},
    {{{"http_proxy", "p"}, {"no_proxy", "fe80::/10"}}, false, "febf::1", "80", ""},
    {{{"http_proxy", "p"}, {"no_proxy", "fe80::/10"}}, false, "fec0::1", "80", "p"},
    {{{"http_proxy", "p"}, {"no_proxy", "[2001:db8::]/32"}}, false, "2001:db8::2", "80", ""},
    {{{"http_proxy", "p"}, {"no_proxy", "2001:db8::/129"}}, false, "2001:db8::", "80", "p"},
    {{{"http_proxy", "p"}, {"no_proxy", "::/0"}}, false, "10.1.2.3", "80", "p"},
    {{{"http_proxy", "p"}, {"no_proxy", "[::1]:8080"}}, false, "::1", "80", "p"},
    {{{"http_proxy", "p"}, {"no_proxy", "[::1]:80"}}, false, "::1", "80", ""},
    {{{"http_proxy", "p"}}, false, "127.0.0.1", "80", "p"},
    {{{"http_proxy", "p"}}, false, "127.0.0.1", "11434", ""}, // Ollama's own address
  };
  for (auto& row : table) {
    auto all = rules(row.environment);
    CAPTURE(row.host, row.port, row.secure, row.environment.size());
    CHECK(all.find(row.secure, row.host, row.port) == row.proxy);
  }
}

TEST_CASE("a proxy is named by host and port, without its login") {
  CHECK(http::proxy_name("http://user:secret@p.example:3128/") == "p.example:3128");
  CHECK(http::proxy_name("p.example:3128") == "p.example:3128");
  CHECK(http::proxy_name("user:secret@p.example") == "p.example:1080");
  CHECK(http::proxy_name("https://p.example") == "p.example:443");
  CHECK(http::proxy_name("socks5h://p.example") == "p.example:1080");
  CHECK(http::proxy_name("http://[::1]") == "[::1]:1080");
  CHECK(http::proxy_name("http://[::1]:8080") == "[::1]:8080");
}

TEST_CASE("a proxy that is down is named, not the server behind it") {
  auto port = std::to_string(unused_port());
  for (auto* url : {"http://nothing.invalid/v1", "https://nothing.invalid/v1"}) {
    variable http{"http_proxy", "http://user:secret@127.0.0.1:" + port};
    variable https{"https_proxy", "http://user:secret@127.0.0.1:" + port};
    http::transport transport;
    auto got = fetch(transport, post_to(url));
    CAPTURE(url);
    REQUIRE(got.end.error);
    INFO(got.end.error->message);
    CHECK(got.end.error->code == errc::connect_failed);
    CHECK(contains(got.end.error->message, "the proxy 127.0.0.1:" + port));
    CHECK_FALSE(contains(got.end.error->message, "secret"));
    CHECK(got.end.error->proxy == "127.0.0.1:" + port);
  }
  variable missing{"http_proxy", "http://no-such-proxy.invalid:3128"};
  http::transport transport;
  auto got = fetch(transport, post_to("http://127.0.0.1:9/v1"));
  REQUIRE(got.end.error);
  CHECK(got.end.error->code == errc::resolve_failed);
  CHECK(contains(got.end.error->message, "the proxy no-such-proxy.invalid:3128"));
}

TEST_CASE("what can be no proxy is refused once, and said to be none") {
  struct {
    std::string url;
    std::string_view flaw; ///< "": it is one.
  } table[] = {
    {"p.example", ""},
    {"p.example:3128", ""},
    {"http://user:secret@p.example:3128/", ""},
    {"HTTPS://p.example", ""},
    {"socks5h://[::1]:1080", ""},
    {"socks4a://p.example", ""},
    {"foo://p.example:9", "begins with none of"},
    {"htp://p.example", "begins with none of"},
    {"http://p.example:99999", "port"},
    {"http://p.example:x", "port"},
    {"http://:3128", "names no host"},
    {"http://", "names no host"},
    {"not a url", "names no host"},
  };
  for (auto& row : table) {
    CAPTURE(row.url);
    auto flaw = http::flaw_of_proxy(row.url);
    CHECK(flaw.empty() == row.flaw.empty());
    CHECK(contains(flaw, row.flaw));
  }
  variable set{"http_proxy", "foo://user:secret@p.example:9"};
  http::transport transport;
  auto got = fetch(transport, post_to("http://nothing.invalid/v1"));
  REQUIRE(got.end.error);
  CHECK(got.end.error->code == errc::configuration);
  CHECK(contains(got.end.error->message, "the proxy p.example:9 cannot be used: it begins with none of http://"));
  CHECK_FALSE(contains(got.end.error->message, "secret"));
  CHECK_FALSE(got.end.error->request_written);
}

TEST_CASE("a proxy that refuses is named, for tunnels and for plain requests") {
  for (auto [status, code] :
       {std::pair{"407 Proxy Authentication Required", errc::permission}, std::pair{"403 Forbidden", errc::permission},
        std::pair{"401 Unauthorized", errc::permission}, std::pair{"429 Too Many Requests", errc::connect_failed},
        std::pair{"503 Service Unavailable", errc::connect_failed}}) {
    misbehaving_server proxy{[status = std::string{status}](peer& x) {
      while (x.read_request())
        x.send("HTTP/1.1 " + status + "\r\nProxy-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\n\r\n");
    }};
    auto name = "127.0.0.1:" + std::to_string(proxy.port());
    variable http{"http_proxy", proxy.url("")};
    variable https{"https_proxy", proxy.url("")};
    http::transport transport;
    CAPTURE(status);
    auto tunnel = fetch(transport, post_to("https://nothing.invalid/v1"));
    REQUIRE(tunnel.end.error);
    INFO(tunnel.end.error->message);
    CHECK(name_of(tunnel.end.error->code) == name_of(code));
    CHECK(contains(tunnel.end.error->message, "the proxy " + name));
    CHECK_FALSE(tunnel.end.error->request_written);
    auto plain = fetch(transport, post_to("http://nothing.invalid/v1"));
    CHECK_FALSE(plain.end.error);
    CHECK(plain.head.proxy() == name);
  }
}

TEST_CASE("a redirect keeps what was asked") {
  misbehaving_server server{[](peer& x) {
    while (x.read_request())
      x.send("HTTP/1.1 308 X\r\nLocation: /v1/\r\nContent-Length: 0\r\n\r\n");
  }};
  http::transport transport;
  auto got = fetch(transport, post_to(server.url("/v1")));
  CHECK(got.head.asked_url() == server.url("/v1"));
  CHECK(got.head.proxy().empty());
}

TEST_CASE("authorities are found in the folder that SSL_CERT_DIR names") {
  misbehaving_server server{[](peer& x) {
                              while (x.read_request())
                                x.answer("safe");
                            },
                            {.tls = true}};
  auto* memory = BIO_new_mem_buf(server.certificate().data(), static_cast<int>(server.certificate().size()));
  auto* certificate = PEM_read_bio_X509(memory, nullptr, nullptr, nullptr);
  char name[16];
  std::snprintf(name, sizeof name, "%08lx.0", X509_subject_name_hash(certificate));
  X509_free(certificate);
  BIO_free(memory);
  char folder[] = "/tmp/modelforge-certificates-XXXXXX";
  REQUIRE(mkdtemp(folder) != nullptr);
  std::ofstream{std::filesystem::path{folder} / name} << server.certificate();
  {
    variable bundle{"CURL_CA_BUNDLE"}, file{"SSL_CERT_FILE"}, none{"SSL_CERT_DIR"};
    http::transport without;
    CHECK(fetch(without, post_to(server.url())).end.error);
    variable set{"SSL_CERT_DIR", std::string{folder}};
    http::transport with;
    auto got = fetch(with, post_to(server.url()));
    CHECK_FALSE(got.end.error);
    CHECK(got.body == "safe");
  }
  std::filesystem::remove_all(folder);
}

} // namespace modelforge::proxy_test
