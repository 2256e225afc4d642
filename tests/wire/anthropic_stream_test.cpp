#include "tests/wire/hear.hpp"
#include "wire/anthropic/anthropic.hpp"

namespace modelforge::anthropic_stream_test {

using namespace modelforge::test;
using namespace std::chrono_literals;

namespace {

answer decode(uint16_t status, std::string_view body, std::vector<http::header> headers = {}) {
  return anthropic::messages_api().decode({status, std::move(headers)}, body);
}

completion good(std::string_view body) {
  auto result = decode(200, body);
  if (auto* problem = std::get_if<failure>(&result))
    FAIL(problem->message);
  return std::get<completion>(result);
}

std::string message(std::string_view content, std::string_view more) {
  return R"({"id":"msg_1","type":"message","role":"assistant","model":"claude-demo-5","content":[)"
         + std::string{content} + "]," + std::string{more} + "}";
}

std::string event(std::string_view type, std::string_view more) {
  return "event: " + std::string{type} + "\ndata: {\"type\":\"" + std::string{type} + "\"" + std::string{more}
         + "}\n\n";
}

std::string message_start(
  std::string_view usage =
    R"({"input_tokens":21,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":2})") {
  return event(
    "message_start",
    R"(,"message":{"id":"msg_d1","type":"message","role":"assistant","model":"claude-demo-5","content":[],"stop_reason":null,"stop_sequence":null,"usage":)"
      + std::string{usage} + "}");
}

std::string begin(int index, std::string_view block) {
  return event("content_block_start",
               R"(,"index":)" + std::to_string(index) + R"(,"content_block":)" + std::string{block});
}

std::string delta(int index, std::string_view x) {
  return event("content_block_delta", R"(,"index":)" + std::to_string(index) + R"(,"delta":)" + std::string{x});
}

std::string stop(int index) {
  return event("content_block_stop", R"(,"index":)" + std::to_string(index));
}

std::string message_delta(std::string_view reason,
                          std::string_view usage = R"({"input_tokens":21,"output_tokens":64})") {
  return event("message_delta", R"(,"delta":{"stop_reason":")" + std::string{reason}
                                  + R"(","stop_sequence":null},"usage":)" + std::string{usage});
}

const auto ping = event("ping", "");
const auto message_stop = event("message_stop", "");

std::string text_block(int index, std::string_view text) {
  return begin(index, R"({"type":"text","text":""})")
         + delta(index, R"({"type":"text_delta","text":")" + std::string{text} + "\"}") + stop(index);
}

/// The stream of the fact sheet: thinking, text, a call.
const auto thinking = message_start() + begin(0, R"({"type":"thinking","thinking":"","signature":""})") + ping
                      + delta(0, R"({"type":"thinking_delta","thinking":"Short check."})")
                      + delta(0, R"({"type":"signature_delta","signature":"c2ln"})") + stop(0)
                      + text_block(1, "Let me look.")
                      + begin(2, R"({"type":"tool_use","id":"toolu_d1","name":"get_weather","input":{}})")
                      + delta(2, R"({"type":"input_json_delta","partial_json":""})")
                      + delta(2, R"({"type":"input_json_delta","partial_json":"{\"city\": \"Os"})")
                      + delta(2, R"({"type":"input_json_delta","partial_json":"lo\"}"})") + stop(2)
                      + message_delta("tool_use") + message_stop;

const auto hidden = message_start() + begin(0, R"({"type":"redacted_thinking","data":"ZGF0YQ=="})") + stop(0)
                    + begin(1, R"({"type":"thinking","thinking":"","signature":""})")
                    + delta(1, R"({"type":"signature_delta","signature":"c2ln"})") + stop(1)
                    + begin(2, R"({"type":"tool_use","id":"toolu_1","name":"now","input":{}})") + stop(2)
                    + begin(3, R"({"type":"tool_use","id":"toolu_2","name":"f","input":{"a":1}})") + stop(3)
                    + message_delta("tool_use") + message_stop;

