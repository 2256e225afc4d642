#include "tests/cli/cli_fixture.hpp"
#include "tests/support/authority.hpp"
#include "tests/support/terminal.hpp"
#include "tools/simulator/simulator.hpp"

#include <catch2/catch_test_macros.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <ctime>
#include <filesystem>

namespace modelforge::doctor_cli_test {

// `modelforge doctor` in front of the things that go wrong.

using namespace modelforge::test;
using nlohmann::json;

namespace {

struct doctor_test : cli_test {
  std::vector<std::string> variables{"MAIN_KEY=sk-a-key-of-the-test-0123456789"};
  int exit_code = -1;
  std::string output; ///< All that the last run has said.

  /// The findings of a run.
  json doctor(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"doctor", "--json"});
    auto x = command(std::move(arguments));
    x.environment.insert(x.environment.end(), variables.begin(), variables.end());
    auto result = run_process(x);
    INFO(result.err);
    exit_code = result.exit_code;
    output = result.out + result.err;
    CHECK_FALSE(contains(output, "a-key-of-the-test"));
    return json::parse(result.out);
  }

  std::string with_key(const std::string& url, const std::string& more = {}) {
    return configure(url, "api_key_env = \"MAIN_KEY\"\n" + more);
  }
};

/// Whether there is a finding of this kind that says these words, or whose remedy does.
bool finds(const json& all, const std::string& verdict, const std::string& check, const std::string& words) {
  for (auto& found : all)
    if (found["verdict"] == verdict && found["check"] == check
        && (contains(found["message"], words) || contains(found["remedy"], words)))
      return true;
  UNSCOPED_INFO(all.dump(2));
  return false;
}

} // namespace

TEST_CASE_METHOD(doctor_test, "the doctor finds nothing wrong, and asks nobody by itself", "[cli][doctor]") {
  simulator::server server{{}};
  auto found = doctor({with_key(server.url())});
  CHECK(exit_code == 0);
  CHECK(finds(found, "ok", "key", "MAIN_KEY"));
  CHECK(finds(found, "ok", "clock", "evenly"));
  for (auto& each : found)
    CHECK(each["verdict"] == "ok");
  CHECK(server.snapshot().connections_accepted == 0);

  auto text = run({"doctor", configure(server.url())});
  CHECK(text.exit_code == 0);
  CHECK(contains(text.out, "0 problems, 0 warnings"));
  CHECK(contains(text.out, "--ask does"));
}

TEST_CASE_METHOD(doctor_test, "asked providers show whether they take each key, and what time it is", "[cli][doctor]") {
  simulator::options options;
  options.api_key = "sk-the-right-one";
  simulator::server server{options};
  variables.push_back("GOOD_KEY=sk-the-right-one");
  auto found = doctor({"--ask", configure(server.url(), "keys = [{ api_key_env = \"MAIN_KEY\" }, { api_key_env = "
                                                        "\"GOOD_KEY\" }]\n")});
  CHECK(exit_code == 1);
  CHECK(finds(found, "problem", "answer", "is the key in MAIN_KEY this provider's"));
  CHECK(finds(found, "ok", "answer", "takes the key in GOOD_KEY"));
  CHECK(finds(found, "warning", "answer", "the model m, which the settings name, is not in its list"));
}

