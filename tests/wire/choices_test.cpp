#include "tests/wire/hear.hpp"
#include "wire/answer_parts.hpp"
#include "wire/openai/format.hpp"
#include "wire/vendors.hpp"

#include <algorithm>

namespace modelforge::choices_test {

// Several answers to one question, and log probabilities: what a request's `extra` asks for is paid for, so it comes
// back whole, or nothing is sent.

using namespace modelforge::test;
using tree = modelforge::json::value;

namespace {

chat_request asking(std::string extra) {
  chat_request x;
  x.model = "demo";
  x.messages = {text_message(role::user, "Hi")};
  x.extra = std::move(extra);
  return x;
}

const dialect& named(std::string_view name) {
  auto* found = find_dialect(name);
  REQUIRE(found != nullptr);
  return *found;
}

completion whole(std::string_view dialect, std::string_view body) {
  auto result = named(dialect).decode({200, {{"content-type", "application/json"}}}, body);
  if (auto* bad = std::get_if<failure>(&result))
    FAIL(bad->message);
  return std::get<completion>(result);
}

constexpr auto chat_dialects = {"openai", "openai_compatible", "azure"};

constexpr std::string_view two_tokens = R"([{"token":"a","logprob":-0.5,"bytes":[97],"top_logprobs":[]},
  {"token":"\"b","logprob":-1e-7,"bytes":null,"top_logprobs":[{"token":"c","logprob":-9999.0,"bytes":null}]}])";
const auto two_tokens_kept = tree::parse(two_tokens);

} // namespace

TEST_CASE("each dialect is asked for several answers in its own field, or refuses by name before it sends",
          "[wire][choices]") {
  std::size_t count = 0;
  for (auto* speaker : dialects()) {
    auto name = std::string{speaker->name()};
    INFO(name);
    ++count;
    auto is_chat = std::find(chat_dialects.begin(), chat_dialects.end(), name) != chat_dialects.end();
    auto extra = name == "gemini" ? R"({"generationConfig":{"candidateCount":3}})" : R"({"n":3})";
    auto field = name == "gemini" ? "extra.generationConfig.candidateCount " : "extra.n ";
    auto unary = speaker->encode(asking(extra));
    if (is_chat || name == "gemini") {
      REQUIRE(std::holds_alternative<encoded_request>(unary));
      CHECK(std::get<encoded_request>(unary).choices == 3);
      CHECK(std::get<encoded_request>(unary).body.find(name == "gemini" ? R"("candidateCount":3)" : R"("n":3)")
            != std::string::npos);
    } else {
      REQUIRE(std::holds_alternative<failure>(unary));
      CHECK(std::get<failure>(unary).code == errc::unsupported);
      CHECK(std::get<failure>(unary).message.starts_with("extra.n "));
    }
    auto streamed = speaker->encode(asking(extra), true);
    REQUIRE(std::holds_alternative<failure>(streamed));
    CHECK(std::get<failure>(streamed).code == errc::unsupported);
    CHECK(std::get<failure>(streamed).message.starts_with(field));
    if (name == "gemini")
      CHECK(std::get<failure>(speaker->encode(asking(R"({"n":2})"))).suggestion.find("candidateCount")
            != std::string::npos);
    for (auto one : {R"({"n":1})", R"({"n":null})"})
      CHECK(std::holds_alternative<encoded_request>(speaker->encode(asking(one), true)));
  }
  CHECK(count >= 6);
}

TEST_CASE("log probabilities are asked for in the dialect's own field, or refused by name", "[wire][choices]") {
  struct row {
    std::string_view dialect, extra;
    bool goes;
  };
  for (auto& [name, extra, goes] : std::initializer_list<row>{
         {"openai", R"({"logprobs":true,"top_logprobs":2})", true},
         {"openai_compatible", R"({"logprobs":true})", true},
         {"azure", R"({"logprobs":true})", true},
         {"ollama", R"({"logprobs":true})", true},
         {"gemini", R"({"generationConfig":{"responseLogprobs":true}})", true},
         {"openai_responses", R"({"top_logprobs":2,"include":["message.output_text.logprobs"]})", true},
         {"gemini", R"({"logprobs":true})", false},
         {"openai_responses", R"({"logprobs":true})", false},
         {"anthropic", R"({"logprobs":true})", false},
       })
    for (auto stream : {false, true}) {
      INFO(name << ' ' << extra << ' ' << stream);
      auto result = named(name).encode(asking(std::string{extra}), stream);
      REQUIRE(std::holds_alternative<encoded_request>(result) == goes);
      if (goes)
        CHECK(std::get<encoded_request>(result).logprobs);
      else
        CHECK(std::get<failure>(result).message.starts_with("extra.logprobs "));
    }
  CHECK_FALSE(std::get<encoded_request>(named("openai").encode(asking(R"({"logprobs":false})"))).logprobs);
}