const auto refused = message_start() + message_delta("refusal", R"({"output_tokens":0})") + message_stop;

} // namespace

TEST_CASE("anthropic answers of every kind are read", "[wire][anthropic]") {
  struct {
    std::string_view content, more;
    finish_reason reason;
    std::string_view text, warning;
    std::optional<token_usage> usage;
  } table[] = {
    {R"({"type":"text","text":"a"})", R"("stop_reason":"end_turn")", finish_reason::stop, "a", "", {}},
    {R"({"type":"text","text":"a"})", R"("stop_reason":"stop_sequence")", finish_reason::stop, "a", "", {}},
    {R"({"type":"text","text":"a"})", R"("stop_reason":"max_tokens")", finish_reason::length, "a", "", {}},
    {R"({"type":"text","text":"a"})",
     R"("stop_reason":"model_context_window_exceeded")",
     finish_reason::length,
     "a",
     "",
     {}},
    {R"({"type":"text","text":"a"})", R"("stop_reason":"pause_turn")", finish_reason::paused, "a", "", {}},
    {"", R"("stop_reason":"refusal")", finish_reason::refusal, "", "", {}},
    {"",
     R"("stop_reason":"refusal","stop_details":{"explanation":"Not that."})",
     finish_reason::refusal,
     "",
     "Not that.",
     {}},
    {R"({"type":"text","text":"a"})", R"("stop_reason":"brand_new")", finish_reason::unknown, "a", "", {}},
    {R"({"type":"text","text":"a"})", R"("stop_reason":null)", finish_reason::unknown, "a", "no finish reason", {}},
    {R"({"type":"text","text":"a"},{"type":"web_search_tool_result","content":[]},{"type":"text","text":"b"})",
     R"("stop_reason":"end_turn")",
     finish_reason::stop,
     "ab",
     "web_search_tool_result",
     {}},
    {"",
     R"("stop_reason":"max_tokens","usage":{"input_tokens":0,"cache_creation_input_tokens":1500,"output_tokens":0})",
     finish_reason::length, "", "", token_usage{1500, 0, 0, 1500, 0}},
    {R"({"type":"text","text":"a"})",
     R"("stop_reason":"end_turn","usage":{"input_tokens":"many","output_tokens":null})",
     finish_reason::stop,
     "a",
     "",
     {}},
  };
  for (auto& row : table) {
    CAPTURE(row.content, row.more);
    auto x = good(message(row.content, row.more));
    CHECK(x.finish_reason == row.reason);
    CHECK(x.text == row.text);
    CHECK(x.usage == row.usage);
    CHECK(x.warnings.empty() == row.warning.empty());
    if (!row.warning.empty())
      CHECK(x.warnings.at(0).find(row.warning) != std::string::npos);
  }
}

TEST_CASE("an anthropic stream is read piece by piece", "[wire][anthropic]") {
  auto x = hear(thinking, anthropic::messages_api());
  CHECK(x.said
        == std::vector<std::string>{"reasoning: Short check.", "seal: anthropic:c2ln", "text: Let me look.",
                                    "call 0: toolu_d1 get_weather", R"(arguments 0: {"city": "Os)",
                                    R"(arguments 0: lo"})"});
  CHECK(x.ended);
  CHECK(x.tokens == 64);
  CHECK(x.good().finish_reason == finish_reason::tool_calls);
  CHECK(x.good().usage == token_usage{21, 64, 0, 0, 0});
  CHECK(x.good().model == "claude-demo-5");
  CHECK(x.good().provider_request_id == "req_1");
  CHECK(x.good().tool_calls == std::vector<tool_call>{{"toolu_d1", "get_weather", R"({"city": "Oslo"})"}});
  CHECK(x.good().warnings.empty());
  auto y = hear(hidden, anthropic::messages_api());
  CHECK(y.said
        == std::vector<std::string>{"seal: anthropic:redacted:ZGF0YQ==", "seal: anthropic:c2ln", "call 0: toolu_1 now",
                                    "arguments 0: {}", "call 1: toolu_2 f", R"(arguments 1: {"a":1})"});
  auto z = hear(refused, anthropic::messages_api());
  CHECK(z.said.empty());
  CHECK(z.good().finish_reason == finish_reason::refusal);
}

