#include "tests/wire/hear.hpp"
#include "wire/anthropic/anthropic.hpp"
#include "wire/gemini/gemini.hpp"
#include "wire/ollama/ollama.hpp"

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <functional>
#include <random>

// One answer, written in every form that is understood, must be read as the same answer: a table of forms by hand, and
// a writer that chooses among them by a seed.

namespace modelforge::forms_test {

using namespace modelforge::test;
using tree = modelforge::json::value;
using strings = std::vector<std::string>;

namespace {

std::string quote(std::string_view text) {
  return tree(text).dump();
}

std::string event(std::string_view data) {
  return "data: " + std::string{data} + "\n\n";
}

std::string whole_chat(std::string_view choice, std::string_view more = "") {
  return R"({"id":"c","choices":[{"index":0,)" + std::string{choice} + "}]" + std::string{more} + "}";
}

std::string chat_chunk(std::string_view choice, std::string_view more = "") {
  return event(R"({"id":"c","choices":[{)" + std::string{choice} + "}]" + std::string{more} + "}");
}

const std::string stop = chat_chunk(R"("delta":{},"finish_reason":"stop")");
const std::string done = "data: [DONE]\n\n";

/// What an answer says, whole or streamed.
struct meaning {
  std::string thoughts, text;
  std::vector<tool_call> calls;
  std::optional<token_usage> usage;
  finish_reason reason = finish_reason::stop;

