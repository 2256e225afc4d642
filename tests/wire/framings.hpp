#pragma once

#include "wire/anthropic/anthropic.hpp"
#include "wire/gemini/gemini.hpp"
#include "wire/ollama/ollama.hpp"
#include "wire/openai/openai.hpp"
#include "json/value.hpp"

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

/// One streamed answer of each dialect, as its objects, and the many ways in which servers and proxies put such objects
/// into a body. Shared by the tests and the fuzzer.

namespace modelforge::test {

/// An answer: text with characters of every length and escapes, two tool calls, its reason.
struct sample_stream {
  const wire::dialect* by;
  std::vector<std::string> objects;
};

inline std::vector<sample_stream> sample_streams() {
  const std::vector<std::string> chat = {
    R"({"id":"c1","model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]})",
    R"({"id":"c1","model":"m","choices":[{"index":0,"delta":{"content":"Grüß { [ "},"finish_reason":null}]})",
    R"({"id":"c1","model":"m","choices":[{"index":0,"delta":{"content":"dich, \"世\" \\ \ud83c\udf0d]}\n\n"},"finish_reason":null}]})",
    R"({"id":"c1","model":"m","choices":[{"index":0,"delta":{"content":"data: [DONE]"},"finish_reason":null}]})",
    R"({"id":"c1","model":"m","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":"{\"x\":"}}]},"finish_reason":null}]})",
    R"({"id":"c1","model":"m","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"1}"}},{"index":1,"id":"b","type":"function","function":{"name":"g","arguments":"{}"}}]},"finish_reason":null}]})",
    R"({"id":"c1","model":"m","choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]})"};
  const std::vector<std::string> anthropic = {
    R"({"type":"message_start","message":{"id":"m1","type":"message","role":"assistant","model":"m","content":[],"stop_reason":null}})",
    R"({"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}})",
    R"({"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Grüß { [ "}})",
    R"({"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"dich, \"世\" \\ \ud83c\udf0d]}\n\n"}})",
    R"({"type":"content_block_stop","index":0})",
    R"({"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"a","name":"f","input":{}}})",
    R"({"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{\"x\":1}"}})",
    R"({"type":"content_block_stop","index":1})",
    R"({"type":"message_delta","delta":{"stop_reason":"tool_use"}})",
    R"({"type":"message_stop"})"};
  const std::vector<std::string> gemini = {
    R"({"candidates":[{"content":{"parts":[{"text":"Grüß { [ "}]},"index":0}],"modelVersion":"m","responseId":"r"})",
    R"({"candidates":[{"content":{"parts":[{"text":"dich, \"世\" \\ \ud83c\udf0d]}\n\n"}]},"index":0}]})",
    R"({"candidates":[{"content":{"parts":[{"functionCall":{"id":"a","name":"f","args":{"x":1}}}]},"index":0}]})",
    R"({"candidates":[{"content":{"parts":[{"text":"."}]},"finishReason":"STOP","index":0}]})"};
  const std::vector<std::string> ollama = {
    R"({"model":"m","created_at":"2026-09-01T10:00:00Z","message":{"role":"assistant","content":"Grüß { [ "},"done":false})",
    R"({"model":"m","message":{"role":"assistant","content":"dich, \"世\" \\ \ud83c\udf0d]}\n\n"},"done":false})",
    R"({"model":"m","message":{"role":"assistant","content":"","tool_calls":[{"id":"a","function":{"name":"f","arguments":{"x":1}}}]},"done":false})",
    R"({"model":"m","message":{"role":"assistant","content":""},"done":true,"done_reason":"stop"})"};
  const std::vector<std::string> responses = {
    R"({"type":"response.created","response":{"id":"r1","model":"m","status":"in_progress","output":[]}})",
    R"({"type":"response.output_item.added","output_index":0,"item":{"id":"i0","type":"message","content":[]}})",
    R"({"type":"response.output_text.delta","item_id":"i0","output_index":0,"content_index":0,"delta":"Grüß { [ "})",
    R"({"type":"response.output_text.delta","item_id":"i0","output_index":0,"content_index":0,"delta":"dich, \"世\" \\ \ud83c\udf0d]}\n\n"})",
    R"({"type":"response.output_item.added","output_index":1,"item":{"id":"i1","type":"function_call","call_id":"a","name":"f","arguments":""}})",
    R"({"type":"response.function_call_arguments.delta","item_id":"i1","output_index":1,"delta":"{\"x\":1}"})",
    R"({"type":"response.completed","response":{"id":"r1","model":"m","status":"completed","output":[]}})"};
  return {{&wire::openai::chat_api(), chat},
          {&wire::openai::compatible_chat_api(), chat},
          {&wire::anthropic::messages_api(), anthropic},
          {&wire::gemini::content_api(), gemini},
          {&wire::ollama::chat_api(), ollama},
          {&wire::openai::responses_api(), responses}};
}

