#include "tests/cli/cli_fixture.hpp"

#include <catch2/catch_test_macros.hpp>

#include <csignal>

namespace modelforge::cli_trust_test {

// A folder that came from somebody else, with a modelforge.toml in it.

using namespace modelforge::test;

struct strange_folder : cli_test {
  misbehaving_server server{[this](peer& x) {
    while (x.read_request()) {
      ++server.requests;
      x.send(whole_answer(200, good_answer));
    }
  }};

  /// The configuration as it lies in the folder.
  std::string write_config(const std::string& more = {}) {
    return folder.write("modelforge.toml", "[providers.test]\nkind = \"openai_compatible\"\nbase_url = \""
                                             + server.url("") + "/v1\"\ndefault_model = \"m\"\n"
                                             + "api_key_env = \"OPENAI_API_KEY\"\n" + more);
  }

  process_result with_key(std::vector<std::string> arguments, const std::string& variable = {}) {
    auto x = command(std::move(arguments));
    x.environment.push_back("OPENAI_API_KEY=sk-of-the-user-0123456789");
    if (!variable.empty())
      x.environment.push_back(variable);
    return run_process(std::move(x));
  }
};

TEST_CASE_METHOD(strange_folder, "no command uses a found file that sends keys elsewhere", "[cli]") {
  write_config();
  auto prompts = folder.write("in.txt", "one\n");
  for (auto& arguments : std::vector<std::vector<std::string>>{{"chat", "--no-stream", "hi"},
                                                               {"models"},
                                                               {"embed", "hi"},
                                                               {"batch", prompts, "-o", folder.path("out.jsonl")},
                                                               {"batch", "--dry-run", prompts},
                                                               {"providers"},
                                                               {"node"},
                                                               {"config", "show"},
                                                               {"config", "check"}}) {
    auto x = with_key(arguments);
    INFO(arguments[0] << ": " << x.err);
    CHECK(x.exit_code == 2);
    for (auto* part : {"modelforge.toml:3:", "OPENAI_API_KEY", "config trust", "MODELFORGE_CONFIG"})
      CHECK(contains(x.err, part));
  }
  CHECK(server.requests == 0);
}

TEST_CASE_METHOD(strange_folder, "a found file is confirmed once, as it is", "[cli]") {
  write_config();
  auto trusted = with_key({"config", "trust"});
  INFO(trusted.err);
  CHECK(trusted.exit_code == 0);
  CHECK(contains(trusted.out, "OPENAI_API_KEY may go to 127.0.0.1:"));
  CHECK(contains(trusted.out, "./modelforge.toml: confirmed until it changes\n"));
  CHECK(with_key({"chat", "--no-stream", "hi"}).exit_code == 0);
  CHECK(server.requests == 1);

  write_config("# pulled\n");
  CHECK(with_key({"chat", "--no-stream", "hi"}).exit_code == 2);
  write_config();
  CHECK(with_key({"config", "check"}).exit_code == 0);
  CHECK(contains(with_key({"config", "trust", "--forget"}).out, "no longer confirmed"));
  CHECK(with_key({"config", "check"}).exit_code == 2);
  CHECK(server.requests == 1);
}

TEST_CASE_METHOD(strange_folder, "no variable that is no whole path makes a folder's file the user's own", "[cli]") {
  write_config();
  for (auto* place : {"conf/modelforge", ".config/modelforge"}) {
    std::filesystem::create_directories(folder.path(place));
    std::filesystem::copy_file(folder.path("modelforge.toml"), folder.path(place + std::string{"/modelforge.toml"}));
  }
  std::filesystem::remove(folder.path("modelforge.toml"));
  auto x = command({"config", "path"});
  x.environment = {"HOME=.", "XDG_CONFIG_HOME=conf", "OPENAI_API_KEY=sk-of-the-user-0123456789"};
  CHECK(run_process(x).out == "the environment (OPENAI_API_KEY)\n");
}

TEST_CASE_METHOD(strange_folder, "a header that chooses the host is asked about, too", "[cli]") {
  folder.write("modelforge.toml", "[providers.test]\nkind = \"openai\"\napi_key_env = \"OPENAI_API_KEY\"\n"
                                  "headers = { Host = \"evil.example\" }\n");
  auto x = with_key({"config", "check"});
  INFO(x.err);
  CHECK(x.exit_code == 2);
  CHECK(contains(x.err, "modelforge.toml:4:"));
  CHECK(contains(x.err, "OPENAI_API_KEY would go to api.openai.com or another host, which header `Host` chooses"));
}

TEST_CASE_METHOD(strange_folder, "naming a file is enough, by -c or by MODELFORGE_CONFIG", "[cli]") {
  auto path = write_config();
  CHECK(with_key({"chat", "--no-stream", "-c", "./modelforge.toml", "hi"}).exit_code == 0);
  CHECK(with_key({"chat", "--no-stream", "hi"}, "MODELFORGE_CONFIG=" + path).exit_code == 0);
  CHECK(server.requests == 2);
  auto missing = with_key({"config", "check"}, "MODELFORGE_CONFIG=missing.toml");
  CHECK(missing.exit_code == 2);
  CHECK(contains(missing.err, "missing.toml"));
}

TEST_CASE_METHOD(strange_folder, "a node takes nothing over that it would not start with", "[cli][node]") {
  auto write = [&](const std::string& key) {
    folder.write("modelforge.toml", "[providers.test]\nkind = \"openai_compatible\"\nbase_url = \"" + server.url("")
                                      + "/v1\"\n" + key + "[node]\nname = \"a\"\nlisten = \"127.0.0.1:0\"\n");
  };
  write("");
  background_process node{
    {"/bin/sh", "-c", "cd \"$1\" && HOME=$1 OPENAI_API_KEY=k exec \"$2\" node 2>&1", "sh", folder.path(""), program()}};
  auto hears = [&](const std::string& words) {
    for (auto line = node.read_line(); !line.empty(); line = node.read_line())
      if (contains(line, words))
        return true;
    return false;
  };
  REQUIRE(hears("listening"));
  write("api_key_env = \"OPENAI_API_KEY\"\n");
  node.signal(SIGHUP);
  CHECK(hears("OPENAI_API_KEY would go to 127.0.0.1:"));
  REQUIRE(with_key({"config", "trust"}).exit_code == 0);
  node.signal(SIGHUP);
  CHECK(hears("reload.taken"));
  CHECK(node.end(SIGTERM) == 0);
}

TEST_CASE_METHOD(strange_folder, "every command can tell which files it used", "[cli]") {
  auto path = write_config();
  CHECK(with_key({"config", "path"}).out == std::filesystem::canonical(path).string() + "\n");
  CHECK(with_key({"config", "path"}, "MODELFORGE_CONFIG=" + path).exit_code == 0);
  std::filesystem::remove(path);
  CHECK(with_key({"config", "path"}).out == "the environment (OPENAI_API_KEY)\n");
  CHECK(run({"config", "path"}).exit_code == 2);

  write_config();
  with_key({"config", "trust"});
  auto x = with_key({"chat", "--no-stream", "--show-config", "hi"});
  INFO(x.err);
  CHECK(x.exit_code == 0);
  CHECK(x.out == "fine\n");
  for (auto& part : {"settings: " + std::filesystem::canonical(path).string() + " (found in the working folder)",
                     std::string{"key: OPENAI_API_KEY for 127.0.0.1:"}, std::string{"state: "}})
    CHECK(contains(x.err, part));
  CHECK_FALSE(contains(x.err, "0123456789"));
  for (auto* command : {"check", "show", "path"}) {
    auto told = with_key({"config", command, "--show-config"});
    INFO(command << ": " << told.err);
    CHECK(told.exit_code == 0);
    CHECK(contains(told.err, "modelforge: settings: " + std::filesystem::canonical(path).string()));
    CHECK(contains(told.err, "modelforge: key: OPENAI_API_KEY for 127.0.0.1:"));
  }
  CHECK(
    contains(run({"chat", "--simulate", "--show-config", "hi"}).err, "modelforge: settings: none, with --simulate"));
  folder.write("empty.toml", "[providers.x]\n");
  CHECK(contains(run({"config", "check", "--show-config", "empty.toml"}).err, "modelforge: settings: "));
}

} // namespace modelforge::cli_trust_test
