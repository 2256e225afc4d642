#include "tests/wire/hear.hpp"
#include "wire/answer_parts.hpp"
#include "wire/batch_api.hpp"
#include "wire/vendors.hpp"
#include "json/reader.hpp"

#include <algorithm>
#include <functional>
#include <optional>

namespace modelforge::usage_test {

using namespace modelforge::test;

namespace {

/// A figure as it stands in an answer; empty: its member is missing.
using figure = std::optional<std::string>;

/// A member of an object, or another one in its place.
std::string told(const std::string& name, const figure& x) {
  return x ? "\"" + name + "\":" + *x : "\"beside\":0";
}

/// A way in which an answer can come, with figures for what went in and out.
struct way {
  std::string dialect;
  std::string form; ///< "whole", "stream", "embedding", "batch".
  std::function<std::string(const figure& in, const figure& out)> body;
};

std::string openai_usage(const figure& in, const figure& out) {
  return "\"usage\":{" + told("prompt_tokens", in) + "," + told("completion_tokens", out) + "}";
}

std::string newer_usage(const figure& in, const figure& out) {
  return "\"usage\":{" + told("input_tokens", in) + "," + told("output_tokens", out) + "}";
}

std::string openai_whole(const figure& in, const figure& out) {
  return R"({"id":"x","model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},)"
         R"("finish_reason":"stop"}],)"
         + openai_usage(in, out) + "}";
}

std::string openai_stream(const figure& in, const figure& out) {
  return R"(data: {"id":"x","model":"m","choices":[{"index":0,"delta":{"content":"hi"},"finish_reason":"stop"}]})"
         "\n\ndata: {\"id\":\"x\",\"model\":\"m\",\"choices\":[],"
         + openai_usage(in, out) + "}\n\ndata: [DONE]\n\n";
}

std::string responses_whole(const figure& in, const figure& out) {
  return R"({"id":"r","object":"response","status":"completed","model":"m","output":[{"type":"message","id":"a",)"
         R"("role":"assistant","content":[{"type":"output_text","text":"hi"}]}],)"
         + newer_usage(in, out) + "}";
}

std::string responses_stream(const figure& in, const figure& out) {
  return R"(data: {"type":"response.output_text.delta","item_id":"a","output_index":0,"content_index":0,"delta":"hi"})"
         "\n\ndata: {\"type\":\"response.completed\",\"response\":"
         + responses_whole(in, out) + "}\n\n";
}

std::string anthropic_whole(const figure& in, const figure& out) {
  return R"({"id":"a","type":"message","role":"assistant","model":"m","content":[{"type":"text","text":"hi"}],)"
         R"("stop_reason":"end_turn",)"
         + newer_usage(in, out) + "}";
}

std::string anthropic_stream(const figure& in, const figure& out) {
  return "data: {\"type\":\"message_start\",\"message\":{\"id\":\"a\",\"type\":\"message\",\"role\":\"assistant\","
         "\"model\":\"m\",\"content\":[],\"stop_reason\":null,"
         + newer_usage(in, {}) + R"(}}

data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}

data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"hi"}}

data: {"type":"content_block_stop","index":0}

data: {"type":"message_delta","delta":{"stop_reason":"end_turn"},)"
         + newer_usage({}, out) + "}\n\ndata: {\"type\":\"message_stop\"}\n\n";
}

std::string gemini_whole(const figure& in, const figure& out) {
  return R"({"candidates":[{"content":{"parts":[{"text":"hi"}]},"finishReason":"STOP"}],"usageMetadata":{)"
         + told("promptTokenCount", in) + "," + told("candidatesTokenCount", out) + "}}";
}

std::string ollama_whole(const figure& in, const figure& out) {
  return R"({"model":"m","message":{"role":"assistant","content":"hi"},"done":true,"done_reason":"stop",)"
         + told("prompt_eval_count", in) + "," + told("eval_count", out) + "}";
}

std::string openai_embedding(const figure& in, const figure&) {
  return R"({"data":[{"index":0,"embedding":[1,2]}],"model":"m",)" + openai_usage(in, {}) + "}";
}

std::string openai_batch(const figure& in, const figure& out) {
  return R"({"custom_id":"n-0","response":{"status_code":200,"request_id":"q","body":)" + openai_whole(in, out)
         + "},\"error\":null}";
}