TEST_CASE("several choices are kept whole, in the order of their indexes", "[wire][choices]") {
  for (auto* name : chat_dialects) {
    INFO(name);
    auto x = whole(name, R"({"id":"c1","choices":[
      {"index":2,"message":{"content":null,"tool_calls":[{"id":"k","function":{"name":"look","arguments":"{\"a\": 1}"}}]},
        "finish_reason":"tool_calls"},
      {"index":0,"message":{"content":"a"},"finish_reason":"stop"},
      {"index":1,"message":{"content":"b","reasoning_content":"hm"},"finish_reason":"length"}],
      "usage":{"prompt_tokens":3,"completion_tokens":9}})");
    CHECK(x.text == "a");
    REQUIRE(x.warnings.size() == 1); // that one was cut
    CHECK(x.warnings[0].starts_with("answer 2: the answer was cut by the token limit"));
    REQUIRE(x.alternatives.size() == 2);
    CHECK(x.alternatives[0].text == "b");
    CHECK(x.alternatives[0].reasoning == std::vector<reasoning_part>{{"hm", ""}});
    CHECK(x.alternatives[0].finish_reason == finish_reason::length);
    CHECK(x.alternatives[1].finish_reason == finish_reason::tool_calls);
    CHECK(x.alternatives[1].tool_calls == std::vector<tool_call>{{"k", "look", R"({"a": 1})", ""}});
    CHECK(x.usage->output == 9);
    auto written = tree::parse(openai::write_completion(x))["choices"];
    REQUIRE(written.size() == 3);
    for (std::size_t i = 0; i < 3; ++i)
      CHECK(written[i]["index"] == i);
    CHECK(written[1]["message"]["content"] == "b");
    CHECK(written[1]["finish_reason"] == "length");
    CHECK(written[2]["message"]["tool_calls"][0]["id"] == "k");
  }
}

TEST_CASE("several candidates of gemini are kept whole", "[wire][choices][gemini]") {
  auto x = whole("gemini", R"({"candidates":[
    {"content":{"parts":[{"text":"a"}]},"finishReason":"STOP"},
    {"index":1,"content":{"parts":[{"text":"b"},{"functionCall":{"name":"look","args":{}}}]},"finishReason":"STOP"},
    {"index":2,"finishReason":"SAFETY"}]})");
  CHECK(x.text == "a");
  REQUIRE(x.alternatives.size() == 2);
  CHECK(x.alternatives[0].text == "b");
  CHECK(x.alternatives[0].finish_reason == finish_reason::tool_calls);
  REQUIRE(x.alternatives[0].tool_calls.size() == 1);
  CHECK_FALSE(x.alternatives[0].tool_calls[0].id.empty());
  CHECK(x.alternatives[1].finish_reason == finish_reason::content_filter);
}

