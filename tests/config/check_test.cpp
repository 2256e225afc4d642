#include "support.hpp"

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>

#include <string>

namespace modelforge::check_test {

using namespace modelforge::test;
using namespace std::chrono_literals;
using Catch::Matchers::ContainsSubstring;

namespace {

const auto env = variables({{"A", "key-a"}, {"B", "key-b"}});

constexpr auto error = severity::error;
constexpr auto warning = severity::warning;

/// A provider that has nothing wrong with it, for tests that continue it.
std::string provider(std::string_view more) {
  return "[providers.x]\napi_key_env = \"A\"\n" + std::string{more};
}

} // namespace

TEST_CASE("checks find what does not fit together", "[config]") {
  const std::string base = "[providers.x]\napi_key_env = \"A\"\n"; // two lines
  const struct {
    severity level;
    std::string_view more;
    uint32_t line;
    uint32_t column;
    std::string_view message;
  } cases[] = {
    // Addresses.
    {error, "base_url = \"api.example.org\"", 3, 12, "does not start with http:// or https://"},
    {error, "base_url = \"FTP://h\"", 3, 12, "does not start with http:// or https://"},
    {warning, "base_url = \"HTTP://example.org\"", 3, 12, "in the clear"},
    {error, "base_url = \"https://\"", 3, 12, "has no valid host and port"},
    {error, "base_url = \"https://h:99999\"", 3, 12, "has no valid host and port"},
    {error, "base_url = \"https://h:x/\"", 3, 12, "has no valid host and port"},
    {error, "base_url = \"https://h/a b\"", 3, 12, "has blanks"},
    {error, "base_url = \"https://h/v1?x=1\"", 3, 12, "has a query"},
    {error, "kind = \"azure\"", 1, 12, "a provider of kind `azure` needs a `base_url`"},
    {error, "kind = \"openai_compatible\"", 1, 12, "needs a `base_url`"},
    {warning, "base_url = \"http://example.org\"", 3, 12, "in the clear"},
    {warning, "base_url = \"http://127.0.0.1.example.org\"", 3, 12, "in the clear"},
    {warning, "base_url = \"https://h/v1/chat/completions\"", 3, 12, "which is appended to it"},
    // APIs.
    {error, "kind = \"gemini\"\napi = \"responses\"", 4, 7, "kind `gemini` has no Responses API"},
    {error, "kind = \"anthropic\"\n[providers.x.models.\"a*\"]\napi = \"responses\"", 5, 7,
     "kind `anthropic` has no Responses API"},
    {warning, "flavor = \"vllm\"", 3, 10, "`flavor` means nothing to kind `openai`"},
    {warning, "api_version = \"2024-10-21\"", 3, 15, "`api_version` means nothing to kind `openai`"},
    {error, "kind = \"azure\"\nbase_url = \"https://h\"\napi_version = \"a/b\"", 5, 15, "is not a version"},
    {warning, "kind = \"azure\"\nbase_url = \"https://h/openai/v1\"\napi_version = \"2024-10-21\"", 5, 15,
     "has no dated versions"},
    {warning, "kind = \"anthropic\"\nbase_url = \"https://h/v1\"", 4, 12, "ends in `/v1`"},
    {warning, "kind = \"ollama\"\nbase_url = \"https://h/v1/\"", 4, 12, "ends in `/v1`"},
    // Headers.
    {error, "headers = { \"a b\" = \"c\" }", 3, 21, "a header cannot have this name"},
    {error, "headers = { A = \"b\\r\\nC: d\" }", 3, 17, "has line breaks"},
    {error, "headers = { A = \"\" }", 3, 17, "has no value"},
    {error, "headers = { A = \"b\", a = \"c\" }", 3, 26, "is given twice"},
    {error, "headers = { Content-Length = \"3\" }", 3, 30, "cannot be set"},
    {error, "headers = { A = { env = \"$B\" } }", 3, 17, "written without `$`"},
    {error, "headers = { A = { env = \"\" } }", 3, 17, "names no variable"},
    {warning, "headers = { A = { env = \"NOT_THERE\" } }", 3, 17, "NOT_THERE is not set"},
    // What would have no effect.
    {error, "[providers.x.models.\"a*\"]\nrate_limit = { requests_per_minute = 5, on_start = \"full\" }", 4, 52,
     "`on_start` holds for a provider with all its models"},
    // Numbers that contradict each other.
    {error, "max_concurrent = 2\ninteractive_slots = 2", 4, 21, "leaves batches nothing"},
    {error, "max_concurrent = 1\ninteractive_slots = 1", 4, 21, "leaves batches nothing"},
    {error, "retry = { base_wait = 61 }", 3, 23, "`base_wait` (61 s) is longer than `max_wait` (60 s)"},
    {error, "retry = { max_wait = 0.1 }", 3, 22, "`base_wait` (0.5 s) is longer than `max_wait` (0.1 s)"},
    {error, "rate_limit = { window = 0.1, window_guard = 0.1 }", 3, 45, "is not shorter than `window`"},
    {error, "rate_limit = { window = 1, requests_per_minute = 10 }", 3, 50, "nothing would ever be sent"},
    {warning, "rate_limit = { tokens_per_minute = 10, input_tokens_per_minute = 11 }", 3, 66, "never applies"},
    {warning, "timeouts = { first_token = 700 }", 3, 28, "`first_token` (700 s) never applies"},
    {warning, "[providers.x.models.\"*\"]\n[providers.x.models.\"a*\"]", 4, 22, "this pattern is never used"},
    {error, "[providers.x.models.\"\"]", 3, 1, "a pattern for models is empty"},
    // Limits of models.
    {warning, "rate_limit = { requests_per_minute = 60 }\nmodels.\"a*\".rate_limit = { burst = 5 }", 4, 26,
     "`rate_limit` of these models sets no limit, and those of [providers.x.rate_limit] do not hold for them"},
    // Keys.
    {warning, "[providers.y]\napi_key_env = \"NOT_THERE\"", 4, 15, "environment variable NOT_THERE is not set"},
    {warning, "[providers.y]\napi_key_file = \"/no/such\"", 4, 16, "key file /no/such cannot be read"},
    {warning, "[providers.y]", 3, 12, "no key is named, so none is sent to api.openai.com"},
    {error, "[providers.y]\napi_key_env = \"${B}\"", 4, 15, "written without `$`"},
    {error, "[providers.y]\napi_key_env = \"a b\"", 4, 15, "not the name of an environment variable"},
    {error, "[[providers.y.keys]]\napi_key_env = \"B\"\n[[providers.y.keys]]\napi_key_env = \"B\"", 5, 1,
     "the same key is listed twice"},
    {error,
     "[[providers.y.keys]]\nname = \"k\"\napi_key_env = \"B\"\n[[providers.y.keys]]\nname = \"k\"\napi_key_env = \"C\"",
     7, 8, "two keys have the name `k`"},
    {warning, "[providers.y]\napi_key_env = \"A\"", 4, 15,
     "providers `x` and `y` send the same key (A) to api.openai.com"},
    {warning,
     "[providers.y]\nkind = \"openai_compatible\"\nbase_url = \"https://API.openai.com:443/v2\"\napi_key_env = \"A\"",
     6, 15, "their limits would add up"},
    // Nodes.
    {error, "[node]\nname = \"n\"\nlisten = \"0.0.0.0:4711\"", 5, 10, "0.0.0.0 needs [node.tls]"},
    {error, "[node]\nname = \"n\"\nlisten = \"127.0.0.1\"", 5, 10, "`listen` has no port"},
    {error, "[node]\nname = \"n\"\nlisten = \"a b:1\"", 5, 10, "`listen` has no valid host"},
    {error, "[node]\nname = \"n\"\npeers = [\"10.0.0.1:1\"]", 5, 9, "10.0.0.1 needs [node.tls]"},
    {error, "[node]\nlisten = \"127.0.0.1:1\"", 3, 1, "needs a `name`"},
    {error, "[node]\nname = \"a b\"", 4, 8, "a node cannot have this name"},
    {error, "[node]\nname = \"a.b\"", 4, 8, "a node cannot have this name"},
    {error, "[node]\nname = \"a.1.2\"", 4, 8, "a node cannot have this name"},
    {error, "[node]\ncluster = \"\"", 4, 11, "`cluster` is empty"},
    {error, "[node]\ntimeout = 1", 4, 11, "less than two heartbeats"},
    {error, "[node.tls]\nca = \"/ca.pem\"", 3, 1, "[node.tls] is incomplete"},
    {error, "nodes = [\"n\"]", 3, 9, "`nodes` is set but this node has no name"},
    {error, "nodes = [\"n\", \"n\"]\n[node]\nname = \"n\"", 3, 9, "a node is named twice"},
    {warning, "nodes = [\"n\", \"m\"]\n[node]\nname = \"n\"", 3, 9, "only the first one, n, runs the provider"},
    {error, "nodes = [\"m\"]\n[node]\nname = \"n\"", 3, 9, "another node, m, runs `x`"},
    {error, "[log]\nsink = \"\"", 4, 8, "`sink` is empty"},
    {error, "[log]\naccess = \"\"", 4, 10, "`access` is empty"},
    {error, "[log]\naccess = \"automatic\"", 4, 10, "`access` cannot be `automatic`"},
    {error, "[log]\nsink = \"/var/log/one\"\naccess = \"/var/log/one\"", 5, 10,
     "the log and the access log have the same file"},
    {error, "[telemetry]\notlp = \"127.0.0.1:4318\"", 4, 8, "`otlp` does not start with http:// or https://"},
    {error, "[telemetry]\notlp = \"http://h:4318/v1/traces/\"", 4, 8, "`/v1/traces`, which is appended"},
    {error, "[telemetry]\nservice_name = \"\"", 4, 16, "`service_name` is empty"},
    {error, "[telemetry]\nsample = 1.5", 4, 10, "`sample` is out of range"},
    {error, "[telemetry]\nheaders = { Authorization = \"Bearer abcdefgh\" }", 4, 29, "the file contains a key"},
    {warning, "[telemetry]\notlp = \"http://h:4317\"", 4, 8, "port 4317 is usually that of OTLP over gRPC"},
    {warning, "[telemetry]\notlp = \"http://h:4318\"\nheaders = { A = { env = \"K\" } }", 4, 8, "in the clear"},
  };
  for (const auto& x : cases) {
    auto text = base + std::string{x.more} + '\n';
    auto result = parse(text, "f", env);
    CAPTURE(text);
    INFO(text_of(result));
    CHECK(result.value.has_value() == (x.level == warning));
    REQUIRE_FALSE(result.diagnostics.empty());
    const auto* found = &result.diagnostics[0];
    for (const auto& y : result.diagnostics)
      if (y.message.find(x.message) != std::string::npos)
        found = &y;
    CHECK_THAT(found->message, ContainsSubstring(std::string{x.message}));
    CHECK(found->level == x.level);
    CHECK(found->line == x.line);
    CHECK(found->column == x.column);
    for (const auto& y : result.diagnostics) // no other error in its wake
      CHECK((&y == found || y.level == warning));
  }
}

TEST_CASE("checks have nothing to say about what is fine", "[config]") {
  const std::string_view texts[] = {
    "[providers.x]\napi_key_env = \"A\"\n",
    "[providers.x]\nkind = \"ollama\"\n",
    "[providers.x]\nbase_url = \"HTTPS://example.org/v1\"\napi_key_env = \"A\"\n",
    "[providers.x]\nmax_concurrent = 1\napi_key_env = \"A\"\n",
    "[providers.x]\nkind = \"ollama\"\nbase_url = \"http://gpu.example.org:11434\"\n",
    "[providers.x]\nbase_url = \"http://[::1]:8080/v1\"\napi_key_env = \"A\"\n",
    "[providers.x]\nbase_url = \"http://localhost/v1\"\napi_key_env = \"A\"\n",
    // The same key at two hosts, and two keys at one host.
    "[providers.x]\napi_key_env = \"A\"\n[providers.y]\nkind = \"anthropic\"\napi_key_env = \"A\"\n",
    "[providers.x]\napi_key_env = \"A\"\n[providers.y]\napi_key_env = \"B\"\n",
    "[[providers.x.keys]]\napi_key_env = \"A\"\n[[providers.x.keys]]\napi_key_env = \"B\"\n",
    "[providers.x]\napi_key_env = \"A\"\nnodes = [\"n\"]\n[node]\nname = \"n\"\nlisten = \"127.0.0.1:0\"\n"
    "peers = [\"[::1]:4711\", \"localhost:1\"]\n",
    "[providers.x]\napi_key_env = \"A\"\n[node]\nname = \"n\"\nlisten = \"0.0.0.0:1\"\npeers = [\"far.example:1\"]\n"
    "tls = { certificate = \"c\", key = \"k\", ca = \"a\" }\n",
    "[providers.x]\napi_key_env = \"A\"\ntimeouts = { total = 0, connect = 0 }\n",
  };
  for (auto text : texts) {
    auto result = parse(text, "f", env);
    CAPTURE(text);
    CHECK(text_of(result) == "");
    CHECK(result.value);
  }
}

TEST_CASE("a key in the file is refused wherever it stands, and not shown", "[config][secret]") {
  struct {
    std::string_view more;
    uint32_t line;
    uint32_t column;
  } const cases[] = {
    {"api_key = \"SECRET-VALUE\"", 2, 1},
    {"api_key = 'SECRET-VALUE'", 2, 1},
    {"api_key = \"SECRET-\\\"VALUE\"", 2, 1},
    {"token = \"SECRET-VALUE\"", 2, 1},
    {"key = \"SECRET-VALUE\"", 2, 1},
    {"password = \"\"\"SECRET-VALUE\"\"\"", 2, 1},
    {"apikey = { value = { api-key = \"SECRET-VALUE\" } }", 2, 1},
    {"api_key_env = \"sk-SECRET-VALUE\"", 2, 15},
    {"api_key_env = \"SECRET-VALUE-a1b2c3d4e5\"", 2, 15},
    {"api_key_file = \"sk-SECRET-VALUE\"", 2, 16},
    {"default_model = \"hf_SECRET-VALUE\"", 2, 17},
    {"nodes = [\"a\", \"gsk_SECRET-VALUE\"]", 2, 15},
    {"unknown = [\"AIzaSECRET-VALUE\"]", 2, 1},
    {"kind = \"sk-SECRET-VALUE\"", 2, 8},
    {"base_url = \"https://h/v1?key=SECRET-VALUE\"", 2, 12},
    {"base_url = \"https://user:SECRET-VALUE@h/v1\"", 2, 12},
    {"base_url = \"https://h/sk-SECRET-VALUE/v1\"", 2, 12},
    {"headers = { Authorization = \"Bearer SECRET-VALUE\" }", 2, 29},
    {"headers = { X-API-Key = \"SECRET-VALUE\", levl = 3 }", 2, 25},
    {"headers = { cookie = \"SECRET-VALUE\" }", 2, 22},
    {"headers = { x-goog-api-key = \"SECRET-VALUE\" }", 2, 30},
    {"headers = { X-Custom = \"sk-SECRET-VALUE\" }", 2, 24},
    {"headers = { X-Custom = { env = \"SECRET-VALUE-a1b2c3d4e5\" } }", 2, 24},
    {"[providers.x.models.\"sk-SECRET-VALUE\"]", 2, 22},
    {"[node.tls]\nkey = \"-----BEGIN PRIVATE KEY-----SECRET-VALUE\"", 3, 7},
    // Broken as well.
    {"api_key = \"SECRET-VALUE", 2, 24},
    {"api_key = SECRET-VALUE", 2, 11},
    {"adaptive = 3 # api_key = \"SECRET-VALUE\"", 2, 12},
  };
  for (const auto& x : cases) {
    auto text = "[providers.x]\n" + std::string{x.more} + '\n';
    auto result = parse(text, "f", env);
    auto shown = text_of(result);
    CAPTURE(text, shown);
    CHECK_FALSE(result.value);
    CHECK(shown.find("VALUE") == std::string::npos);
    CHECK_THAT(shown, ContainsSubstring("f:" + std::to_string(x.line) + ':' + std::to_string(x.column) + ": error: "));
  }
}

TEST_CASE("a literal key is answered with the way that is right", "[config][secret]") {
  auto result = parse("[providers.x]\napi_key = \"SECRET\"\n[providers.x.headers]\nCookie = \"a\"\n", "f", env);
  REQUIRE(result.diagnostics.size() >= 2);
  CHECK_THAT(text_of(result), ContainsSubstring("api_key_env = \"NAME\"") && ContainsSubstring("api_key = \"***\"")
                                && ContainsSubstring("Cookie = { env = \"NAME\" }"));
}

TEST_CASE("settings made by a program are checked by the same rules", "[config]") {
  settings x;
  auto& provider = x.providers.emplace_back();
  provider.name = "main";
  provider.keys = {{"key1", "A", ""}};
  CHECK(check(x, "code", env).empty());
  provider.base_url = "HTTPS://Example.org/v1";
  CHECK(check(x, "code", env).empty());
  provider.headers = {{"a\x1b[31m", "b", ""}};
  for (const auto& y : check(x, "code", env))
    CHECK(y.message == R"(providers.main.headers."a\u001B[31m": a header cannot have this name)");
  provider.headers.clear();
  provider.retry.max_attempts = 0;
  provider.deadline = -1s;
  provider.circuit_breaker.failure_share = std::numeric_limits<double>::quiet_NaN();
  provider.kind = static_cast<provider_kind>(77);
  x.runtime.max_queued_bytes = 0;
  x.log.sink = "";
  std::string shown;
  for (const auto& y : check(x, "code", env))
    if (y.level == severity::error)
      shown += to_string(y);
  for (auto name : {"providers.main.retry.max_attempts: ", "providers.main.deadline: ",
                    "providers.main.circuit_breaker.failure_share: ", "providers.main.kind: ",
                    "runtime.max_queued_bytes: ", "log.sink: "})
    CHECK_THAT(shown, ContainsSubstring(std::string{"code: error: "} + name));
}

TEST_CASE("findings that follow from another fault are not told", "[config]") {
  auto text = provider("max_concurrent = 0\ninteractive_slots = 20\nretry = { max_wait = -1, base_wait = 70 }\n"
                       "kind = \"azur\"\n");
  auto result = parse(text, "f", env);
  INFO(text_of(result));
  CHECK(result.diagnostics.size() == 3);
}

TEST_CASE("a model's price takes what it leaves out from the provider's", "[config]") {
  auto result = parse("[providers.p]\nprice = { input = 2.0, output = 8.0, cached_read = 0.5, batch = 0.7 }\n"
                      "[providers.p.models.\"a.*\"]\nprice = { input = 1.0 }\n"
                      "[providers.p.models.free]\nprice = { output = 0 }\n"
                      "[providers.p.models.same]\napi = \"chat\"\n",
                      "test", variables({}));
  INFO(text_of(result));
  REQUIRE(result.value);
  auto& models = result.value->providers[0].models;
  CHECK(models[0].price == price_settings{1.0, 8.0, 0.5, 0, 0.7});
  CHECK(models[1].price == price_settings{2.0, 0, 0.5, 0, 0.7});
  CHECK(models[2].price == price_settings{});
  auto again = parse(to_toml(*result.value), "again", variables({}));
  REQUIRE(again.value);
  CHECK(again.value->providers[0].models == models);
}

} // namespace modelforge::check_test