const std::vector<way>& ways() {
  static const std::vector<way> all = [] {
    std::vector<way> result;
    for (auto* name : {"openai", "openai_compatible", "azure"}) {
      result.push_back({name, "whole", openai_whole});
      result.push_back({name, "stream", openai_stream});
      result.push_back({name, "embedding", openai_embedding});
    }
    for (auto* name : {"openai", "azure"})
      result.push_back({name, "batch", openai_batch});
    for (auto* name : {"openai_responses", "azure_responses"}) {
      result.push_back({name, "whole", responses_whole});
      result.push_back({name, "stream", responses_stream});
    }
    result.push_back({"anthropic", "whole", anthropic_whole});
    result.push_back({"anthropic", "stream", anthropic_stream});
    result.push_back({"anthropic", "batch", [](const figure& in, const figure& out) {
                        return R"({"custom_id":"n-0","result":{"type":"succeeded","message":)"
                               + anthropic_whole(in, out) + "}}";
                      }});
    result.push_back({"gemini", "whole", gemini_whole});
    result.push_back({"gemini", "stream",
                      [](const figure& in, const figure& out) { return "data: " + gemini_whole(in, out) + "\n\n"; }});
    result.push_back({"gemini", "embedding", [](const figure& in, const figure&) {
                        return R"({"embeddings":[{"values":[1,2]}],"usageMetadata":{)" + told("promptTokenCount", in)
                               + "}}";
                      }});
    result.push_back({"ollama", "whole", ollama_whole});
    result.push_back(
      {"ollama", "stream", [](const figure& in, const figure& out) { return ollama_whole(in, out) + "\n"; }});
    result.push_back({"ollama", "embedding", [](const figure& in, const figure&) {
                        return R"({"model":"m","embeddings":[[1,2]],)" + told("prompt_eval_count", in) + "}";
                      }});
    return result;
  }();
  return all;
}

struct reading {
  std::optional<token_usage> usage;
  std::vector<std::string> warnings;
  uint64_t tokens = 0; ///< A stream's count.
  std::optional<failure> bad;
};

template <class Answer>
reading read(const std::variant<Answer, failure>& x) {
  if (auto* bad = std::get_if<failure>(&x))
    return {{}, {}, 0, *bad};
  auto& good = std::get<Answer>(x);
  return {good.usage, good.warnings, 0, {}};
}

reading read(const way& by, const figure& in, const figure& out) {
  auto& speaks = *find_dialect(by.dialect);
  auto body = by.body(in, out);
  const http::response_head head{200, {{"content-type", "application/json"}, {"x-request-id", "q"}}};
  if (by.form == "whole")
    return read(speaks.decode(head, body));
  if (by.form == "embedding")
    return read(speaks.decode_embedding(head, body, 1));
  if (by.form == "batch") {
    auto line = speaks.batches()->decode_result(body);
    if (auto* bad = std::get_if<failure>(&line))
      return {{}, {}, 0, *bad};
    return read(std::get<batch_result>(line).answer);
  }
  auto heard = hear(body, speaks);
  auto result = read(heard.end);
  result.tokens = heard.tokens;
  return result;
}

bool warned(const reading& x) {
  return std::count(x.warnings.begin(), x.warnings.end(), usage_warning) == 1;
}

} // namespace

TEST_CASE("every dialect is among those whose usage is tried", "[wire][usage]") {
  for (auto* x : dialects())
    for (std::string form : {"whole", "stream", "embedding", "batch"}) {
      auto has = form == "embedding" ? x->max_inputs() > 0 : form == "batch" ? x->batches() != nullptr : true;
      CAPTURE(x->name(), form);
      auto of = x->name();
      auto tried =
        std::any_of(ways().begin(), ways().end(), [&](auto& y) { return y.dialect == of && y.form == form; });
      auto as_the_chat_api = of.ends_with("_responses") && (form == "embedding" || form == "batch");
      CHECK((tried == has || as_the_chat_api));
    }
}