  friend bool operator==(const meaning&, const meaning&) = default;
};

/// Arguments are compared as JSON.
std::string plain(std::string_view arguments) {
  auto parsed = modelforge::json::parse(arguments);
  auto* value = std::get_if<tree>(&parsed);
  return value == nullptr ? std::string{arguments} : value->dump();
}

meaning meaning_of(const completion& x) {
  meaning result{reasoning_of(x), x.text, x.tool_calls, x.usage, x.finish_reason};
  for (auto& call : result.calls)
    call.arguments = plain(call.arguments);
  return result;
}

std::variant<meaning, failure> meaning_of(const heard& x) {
  if (auto* problem = std::get_if<failure>(&x.end))
    return *problem;
  auto result = meaning_of(std::get<completion>(x.end));
  std::vector<std::string> arguments(result.calls.size());
  for (auto& line : x.said) {
    auto text = line.substr(line.find(": ") + 2);
    if (line.starts_with("text: "))
      result.text += text;
    else if (line.starts_with("reasoning: "))
      result.thoughts += text;
    else if (line.starts_with("arguments "))
      arguments.at(std::stoul(line.substr(10))) += text;
  }
  for (std::size_t i = 0; i < arguments.size(); ++i) // the pieces tell what the end tells
    if (plain(arguments[i].empty() ? "{}" : arguments[i]) != result.calls[i].arguments)
      result.calls[i].arguments += " but in pieces " + arguments[i];
  return result;
}

std::variant<meaning, failure> read(const std::string& body, const dialect& by, bool is_stream,
                                    const std::vector<std::size_t>& sizes = {}) {
  if (is_stream)
    return meaning_of(hear(body, by, sizes));
  auto result = by.decode({200, {}}, body);
  if (auto* problem = std::get_if<failure>(&result))
    return *problem;
  return meaning_of(std::get<completion>(result));
}

} // namespace

TEST_CASE("content means the same in every form", "[wire][forms]") {
  auto anthropic = [](std::string content) {
    return R"({"id":"m","type":"message","content":)" + content + R"(,"stop_reason":"end_turn"})";
  };
  auto gemini = [](std::string content) {
    return R"({"candidates":[{"content":)" + content + R"(,"finishReason":"STOP"}]})";
  };
  auto ollama = [](std::string content) {
    return R"({"message":{"content":)" + content + R"(},"done":true,"done_reason":"stop"})" + "\n";
  };
  auto chat = [](std::string message) { return whole_chat(R"("finish_reason":"stop","message":)" + message); };
  struct {
    std::string_view what;
    const dialect& by;
    bool is_stream;
    std::string body, text = "Hello", thoughts = "";
  } table[] = {
    {"a text", openai::chat_api(), false, chat(R"({"content":"Hello"})")},
    {"parts", openai::chat_api(), false,
     chat(R"({"content":[{"type":"text","text":"Hel"},{"type":"text","text":"lo"}]})")},
    {"one part", openai::chat_api(), false, chat(R"({"content":{"type":"text","text":"Hello"}})")},
    {"texts", openai::chat_api(), false, chat(R"({"content":["Hel","lo"]})")},
    {"a text in an object", openai::chat_api(), false,
     chat(R"({"content":[{"type":"text","text":{"value":"Hello"}}]})")},
    {"a message that is a text", openai::compatible_chat_api(), false, chat(R"("Hello")")},
    {"a delta in a whole answer", openai::compatible_chat_api(), false,
     whole_chat(R"("delta":{"content":"Hello"},"finish_reason":"stop")")},
    {"the older API's text", openai::compatible_chat_api(), false,
     whole_chat(R"("text":"Hello","finish_reason":"stop")")},
    {"one choice without a list", openai::compatible_chat_api(), false,
     R"({"choices":{"message":{"content":"Hello"},"finish_reason":"stop"}})"},
    {"choice 1 alone", openai::compatible_chat_api(), false,
     R"({"choices":[{"index":1,"message":{"content":"Hello"},"finish_reason":"stop"}]})"},
    {"thoughts: parts", openai::compatible_chat_api(), false,
     chat(R"({"content":"Hello","reasoning":[{"type":"text","text":"h"},{"text":"m"}]})"), "Hello", "hm"},
    {"thoughts: texts", openai::compatible_chat_api(), false,
     chat(R"({"content":"Hello","reasoning_content":["h","m"]})"), "Hello", "hm"},
    {"thoughts: details", openai::compatible_chat_api(), false,
     chat(R"({"content":"Hello","reasoning_details":[{"type":"reasoning.text","text":"h"},)"
          R"({"type":"reasoning.summary","summary":"m"},{"type":"reasoning.encrypted","data":"x"}]})"),
     "Hello", "hm"},
    {"thoughts: in two places", openai::compatible_chat_api(), false,
     chat(R"({"content":"Hello","reasoning":"hm","reasoning_content":"hm","reasoning_details":[{"text":"hm"}]})"),
     "Hello", "hm"},
    {"parts in a stream", openai::chat_api(), true,
     chat_chunk(R"("delta":{"content":[{"type":"text","text":"Hel"}]})") + chat_chunk(R"("delta":{"content":"lo"})")
       + stop + done},
    {"a part in a stream", openai::chat_api(), true,
     chat_chunk(R"("delta":{"content":{"type":"text","text":"Hel"}})") + chat_chunk(R"("delta":"lo")") + stop + done},
    {"choice 1 alone in a stream", openai::chat_api(), true,
     chat_chunk(R"("index":1,"delta":{"content":"Hel"})") + chat_chunk(R"("index":1,"delta":{"content":"lo"})")
       + chat_chunk(R"("index":1,"delta":{},"finish_reason":"stop")") + done},
    {"indices as texts", openai::chat_api(), true,
     chat_chunk(R"("index":"0","delta":{"content":"Hello"})") + chat_chunk(R"("index":"1","delta":{"content":"no"})")
       + stop + done},
    {"messages instead of deltas", openai::compatible_chat_api(), true,
     chat_chunk(R"("message":{"content":"Hel"})") + chat_chunk(R"("message":{"content":"lo"})")
       + chat_chunk(R"("message":{"content":""},"finish_reason":"stop")") + done},
    {"messages that hold all so far", openai::compatible_chat_api(), true,
     chat_chunk(R"("message":{"content":"Hel"})") + chat_chunk(R"("message":{"content":"Hello"})")
       + chat_chunk(R"("message":{"content":"Hello"},"finish_reason":"stop")") + done},
    {"a message beside the deltas", openai::compatible_chat_api(), true,
     chat_chunk(R"("delta":{"content":"Hello"})")
       + chat_chunk(R"("delta":{},"message":{"content":"Hello"},"finish_reason":"stop")") + done},
    {"a message behind thoughts", openai::compatible_chat_api(), true,
     chat_chunk(R"("delta":{"reasoning":"hm"})") + chat_chunk(R"("message":{"content":"Hello"},"finish_reason":"stop")")
       + done,
     "Hello", "hm"},
    {"a character in halves", openai::chat_api(), true,
     chat_chunk(R"("delta":{"content":"a\ud83d"})") + chat_chunk(R"("delta":{"content":"\ude00b"})") + stop + done,
     "a😀b"},
    {"half a character", openai::chat_api(), true,
     chat_chunk(R"("delta":{"content":"a\ud83d"})") + chat_chunk(R"("delta":{"content":"b"})") + stop + done,
     "a\xEF\xBF\xBD"
     "b"},
    {"half a character at the end", openai::chat_api(), true,
     chat_chunk(R"("delta":{"content":"a\ud83d"})") + stop + done, "a\xEF\xBF\xBD"},
    {"halves of thoughts", openai::chat_api(), true,
     chat_chunk(R"("delta":{"reasoning":"\ud83d"})") + chat_chunk(R"("delta":{"reasoning":"\ude00"})")
       + chat_chunk(R"("delta":{"content":"Hello"})") + stop + done,
     "Hello", "😀"},
    {"a backslash before what looks like half", openai::chat_api(), true,
     chat_chunk(R"("delta":{"content":"\\ud83d"})") + chat_chunk(R"("delta":{"content":"\\ude00"})") + stop + done,
     R"(\ud83d\ude00)"},
    {"NaN and infinity", openai::chat_api(), false,
     whole_chat(R"("message":{"content":"Hello"},"finish_reason":"stop","logprobs":{"content":[{"logprob":NaN},)"
                R"({"logprob":-Infinity,"x": Infinity}]})")},
    {"NaN in a stream", openai::chat_api(), true,
     chat_chunk(R"("delta":{"content":"Hel"},"logprobs":[NaN])")
       + chat_chunk(R"("delta":{"content":"lo"},"logprobs":[NaN, 1])") + stop + done},
    {"NaN that is text", openai::chat_api(), false,
     whole_chat(R"("message":{"content":"a: NaN, [Infinity"},"finish_reason":"stop","logprobs":NaN)"),
     "a: NaN, [Infinity"},
    {"a text", anthropic::messages_api(), false, anthropic(R"("Hello")")},
    {"a part", anthropic::messages_api(), false, anthropic(R"({"type":"text","text":"Hello"})")},
    {"texts", anthropic::messages_api(), false, anthropic(R"(["Hel","lo"])")},
    {"a text in a stream", anthropic::messages_api(), true, anthropic(R"("Hello")")},
    {"content at the beginning alone", anthropic::messages_api(), true,
     event(R"({"type":"message_start","message":{"content":[{"type":"text","text":"Hello"}]}})")
       + event(R"({"type":"message_delta","delta":{"stop_reason":"end_turn"}})") + event(R"({"type":"message_stop"})")},
    {"content at the beginning, and again", anthropic::messages_api(), true,
     event(R"({"type":"message_start","message":{"content":[{"type":"text","text":"Hello"}]}})")
       + event(R"({"type":"content_block_start","index":0,"content_block":{"type":"text","text":"Hel"}})")
       + event(R"({"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"lo"}})")
       + event(R"({"type":"message_delta","delta":{"stop_reason":"end_turn"}})") + event(R"({"type":"message_stop"})")},
    {"halves", anthropic::messages_api(), true,
     event(R"({"type":"message_start","message":{"content":[]}})")
       + event(R"({"type":"content_block_start","index":0,"content_block":{"type":"text","text":"\ud83d"}})")
       + event(R"({"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"\ude00"}})")
       + event(R"({"type":"message_delta","delta":{"stop_reason":"end_turn"},"x":NaN})")
       + event(R"({"type":"message_stop"})"),
     "😀"},
    {"parts", gemini::content_api(), false, gemini(R"({"parts":[{"text":"Hel"},{"text":"lo"}]})")},
    {"one part", gemini::content_api(), false, gemini(R"({"parts":{"text":"Hello"}})")},
    {"a text", gemini::content_api(), false, gemini(R"("Hello")")},
    {"a text for parts", gemini::content_api(), false, gemini(R"({"parts":"Hello"})")},
    {"NaN", gemini::content_api(), false, "[" + gemini(R"({"parts":[{"text":"Hello"}],"avgLogprobs":NaN})") + "]"},
    {"one candidate without a list", gemini::content_api(), false,
     R"({"candidates":{"content":{"parts":[{"text":"Hello"}]},"finishReason":"STOP"}})"},
    {"candidate 1 alone", gemini::content_api(), true,
     event(R"({"candidates":[{"index":1,"content":{"parts":[{"text":"Hel"}]}}]})")
       + event(R"({"candidates":[{"index":1,"content":{"parts":[{"text":"lo"}]},"finishReason":"STOP"}]})")},
    {"halves", gemini::content_api(), true,
     event(R"({"candidates":[{"content":{"parts":[{"text":"\ud83d"}]}}]})")
       + event(R"({"candidates":[{"content":{"parts":[{"text":"\ude00"}]},"finishReason":"STOP"}]})"),
     "😀"},
    {"a text", ollama::chat_api(), true, ollama(R"("Hello")")},
    {"parts", ollama::chat_api(), true, ollama(R"([{"type":"text","text":"Hel"},"lo"])")},
    {"one part", ollama::chat_api(), false, ollama(R"({"type":"text","text":"Hello"})")},
    {"halves", ollama::chat_api(), true,
     R"({"message":{"content":"\ud83d"}})"
     "\n"
       + ollama(R"("\ude00")"),
     "😀"},
  };
  for (auto& row : table) {
    CAPTURE(row.by.name(), row.what, row.body);
    auto x = read(row.body, row.by, row.is_stream);
    if (auto* problem = std::get_if<failure>(&x))
      FAIL_CHECK(problem->message);
    else
      CHECK((std::get<meaning>(x) == meaning{row.thoughts, row.text, {}, {}, finish_reason::stop}));
    if (row.is_stream)
      check_cuts(row.body, row.by);
  }
}