TEST_CASE_METHOD(doctor_test, "a server's time is compared with the clock", "[cli][doctor]") {
  auto then = std::time(nullptr) - 30 * 86400;
  char date[64];
  std::strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", std::gmtime(&then));
  std::string body = R"({"data":[{"id":"m"}]})";
  misbehaving_server server{always("HTTP/1.1 200 OK\r\nDate: " + std::string{date}
                                   + "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body)};
  auto found = doctor({"--ask", configure("http://127.0.0.1:" + std::to_string(server.port()))});
  CHECK(finds(found, "ok", "answer", "lists 1 model"));
  CHECK(finds(found, "problem", "clock", "720 h ahead of the server's"));
}

TEST_CASE_METHOD(doctor_test, "a broken configuration, and none, are problems at their places", "[cli][doctor]") {
  auto found = doctor({folder.write("bad.toml", "[providers.main]\nkind = \"opnai\"\n")});
  CHECK(exit_code == 1);
  CHECK(finds(found, "problem", "configuration", "openai"));
  CHECK(std::any_of(found.begin(), found.end(), [](auto& x) { return contains(x["subject"], "bad.toml:2:8"); }));
  variables.clear();
  CHECK(finds(doctor({}), "problem", "configuration", "nothing is configured"));
  CHECK(finds(doctor({"none.toml"}), "problem", "configuration", "cannot be read"));
}

TEST_CASE_METHOD(doctor_test, "a key that is missing is told once, and its provider is not asked", "[cli][doctor]") {
  simulator::server server{{}};
  variables.clear();
  auto found = doctor({"--ask", with_key(server.url())});
  CHECK(exit_code == 1);
  CHECK(finds(found, "problem", "key", "environment variable MAIN_KEY is not set"));
  for (auto& each : found)
    CHECK(each["check"] != "answer");
  CHECK(std::count_if(found.begin(), found.end(), [](auto& x) { return x["verdict"] != "ok"; }) == 1);
  CHECK(server.snapshot().connections_accepted == 0);
}

TEST_CASE_METHOD(doctor_test, "TLS trouble is told by its cause", "[cli][doctor]") {
  misbehaving_server strange{[](peer& x) { x.wait_for_close(); }, {.tls = true}};
  auto found = doctor({"--ask", configure("https://127.0.0.1:" + std::to_string(strange.port()))});
  CHECK(exit_code == 1);
  CHECK(finds(found, "problem", "answer", "a certificate of its own making"));

  simulator::server plain{{}};
  found = doctor({"--ask", configure("https" + plain.url().substr(4))});
  CHECK(finds(found, "problem", "answer", "the server speaks plain HTTP there"));

  variables.push_back("SSL_CERT_FILE=" + folder.path("none.pem"));
  CHECK(finds(doctor({configure("https://127.0.0.1:1")}), "problem", "tls", "unset SSL_CERT_FILE"));
}

TEST_CASE_METHOD(doctor_test, "a proxy that is down is told without asking the provider", "[cli][doctor]") {
  closed_port nobody;
  variables.push_back("https_proxy=http://me:secret@" + nobody.address());
  auto config = configure("https://api.example");
  auto found = doctor({config});
  CHECK(exit_code == 1);
  CHECK(finds(found, "problem", "proxy", "the proxy " + nobody.address() + " cannot be reached: Connection refused"));
  CHECK_FALSE(contains(output, "secret"));
  for (auto& each : doctor({"--ask", config})) // which would say the same again
    CHECK(each["check"] != "answer");
  variables.back() = "https_proxy=http://nothing.invalid:3128";
  found = doctor({config});
  CHECK(exit_code == 1);
  CHECK(finds(found, "problem", "host", "nothing.invalid cannot be resolved"));
  CHECK(finds(found, "problem", "proxy",
              "the proxy nothing.invalid:3128 cannot be reached: its name cannot be resolved: "));
  CHECK(finds(found, "problem", "proxy", "check the proxy that http_proxy, https_proxy or all_proxy names"));
  variables.back() = "https_proxy=gopher://x";
  CHECK(finds(doctor({config}), "problem", "proxy", "begins with none of http://"));
}

TEST_CASE_METHOD(doctor_test, "a node's port, and the certificates that it shows, are looked at", "[cli][doctor]") {
  simulator::server somebody{{}};
  authority certified;
  auto write = [&](int ends) {
    auto own = certified.certify("a", -48, ends);
    folder.write("a.pem", own.certificate);
    std::filesystem::permissions(folder.write("a.key", own.key), std::filesystem::perms{0600});
    folder.write("ca.pem", certified.certificate());
  };
  auto address = somebody.url().substr(7);
  auto config =
    with_key(somebody.url(), "[node]\nname = \"a\"\nlisten = \"" + address
                               + "\"\ntls = { certificate = \"a.pem\", key = \"a.key\", ca = \"ca.pem\" }\n");
  write(-1);
  auto found = doctor({config});
  CHECK(exit_code == 1);
  CHECK(finds(found, "problem", "port", "node.listen is taken"));
  CHECK(finds(found, "problem", "certificate", "it has expired"));
  CHECK(finds(found, "problem", "certificate", "have its authority sign a new one"));
  write(24 * 30);
  CHECK(finds(doctor({config}), "ok", "certificate", "fits its key and its authority"));
  folder.write("a.key", certified.certify("a").key);
  CHECK(finds(doctor({config}), "problem", "certificate", "is not the key of the certificate"));
}

TEST_CASE_METHOD(doctor_test, "the folder of limits, its files and a batch's ledger are looked at", "[cli][doctor]") {
  auto state = folder.path("state");
  auto config = with_key("http://127.0.0.1:1",
                         "rate_limit = { requests_per_minute = 10 }\n[runtime]\nstate_folder = \"" + state + "\"\n");
  CHECK(finds(doctor({config}), "ok", "state", "the use of limits can be kept"));
  std::filesystem::create_directory(state);
  folder.write("state/test.limits", "modelforge limits 1\nof x\n");
  CHECK(finds(doctor({config}), "warning", "limits", "is damaged"));
  std::filesystem::remove_all(state);
  folder.write("state", "no folder");
  CHECK(finds(doctor({config}), "problem", "state", "is not a folder"));

  folder.write("out.jsonl.ledger", "rubbish\n");
  auto found = doctor({with_key("http://127.0.0.1:1"), "--batch", "out.jsonl"});
  CHECK(exit_code == 1);
  CHECK(finds(found, "problem", "ledger", "ledger"));
}

TEST_CASE_METHOD(doctor_test, "at a terminal consent is asked for, and no is the default", "[cli][doctor]") {
  simulator::server server{{}};
  auto x = command({"doctor", configure(server.url())});
  x.environment.push_back("TERM=dumb");
  {
    terminal hesitant{x};
    REQUIRE(hesitant.shows("May test (127.0.0.1:"));
    hesitant.type("\n");
    CHECK(hesitant.wait() == 0);
    CHECK(contains(hesitant.screen(), "--ask does"));
  }
  CHECK(server.snapshot().requests == 0);
  terminal willing{x};
  REQUIRE(willing.shows("[y/N]"));
  willing.type("y\n");
  CHECK(willing.wait() == 0);
  CHECK(contains(willing.screen(), "models"));
  CHECK_FALSE(contains(willing.screen(), "--ask does"));
}

} // namespace modelforge::doctor_cli_test