TEST_CASE("what an answer tells of tokens is believed as far as it can be", "[wire][usage]") {
  struct {
    figure is;
    std::optional<uint64_t> count; ///< What it means; empty: nothing, as if it were not there.
    bool odd = false;              ///< A number, but more than can be.
  } figures[] = {
    {"0", 0},
    {"12", 12},
    {"12.0", 12},
    {"1.2e1", 12},
    {"10000000", 10'000'000},
    {{}, {}},
    {"null", {}},
    {"-1", {}},
    {"-9223372036854775808", {}},
    {"0.5", {}},
    {"12.000001", {}},
    {"1e-300", {}},
    {"100000001", {}, true},
    {"4000000000", {}, true},
    {"1e15", {}, true},
    {"1000000000000000", {}, true},
    {"9223372036854775807", {}, true},
    {"18446744073709551615", {}, true},
    {"18446744073709551616", {}},
    {"1e400", {}},
    {"-1e400", {}},
    {"\"NaN\"", {}},
    {"\"12\"", 12},
    {"\"12.0\"", 12},
    {"\"\"", {}},
    {"\" 12\"", {}},
    {"\"-1\"", {}},
    {"\"100000001\"", {}, true},
    {"\"twelve\"", {}},
    {"true", {}},
    {"[12]", {}},
    {"{}", {}},
  };
  for (auto& by : ways())
    for (auto& x : figures) {
      CAPTURE(by.dialect, by.form, x.is.value_or("absent"));
      auto is_chat = by.form != "embedding";
      auto both = read(by, x.is, x.is);
      CHECK_FALSE(both.bad);
      CHECK(both.usage == (x.count ? std::optional{token_usage{*x.count, is_chat ? *x.count : 0}} : std::nullopt));
      CHECK(both.tokens <= std::max<uint64_t>(x.count.value_or(0), 1));
      auto by_tree = x.is && x.is->starts_with("1e15"); // 2^53 bounds a float before
      CHECK((warned(both) == x.odd || by_tree));
      if (!is_chat)
        continue;
      CHECK(read(by, "7", x.is).usage == token_usage{7, x.count.value_or(0)});
      CHECK(read(by, x.is, "7").usage == token_usage{x.count.value_or(0), 7});
    }
}

TEST_CASE("a number that is no JSON makes an answer broken, not endless", "[wire][usage]") {
  for (auto& by : ways())
    for (auto* x : {"0x7f", "1_000", "+1", "01", "1e", "--1"}) {
      CAPTURE(by.dialect, by.form, x);
      CHECK(read(by, x, x).bad);
    }
}

TEST_CASE("a number that only other languages have tells nothing, and costs no answer", "[wire][usage]") {
  for (auto& by : ways())
    for (auto* x : {"NaN", "Infinity", "-Infinity", "nan"}) {
      CAPTURE(by.dialect, by.form, x);
      auto result = read(by, x, x);
      CHECK_FALSE(result.bad);
      CHECK_FALSE(result.usage);
      CHECK(result.warnings.size() <= 1); // none of a batch's line, whose other members may be meant
    }
}