/// How a body is written. Each member is one choice among so many; larger numbers wrap around.
struct framing {
  enum { events, lines, joined, array, records, forms };

  unsigned form = events;
  unsigned line_end = 0;  ///< LF, CRLF, CR.
  unsigned blank = 0;     ///< Whether events end in a blank line: yes, no, some do.
  unsigned field = 0;     ///< How "data:" is written.
  unsigned pretty = 0;    ///< Objects on one line, or on many.
  unsigned done = 0;      ///< No end mark; by itself; behind the last object in several ways.
  unsigned noise = 0;     ///< What stands between events that says nothing.
  unsigned beginning = 0; ///< What stands in front of all.
  unsigned last_end = 0;  ///< Whether the last line has its end.
};

/// Writes the objects so.
inline std::string framed(const std::vector<std::string>& objects, const framing& how) {
  constexpr std::string_view ends[] = {"\n", "\r\n", "\r"};
  constexpr std::string_view fields[] = {"data: ", "data:", "data:  ", "  data: ", "data: data: "};
  constexpr std::string_view beginnings[] = {"", "\xEF\xBB\xBF", "\n", "  \r\n"};
  auto end = ends[how.line_end % 3];
  auto field = fields[how.field % (how.pretty % 2 == 0 ? 5 : 4)];
  auto form = how.form % framing::forms;
  auto is_event = form == framing::events;
  std::string out{beginnings[how.beginning % 4]};
  auto lines_of = [&](std::string_view object) {
    auto text = how.pretty % 2 == 0 ? std::string{object} : std::get<json::value>(json::parse(object)).dump(1);
    std::string result;
    for (auto c : text)
      if (c == '\n')
        result.append(end).append(is_event ? field : std::string_view{});
      else
        result += c;
    return result;
  };
  if (form == framing::array)
    out += '[';
  for (std::size_t i = 0; i < objects.size(); ++i) {
    auto is_last = i + 1 == objects.size();
    auto object = lines_of(objects[i]);
    if (is_event) {
      constexpr std::string_view noises[] = {"", ": keep-alive", "id: 7", "retry: 100", "event: message", ":"};
      if (auto noise = noises[how.noise % 6]; !noise.empty())
        out.append(noise).append(end);
      out.append(field).append(object);
      if (is_last && how.done % 6 >= 3)
        break;
      out += end;
      if (auto blank = how.blank % 3; blank == 0 || (blank == 2 && i % 2 == 0))
        out += end;
    } else {
      if (form == framing::records)
        out += '\x1E';
      out += object;
      if (form == framing::array && !is_last)
        out += ',';
      if (form != framing::joined)
        out += end;
    }
  }
  if (form == framing::array)
    out += ']';
  if (is_event) {
    constexpr std::string_view marks[] = {"", "data: [DONE]", "data:[DONE]", "[DONE]", "data: [DONE]", " [DONE]"};
    out += marks[how.done % 6];
  } else if (form == framing::joined || form == framing::lines) {
    constexpr std::string_view marks[] = {"", "data: [DONE]", "[DONE]"};
    out += marks[how.done % 3];
  }
  if (how.last_end % 3 == 0 || (how.last_end % 3 == 1 && !out.ends_with(end)))
    out += end;
  while (how.last_end % 3 == 2 && (out.ends_with('\n') || out.ends_with('\r')))
    out.pop_back();
  return out;
}

} // namespace modelforge::test
