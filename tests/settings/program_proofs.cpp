#include "tests/cli/cli_fixture.hpp"
#include "tests/settings/proof.hpp"
#include "tests/settings/virtual_provider.hpp"
#include "tests/support/collector.hpp"

#include <modelforge/actors/runtime.hpp>
#include <modelforge/actors/system.hpp>
#include <modelforge/config/load.hpp>

#include <caf/actor_system_config.hpp>

#include <future>

namespace modelforge::settings_test {

namespace {

using namespace test;

/// What the program says, given these settings as its configuration and a server that answers.
look says(std::vector<std::string> arguments) {
  return [=](const settings& all) {
    cli_test program;
    misbehaving_server server{test::always(whole_answer(200, good_answer))};
    auto here = all;
    here.providers.front().base_url = server.url("/v1");
    here.providers.front().keys.clear();
    auto words = arguments;
    words.insert(words.end(), {"-c", program.folder.write("test.toml", to_toml(here))});
    auto x = program.run(words);
    return x.out + x.err;
  };
}

std::string threads(const settings& all) {
  caf::actor_system_config config;
  apply(all, config);
  return std::to_string(caf::get_or(config, "caf.scheduler.max-threads", uint64_t{0})) + " threads";
}

/// What becomes of a request that is under way when the program ends: the server answers as soon as nothing new is
/// taken, unless the request has been cut off by then.
std::string at_shutdown(const settings& all) {
  std::promise<void> asked, ending;
  auto has_ended = ending.get_future().share();
  misbehaving_server server{[&](peer& x) {
    if (!x.read_request())
      return;
    asked.set_value();
    has_ended.wait();
    x.send(whole_answer(200, good_answer));
  }};
  auto here = all;
  here.providers.front().base_url = server.url("/v1");
  here.providers.front().keys.clear();
  runtime ai{here};
  auto answer = ai.chat_async(question(1));
  asked.get_future().wait();
  std::thread closing{[&] { ai.shutdown(); }};
  answer.wait_for(all.runtime.grace_period > 0s ? 300ms : 10s);
  ending.set_value();
  auto got = answer.get();
  closing.join();
  return got ? "answered" : "cut off";
}

/// What a collector gets of one request; a host in `otlp` stands for it.
std::string traced(const settings& all) {
  collector at;
  misbehaving_server server{test::always(whole_answer(200, good_answer))};
  auto here = all;
  here.providers.front().base_url = server.url("/v1");
  here.providers.front().keys.clear();
  if (!here.telemetry.otlp.empty())
    here.telemetry.otlp = at.url();
  {
    runtime ai{here};
    static_cast<void>(ai.chat(question(1)));
  }
  std::string result = "sent:";
  for (auto& request : at.requests())
    result += " " + request;
  return result;
}

} // namespace

std::vector<proof> program_proofs() {
  static const temporary_folder folder;
  auto dry_run = says({"batch", "--dry-run", folder.write("prompts.txt", "one\n")});
  auto asked = says({"chat", "--no-stream", "hi"});
  auto otlp = "telemetry.otlp = \"http://collector.test\"";
  auto debug = "log.level = \"debug\"";
  return {
    {"runtime.threads", "37", threads, "", "37 threads"},
    {"runtime.grace_period", "0", at_shutdown, "answered", "cut off"},
    {"metrics.listen", "\"127.0.0.1:0\"", says({"chat", "--no-stream", "hi"}), "", "metrics at http://127.0.0.1:"},
    {"log.level", "\"debug\"", asked, "", "request.admitted"},
    {"log.format", "\"json\"", asked, " request.admitted ", "\"event\":\"request.admitted\"", debug},
    {"log.sink", "\"none\"", asked, "request.admitted", "", debug},
    {"log.access", "\"stderr\"", asked, "", "\"outcome\":\"answered\""},
    {"log.content", "true", asked, "", "prompt=\"user: hi\"", debug},
    {"telemetry.otlp", "\"http://collector.test\"", traced, "", "POST /v1/traces HTTP/1.1"},
    {"telemetry.sample", "0", traced, "POST /v1/traces", "", otlp},
    {"telemetry.service_name", "\"ask\"", traced, "\"service.name\",\"value\":{\"stringValue\":\"modelforge\"}",
     "{\"stringValue\":\"ask\"}", otlp},
    {"telemetry.headers.X-Title", "\"nightly\"", traced, "", "X-Title: nightly", otlp},
    {"telemetry.headers.X-Team", "{ env = \"TEAM_TOKEN\" }", traced, "", "X-Team: token-of-team", otlp},
    {"history.keep", "false", says({"chat", "--no-stream", "--name", "rivers", "hi"}), "", "not kept"},
    {"providers.main.optimizations.enable_batch_api", "true", dry_run, "", "batch API"},
  };
}

} // namespace modelforge::settings_test