TEST_CASE("parts of an answer that are left out are named", "[wire][forms]") {
  auto x = hear(chat_chunk(R"("delta":{"content":[{"type":"text","text":"a"},{"type":"image_url","image_url":{}}]})")
                + stop + done);
  REQUIRE(x.good().warnings.size() == 1);
  CHECK((x.good().warnings[0].find("image_url") != std::string::npos));
}

TEST_CASE("usage is found wherever servers tell it, and the last one counts", "[wire][forms][usage]") {
  const std::string usage = R"("usage":{"prompt_tokens":3,"completion_tokens":2})";
  const auto text = R"("delta":{"content":"a"})", end = R"("delta":{},"finish_reason":"stop")";
  for (auto& body : strings{
         chat_chunk(text) + stop + event("{\"choices\":[]," + usage + "}") + done,
         chat_chunk(text) + chat_chunk(end, "," + usage) + done,
         chat_chunk(text) + chat_chunk(std::string{end} + "," + usage) + done,
         chat_chunk(text) + chat_chunk(end, ",\"x_groq\":{\"id\":\"r\"," + usage + "}") + done,
         chat_chunk(text, R"(,"usage":{"prompt_tokens":3,"completion_tokens":1})") + chat_chunk(end, "," + usage)
           + done,
         chat_chunk(std::string{text} + R"(,"usage":{"prompt_tokens":3,"completion_tokens":1})")
           + chat_chunk(std::string{end} + "," + usage) + done,
         chat_chunk(text) + chat_chunk(end, R"(,"usage":{"input_tokens":3,"output_tokens":2})") + done,
         chat_chunk(text) + chat_chunk(end, R"(,"usage":{"promptTokens":3,"completionTokens":2,"cost":NaN})") + done,
         chat_chunk(text, "," + usage) + chat_chunk(end, R"(,"usage":null)") + done,
       }) {
    CAPTURE(body);
    CHECK(hear(body, openai::chat_api()).good().usage == token_usage{3, 2, 0, 0, 0});
  }
  for (auto& body : {whole_chat(R"("message":{"content":"a"},)" + usage),
                     whole_chat(R"("message":{"content":"a"})", ",\"x_groq\":{" + usage + "}")}) {
    auto x = read(body, openai::chat_api(), false);
    CHECK(std::get<meaning>(x).usage == token_usage{3, 2, 0, 0, 0});
  }
}