TEST_CASE("pings are no news of an anthropic stream, and what is new does not harm it", "[wire][anthropic]") {
  auto reader = anthropic::messages_api().read_stream(ok);
  listener to;
  CHECK(reader->take(message_start(), to) == 1);
  reader->take(message_start(R"({"input_tokens":99})"), to); // a second beginning, as some proxies send it
  CHECK(reader->take(ping + ping + ": comment\n\n" + event("brand_new", R"(,"x":{})") + "data: {}\n\n", to) == 0);
  CHECK(reader->take(begin(0, R"({"type":"brand_new"})") + delta(0, R"({"type":"brand_new_delta","x":[1]})") + stop(0)
                       + event("brand_new", R"(,"x":{})") + text_block(1, "a"),
                     to)
        > 0);
  CHECK(to.words == "a");
  // numbers that later ones correct
  reader->take(text_block(0, "b")
                 + message_delta("end_turn", R"({"output_tokens":7,"cache_read_input_tokens":10,"input_tokens":20})")
                 + message_delta("end_turn", R"({"output_tokens":9,"input_tokens":null})") + message_stop,
               to);
  CHECK(to.words == "ab");
  auto end = reader->end(to);
  auto& x = std::get<completion>(end);
  CHECK(x.usage == token_usage{30, 9, 10, 0, 0});
  REQUIRE(x.warnings.size() == 1);
  CHECK(x.warnings[0].find("brand_new") != std::string::npos);
}

TEST_CASE("the parts of an anthropic stream are told apart by their index", "[wire][anthropic]") {
  auto call = [](int index, std::string_view name) {
    return begin(index, R"({"type":"tool_use","id":"toolu_)" + std::to_string(index) + R"(","name":")"
                          + std::string{name} + R"(","input":{}})");
  };
  auto fragment = [](int index, std::string_view x) {
    return delta(index, R"({"type":"input_json_delta","partial_json":")" + std::string{x} + "\"}");
  };
  auto x = hear(message_start() + call(1, "f") + call(2, "g") + fragment(2, R"({\"b\":)") + fragment(1, R"({\"a\":1)")
                  + call(3, "h") + fragment(2, "2}") + stop(2) + fragment(1, "}") + stop(1) + message_delta("tool_use")
                  + message_stop,
                anthropic::messages_api());
  CHECK(
    x.good().tool_calls
    == std::vector<tool_call>{{"toolu_1", "f", R"({"a":1})"}, {"toolu_2", "g", R"({"b":2})"}, {"toolu_3", "h", "{}"}});
  CHECK(x.said.back() == "arguments 2: {}"); // its end was not told
  CHECK(x.good().warnings.empty());
}

TEST_CASE("the end of an anthropic message ends its parts", "[wire][anthropic]") {
  auto body = message_start() + begin(0, R"({"type":"thinking","thinking":"hm"})")
              + delta(0, R"({"type":"signature_delta","signature":"c2ln"})");
  std::vector<std::string> said{"reasoning: hm", "seal: anthropic:c2ln"};
  CHECK(hear(body + message_delta("end_turn") + message_stop, anthropic::messages_api()).said == said);
  CHECK(hear(body + message_stop, anthropic::messages_api()).said == said);
}

