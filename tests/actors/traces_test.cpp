#include "tests/actors/node_fixture.hpp"
#include "tests/support/collected_log.hpp"
#include "tests/support/collector.hpp"
#include "tests/support/eventually.hpp"
#include "tests/support/otlp_rules.hpp"

#include <map>
#include <set>

namespace modelforge::traces_test {

// What a collector gets of a running program.

using namespace node_test;
using nlohmann::json;
using test::attributes_of;
using test::collector;

namespace {

constexpr auto callers_trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

settings base(const std::string& url, const std::string& otlp) {
  auto x = base_of("");
  x.log.sink = "none";
  x.telemetry.otlp = otlp;
  auto& provider = x.providers.emplace_back(provider_of(url, ""));
  provider.nodes.clear();
  return x;
}

/// Whether each span's parent is another one or the caller's, and all is as OTLP asks.
void check_rules(collector& at) {
  std::set<std::string> known{"00f067aa0ba902b7"};
  for (auto& span : at.spans())
    CHECK(known.insert(span["spanId"].get<std::string>()).second);
  for (auto& span : at.spans())
    if (span.contains("parentSpanId"))
      CHECK(known.contains(span["parentSpanId"].get<std::string>()));
  for (auto& body : at.bodies())
    CHECK(test::otlp_judge::faults_of(body) == std::vector<std::string>{});
}

std::vector<json> named(collector& at, const std::string& name) {
  std::vector<json> result;
  for (auto& span : at.spans())
    if (span["name"] == name)
      result.push_back(span);
  return result;
}

} // namespace

TEST_CASE("a collector gets the spans of every request, without prompt and answer", "[trace]") {
  simulator::server server{simulator::options{}};
  collector at;
  {
    auto x = base(server.url(), at.url());
    x.telemetry.service_name = "ask";
    runtime ai{x};
    auto asked = sum_of(123'455'789);
    asked.id = {1, 1};
    asked.tenant = "team";
    asked.labels = {{"job", "7"}};
    asked.trace = callers_trace;
    auto answer = ai.chat(asked);
    REQUIRE(answer);
    CHECK(answer->text.find("123456789") != std::string::npos);
    std::string whole;
    for (auto& text : ai.stream(sum_of(2)))
      whole += text;
    embedding_request vectors;
    vectors.inputs = {"a river"};
    REQUIRE(ai.embed(vectors));
    auto hopeless = sum_of(4);
    hopeless.deadline = 0s;
    REQUIRE_FALSE(ai.chat(hopeless));
    auto unsampled = sum_of(5);
    unsampled.trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
    REQUIRE(ai.chat(unsampled));
  }
  check_rules(at);
  CHECK(at.spans().size() == 2 + 3 + 2 + 1);
  auto chats = named(at, "chat sim-mini");
  REQUIRE(chats.size() == 3);
  CHECK(chats[0]["traceId"] == "4bf92f3577b34da6a3ce929d0e0e4736");
  CHECK(chats[0]["parentSpanId"] == "00f067aa0ba902b7");
  auto chat = attributes_of(chats[0]);
  CHECK(chat["gen_ai.operation.name"] == "chat");
  CHECK(chat["gen_ai.provider.name"] == "openai_compatible");
  CHECK(chat["gen_ai.response.finish_reasons"] == "stop");
  CHECK(chat["gen_ai.usage.input_tokens"] > 0);
  CHECK(chat["server.address"] == "127.0.0.1");
  CHECK(chat["modelforge.tenant"] == "team");
  CHECK(chat["modelforge.label.job"] == "7");
  CHECK_FALSE(chats[1].contains("parentSpanId"));
  CHECK(attributes_of(chats[1])["gen_ai.request.stream"] == true);
  CHECK(attributes_of(chats[1])["gen_ai.response.time_to_first_chunk"] > 0);
  CHECK(attributes_of(chats[2])["modelforge.outcome"] == "refused");
  CHECK(chats[2]["status"]["code"] == 2);
  CHECK(named(at, "embeddings sim-embedding").size() == 1);
  CHECK(named(at, "stream").size() == 1);
  auto posts = named(at, "POST");
  REQUIRE(posts.size() == 3);
  CHECK(attributes_of(posts[0])["url.full"] == server.url() + "/v1/chat/completions");
  CHECK(attributes_of(posts[0])["http.response.status_code"] == 200);
  auto resource = attributes_of(at.bodies()[0]["resourceSpans"][0]["resource"]);
  CHECK(resource["service.name"] == "ask");
  CHECK(resource["service.instance.id"].get<std::string>().size() == 32);
  for (auto& request : at.requests()) {
    CHECK(request.starts_with("POST /v1/traces HTTP/1.1\r\n"));
    CHECK(request.find("content-type: application/json\r\n") != request.npos);
    CHECK(request.find("123455789") == request.npos); // the prompt
    CHECK(request.find("123456789") == request.npos); // the answer
  }
}

TEST_CASE("a caller's trace goes on to the provider below the attempt's span", "[trace]") {
  collector at;
  std::mutex mutex;
  std::vector<std::string> asked;
  test::misbehaving_server provider{[&](test::peer& x) {
    while (auto request = x.read_request()) {
      std::lock_guard lock{mutex};
      asked.push_back(*request);
      if (asked.size() == 1)
        x.send("HTTP/1.1 503 no\r\nretry-after: 0\r\ncontent-length: 0\r\n\r\n");
      else
        x.answer(R"({"choices":[{"message":{"content":"fine"},"finish_reason":"stop"}]})");
    }
  }};
  auto header_of = [&](std::size_t i) {
    auto begin = asked[i].find("traceparent: ");
    return begin == std::string::npos ? std::string{} : asked[i].substr(begin + 13, 55);
  };
  {
    auto x = base(provider.url(""), at.url());
    x.providers[0].retry.base_wait = 1ms;
    runtime ai{x};
    auto traced = sum_of(1);
    traced.trace = callers_trace;
    REQUIRE(ai.chat(traced));
    REQUIRE(ai.chat(sum_of(2))); // the provider hears of no trace that begins here
    traced.trace.back() = '0';
    REQUIRE(ai.chat(traced)); // nor is one changed that nobody records
  }
  check_rules(at);
  auto posts = named(at, "POST");
  REQUIRE(posts.size() == 3);
  REQUIRE(asked.size() == 4);
  for (std::size_t i = 0; i < 2; ++i)
    CHECK(header_of(i) == "00-4bf92f3577b34da6a3ce929d0e0e4736-" + posts[i]["spanId"].get<std::string>() + "-01");
  CHECK(attributes_of(posts[0])["error.type"] == "503");
  CHECK(attributes_of(posts[1])["http.request.resend_count"] == 1);
  CHECK(header_of(2) == "");
  CHECK(header_of(3) == "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00");
}

TEST_CASE("a collector that fails costs no request anything, and the log tells of it once", "[trace]") {
  simulator::server server{simulator::options{}};
  test::collected_log log;
  {
    auto x = base(server.url(), "http://127.0.0.1:9"); // nobody listens
    host_options options;
    options.log.sink = log.sink();
    runtime ai{x, options};
    for (int i = 0; i < 20; ++i)
      REQUIRE(ai.chat(sum_of(i)));
  }
  CHECK(log.count("traces.not_exported") == 1);
}

TEST_CASE("where traces go is changed while the program runs", "[trace][reload]") {
  simulator::server server{simulator::options{}};
  collector first, second;
  {
    auto x = base(server.url(), "");
    runtime ai{x};
    REQUIRE(ai.chat(sum_of(1))); // goes nowhere
    x.telemetry.otlp = first.url();
    auto taken = ai.reload(x);
    REQUIRE(taken);
    CHECK(taken->needs_restart.empty());
    REQUIRE(ai.chat(sum_of(2)));
    x.telemetry.sample = 0;
    REQUIRE(ai.reload(x));
    REQUIRE(ai.chat(sum_of(3))); // is not drawn
    x.telemetry.sample = 1;
    x.telemetry.headers = {{"X-Team", "", "NO_SUCH_VARIABLE"}};
    auto refused = ai.reload(x);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().message.find("NO_SUCH_VARIABLE") != std::string::npos);
    x.telemetry.headers = {{"X-Team", "red", ""}};
    x.telemetry.otlp = second.url() + "/otlp";
    REQUIRE(ai.reload(x)); // what waits goes there, too
    REQUIRE(ai.chat(sum_of(4)));
    x.telemetry.otlp = "";
    REQUIRE(ai.reload(x));
    REQUIRE(ai.chat(sum_of(5)));
  }
  CHECK(named(first, "chat sim-mini").size() + named(second, "chat sim-mini").size() == 2);
  for (auto& request : second.requests()) {
    CHECK(request.starts_with("POST /otlp/v1/traces HTTP/1.1\r\n"));
    CHECK(request.find("X-Team: red\r\n") != request.npos);
  }
}

TEST_CASE("a request from another node has its spans there, once, in the caller's trace", "[trace][node]") {
  simulator::server server{simulator::options{}};
  collector owners, guests;
  {
    auto settings = owner_of(server.url());
    settings.telemetry.otlp = owners.url();
    runtime owner{settings};
    auto other = guest_of(owner.node().listening);
    other.telemetry.otlp = guests.url();
    runtime guest{other};
    auto asked = sum_of(1);
    asked.trace = callers_trace;
    REQUIRE(guest.chat(asked));
  }
  check_rules(owners);
  CHECK(guests.requests().empty());
  auto chats = named(owners, "chat sim-mini");
  REQUIRE(chats.size() == 1);
  CHECK(chats[0]["parentSpanId"] == "00f067aa0ba902b7");
  CHECK(attributes_of(chats[0])["modelforge.node"] == "guest");
  auto resource = attributes_of(owners.bodies()[0]["resourceSpans"][0]["resource"]);
  CHECK(resource["service.instance.id"] == "owner");
  CHECK(resource["modelforge.node.name"] == "owner");
}

} // namespace modelforge::traces_test