// -- by chance -------------------------------------------------------------------------

namespace {

/// Chooses by a seed, the same on every machine.
class chance {
public:
  explicit chance(unsigned seed) : random_(seed) {}

  std::size_t below(std::size_t n) { return random_() % n; }
  bool one_in(std::size_t n) { return below(n) == 0; }

  template <class T>
  const T& of(const std::vector<T>& list) {
    return list[below(list.size())];
  }

private:
  std::mt19937 random_;
};

std::string any_text(chance& pick) {
  static const strings words{"a", " b", "\"", "\\", "\n", "{", "}", "[", "é", "世", "😀", "\\u", "null", ":", ",", "{}"};
  std::string text;
  for (auto n = 1 + pick.below(8); n > 0; --n)
    text += pick.of(words);
  return text;
}

std::string any_arguments(chance& pick) {
  auto object = tree::object();
  for (auto n = pick.below(3); n > 0; --n) {
    auto name = pick.of(strings{"x", "y", "", "{", "a\"b"});
    switch (pick.below(4)) {
      case 0:
        object[name] = any_text(pick);
        break;
      case 1:
        object[name] = pick.below(1000);
        break;
      case 2:
        object[name] = tree::array({tree::parse(any_text(pick).find('x') == 0 ? "{}" : "[1]"), nullptr});
        break;
      default:
        object[name] = tree::object({{"x", any_text(pick)}});
    }
  }
  return object.dump();
}

meaning any_answer(chance& pick) {
  meaning x;
  if (pick.one_in(2))
    x.thoughts = any_text(pick);
  if (pick.one_in(2))
    x.text = any_text(pick);
  for (auto n = pick.below(4); n > 0; --n)
    x.calls.push_back(
      {"id_" + std::to_string(x.calls.size()), pick.of(strings{"f", "get_weather", "g"}), any_arguments(pick), ""});
  if (x.calls.empty() && x.text.empty())
    x.text = "a";
  x.usage = token_usage{1 + pick.below(100), 1 + pick.below(100), 0, 0, 0};
  x.reason = x.calls.empty() ? finish_reason::stop : finish_reason::tool_calls;
  return x;
}

/// Cuts a text between characters.
strings pieces_of(std::string_view text, chance& pick) {
  strings result;
  while (!text.empty()) {
    auto size = std::max<std::size_t>(1, pick.below(6));
    while (size < text.size() && utf8::is_continuation(text[size]))
      ++size;
    result.emplace_back(text.substr(0, size));
    text.remove_prefix(result.back().size());
  }
  return result;
}

/// JSON strings that make the text when they are joined, some with half a character at their ends.
strings json_pieces(std::string_view text, chance& pick) {
  constexpr std::string_view face = "😀";
  strings result;
  for (auto& piece : pieces_of(text, pick)) {
    auto json = quote(piece);
    if (auto at = json.find(face); at != json.npos && pick.one_in(2)) {
      auto back = json.substr(at + face.size());
      if (pick.one_in(2)) {
        result.push_back(json.substr(0, at) + R"(\ud83d")");
        result.push_back(R"("\ude00)" + back);
        continue;
      }
      json = json.substr(0, at) + R"(\ud83d\ude00)" + back;
    }
    result.push_back(json);
  }
  return result;
}

/// Ways to write arguments as a sequence of JSON values, one for each part of a call.
strings argument_parts(const std::string& arguments, bool may_be_objects, chance& pick) {
  switch (pick.below(7)) {
    case 0:
      if (may_be_objects)
        return {arguments};
      return {quote(arguments)};
    case 1:
      return json_pieces(quote(arguments), pick); // encoded once more
    case 2:
      if (arguments == "{}")
        return {pick.of(strings{R"("null")", R"("{}")", R"("\"\"")"})};
      return {quote(arguments)};
    case 3: { // whole, and again
      auto parts = json_pieces(arguments, pick);
      parts.insert(parts.begin(), quote(arguments));
      return parts;
    }
    case 4: { // the place of what comes
      auto parts = json_pieces(arguments, pick);
      parts.insert(parts.begin(), pick.of(strings{R"("{}")", R"("null")", R"("")", "null"}));
      return parts;
    }
    case 5: { // all so far
      strings parts;
      std::string so_far;
      for (auto& piece : pieces_of(arguments, pick))
        parts.push_back(quote(so_far += piece));
      return parts;
    }
    default:
      return json_pieces(arguments, pick);
  }
}

std::string chat_part(const std::string& index, const std::string& id, const std::string& name,
                      const std::string& arguments) {
  std::string inside = name.empty() ? "" : R"("name":)" + quote(name);
  if (!arguments.empty())
    inside += (inside.empty() ? "" : ",") + (R"("arguments":)" + arguments);
  return "{" + (index.empty() ? "" : R"("index":)" + index + ",") + (id.empty() ? "" : R"("id":)" + quote(id) + ",")
         + R"("function":{)" + inside + "}}";
}

/// The parts of the calls of a streamed answer. `numbers`: how the server counts.
std::vector<strings> chat_calls(const meaning& x, std::size_t numbers, bool repeats_ids, bool repeats_names,
                                chance& pick) {
  std::vector<strings> result;
  int64_t drift = 0;
  for (std::size_t i = 0; i < x.calls.size(); ++i) {
    auto& call = x.calls[i];
    auto& parts = result.emplace_back();
    auto arguments = argument_parts(call.arguments, true, pick);
    if (numbers >= 4) // nothing but what is whole tells that a call has ended
      arguments = call.arguments == "{}" ? strings{R"("{}")"} : json_pieces(call.arguments, pick);
    auto first = true;
    for (auto& piece : arguments) {
      auto n = std::to_string(i);
      auto index =
        strings{n, '"' + n + '"', "-" + std::to_string(i + 1), n + ".0", "0", "", std::to_string(drift++)}[numbers];
      parts.push_back(
        chat_part(index, first || repeats_ids ? call.id : "", first || repeats_names ? call.name : "", piece));
      first = false;
    }
  }
  return result;
}

std::string write_chat_stream(const meaning& x, chance& pick) {
  auto choice = pick.of(strings{R"("index":0,)", "", R"("index":"0",)", R"("index":1,)"});
  auto more = pick.of(strings{"", R"(,"logprobs":[NaN,-Infinity])", R"(,"logprobs":null)"});
  std::string body;
  auto say = [&](const std::string& delta) { body += chat_chunk(choice + "\"delta\":" + delta + more); };
  auto place = pick.below(4);
  for (auto& json : json_pieces(x.thoughts, pick))
    say(strings{R"({"reasoning":)" + json + "}", R"({"reasoning_content":)" + json + R"(,"content":null})",
                R"({"content":[{"type":"thinking","thinking":[{"type":"text","text":)" + json + "}]}]}",
                R"({"reasoning_details":[{"type":"reasoning.text","text":)" + json + "}]}"}[place]);
  auto form = pick.below(4);
  for (auto& json : json_pieces(x.text, pick))
    say(strings{R"({"content":)" + json + "}", R"({"content":[{"type":"text","text":)" + json + "}]}",
                R"({"content":{"type":"text","text":)" + json + "}}", R"({"content":[)" + json + "]}"}[form]);
  auto numbers = pick.below(7);
  auto repeats_ids = pick.one_in(3);
  auto calls = chat_calls(x, numbers, repeats_ids, pick.one_in(3), pick);
  auto mixes = numbers < 4 && pick.one_in(2);
  std::size_t begun = 0; // they begin in their order
  auto is_done = [](const strings& parts) { return parts.empty(); };
  while (!std::all_of(calls.begin(), calls.end(), is_done)) {
    auto next = std::find_if_not(calls.begin(), calls.end(), is_done) - calls.begin();
    auto other = pick.below(std::min(begun + 1, calls.size()));
    auto& parts = calls[mixes && !calls[other].empty() ? other : static_cast<std::size_t>(next)];
    begun = std::max<std::size_t>(begun, static_cast<std::size_t>(&parts - calls.data()) + 1);
    say(R"({"tool_calls":[)" + parts.front() + "]}");
    parts.erase(parts.begin());
  }
  auto usage = R"("usage":{"prompt_tokens":)" + std::to_string(x.usage->input) + R"(,"completion_tokens":)"
               + std::to_string(x.usage->output) + "}";
  auto end = choice + R"("delta":{},"finish_reason":")" + (x.calls.empty() ? "stop" : "tool_calls") + '"';
  switch (pick.below(4)) {
    case 0:
      body += chat_chunk(end) + event(R"({"choices":[],)" + usage + "}");
      break;
    case 1:
      body += chat_chunk(end, "," + usage);
      break;
    case 2:
      body += chat_chunk(end + "," + usage);
      break;
    default:
      body += chat_chunk(end, R"(,"x_groq":{)" + usage + "}");
  }
  return body + done;
}

/// A call's name and arguments, as members of an object.
std::string any_call(const tool_call& call, chance& pick) {
  auto member = pick.of(strings{"arguments", "arguments", "input", "args", "parameters"});
  auto arguments = strings{call.arguments, quote(call.arguments), quote(quote(call.arguments))}[pick.below(3)];
  auto again = pick.one_in(6) ? R"(,"params":)" + pick.of(strings{"null", "{}", R"("")", quote(call.arguments)}) : "";
  auto flat = R"("name":)" + quote(call.name) + ",\"" + member + "\":" + arguments + again;
  return pick.one_in(3) ? flat : "\"" + pick.of(strings{"function", "function", "functionCall"}) + "\":{" + flat + "}";
}

std::string whole_calls(const meaning& x, chance& pick) {
  strings list;
  for (auto& call : x.calls)
    list.push_back(R"({"id":)" + quote(call.id) + "," + any_call(call, pick) + "}");
  std::string calls, numbered;
  for (auto& call : list) {
    auto comma = calls.empty() ? "" : ",";
    numbered += comma + quote(std::to_string(&call - list.data())) + ":" + call;
    calls += comma + call;
  }
  auto all = list.size() == 1 && pick.one_in(3) ? calls
             : !list.empty() && pick.one_in(3)  ? "{" + numbered + "}"
                                                : "[" + calls + "]";
  return pick.one_in(4) ? quote(all) : all;
}

std::string any_content(const std::string& text, chance& pick) {
  auto json = quote(text);
  return strings{json, R"([{"type":"text","text":)" + json + "}]", R"({"type":"text","text":)" + json + "}",
                 "[" + json + "]"}[pick.below(4)];
}

std::string write_chat(const meaning& x, chance& pick) {
  auto message = R"({"content":)" + any_content(x.text, pick) + R"(,"reasoning":)" + quote(x.thoughts)
                 + R"(,"tool_calls":)" + whole_calls(x, pick) + "}";
  return whole_chat(R"("message":)" + message + R"(,"finish_reason":")" + (x.calls.empty() ? "stop" : "tool_calls")
                      + '"',
                    R"(,"usage":{"prompt_tokens":)" + std::to_string(x.usage->input) + R"(,"completion_tokens":)"
                      + std::to_string(x.usage->output) + "}");
}

std::string write_ollama(const meaning& x, chance& pick) {
  return R"({"message":{"thinking":)" + quote(x.thoughts) + R"(,"content":)" + any_content(x.text, pick)
         + R"(,"tool_calls":)" + whole_calls(x, pick) + "}}\n"
         + R"({"done":true,"done_reason":"stop","prompt_eval_count":)" + std::to_string(x.usage->input)
         + R"(,"eval_count":)" + std::to_string(x.usage->output) + "}\n";
}

/// Arguments as Gemini's pieces; none where these cannot say them, as with empty objects and lists.
strings gemini_pieces(const std::string& arguments, chance& pick) {
  strings result;
  auto add = [&](const std::string& path, const tree& value) {
    auto begin = R"({"jsonPath":)" + quote(path);
    if (!value.is_string())
      return result.push_back(begin + R"(,"numberValue":)" + value.dump() + "}");
    for (auto& json : json_pieces(value.get<std::string>(), pick))
      result.push_back(begin + R"(,"stringValue":)" + json + R"(,"willContinue":true})");
  };
  auto object = tree::parse(arguments);
  for (auto& [name, value] : object.items()) {
    auto path = "$['" + name + "']";
    if (value.is_object())
      add(path + ".x", value["x"]);
    else if (value.is_array())
      return {};
    else
      add(path, value);
  }
  return result;
}

std::string write_gemini(const meaning& x, chance& pick) {
  std::string body;
  auto say = [&](const std::string& part) {
    body += event(R"({"candidates":[{"content":{"parts":)" + (pick.one_in(2) ? part : "[" + part + "]") + "}}]}");
  };
  for (auto& json : json_pieces(x.thoughts, pick))
    say(R"({"thought":true,"text":)" + json + "}");
  for (auto& json : json_pieces(x.text, pick))
    say(R"({"text":)" + json + "}");
  for (auto& call : x.calls) {
    auto pieces = pick.one_in(2) ? gemini_pieces(call.arguments, pick) : strings{};
    auto begin = R"({"functionCall":{"id":)" + quote(call.id) + ",";
    if (pieces.empty()) {
      say(begin + any_call(call, pick) + "}}");
      continue;
    }
    say(begin + R"("name":)" + quote(call.name) + R"(,"willContinue":true}})");
    for (auto& piece : pieces)
      say(R"({"functionCall":{"partialArgs":[)" + piece + R"(],"willContinue":true}})");
    say(R"({"functionCall":{}})");
  }
  return body
         + event(R"({"candidates":[{"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":)"
                 + std::to_string(x.usage->input) + R"(,"candidatesTokenCount":)" + std::to_string(x.usage->output)
                 + "}}");
}

std::string write_anthropic_stream(const meaning& x, chance& pick) {
  auto numbers = pick.below(3); // right, texts, none
  auto place = 0;
  auto body = event(R"({"type":"message_start","message":{"id":"m","content":[],"usage":{"input_tokens":)"
                    + std::to_string(x.usage->input) + "}}}");
  auto index = [&] { return strings{std::to_string(place), quote(std::to_string(place)), "null"}[numbers]; };
  auto begin = [&](const std::string& block) {
    body += event(R"({"type":"content_block_start","index":)" + index() + R"(,"content_block":)" + block + "}");
  };
  auto add = [&](const std::string& delta) {
    body += event(R"({"type":"content_block_delta","index":)" + index() + R"(,"delta":{)" + delta + "}}");
  };
  auto end = [&] {
    if (!pick.one_in(4))
      body += event(R"({"type":"content_block_stop","index":)" + index() + "}");
    ++place;
  };
  if (!x.thoughts.empty()) {
    begin(R"({"type":"thinking","thinking":""})");
    for (auto& json : json_pieces(x.thoughts, pick))
      add(R"("type":"thinking_delta","thinking":)" + json);
    end();
  }
  if (!x.text.empty()) {
    begin(R"({"type":"text","text":""})");
    for (auto& json : json_pieces(x.text, pick))
      add(R"("type":"text_delta","text":)" + json);
    end();
  }
  for (auto& call : x.calls) {
    auto parts = argument_parts(call.arguments, true, pick);
    auto input = pick.of(strings{"{}", R"("")", "null"});
    if (pick.one_in(6)) { // all of it at the end of the part
      body +=
        event(R"({"type":"content_block_stop","index":)" + index() + R"(,"content_block":{"type":"tool_use","id":)"
              + quote(call.id) + "," + any_call(call, pick) + "}}");
      ++place;
      continue;
    }
    if (pick.one_in(3))
      input = parts.front(), parts.erase(parts.begin());
    begin(R"({"type":"tool_use","id":)" + quote(call.id) + R"(,"name":)" + quote(call.name) + R"(,"input":)" + input
          + "}");
    for (auto& json : parts)
      add(R"("type":"input_json_delta","partial_json":)" + json);
    end();
  }
  return body
         + event(R"({"type":"message_delta","delta":{"stop_reason":")"
                 + std::string{x.calls.empty() ? "end_turn" : "tool_use"} + R"("},"usage":{"output_tokens":)"
                 + std::to_string(x.usage->output) + "}}")
         + event(R"({"type":"message_stop"})");
}