TEST_CASE("what is lost of an anthropic answer is told, whole or streamed", "[wire][anthropic]") {
  struct {
    std::string_view begin, delta, what;
  } table[] = {
    {R"({"type":"text","text":"a","citations":[{"cited_text":"b"}]})", "", "citations"},
    {R"({"type":"text","text":"a"})", R"({"type":"citations_delta","citation":{"cited_text":"b"}})", "citations"},
    {R"({"type":"text","text":"a"})", R"({"type":"brand_new_delta","x":1})", "brand_new_delta"},
    {R"({"type":"text","text":"a"})", R"({"type":"input_json_delta","partial_json":"{}"})", "input_json_delta"},
    {R"({"type":"server_tool_use","id":"s","name":"web_search","input":{"q":"b"}})", "", "server_tool_use"},
    {R"({"type":"server_tool_use","id":"s","name":"web_search","input":{}})",
     R"({"type":"input_json_delta","partial_json":"{}"})", "server_tool_use"},
    {R"({"type":"text","text":"a","citations":[]})", "", ""},
    {R"({"type":"text","text":"a","citations":null})", "", ""},
  };
  for (auto& row : table) {
    CAPTURE(row.begin, row.delta);
    std::vector<std::string> expected;
    if (!row.what.empty())
      expected.push_back("the answer held a part that was left out: " + std::string{row.what});
    auto middle = row.delta.empty() ? std::string{} : delta(0, row.delta);
    auto x = hear(message_start() + begin(0, row.begin) + middle + stop(0) + message_delta("end_turn") + message_stop,
                  anthropic::messages_api());
    CHECK(x.good().warnings == expected);
    if (row.delta.empty())
      CHECK(good(message(row.begin, R"("stop_reason":"end_turn")")).warnings == expected);
  }
}

TEST_CASE("a whole anthropic message counts where a stream was asked for", "[wire][anthropic]") {
  auto body = message(R"({"type":"text","text":"a"})", R"("stop_reason":"end_turn")");
  CHECK(hear(body, anthropic::messages_api()).good().finish_reason == finish_reason::stop);
  CHECK(hear(body, anthropic::messages_api()).words == "a");
  CHECK(hear(body.substr(0, body.size() - 1), anthropic::messages_api()).bad().code == errc::invalid_response);
}

TEST_CASE("any cutting of an anthropic stream gives the same pieces and end", "[wire][anthropic]") {
  for (auto* body : {&thinking, &hidden, &refused})
    check_cuts(*body, anthropic::messages_api());
}

TEST_CASE("an anthropic stream without its stop reason is a failure", "[wire][anthropic]") {
  for (auto* body : {&thinking, &hidden, &refused})
    check_beginnings(*body, anthropic::messages_api(), body->size() - message_stop.size() - 2);
  auto unmarked = thinking.substr(0, thinking.size() - message_stop.size());
  CHECK(hear(unmarked, anthropic::messages_api()).good().warnings.at(0).find("end mark") != std::string::npos);
}

TEST_CASE("an error in an anthropic stream is one, whatever comes behind it", "[wire][anthropic]") {
  struct {
    std::string_view error;
    errc code;
  } table[] = {
    {R"({"type":"overloaded_error","message":"Overloaded"})", errc::overloaded},
    {R"({"type":"api_error","message":"Broken"})", errc::server_error},
    {R"({"type":"rate_limit_error","message":"Slower"})", errc::rate_limited},
    {R"({"type":"invalid_request_error","message":"prompt is too long: 2 > 1"})", errc::context_length},
    {R"({"type":"invalid_request_error","message":"no"})", errc::invalid_request},
    {R"({"type":"authentication_error","message":"no"})", errc::authentication},
    {R"({"type":"billing_error","message":"no"})", errc::quota_exhausted},
    {R"({"type":"permission_error","message":"no"})", errc::permission},
    {R"({"type":"timeout_error","message":"slow"})", errc::server_error},
  };
  for (auto& row : table)
    for (auto* before : {&ping, &thinking}) {
      auto begun = before == &thinking ? thinking.substr(0, thinking.find("event: message_delta")) : *before;
      auto body = begun + "event: error\ndata: {\"type\":\"error\",\"error\":" + std::string{row.error}
                  + ",\"request_id\":\"req_demo\"}\n\n" + message_stop;
      CAPTURE(body);
      auto x = hear(body, anthropic::messages_api());
      CHECK(x.ended);
      CHECK(x.bad().code == row.code);
    }
}