TEST_CASE("a place that an answer names is compared, and never gone to", "[wire][usage]") {
  using text = std::string;
  struct {
    const char* dialect;
    const char* form;
    std::function<text(const text& at)> body;
  } const answers[] = {
    {"openai", "whole",
     [](auto& at) {
       return R"({"choices":[{"index":)" + at
              + R"(,"message":{"role":"assistant","content":"hi","tool_calls":[{"index":)" + at
              + R"(,"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}]},"finish_reason":"stop"}]})";
     }},
    {"openai", "stream",
     [](auto& at) {
       return R"(data: {"choices":[{"index":)" + at + R"(,"delta":{"content":"hi","tool_calls":[{"index":)" + at
              + R"(,"id":"c","function":{"name":"f","arguments":"{}"}}]},"finish_reason":"stop"}]})"
                "\n\ndata: [DONE]\n\n";
     }},
    {"openai", "stream",
     [](auto& at) {
       return R"(data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":)" + at
              + R"(,"id":"c","function":{"name":"f","arguments":"{}"}}]},"finish_reason":"stop"}]})"
                "\n\ndata: [DONE]\n\n";
     }},
    {"openai_responses", "stream",
     [](auto& at) {
       auto place = R"("output_index":)" + at + R"(,"content_index":)" + at + R"(,"summary_index":)" + at;
       return R"(data: {"type":"response.reasoning_summary_text.delta",)" + place
              + R"(,"delta":"hm"})"
                "\n\ndata: {\"type\":\"response.output_text.delta\","
              + place
              + R"(,"delta":"hi"})"
                "\n\ndata: {\"type\":\"response.completed\",\"response\":"
              + responses_whole("1", "1") + "}\n\n";
     }},
    {"anthropic", "stream",
     [](auto& at) {
       return R"(data: {"type":"message_start","message":{"id":"a","type":"message","role":"assistant","content":[]}})"
              "\n\ndata: {\"type\":\"content_block_start\",\"index\":"
              + at
              + R"(,"content_block":{"type":"tool_use","id":"c","name":"f","input":{}}})"
                "\n\ndata: {\"type\":\"content_block_delta\",\"index\":"
              + at
              + R"(,"delta":{"type":"input_json_delta","partial_json":"{}"}})"
                "\n\ndata: {\"type\":\"content_block_stop\",\"index\":"
              + at
              + "}\n\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"tool_use\"}}"
                "\n\ndata: {\"type\":\"message_stop\"}\n\n";
     }},
    {"gemini", "stream",
     [](auto& at) {
       return R"(data: {"candidates":[{"index":)" + at
              + R"(,"content":{"parts":[{"text":"hi"}]},"finishReason":"STOP"}]})"
                "\n\n";
     }},
    {"openai", "embedding",
     [](auto& at) { return R"({"data":[{"index":)" + at + R"(,"embedding":[1,2]}],"model":"m"})"; }},
  };
  for (auto& [dialect, form, body] : answers)
    for (auto* at : {"0", "1", "-1", "0.5", "1e15", "4294967296", "9223372036854775807", "18446744073709551615",
                     "18446744073709551616", "1e400", "null", "\"0\"", "true", "[]"}) {
      CAPTURE(dialect, form, at);
      auto& speaks = *find_dialect(dialect);
      auto is_first = std::string{at} == "0";
      if (form == text{"stream"}) {
        auto heard = hear(body(at), speaks);
        if (is_first)
          CHECK(std::holds_alternative<completion>(heard.end));
        continue;
      }
      if (form == text{"whole"}) {
        CHECK(std::holds_alternative<completion>(speaks.decode({200, {}}, body(at))));
        continue;
      }
      auto vectors = speaks.decode_embedding({200, {}}, body(at), 1);
      auto is_number = std::string{at} == "1" || count_in(modelforge::json::raw{at}).value_or(0) > 0;
      CHECK(std::holds_alternative<embedding>(vectors) == !is_number);
    }
}

TEST_CASE("parts of a usage are no more than their whole, and sums do not wrap", "[wire][usage]") {
  const std::string most = "18446744073709551615";
  auto usage = [](std::string_view name, const std::string& body) {
    return std::get<completion>(find_dialect(name)->decode({200, {}}, body)).usage;
  };
  auto gemini = [&](const std::string& more) {
    return usage("gemini", R"({"candidates":[{"content":{"parts":[{"text":"hi"}]},"finishReason":"STOP"}],)"
                           R"("usageMetadata":{"promptTokenCount":6,"candidatesTokenCount":6,)"
                             + more + "}}");
  };
  auto anthropic = [&](const std::string& more) {
    return usage("anthropic", R"({"id":"a","type":"message","content":[{"type":"text","text":"hi"}],)"
                              R"("stop_reason":"end_turn","usage":{"input_tokens":6,"output_tokens":6,)"
                                + more + "}}");
  };
  CHECK(gemini("\"thoughtsTokenCount\":" + most) == token_usage{6, 0});
  CHECK(gemini("\"thoughtsTokenCount\":9999999") == token_usage{6, 0});
  CHECK(gemini("\"toolUsePromptTokenCount\":" + most) == token_usage{0, 6});
  CHECK(gemini("\"toolUsePromptTokenCount\":-1") == token_usage{6, 6});
  CHECK(gemini("\"cachedContentTokenCount\":" + most) == token_usage{6, 6});
  CHECK(gemini("\"cachedContentTokenCount\":99") == token_usage{6, 6, 6});
  CHECK(gemini("\"thoughtsTokenCount\":4") == token_usage{6, 10, 0, 0, 4});
  CHECK(anthropic("\"cache_read_input_tokens\":" + most) == token_usage{0, 6});
  CHECK(anthropic("\"cache_creation_input_tokens\":" + most) == token_usage{0, 6});
  CHECK(anthropic("\"cache_read_input_tokens\":99999999,\"cache_creation_input_tokens\":99999999")
        == token_usage{0, 6});
  CHECK(anthropic("\"cache_read_input_tokens\":null") == token_usage{6, 6});
  CHECK(anthropic("\"cache_read_input_tokens\":4") == token_usage{10, 6, 4});
}