std::string write_responses_stream(const meaning& x, chance& pick) {
  auto numbers = pick.below(3); // right, none, all 0
  std::string body, list;
  auto place = 0;
  auto say = [&](const std::string& type, const std::string& more) {
    auto index = strings{R"("output_index":)" + std::to_string(place) + ",", "", R"("output_index":0,)"}[numbers];
    body += event(R"({"type":"response.)" + type + "\"," + index + more + "}");
  };
  auto item = [&](const std::string& id, const std::string& begun, const std::string& ended, const strings& deltas,
                  const std::string& kind, const std::string& member, const std::string& whole) {
    auto ways = 1 + pick.below(15); // one bit for each place in which it may be told
    auto name = R"("item_id":")" + id + "\",";
    say("output_item.added", R"("item":)" + begun);
    for (auto& json : deltas)
      if ((ways & 1) != 0)
        say(kind + ".delta", name + R"("content_index":0,"delta":)" + json);
    if ((ways & 2) != 0)
      say(kind + ".done", name + R"("content_index":0,")" + member + "\":" + whole);
    if ((ways & 4) != 0)
      say("output_item.done", R"("item":)" + ended);
    if ((ways & 8) != 0)
      list += (list.empty() ? "" : ",") + ended;
    ++place;
  };
  auto text = quote(x.text), thoughts = quote(x.thoughts);
  if (!x.thoughts.empty())
    item("rs_1", R"({"type":"reasoning","id":"rs_1","summary":[]})",
         R"({"type":"reasoning","id":"rs_1","summary":[],"content":[{"type":"reasoning_text","text":)" + thoughts
           + "}]}",
         json_pieces(x.thoughts, pick), "reasoning_text", "text", thoughts);
  if (!x.text.empty())
    item("msg_1", R"({"type":"message","id":"msg_1","content":[]})",
         R"({"type":"message","id":"msg_1","content":)" + any_content(x.text, pick) + "}", json_pieces(x.text, pick),
         "output_text", "text", text);
  for (auto& call : x.calls) {
    auto head =
      R"({"type":"function_call","call_id":)" + quote(call.id) + R"(,"name":)" + quote(call.name) + R"(,"arguments":)";
    item(call.id, head + "\"\"}", head + quote(call.arguments) + "}", json_pieces(call.arguments, pick),
         "function_call_arguments", "arguments", quote(call.arguments));
  }
  return body
         + event(R"({"type":"response.completed","response":{"id":"r","status":"completed","output":[)" + list
                 + R"(],"usage":{"input_tokens":)" + std::to_string(x.usage->input) + R"(,"output_tokens":)"
                 + std::to_string(x.usage->output) + "}}}");
}

