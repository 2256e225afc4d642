#include "tests/cli/cli_fixture.hpp"
#include "tests/support/authority.hpp"

#include <catch2/catch_test_macros.hpp>

#include <functional>

namespace modelforge::cli_config_test {

// What `modelforge config` says of a configuration.

using namespace modelforge::test;

namespace {

struct config_test : cli_test {};

} // namespace

TEST_CASE_METHOD(config_test, "config check looks at a node's certificates", "[cli][node]") {
  authority ca, other;
  auto write = [&](const authority::pair& files) {
    folder.write("node.pem", files.certificate);
    folder.write("node.key", files.key);
  };
  auto good = ca.certify("a");
  write(good);
  folder.write("ca.pem", ca.certificate());
  auto path = folder.write("node.toml", "[node]\nname = \"a\"\n[node.tls]\ncertificate = \"node.pem\"\n"
                                        "key = \"node.key\"\nca = \"ca.pem\"\n");
  auto check = [&] { return run({"config", "check", path}); };
  write(ca.certify("a", -1, 5));
  auto soon = check();
  CHECK(soon.exit_code == 0);
  CHECK(contains(soon.err, "node.toml:4:"));
  CHECK(contains(soon.err, "node.pem expires within a day"));
  write(ca.certify("a", -1, 24 * 10 + 1));
  CHECK(contains(check().err, "node.pem expires in 10 days"));
  write(ca.certify("a", -1, 24 * 60));
  CHECK_FALSE(contains(check().err, "expires"));
  struct fault {
    std::function<void()> make;
    std::string place;
    std::string told;
  };
  for (auto& [make, place, told] : std::vector<fault>{
         {[&] { std::filesystem::remove(folder.path("node.pem")); }, ":4:", "node.pem: No such file or directory"},
         {[&] { folder.write("node.pem", "rubbish"); }, ":4:", "is not a PEM file with a certificate"},
         {[&] { write(ca.certify("a", -48, -1)); }, ":4:", "it has expired"},
         {[&] { write(ca.certify("a", 24, 48)); }, ":4:", "it is not valid yet"},
         {[&] { write(other.certify("a")); }, ":4:", "the authority in `ca` has not signed it"},
         {[&] { write(ca.certify("b")); }, ":4:", "is that of \"b\", and this node is called \"a\""},
         {[&] { std::filesystem::remove(folder.path("node.key")); }, ":5:", "node.key: No such file or directory"},
         {[&] { folder.write("node.key", ca.certify("a").key); }, ":5:", "is not the key of the certificate"},
         {[&] { folder.write("ca.pem", "rubbish"); }, ":6:", "is not a PEM file with certificates"},
       }) {
    write(good);
    make();
    auto x = check();
    INFO(told << '\n' << x.err);
    CHECK(x.exit_code == 2);
    CHECK(x.out.empty());
    CHECK(contains(x.err, "node.toml" + place));
    CHECK(contains(x.err, told));
  }
}

TEST_CASE_METHOD(config_test, "config show tells where each value is from", "[cli]") {
  auto path =
    folder.write("x.toml", "[providers.p]\nkind = \"openai_compatible\"\nbase_url = \"http://127.0.0.1:1/v1\"\n"
                           "api_key_env = \"MY_KEY\"\nheaders = { X-A = \"b\" }\n"
                           "price = { input = 2.0, output = 3.0 }\n[providers.p.retry]\nmax_attempts = 5\n"
                           "[providers.p.models.\"m*\"]\nprice = { input = 1.0 }\n");
  auto shown = run({"config", "show", "--origins", path}).out;
  INFO(shown);
  for (auto& part :
       {"kind = \"openai_compatible\" # " + path + ":2\n", "base_url = \"http://127.0.0.1:1/v1\" # " + path + ":3\n",
        "api_key_env = \"MY_KEY\" # " + path + ":4\n", "X-A = \"b\" # " + path + ":5\n",
        "max_attempts = 5 # " + path + ":8\n", "input = 1.0 # " + path + ":10\n",
        "\"m*\".price]\ninput = 1.0 # " + path + ":10\noutput = 3.0 # " + path + ":6\n",
        std::string{"max_wait = 60 # default\n"}, std::string{"threads = 0 # default\n"}})
    CHECK(contains(shown, part));
  auto again = folder.write("again.toml", shown);
  CHECK(run({"config", "show", again}).out == run({"config", "show", path}).out);
  auto x = command({"config", "show", "--origins"});
  x.environment.push_back("OPENAI_API_KEY=k");
  auto of_variable = run_process(x).out;
  INFO(of_variable);
  CHECK(contains(of_variable, "api_key_env = \"OPENAI_API_KEY\" # the environment (OPENAI_API_KEY)\n"));
  CHECK(contains(of_variable, "max_wait = 60 # default\n"));
}

} // namespace modelforge::cli_config_test