TEST_CASE("the last usage of a stream counts, if it can be", "[wire][usage]") {
  auto chunk = [](const std::string& out) {
    return R"(data: {"choices":[{"index":0,"delta":{"content":"hi"}}],)" + openai_usage("3", out) + "}\n\n";
  };
  const std::string end =
    "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
  auto good = hear(chunk("1000000000000000") + chunk("20") + end);
  CHECK(good.tokens == 20);
  CHECK(good.good().usage == token_usage{3, 20});
  auto zeros = R"(data: {"choices":[],"usage":{"prompt_tokens":0,"completion_tokens":0}})";
  CHECK(hear(chunk("20") + zeros + "\n\n" + end).good().usage == token_usage{3, 20});
  auto odd = hear(chunk("20") + chunk("1000000000000000") + end);
  CHECK(odd.tokens == 21); // and one for the piece behind it
  CHECK(odd.good().usage == token_usage{3, 0});
}

TEST_CASE("usage is found under others' names, and in other places", "[wire][usage]") {
  struct {
    std::string_view dialect, form, body;
  } table[] = {
    {"openai", "both",
     R"({"choices":[{"index":0,"message":{"content":"hi","usage":{"prompt_tokens":7,"completion_tokens":5}},"finish_reason":"stop"}]})"},
    {"openai", "stream",
     R"({"choices":[{"index":0,"delta":{"content":"hi","usage":{"prompt_tokens":7,"completion_tokens":5}},"finish_reason":"stop"}]})"},
    {"openai_responses", "both",
     R"({"status":"completed","output":[{"type":"message","content":[{"type":"output_text","text":"hi"}]}],"usage":{"prompt_tokens":7,"completion_tokens":5}})"},
    {"anthropic", "both",
     R"({"type":"message","content":[{"type":"text","text":"hi"}],"stop_reason":"end_turn","usage":{"prompt_tokens":"7","completion_tokens":5}})"},
    {"anthropic", "stream",
     R"({"type":"content_block_delta","index":0,"delta":{"text":"hi"}}|{"type":"message_delta","delta":{"stop_reason":"end_turn"}}|{"type":"message_stop","amazon-bedrock-invocationMetrics":{"inputTokenCount":7,"outputTokenCount":5,"invocationLatency":9}})"},
    {"gemini", "both",
     R"({"candidates":[{"content":{"parts":[{"text":"hi"}]},"finishReason":"STOP","usageMetadata":{"promptTokenCount":7,"candidatesTokenCount":5}}]})"},
    {"gemini", "both",
     R"({"candidates":[{"content":{"parts":[{"text":"hi"}]},"finishReason":"STOP"}],"usage":{"prompt_tokens":7,"completion_tokens":5}})"},
    {"ollama", "both",
     R"({"message":{"content":"hi"},"done":true,"done_reason":"stop","usage":{"prompt_tokens":7,"completion_tokens":5}})"},
    {"ollama", "stream",
     R"({"message":{"content":"hi"},"done":false,"prompt_eval_count":7,"eval_count":5}|{"message":{"content":""},"done":true,"done_reason":"stop"})"},
  };
  for (auto& row : table) {
    auto& by = *find_dialect(row.dialect);
    CAPTURE(row.dialect, row.body);
    std::string body;
    for (auto rest = row.body; !rest.empty();) {
      auto object = rest.substr(0, rest.find('|'));
      rest.remove_prefix(std::min(rest.size(), object.size() + 1));
      body += row.dialect == "ollama" ? std::string{object} + "\n" : "data: " + std::string{object} + "\n\n";
    }
    if (row.dialect == "openai" && row.form == "stream")
      body += "data: [DONE]\n\n";
    CHECK(hear(body, by).good().usage == token_usage{7, 5});
    if (row.form == "both")
      CHECK(std::get<completion>(by.decode({200, {}}, row.body)).usage == token_usage{7, 5});
  }
}

} // namespace modelforge::usage_test