TEST_CASE("several choices in a stream, which nobody may ask for, are kept all the same", "[wire][choices][stream]") {
  auto event = [](std::string_view choices) { return R"(data: {"choices":[)" + std::string{choices} + "]}\n\n"; };
  auto body =
    event(R"({"index":0,"delta":{"content":"a"}},{"index":2,"delta":{"content":"x"}})")
    + event(R"({"index":0,"delta":{"content":"b"}},{"index":2,"delta":{"content":"x"}})")
    + event(R"({"index":1,"delta":{"content":"y"},"finish_reason":"length"})")
    + event(R"({"index":2,"delta":{"tool_calls":[{"index":0,"id":"k","function":{"name":"f","arguments":"{\"a"}}]}})")
    + event(R"({"index":2,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"\":1}"}}]}})")
    + event(R"({"index":0,"delta":{},"finish_reason":"stop"},{"index":2,"delta":{},"finish_reason":"tool_calls"})")
    + "data: [DONE]\n\n";
  auto gemini = std::string{R"(data: {"candidates":[{"content":{"parts":[{"text":"a"}]}},
      {"index":1,"content":{"parts":[{"text":"y"}]},"finishReason":"MAX_TOKENS"}]})"};
  gemini = gemini.replace(gemini.find('\n'), 1, "") + "\n\n"
           + R"(data: {"candidates":[{"content":{"parts":[{"text":"b"}]},"finishReason":"STOP"},
      {"index":2,"content":{"parts":[{"text":"xx"},{"functionCall":{"name":"f","args":{"a":1}}}]},"finishReason":"STOP"}]})";
  gemini.erase(gemini.rfind('\n'), 1);
  gemini += "\n\n";
  for (auto& [name, text] : std::initializer_list<std::pair<std::string_view, std::string>>{
         {"openai", body}, {"openai_compatible", body}, {"azure", body}, {"gemini", gemini}}) {
    INFO(name);
    auto heard = hear(text, named(name));
    auto& x = heard.good();
    CHECK(heard.words == "ab");
    REQUIRE(x.warnings.size() == 1);
    CHECK(x.warnings[0].starts_with("answer 2: the answer was cut by the token limit"));
    REQUIRE(x.alternatives.size() == 2);
    CHECK(x.alternatives[0].text == "y");
    CHECK(x.alternatives[0].finish_reason == finish_reason::length);
    CHECK(x.alternatives[1].text == "xx");
    REQUIRE(x.alternatives[1].tool_calls.size() == 1);
    CHECK(x.alternatives[1].tool_calls[0].arguments == R"({"a":1})");
  }
  std::string many;
  for (int i = 0; i < 300; ++i)
    many += event(R"({"index":)" + std::to_string(i) + R"(,"delta":{"content":"a"},"finish_reason":"stop"})");
  auto bounded = hear(many + "data: [DONE]\n\n").good();
  CHECK(bounded.alternatives.size() == 128);
  CHECK(bounded.warnings == std::vector<std::string>{choices_warning});
}

TEST_CASE("several answers without numbers count by their position", "[wire][choices]") {
  auto gemini = [](std::string_view index) {
    auto own = std::string{index};
    return R"({"candidates":[{)" + own + R"("content":{"parts":[{"text":"A"}]},"finishReason":"STOP"},{)" + own
           + R"("content":{"parts":[{"text":"B"}]},"finishReason":"MAX_TOKENS"}]})";
  };
  auto chat = [](std::string_view index, std::string_view member) {
    auto choice = [&](std::string_view text, std::string_view reason) {
      return "{" + std::string{index} + "\"" + std::string{member} + R"(":{"content":")" + std::string{text}
             + R"("},"finish_reason":")" + std::string{reason} + "\"}";
    };
    return R"({"choices":[)" + choice("A", "stop") + "," + choice("B", "length") + "]}";
  };
  auto event = [](std::string_view data) { return "data: " + std::string{data} + "\n\n"; };
  auto later = [&](std::string_view index) { // the reasons come by themselves
    auto own = std::string{index};
    return event(R"({"choices":[{)" + own + R"("delta":{"content":"A"}},{)" + own + R"("delta":{"content":"B"}}]})")
           + event(R"({"choices":[{)" + own + R"("delta":{},"finish_reason":"stop"},{)" + own
                   + R"("delta":{},"finish_reason":"length"}]})");
  };
  const auto done = event("[DONE]");
  for (auto* name : {"openai", "openai_compatible", "azure", "gemini"})
    for (auto index : {"", R"("index":0,)"}) {
      std::vector<std::string> bodies;
      if (named(name).name() == std::string_view{"gemini"})
        bodies = {gemini(index), event(gemini(index))};
      else
        bodies = {chat(index, "message"), event(chat(index, "message")) + done, event(chat(index, "delta")) + done,
                  later(index) + done};
      for (auto& body : bodies) {
        CAPTURE(name, body);
        auto heard = hear(body, named(name));
        CHECK(heard.words == "A");
        auto read = whole(name, body);
        CHECK(read.text == "A");
        for (auto& x : {heard.good(), read}) {
          CHECK(x.finish_reason == finish_reason::stop);
          REQUIRE(x.alternatives.size() == 1);
          CHECK(x.alternatives[0].text == "B");
          CHECK(x.alternatives[0].finish_reason == finish_reason::length);
        }
      }
    }
}