struct written_form {
  std::string_view name;
  const dialect& by;
  bool is_stream;
  std::function<std::string(const meaning&, chance&)> write;
};

const written_form written_forms[] = {
  {"chat", openai::chat_api(), false, write_chat},
  {"chat stream", openai::chat_api(), true, write_chat_stream},
  {"chat in one piece for a stream", openai::compatible_chat_api(), true, write_chat},
  {"responses stream", openai::responses_api(), true, write_responses_stream},
  {"anthropic stream", anthropic::messages_api(), true, write_anthropic_stream},
  {"gemini stream", gemini::content_api(), true, write_gemini},
  {"ollama stream", ollama::chat_api(), true, write_ollama},
};

} // namespace

TEST_CASE("an answer is the same in every form, however it is cut", "[wire][forms][random]") {
  for (auto& form : written_forms)
    for (unsigned seed = 0; seed < 1500; ++seed) {
      chance pick{seed};
      auto expected = any_answer(pick);
      auto body = form.write(expected, pick);
      std::vector<std::size_t> sizes(pick.below(20));
      for (auto& size : sizes)
        size = pick.below(2 * body.size() / (sizes.size() + 1) + 2);
      CAPTURE(form.name, seed, body);
      auto x = read(body, form.by, form.is_stream, sizes);
      if (auto* problem = std::get_if<failure>(&x))
        FAIL(problem->message);
      auto& got = std::get<meaning>(x);
      for (auto& call : expected.calls)
        call.arguments = plain(call.arguments);
      INFO("text " << got.text << " for " << expected.text << "; thoughts " << got.thoughts << " for "
                   << expected.thoughts);
      for (auto& call : got.calls)
        UNSCOPED_INFO(call.id << ' ' << call.name << ' ' << call.arguments);
      REQUIRE((got == expected));
    }
}