TEST_CASE("anthropic's errors mean what the provider says they mean", "[wire][anthropic]") {
  struct {
    uint16_t status;
    std::string_view type, message;
    errc code;
    std::vector<http::header> headers = {};
    std::optional<std::chrono::nanoseconds> wait = {};
  } table[] = {
    {400, "invalid_request_error", "messages: at least one message is required", errc::invalid_request},
    {400, "invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum", errc::context_length},
    {400, "invalid_request_error", "You have reached your specified API usage limits.", errc::quota_exhausted},
    {401, "authentication_error", "invalid x-api-key", errc::authentication},
    {402, "billing_error", "no credit", errc::quota_exhausted},
    {403, "permission_error", "not allowed", errc::permission},
    {404, "not_found_error", "model: claude-x", errc::not_found},
    {409, "conflict_error", "again", errc::server_error},
    {413, "request_too_large", "too large", errc::too_large},
    {429,
     "rate_limit_error",
     "This request would exceed your input tokens per minute",
     errc::rate_limited,
     {{"retry-after", "7"}},
     7s},
    {500, "api_error", "Internal server error", errc::server_error},
    {504, "timeout_error", "took too long", errc::server_error},
    {529, "overloaded_error", "Overloaded", errc::overloaded},
  };
  for (auto& row : table) {
    auto body = R"({"type":"error","error":{"type":")" + std::string{row.type} + R"(","message":")"
                + std::string{row.message} + R"(","details":null},"request_id":"req_demo"})";
    CAPTURE(row.status, body);
    auto result = decode(row.status, body, row.headers);
    REQUIRE(std::holds_alternative<failure>(result));
    auto& x = std::get<failure>(result);
    CHECK(x.code == row.code);
    CHECK(x.retry_after == row.wait);
    CHECK(x.provider_message.find(row.message) != std::string::npos);
    CHECK_FALSE(to_string(x).empty());
  }
  for (uint16_t status : {502, 503}) { // of a proxy
    auto x = std::get<failure>(decode(status, "<html>Bad Gateway</html>"));
    CHECK(x.code == (status == 503 ? errc::overloaded : errc::server_error));
    CHECK(x.suggestion.find("/v1") == std::string::npos); // that is OpenAI's
  }
  auto spent = decode(429, R"({"type":"error","error":{"type":"rate_limit_error","message":"cap",
    "details":{"error_code":"enforced_spend_limit_reached"}}})");
  CHECK(std::get<failure>(spent).code == errc::quota_exhausted);
}

TEST_CASE("anthropic's limits are read from its headers, its models from their list", "[wire][anthropic]") {
  http::response_head head{200,
                           {{"anthropic-ratelimit-requests-limit", "50"},
                            {"anthropic-ratelimit-requests-remaining", "49"},
                            {"anthropic-ratelimit-input-tokens-limit", "30000"},
                            {"anthropic-ratelimit-output-tokens-remaining", "7000"}}};
  auto limits = anthropic::messages_api().hints(head, nullptr).limits;
  CHECK(limits[0].limit == 50);
  CHECK(limits[0].remaining == 49);
  CHECK(limits[2].limit == 30000);
  CHECK(limits[3].remaining == 7000);
  CHECK(anthropic::messages_api().accounting() == limits::token_accounting::produced);
  auto models = anthropic::messages_api().decode_models(
    {200, {}}, R"({"data":[{"type":"model","id":"claude-a"},{"id":"claude-b"}]})");
  CHECK(std::get<model_list>(models).models == std::vector<std::string>{"claude-a", "claude-b"});
  CHECK(std::holds_alternative<failure>(
    anthropic::messages_api().decode_models({401, {}}, R"({"error":{"message":"no"}})")));
  CHECK(std::holds_alternative<failure>(anthropic::messages_api().decode_models({200, {}}, "<html>")));
}

} // namespace modelforge::anthropic_stream_test
