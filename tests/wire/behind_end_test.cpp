#include "tests/wire/hear.hpp"
#include "wire/anthropic/anthropic.hpp"
#include "wire/gemini/gemini.hpp"
#include "wire/ollama/ollama.hpp"
#include "wire/provider_error.hpp"
#include "wire/vendors.hpp"

#include <algorithm>

// What comes behind an answer's end, and what is known of an end while the body goes on.

namespace modelforge::behind_end_test {

using namespace modelforge::test;

namespace {

using text = std::string;

text event(std::string_view data) {
  return "data: " + text{data} + "\n\n";
}

text line(std::string_view data) {
  return text{data} + "\n";
}

const text anthropic_begin =
  event(R"({"type":"message_start","message":{"id":"m","content":[],"usage":{"input_tokens":3,"output_tokens":1}}})")
  + event(R"({"type":"content_block_start","index":0,"content_block":{"type":"text","text":"a"}})")
  + event(R"({"type":"content_block_stop","index":0})");
const text anthropic_reason =
  event(R"({"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":7}})");
const text anthropic_stop = event(R"({"type":"message_stop"})");
const text gemini_end = event(R"({"candidates":[{"content":{"parts":[{"text":"a"}]},"finishReason":"STOP"}]})");
const text ollama_end = line(R"({"message":{"content":"a"},"done":false})")
                        + line(R"({"message":{"content":""},"done":true,"done_reason":"stop","eval_count":7})");

stream_end end_seen(std::string_view body, const dialect& by) {
  auto reader = by.read_stream(ok);
  listener to;
  reader->take(body, to);
  return reader->end_so_far();
}

} // namespace

TEST_CASE("an answer's end is known while its body goes on", "[wire][ends]") {
  auto chat = [](const char* reason) {
    return event(R"({"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":)" + text{reason} + "}]}");
  };
  const text response = R"({"id":"r","status":"completed","output":[{"type":"message","content":"a"}]})";
  struct {
    std::string_view dialect;
    text body;
    stream_end expected;
  } table[] = {
    {"anthropic", anthropic_begin, stream_end::open},
    {"anthropic", anthropic_begin + anthropic_reason, stream_end::likely},
    {"anthropic", anthropic_begin + anthropic_reason + "data: {", stream_end::open},
    {"anthropic", anthropic_begin + anthropic_reason + anthropic_stop, stream_end::sure},
    {"anthropic", R"({"type":"message","content":[{"type":"text","text":"b"}],"stop_reason":"end_turn"})",
     stream_end::sure},
    {"gemini", event(R"({"candidates":[{"content":{"parts":[{"text":"a"}]}}]})"), stream_end::open},
    {"gemini", gemini_end, stream_end::likely},
    {"gemini", "[" + gemini_end.substr(6), stream_end::open},
    {"gemini", gemini_end + "data: {\"candi", stream_end::open},
    {"ollama", line(R"({"message":{"content":"a"},"done":false})"), stream_end::open},
    {"ollama", ollama_end, stream_end::sure},
    {"ollama", line(R"({"message":{"content":"a"},"done":true})"), stream_end::likely}, // some say so in each
    {"ollama", line(R"({"message":{"content":"a"},"done":true,"total_duration":5})"), stream_end::sure},
    {"ollama", ollama_end + line(R"({"message":{"content":"a"},"done":false})"), stream_end::open},
    {"openai", chat("null"), stream_end::open},
    {"openai", chat("\"stop\""), stream_end::likely},
    {"openai", chat("\"stop\"") + chat("null"), stream_end::open},
    {"openai", chat("\"stop\"") + event("[DONE]"), stream_end::sure},
    {"openai_compatible", R"({"choices":[{"message":{"content":"a"},"finish_reason":"stop"}]})", stream_end::sure},
    {"openai_responses", event(R"({"type":"response.completed","response":)" + response + "}"), stream_end::sure},
  };
  for (auto& row : table) {
    CAPTURE(row.dialect, row.body);
    CHECK(static_cast<int>(end_seen(row.body, *find_dialect(row.dialect))) == static_cast<int>(row.expected));
  }
}

} // namespace modelforge::behind_end_test
