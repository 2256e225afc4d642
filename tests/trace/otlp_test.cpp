#include "trace/otlp.hpp"
#include "trace/span_json.hpp"

#include <catch2/catch_test_macros.hpp>
#include <nlohmann/json.hpp>

#include <set>
#include <string>
#include <vector>

namespace modelforge::otlp_test {

namespace {

using namespace trace;
using namespace std::chrono_literals;
using log::request_kind;
using log::request_outcome;
using log::request_record;
using nlohmann::ordered_json;

const std::chrono::system_clock::time_point some_time{1'790'000'010s};

attempt_record attempt(uint32_t number, std::chrono::nanoseconds started, std::chrono::nanoseconds duration,
                       uint16_t status, errc result = errc::none) {
  attempt_record made;
  made.number = number;
  made.lane = "key1";
  made.started = started;
  made.duration = duration;
  made.http_status = status;
  made.result = result;
  return made;
}

/// A chat that was answered at once; it took ten seconds.
request_record usual() {
  request_record x;
  x.id = {1, 2};
  x.provider = "main";
  x.model = "m";
  x.answered_by = "m-2026";
  x.attempts = {attempt(1, 1s, 9s, 200)};
  x.duration = 10s;
  x.usage = token_usage{100, 20, 30, 40, 5};
  x.finish = finish_reason::stop;
  x.trace.emplace();
  x.trace->context = {0x4bf92f3577b34da6, 0xa3ce929d0e0e4736, 0x1122334455667788, 3};
  x.trace->vendor = "openai";
  x.trace->url = "https://api.openai.com/v1/chat/completions";
  return x;
}

ordered_json spans_of(const request_record& x) {
  std::string text;
  json::writer out{text};
  out.open('[');
  write_spans(out, {x, some_time});
  out.close(']');
  auto result = ordered_json::parse(text);
  CHECK(result.size() == count_spans(x));
  return result;
}

/// Attributes by name, each with its type; one that stands twice fails.
ordered_json attributes_of(const ordered_json& span) {
  auto result = ordered_json::object();
  for (auto& each : span["attributes"]) {
    CHECK_FALSE(result.contains(each["key"]));
    result[each["key"].get<std::string>()] = each["value"];
  }
  return result;
}

ordered_json text(const char* value) {
  return {{"stringValue", value}};
}

http::response answer(uint16_t status, std::string body = {}, std::vector<http::header> headers = {}) {
  http::response result;
  result.head.status = status;
  result.head.headers = std::move(headers);
  result.body = std::move(body);
  return result;
}

} // namespace

TEST_CASE("an answered request is its span and one for its attempt", "[trace]") {
  auto expected = ordered_json::parse(R"([
    {"traceId":"4bf92f3577b34da6a3ce929d0e0e4736","spanId":"1122334455667788","flags":3,"name":"chat m","kind":3,
     "startTimeUnixNano":"1790000000000000000","endTimeUnixNano":"1790000010000000000",
     "attributes":[
      {"key":"gen_ai.operation.name","value":{"stringValue":"chat"}},
      {"key":"gen_ai.provider.name","value":{"stringValue":"openai"}},
      {"key":"gen_ai.request.model","value":{"stringValue":"m"}},
      {"key":"gen_ai.response.model","value":{"stringValue":"m-2026"}},
      {"key":"gen_ai.response.finish_reasons","value":{"arrayValue":{"values":[{"stringValue":"stop"}]}}},
      {"key":"gen_ai.usage.input_tokens","value":{"intValue":"100"}},
      {"key":"gen_ai.usage.output_tokens","value":{"intValue":"20"}},
      {"key":"gen_ai.usage.cache_read.input_tokens","value":{"intValue":"30"}},
      {"key":"gen_ai.usage.cache_creation.input_tokens","value":{"intValue":"40"}},
      {"key":"gen_ai.usage.reasoning.output_tokens","value":{"intValue":"5"}},
      {"key":"server.address","value":{"stringValue":"api.openai.com"}},
      {"key":"server.port","value":{"intValue":"443"}},
      {"key":"modelforge.provider","value":{"stringValue":"main"}},
      {"key":"modelforge.request","value":{"stringValue":"00000000000000010000000000000002"}},
      {"key":"modelforge.kind","value":{"stringValue":"chat"}},
      {"key":"modelforge.priority","value":{"stringValue":"interactive"}},
      {"key":"modelforge.outcome","value":{"stringValue":"answered"}},
      {"key":"modelforge.attempts","value":{"intValue":"1"}}]},
    {"traceId":"4bf92f3577b34da6a3ce929d0e0e4736","spanId":"?","parentSpanId":"1122334455667788","flags":3,
     "name":"POST","kind":3,
     "startTimeUnixNano":"1790000001000000000","endTimeUnixNano":"1790000010000000000",
     "attributes":[
      {"key":"http.request.method","value":{"stringValue":"POST"}},
      {"key":"url.full","value":{"stringValue":"https://api.openai.com/v1/chat/completions"}},
      {"key":"server.address","value":{"stringValue":"api.openai.com"}},
      {"key":"server.port","value":{"intValue":"443"}},
      {"key":"http.response.status_code","value":{"intValue":"200"}},
      {"key":"modelforge.lane","value":{"stringValue":"key1"}}]}])");
  expected[1]["spanId"] = hex::digits_of(child_span(0x1122334455667788, 1));
  CHECK(spans_of(usual()).dump(1) == expected.dump(1));
}

TEST_CASE("each attempt has a span of its own, with what it came to", "[trace]") {
  auto x = usual();
  x.attempts = {attempt(1, 0s, 1s, 503, errc::overloaded), attempt(2, 2s, 3s, 0, errc::connection_lost),
                attempt(3, 6s, 1s, 200, errc::invalid_response), attempt(4, 8s, 2s, 200)};
  x.attempts[1].waited = 1s;
  x.attempts[1].waited_for = wait_reason::backoff;
  x.waits[static_cast<std::size_t>(wait_reason::nothing)] = 1ms;
  x.waits[static_cast<std::size_t>(wait_reason::backoff)] = 1500ms;
  auto spans = spans_of(x);
  REQUIRE(spans.size() == 5);
  auto whole = attributes_of(spans[0]);
  CHECK(whole["modelforge.attempts"] == ordered_json{{"intValue", "4"}});
  CHECK(whole["modelforge.wait.queue"] == ordered_json{{"doubleValue", 0.001}});
  CHECK(whole["modelforge.wait.backoff"] == ordered_json{{"doubleValue", 1.5}});
  CHECK_FALSE(spans[0].contains("status"));
  std::set<std::string> ids;
  for (std::size_t i = 1; i < spans.size(); ++i) {
    CHECK(spans[i]["parentSpanId"] == spans[0]["spanId"]);
    CHECK(spans[i]["name"] == "POST");
    CHECK(ids.insert(spans[i]["spanId"]).second);
  }
  auto first = attributes_of(spans[1]);
  CHECK(first["http.response.status_code"] == ordered_json{{"intValue", "503"}});
  CHECK(first["error.type"] == text("503"));
  CHECK(first["modelforge.code"] == text("overloaded"));
  CHECK_FALSE(first.contains("http.request.resend_count"));
  CHECK(spans[1]["status"] == ordered_json{{"code", 2}});
  auto second = attributes_of(spans[2]);
  CHECK_FALSE(second.contains("http.response.status_code"));
  CHECK(second["error.type"] == text("connection_lost"));
  CHECK(second["http.request.resend_count"] == ordered_json{{"intValue", "1"}});
  CHECK(second["modelforge.wait.backoff"] == ordered_json{{"doubleValue", 1.0}});
  CHECK(spans[2]["startTimeUnixNano"] == "1790000002000000000");
  CHECK(spans[2]["endTimeUnixNano"] == "1790000005000000000");
  CHECK(attributes_of(spans[3])["error.type"] == text("invalid_response"));
  CHECK(attributes_of(spans[3])["http.response.status_code"] == ordered_json{{"intValue", "200"}});
  CHECK_FALSE(spans[4].contains("status"));
  CHECK(attributes_of(spans[4])["http.request.resend_count"] == ordered_json{{"intValue", "3"}});
}

TEST_CASE("a stream has a span from its first piece to its end, below its attempt", "[trace]") {
  auto x = usual();
  x.kind = request_kind::stream;
  x.attempts = {attempt(1, 0s, 1s, 503, errc::overloaded), attempt(2, 2s, 8s, 200)};
  x.first_token = 2500ms;
  auto spans = spans_of(x);
  REQUIRE(spans.size() == 4);
  auto whole = attributes_of(spans[0]);
  CHECK(whole["gen_ai.request.stream"] == ordered_json{{"boolValue", true}});
  CHECK(whole["gen_ai.response.time_to_first_chunk"] == ordered_json{{"doubleValue", 2.5}});
  auto& stream = spans[3];
  CHECK(stream["name"] == "stream");
  CHECK(stream["kind"] == 1);
  CHECK(stream["parentSpanId"] == spans[2]["spanId"]);
  CHECK(stream["startTimeUnixNano"] == "1790000002500000000");
  CHECK(stream["endTimeUnixNano"] == "1790000010000000000");
  CHECK(attributes_of(stream)["gen_ai.request.model"] == text("m"));
  CHECK_FALSE(stream.contains("status"));

  SECTION("one that broke off says so") {
    x.attempts.back().result = errc::stream_interrupted;
    x.outcome = request_outcome::cut;
    x.code = errc::stream_interrupted;
    x.finish.reset();
    spans = spans_of(x);
    CHECK(attributes_of(spans[0])["error.type"] == text("stream_interrupted"));
    CHECK(attributes_of(spans[0])["modelforge.outcome"] == text("cut"));
    CHECK(spans[0]["status"] == ordered_json{{"code", 2}});
    CHECK(attributes_of(spans[3])["error.type"] == text("stream_interrupted"));
    CHECK(spans[3]["status"] == ordered_json{{"code", 2}});
  }
  SECTION("one without a piece has none") {
    x.first_token.reset();
    CHECK(spans_of(x).size() == 3);
  }
}

TEST_CASE("a request with a caller's trace is its child, and has its state", "[trace]") {
  auto x = usual();
  x.trace->parent = 0xabc;
  x.trace->state = "vendor=opaque,other=\"1\"";
  for (auto& span : spans_of(x)) {
    CHECK(span["traceId"] == "4bf92f3577b34da6a3ce929d0e0e4736");
    CHECK(span["traceState"] == "vendor=opaque,other=\"1\"");
  }
  CHECK(spans_of(x)[0]["parentSpanId"] == "0000000000000abc");
}

TEST_CASE("attempts that another node has made are told there alone", "[trace]") {
  auto x = usual();
  x.attempts = {attempt(1, 0s, 1s, 503, errc::overloaded), attempt(2, 2s, 1s, 503, errc::overloaded),
                attempt(3, 4s, 6s, 200)};
  x.trace->earlier = 2;
  auto spans = spans_of(x);
  REQUIRE(spans.size() == 2);
  CHECK(attributes_of(spans[1])["http.request.resend_count"] == ordered_json{{"intValue", "2"}});
  CHECK(attributes_of(spans[0])["modelforge.attempts"] == ordered_json{{"intValue", "3"}});
  x.trace->earlier = 3;
  x.kind = request_kind::stream;
  x.first_token = 5s;
  CHECK(spans_of(x).size() == 1);
}

TEST_CASE("a request that was refused, of every kind, with whatever it has", "[trace]") {
  request_record x;
  x.id = {0, 7};
  x.part_of = {0, 6};
  x.kind = request_kind::embedding;
  x.rank = priority::batch;
  x.tenant = "te\"am";
  x.node = "east";
  x.labels = {{"job", "7"}, {"a \"b\"\n", ""}};
  x.provider = "local";
  x.model = "e\xff";
  x.outcome = request_outcome::refused;
  x.code = errc::queue_full;
  x.flaw = answer_flaw::empty;
  x.cost = 0.5;
  x.trace.emplace();
  x.trace->context = {0, 1, 2, 1};
  x.trace->url = "http://[::1]:8080/v1/embeddings";
  auto spans = spans_of(x);
  REQUIRE(spans.size() == 1);
  CHECK(spans[0]["name"] == "embeddings e\xEF\xBF\xBD");
  CHECK(spans[0]["traceId"] == "00000000000000000000000000000001");
  CHECK(spans[0]["startTimeUnixNano"] == spans[0]["endTimeUnixNano"]);
  auto has = attributes_of(spans[0]);
  CHECK(has["gen_ai.operation.name"] == text("embeddings"));
  CHECK(has["error.type"] == text("queue_full"));
  CHECK(has["server.address"] == text("::1"));
  CHECK(has["server.port"] == ordered_json{{"intValue", "8080"}});
  CHECK(has["modelforge.part_of"] == text("00000000000000000000000000000006"));
  CHECK(has["modelforge.priority"] == text("batch"));
  CHECK(has["modelforge.tenant"] == text("te\"am"));
  CHECK(has["modelforge.node"] == text("east"));
  CHECK(has["modelforge.flaw"] == text("empty"));
  CHECK(has["modelforge.cost"] == ordered_json{{"doubleValue", 0.5}});
  CHECK(has["modelforge.label.job"] == text("7"));
  CHECK(has["modelforge.label.a \"b\"\n"] == text(""));
  CHECK_FALSE(has.contains("gen_ai.provider.name"));
  CHECK_FALSE(has.contains("gen_ai.usage.input_tokens"));
}

TEST_CASE("what is sent has the resource once, and all spans", "[trace]") {
  auto sent = ordered_json::parse(to_otlp({.service = "ask", .version = "1.2", .instance = "i-1", .node = "east"},
                                          {{usual(), some_time}, {usual(), some_time}}));
  REQUIRE(sent["resourceSpans"].size() == 1);
  auto& all = sent["resourceSpans"][0];
  CHECK(attributes_of(all["resource"]).dump()
        == ordered_json{{"service.name", text("ask")},
                        {"service.version", text("1.2")},
                        {"service.instance.id", text("i-1")},
                        {"telemetry.sdk.name", text("modelforge")},
                        {"telemetry.sdk.language", text("cpp")},
                        {"telemetry.sdk.version", text("1.2")},
                        {"modelforge.node.name", text("east")}}
             .dump());
  REQUIRE(all["scopeSpans"].size() == 1);
  CHECK(all["scopeSpans"][0]["scope"] == ordered_json{{"name", "modelforge"}, {"version", "1.2"}});
  CHECK(all["scopeSpans"][0]["spans"].size() == 4);
  CHECK(sent.size() == 1);
}

TEST_CASE("what a collector answers decides whether spans are sent again", "[trace]") {
  using result = delivery::result;
  auto judged = [](http::response x) { return judge(x, some_time); };
  for (auto body : {"", "{}", R"({"partialSuccess":{}})", R"({"partialSuccess":{"rejectedSpans":"0"}})", "no JSON"}) {
    CAPTURE(body);
    auto good = judged(answer(200, body));
    CHECK(good.what == result::taken);
    CHECK(good.rejected == 0);
  }
  for (auto body : {R"({"partialSuccess":{"rejectedSpans":"3","errorMessage":"too old"}})",
                    R"({"partialSuccess":{"rejectedSpans":3,"errorMessage":"too old"}})"}) {
    auto some = judged(answer(200, body));
    CHECK(some.what == result::taken);
    CHECK(some.rejected == 3);
    CHECK(some.reason == "it rejected 3 spans: too old");
  }
  for (uint16_t status : {429, 502, 503, 504}) {
    auto later = judged(answer(status, "", {{"retry-after", "7"}}));
    CHECK(later.what == result::again);
    CHECK(later.wait == 7s);
    CHECK(later.reason == "it answered with HTTP " + std::to_string(status));
  }
  CHECK(judged(answer(503)).wait == 0s);
  CHECK(judged(answer(503, "", {{"retry-after", "Mon, 21 Sep 2026 14:13:40 GMT"}})).wait == 10s);
  for (uint16_t status : {301, 400, 401, 404, 413, 500, 501})
    CHECK(judged(answer(status)).what == result::refused);
  CHECK(judged(answer(400, R"({"code":3,"message":"bad ids"})")).reason == "it answered with HTTP 400: bad ids");
  CHECK(judged(answer(400, R"({"code":3,"message":")" + std::string(10'000, 'x') + "\"}")).reason.size() < 300);
  http::response lost;
  lost.end.error = http::transfer_error{.code = errc::connect_failed, .message = "refused"};
  CHECK(judged(lost).what == result::again);
  CHECK(judged(lost).reason == "refused");
  lost.end.error->code = errc::invalid_request;
  CHECK(judged(lost).what == result::refused);
}

} // namespace modelforge::otlp_test