TEST_CASE("parts of calls in any order, under any index, are understood or a failure", "[wire][forms][random]") {
  unsigned understood = 0, refused = 0;
  for (unsigned seed = 0; seed < 4000; ++seed) {
    chance pick{seed};
    auto expected = any_answer(pick);
    if (expected.calls.empty())
      continue;
    std::vector<strings> calls;
    auto gives_ids = pick.one_in(2);
    for (std::size_t i = 0; i < expected.calls.size(); ++i) {
      auto& call = expected.calls[i];
      auto& parts = calls.emplace_back();
      for (auto& json : json_pieces(call.arguments, pick)) {
        auto index = parts.empty() || !pick.one_in(8) ? std::to_string(i)
                     : pick.one_in(2)                 ? ""
                                                      : std::to_string(7 + pick.below(3));
        parts.push_back(
          chat_part(index, parts.empty() || gives_ids ? call.id : "", parts.empty() ? call.name : "", json));
      }
    }
    std::string body;
    strings begun; // in which order
    while (std::any_of(calls.begin(), calls.end(), [](auto& parts) { return !parts.empty(); })) {
      auto& parts = calls[pick.below(calls.size())];
      if (parts.empty())
        continue;
      auto id = expected.calls[static_cast<std::size_t>(&parts - calls.data())].id;
      if (std::find(begun.begin(), begun.end(), id) == begun.end())
        begun.push_back(id);
      body += chat_chunk(R"("delta":{"tool_calls":[)" + parts.front() + "]}");
      parts.erase(parts.begin());
    }
    body += chat_chunk(R"("delta":{},"finish_reason":"tool_calls")") + done;
    CAPTURE(seed, body);
    auto x = read(body, openai::chat_api(), true);
    if (std::holds_alternative<failure>(x)) {
      ++refused;
      continue;
    }
    ++understood;
    auto& got = std::get<meaning>(x).calls;
    REQUIRE(got.size() == expected.calls.size());
    for (std::size_t i = 0; i < got.size(); ++i) {
      auto call =
        std::find_if(expected.calls.begin(), expected.calls.end(), [&](auto& y) { return y.id == got[i].id; });
      REQUIRE(call != expected.calls.end());
      CHECK(got[i].id == begun[i]);
      CHECK(got[i].name == call->name);
      CHECK(got[i].arguments == plain(call->arguments));
    }
  }
  CHECK(understood > 1000);
  CHECK(refused > 100);
}

} // namespace modelforge::forms_test