TEST_CASE("what is wrong with one of several choices is told, and costs the others nothing", "[wire][choices]") {
  auto x = whole("openai_compatible", R"({"choices":[{"index":0,"message":{"content":"a"},"finish_reason":"stop"},
    {"index":1,"message":{"tool_calls":[{"id":"k","function":{"name":"look","arguments":"{\"a"}}]},"finish_reason":"stop"},
    {"index":2,"error":{"code":502,"message":"gone"},"message":{"content":"par"},"finish_reason":"error"}]})");
  CHECK(x.text == "a");
  REQUIRE(x.alternatives.size() == 2);
  CHECK(x.alternatives[0].tool_calls == std::vector<tool_call>{{"k", "look", R"({"a)", ""}});
  CHECK(x.alternatives[1].finish_reason == finish_reason::unknown);
  REQUIRE(x.warnings.size() == 2);
  CHECK(x.warnings[0].starts_with("answer 2: "));
  CHECK(x.warnings[1].starts_with("answer 3: "));
}

TEST_CASE("log probabilities are kept in one form, whole and streamed", "[wire][choices]") {
  struct row {
    std::string_view dialect, body;
    bool streamed = false;
  };
  auto list = std::string{two_tokens};
  auto first = list.substr(1, list.find("},") - 0), second = list.substr(list.find("},") + 2);
  second.pop_back();
  auto part = [](const std::string& token, std::string_view more) {
    return R"(data: {"choices":[{"index":0,"delta":{"content":"x"},"logprobs":{"content":[)"
           + (token.find('\n') != token.npos ? token.substr(token.find('{')) : token) + R"(],"refusal":null})"
           + std::string{more} + "}]}\n\n";
  };
  auto stream = part(first, "") + part(second, R"(,"finish_reason":"stop")") + "data: [DONE]\n\n";
  auto chat = R"({"choices":[{"message":{"content":"xx"},"logprobs":{"content":)" + list
              + R"(,"refusal":null},"finish_reason":"stop"}]})";
  auto responses = R"({"status":"completed","output":[{"type":"message","content":[{"type":"output_text","text":"xx",
      "logprobs":)" + list
                   + "}]}]}";
  auto lines = R"({"message":{"content":"xx"},"logprobs":)" + list + R"(,"done":true,"done_reason":"stop"})";
  for (auto& [name, body, streamed] : std::initializer_list<row>{{"openai", chat},
                                                                 {"openai_compatible", chat},
                                                                 {"azure", chat},
                                                                 {"openai", stream, true},
                                                                 {"openai_compatible", stream, true},
                                                                 {"openai_responses", responses},
                                                                 {"ollama", lines}}) {
    INFO(name << ": " << body);
    auto x = streamed ? hear(body, named(name)).good() : whole(name, body);
    CHECK(x.warnings.empty());
    CHECK(tree::parse(x.logprobs)["content"] == two_tokens_kept);
    CHECK(x.logprobs.find('\n') == std::string::npos);
    auto line = openai::write_completion(x);
    CHECK(line.find('\n') == std::string::npos);
    CHECK(tree::parse(line)["choices"][0]["logprobs"]["content"] == two_tokens_kept);
  }
  CHECK(whole("openai", R"({"choices":[{"message":{"content":"x"},"logprobs":null,"finish_reason":"stop"}]})").logprobs
        == "");
}

TEST_CASE("gemini's two lists of log probabilities become OpenAI's one", "[wire][choices][gemini]") {
  auto x = whole("gemini", R"({"candidates":[{"content":{"parts":[{"text":"ab"}]},"finishReason":"STOP",
    "logprobsResult":{"chosenCandidates":[{"token":"a","tokenId":7,"logProbability":-0.25},{"token":"b"}],
      "topCandidates":[{"candidates":[{"token":"a","logProbability":-0.25},{"token":"z","logProbability":-3}]}]}}]})");
  CHECK(tree::parse(x.logprobs) == tree::parse(R"({"content":[
    {"token":"a","logprob":-0.25,"top_logprobs":[{"token":"a","logprob":-0.25},{"token":"z","logprob":-3}]},
    {"token":"b","logprob":null,"top_logprobs":[]}]})"));
}

TEST_CASE("log probabilities in a server's own form are kept as they are, numbers that JSON has not got as null",
          "[wire][choices]") {
  auto x =
    whole("openai_compatible", "{\"choices\":[{\"message\":{\"content\":\"x\"},\"finish_reason\":\"stop\",\"logprobs\":"
                               "{ \"tokens\" : [\"NaN \\\" I\"],\n \"token_logprobs\": [-0.1]}}]}");
  CHECK(x.logprobs == "{\"tokens\":[\"NaN \\\" I\"],\"token_logprobs\":[-0.1]}");
  CHECK(compacted("[NaN, -Infinity ,\tInfinity,null,\"\\\\\",1]") == "[null,null,null,null,\"\\\\\",1]");
}

} // namespace modelforge::choices_test
