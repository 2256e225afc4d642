#include "tools/doctor/checks.hpp"

#include <catch2/catch_test_macros.hpp>

#include <cerrno>
#include <utility>

namespace modelforge::doctor_checks_test {

// Facts in, findings out: nothing here looks at a machine.

using namespace modelforge::doctor;
using namespace std::chrono_literals;

namespace {

constexpr uint32_t me = 1000;

/// The only finding, which there has to be.
finding only(const std::vector<finding>& all) {
  REQUIRE(all.size() == 1);
  return all.front();
}

bool has(const std::vector<finding>& all, verdict verdict, const std::string& words) {
  for (auto& found : all)
    if (found.verdict == verdict && found.message.find(words) != std::string::npos)
      return true;
  return false;
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

answer_facts failed(errc code, std::string message, std::string suggestion = {}) {
  return {"main", "MAIN_KEY", {"m"}, make_failure(code, std::move(message), std::move(suggestion))};
}

clock_facts good_clock() {
  auto now = std::chrono::system_clock::time_point{1'800'000'000s};
  return {now, now + 2s, 2s, {}};
}

} // namespace

// -- the configuration -------------------------------------------------------------------

TEST_CASE("a configuration's errors are problems, its warnings warnings, at their places", "[doctor]") {
  auto loaded = parse("[providers.a]\nkind = \"ollama\"\nmax_concurrent = 0\n", "a.toml");
  REQUIRE_FALSE(loaded.value);
  auto found = judge_configuration(loaded, {});
  CHECK(found.front().verdict == verdict::problem);
  CHECK(found.front().subject == "a.toml:3:18");
  CHECK_FALSE(found.front().remedy.empty());

  loaded = parse("[providers.a]\nkind = \"openai\"\napi_key_env = \"NOT_SET\"\n", "a.toml",
                 [](const std::string&) { return std::nullopt; });
  found = judge_configuration(loaded, {});
  CHECK(found.front().verdict == verdict::ok);
  CHECK(has(found, verdict::warning, "NOT_SET"));
  CHECK(only(judge_configuration(loaded, {loaded.diagnostics.front().message})).message == "has 1 provider");
}

TEST_CASE("a configuration without providers, or none at all, is a problem", "[doctor]") {
  CHECK(only(judge_configuration({}, {})).verdict == verdict::problem);
  auto loaded = parse("[runtime]\nthreads = 2\n", "a.toml");
  REQUIRE(loaded.value);
  CHECK(has(judge_configuration(loaded, {}), verdict::problem, "configures no provider"));
}

TEST_CASE("settings that make no sense together are told", "[doctor]") {
  settings all;
  all.providers.resize(1);
  auto& provider = all.providers.front();
  provider.name = "main";
  CHECK(judge_settings(all).empty());

  SECTION("prices") {
    provider.price.output = 10;
    CHECK(has(judge_settings(all), verdict::warning, "none for input"));
    provider.price.input = 2;
    CHECK(judge_settings(all).empty());
    provider.price.cached_read = 3;
    CHECK(has(judge_settings(all), verdict::warning, "cost more than other input"));
    provider.price = {};
    provider.models.push_back({"gpt-*", {}, {.input = 1}});
    CHECK(has(judge_settings(all), verdict::warning, "`models.\"gpt-*\".price`"));
    provider.models.front().pattern = "text-embedding-*"; // whose answers cost nothing
    CHECK(judge_settings(all).empty());
  }
  SECTION("answers that no window has room for") {
    provider.defaults.max_tokens = 8000;
    provider.rate_limit.output_tokens_per_minute = 8000;
    CHECK(judge_settings(all).empty());
    provider.rate_limit.window = 30s;
    CHECK(has(judge_settings(all), verdict::warning, "(8000) is more than `rate_limit.output_tokens_per_minute`"));
    provider.rate_limit.token_accounting = counted_tokens::none;
    CHECK(judge_settings(all).empty());
  }
  SECTION("a model's limits hold for the provider's defaults, too") {
    provider.defaults.max_tokens = 8000;
    provider.models.push_back({"small-*", {}});
    CHECK(judge_settings(all).empty());
    provider.models.front().rate_limit.tokens_per_minute = 1000;
    CHECK(has(judge_settings(all), verdict::warning, "`models.\"small-*\".rate_limit.tokens_per_minute`"));
  }
  SECTION("retries") {
    provider.deadline = 2s;
    provider.retry.base_wait = 2s;
    CHECK(has(judge_settings(all), verdict::warning, "nothing is tried again"));
    provider.retry.max_attempts = 1;
    CHECK(judge_settings(all).empty());
  }
  SECTION("optimizations") {
    provider.optimizations.enable_batch_api = true;
    CHECK(judge_settings(all).empty());
    provider.optimizations.seed = 7;
    CHECK(has(judge_settings(all), verdict::warning, "does nothing"));
    all.runtime.enable_optimizations = true;
    CHECK(judge_settings(all).empty());
  }
}

TEST_CASE("a key has to be there, and to be its owner's alone", "[doctor]") {
  key_facts key{"main", "MAIN_KEY", {}, "export MAIN_KEY=...", {}};
  CHECK(only(judge_key(key, me)).verdict == verdict::ok);
  key.problem = "environment variable MAIN_KEY is not set";
  CHECK(only(judge_key(key, me)).verdict == verdict::problem);
  CHECK(only(judge_key(key, me)).remedy == "export MAIN_KEY=...");

  key = {"main", "/keys/main", {}, {}, place{"/keys/main", true, me, 0600}};
  CHECK(only(judge_key(key, me)).verdict == verdict::ok);
  key.file->mode = 0644;
  auto found = judge_key(key, me);
  CHECK(has(found, verdict::warning, "its mode is 0644"));
  CHECK(contains(found.back().remedy, "chmod"));
  key.file->mode = 0640; // its group may be meant
  CHECK(judge_key(key, me).size() == 1);
  key.file->owner = 33;
  CHECK(has(judge_key(key, me), verdict::warning, "another user (id 33"));
  key.file->owner = 0;
  CHECK(judge_key(key, me).size() == 1);
}

// -- the network -----------------------------------------------------------------------------

TEST_CASE("a name without address is a problem", "[doctor]") {
  CHECK(judge_host({"main", "api.example", 2, ""}).verdict == verdict::ok);
  auto found = judge_host({"main", "api.example", 0, "Name or service not known"});
  CHECK(found.verdict == verdict::problem);
  CHECK(contains(found.message, "api.example cannot be resolved: Name or service not known"));
}

TEST_CASE("the way to each provider is told where there are proxies", "[doctor]") {
  proxy_facts way{.provider = "main", .host = "api.example:443"};
  CHECK(judge_proxy(way).empty());
  way.has_any = true;
  CHECK(has(judge_proxy(way), verdict::ok, "asked directly"));
  way.name = "proxy:3128";
  CHECK(has(judge_proxy(way), verdict::ok, "through the proxy proxy:3128"));
  way.trouble = "Connection refused";
  CHECK(only(judge_proxy(way)).verdict == verdict::problem);
  CHECK(contains(only(judge_proxy(way)).message, "the proxy proxy:3128 cannot be reached: Connection refused"));
  way.name.clear();
  way.flaw = "it names no host";
  CHECK(has(judge_proxy(way), verdict::problem, "the proxy cannot be used: it names no host"));

  way = {.provider = "local", .host = "127.0.0.1:8000", .is_loopback = true, .has_any = true, .name = "proxy:3128"};
  CHECK(has(judge_proxy(way), verdict::warning, "is this machine, and is asked through a proxy"));
  way = {.provider = "lan", .host = "gpu.lan:80", .is_capital = true};
  CHECK(has(judge_proxy(way), verdict::warning, "HTTP_PROXY is set and not heeded"));
}

TEST_CASE("authorities that cannot be read are a problem", "[doctor]") {
  CHECK(judge_trust({"SSL_CERT_FILE", "/ca.pem", ""}).verdict == verdict::ok);
  auto found = judge_trust({"SSL_CERT_FILE", "/ca.pem", "no such file or directory"});
  CHECK(found.verdict == verdict::problem);
  CHECK(contains(found.remedy, "unset SSL_CERT_FILE"));
}

TEST_CASE("a provider that lists its models takes the key", "[doctor]") {
  answer_facts answer{"main", "MAIN_KEY", {"gpt-4o-mini", "llama3"}, model_list{}};
  auto& list = std::get<model_list>(answer.got);
  CHECK(only(judge_answer(answer)).verdict == verdict::ok); // an empty list says nothing of models
  list.models = {"gpt-4o-mini", "llama3:latest"};
  CHECK(only(judge_answer(answer)).message == "takes the key in MAIN_KEY, and lists 2 models");
  list.models = {"gpt-4o", "llama3:latest"};
  CHECK(has(judge_answer(answer), verdict::warning, "gpt-4o-mini"));
}

TEST_CASE("a provider that refuses the key, or cannot be reached, is a problem with its cause", "[doctor]") {
  auto refused = only(judge_answer(failed(errc::authentication, "the provider refused the key (HTTP 401)")));
  CHECK(refused.verdict == verdict::problem);
  CHECK(contains(refused.remedy, "MAIN_KEY"));

  auto unreached = only(judge_answer(failed(errc::connect_failed, "could not connect to x", "is it running?")));
  CHECK(unreached.verdict == verdict::problem);
  CHECK(unreached.remedy == "is it running?");

  CHECK(only(judge_answer(failed(errc::overloaded, "it has too much to do"))).verdict == verdict::warning);
  auto listless = only(judge_answer(failed(errc::not_found, "HTTP 404")));
  CHECK(listless.verdict == verdict::warning);
  CHECK(contains(listless.message, "whether it takes the key is not known"));
}

TEST_CASE("what OpenSSL says of a certificate becomes what can be done", "[doctor]") {
  auto remedy = [](const std::string& words) {
    return only(judge_answer(failed(errc::tls_failed, "no secure connection to x (" + words + ")", "?"))).remedy;
  };
  CHECK(contains(remedy("SSL certificate problem: certificate has expired"), "out of date, or this machine's clock"));
  CHECK(contains(remedy("SSL certificate problem: certificate is not yet valid"), "clock is behind"));
  CHECK(contains(remedy("SSL certificate problem: self-signed certificate in certificate chain"), "SSL_CERT_FILE"));
  CHECK(contains(remedy("SSL certificate problem: unable to get local issuer certificate"), "install ca-certificates"));
  CHECK(contains(remedy("SSL: no alternative certificate subject name matches target host name 'x'"), "another host"));
  CHECK(contains(remedy("wrong version number"), "http://"));
  CHECK(remedy("something new") == "?");
}

// -- the machine ---------------------------------------------------------------------------

TEST_CASE("a clock is wrong by itself, by steps, or by what servers say", "[doctor]") {
  auto clock = good_clock();
  CHECK(only(judge_clock(clock)).verdict == verdict::ok);

  SECTION("a time that has passed long ago") {
    clock.begun = clock.ended = {};
    clock.passed = 0s;
    CHECK(only(judge_clock(clock)).verdict == verdict::problem);
  }
  SECTION("it was set meanwhile") {
    clock.ended += 1h;
    CHECK(has(judge_clock(clock), verdict::warning, "was set by 60 min"));
  }
  SECTION("the monotonic clock is not") {
    clock.passed = -1s;
    CHECK(has(judge_clock(clock), verdict::problem, "gone backwards"));
  }
  SECTION("servers") {
    clock.servers = {{"a", clock.begun - 2min, clock.begun},
                     {"b", clock.begun + 3min, clock.begun},
                     {"c", clock.begun - 25h, clock.begun}};
    auto found = judge_clock(clock);
    REQUIRE(found.size() == 3);
    CHECK(found[0].verdict == verdict::ok);
    CHECK(found[1].verdict == verdict::warning);
    CHECK(contains(found[1].message, "3 min behind"));
    CHECK(found[2].verdict == verdict::problem);
    CHECK(contains(found[2].message, "25 h ahead"));
  }
}

TEST_CASE("a state folder has to be writable, private, and not full", "[doctor]") {
  folder_facts folder{{"/state", true, me, 0700}, "the use of limits", "", true, 1u << 30};
  CHECK(only(judge_folder(folder, me)).message == "the use of limits can be kept, 1024 MiB free");
  folder.free_bytes = 10u << 20;
  CHECK(only(judge_folder(folder, me)).verdict == verdict::warning);
  folder.free_bytes = 0;
  CHECK(only(judge_folder(folder, me)).verdict == verdict::problem);
  folder.free_bytes = {};
  folder.place.mode = 0755;
  CHECK(has(judge_folder(folder, me), verdict::warning, "its mode is 0755"));
  folder.problem = "/state cannot be written: Permission denied";
  CHECK(only(judge_folder(folder, me)).verdict == verdict::problem);
  folder.is_needed = false;
  CHECK(only(judge_folder(folder, me)).verdict == verdict::warning);
}

TEST_CASE("the file of limits is whole, damaged, or somebody else's", "[doctor]") {
  limits_file_facts file{"main", {"/state/main.limits", false, me, 0600}};
  CHECK(judge_limits_file(file, me).empty());
  file.place.is_there = true;
  CHECK(only(judge_limits_file(file, me)).verdict == verdict::ok);
  file.is_in_use = true;
  CHECK(contains(only(judge_limits_file(file, me)).message, "by a program that runs"));
  file.is_whole = false;
  CHECK(only(judge_limits_file(file, me)).verdict == verdict::warning);
  file.is_readable = false;
  CHECK(only(judge_limits_file(file, me)).verdict == verdict::problem);
}

TEST_CASE("a ledger that cannot be read is a problem", "[doctor]") {
  ledger_facts ledger{{"out.ledger", true, me, 0600}, {}, 95, 100};
  CHECK(only(judge_ledger(ledger, me)).message == "is whole: 95 of 100 done");
  ledger.total = {};
  CHECK(contains(only(judge_ledger(ledger, me)).message, "95 of an unknown number"));
  ledger.problem = make_failure(errc::io_failed, "the ledger is damaged", "restore it");
  CHECK(only(judge_ledger(ledger, me)).verdict == verdict::problem);
  CHECK(only(judge_ledger(ledger, me)).remedy == "restore it");
  ledger.place.is_there = false;
  CHECK(contains(only(judge_ledger(ledger, me)).remedy, "as `-o` did"));
}

TEST_CASE("open files have to do for all connections at a time", "[doctor]") {
  CHECK(judge_descriptors({4096, 1000}).verdict == verdict::ok);
  CHECK(judge_descriptors({1024, 1000}).verdict == verdict::warning);
  CHECK(judge_descriptors({1000, 1000}).verdict == verdict::problem);
  CHECK(contains(judge_descriptors({1000, 1000}).remedy, "1320"));
}

TEST_CASE("a port is free, taken, forbidden, or not this machine's", "[doctor]") {
  port_facts port{"node.listen", "10.0.0.1:4711"};
  CHECK(judge_port(port).verdict == verdict::ok);
  port.error = EADDRINUSE;
  CHECK(judge_port(port).verdict == verdict::problem);
  CHECK(contains(judge_port(port).remedy, "ss -ltnp"));
  port.holder = "nginx, pid 812";
  CHECK(contains(judge_port(port).message, "is taken by nginx, pid 812"));
  port.holder = "modelforge, pid 4711";
  port.is_modelforge = true; // most likely the very node that is looked at
  CHECK(judge_port(port).verdict == verdict::warning);
  port = {"node.listen", "10.0.0.1:80", EACCES};
  CHECK(contains(judge_port(port).remedy, "CAP_NET_BIND_SERVICE"));
  port.error = EADDRNOTAVAIL;
  CHECK(judge_port(port).verdict == verdict::problem);
}

TEST_CASE("a certificate is good, about to end, or of no use", "[doctor]") {
  certificate_facts files{"node.pem", 24h * 90, {"node.key", true, me, 0600}};
  CHECK(only(judge_certificate(files, me)).verdict == verdict::ok);
  files.valid = std::chrono::seconds{24h * 13};
  CHECK(contains(only(judge_certificate(files, me)).message, "expires in 13 days"));
  files.valid = std::chrono::seconds{5h};
  CHECK(contains(only(judge_certificate(files, me)).message, "expires in 5 h"));
  files.key.mode = 0644;
  CHECK(has(judge_certificate(files, me), verdict::warning, "0644"));
  files.valid = make_failure(errc::configuration, "it has expired", "renew it");
  CHECK(has(judge_certificate(files, me), verdict::problem, "it has expired"));
  CHECK(has(judge_certificate(files, me), verdict::warning, "0644")); // which is told in any case
  CHECK(contains(judge_certificate(files, me).front().remedy, "sign a new one"));
}

// -- saying it -------------------------------------------------------------------------------

TEST_CASE("findings are lines for people, and an array for programs", "[doctor]") {
  std::vector<finding> all{{verdict::ok, "key", "main", "MAIN_KEY holds one", ""},
                           {verdict::problem, "answer", "main", "it says: \x1b[2J\nno", "ask \"them\""}};
  CHECK(has_problem(all));
  CHECK(to_text(all)
        == "ok       key main: MAIN_KEY holds one\n"
           "problem  answer main: it says: \\u001B[2J no\n"
           "           ask \"them\"\n"
           "1 problem, 0 warnings, 1 ok\n");
  CHECK(to_json(all)
        == R"([{"verdict":"ok","check":"key","subject":"main","message":"MAIN_KEY holds one","remedy":""},)"
           R"({"verdict":"problem","check":"answer","subject":"main","message":"it says: \u001b[2J\nno",)"
           R"("remedy":"ask \"them\""}])"
           "\n");
  all.pop_back();
  CHECK_FALSE(has_problem(all));
  CHECK(to_json({}) == "[]\n");
}

} // namespace modelforge::doctor_checks_test
