#include "base/ascii.hpp"
#include "sse/parser.hpp"
#include "tests/wire/framings.hpp"
#include "wire/batch_api.hpp"
#include "json/reader.hpp"

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <vector>

// Fuzzes what reads streams. Of an input the first byte chooses what is read ('0' server-sent events, '1' JSON, '2' an
// answer of OpenAI, '3' of a clone, '4' of Gemini, '5' of Ollama, '6' of OpenAI's Responses API, '7' vectors, '8' an
// answer of Anthropic, '9' a line of a batch's results, ':' a framing), the second one how it is cut, or of vectors and
// results whose they are; the rest is the text, or of a framing the choices by which a known answer is written and
// where it ends. With the variable MODELFORGE_FUZZ_ONLY its first character chooses instead.

using namespace modelforge;
using namespace modelforge::wire;
using tree = modelforge::json::value;

namespace {

void require(bool holds, const char* what) {
  if (holds)
    return;
  std::fprintf(stderr, "broken: %s\n", what);
  std::abort();
}

/// Calls `f` with the text's parts, each in memory of its own, so that reading beyond it is noticed.
template <class F>
void cut(std::string_view text, unsigned seed, F f) {
  std::minstd_rand random{seed};
  auto longest = 1 + seed % 64;
  while (!text.empty()) {
    auto part = text.substr(0, random() % longest + 1);
    text.remove_prefix(part.size());
    std::vector<char> alone(part.begin(), part.end());
    f(std::string_view{alone.data(), alone.size()});
  }
}

using lines = std::vector<std::string>;

void fuzz_events(std::string_view text, unsigned seed) {
  constexpr std::size_t limit = 300;
  auto read = [&](bool in_parts, lines& to) {
    sse::parser x{limit};
    auto add = [&](const sse::event& e) {
      require(e.data.size() <= limit, "an event is within the limit");
      to.push_back(std::string{e.type} + '|' + std::string{e.data} + '|' + std::string{e.id});
      return to.size() < 50;
    };
    if (in_parts)
      cut(text, seed, [&](std::string_view part) { x.feed(part, add); });
    else
      x.feed(text, add);
    return x.finish(add);
  };
  lines whole, parts;
  require(read(false, whole) == read(true, parts), "the state does not depend on the cuts");
  require(whole == parts, "events do not depend on the cuts");
}

tree tree_of(modelforge::json::reader& in) {
  tree result = tree::object();
  if (in.members([&](std::string_view name) { result[std::string{name}] = tree_of(in); }))
    return result;
  result = tree::array();
  if (in.elements([&] { result.push_back(tree_of(in)); }))
    return result;
  auto value = in.value();
  std::string scratch;
  if (value.is_string())
    return string_in(value, scratch);
  if (auto count = count_in(value))
    return *count;
  return value.text.empty() ? tree{} : std::get<tree>(modelforge::json::parse(value.text));
}

tree simplified(const tree& x) {
  tree result = x;
  if (x.is_object()) {
    result = tree::object();
    for (auto& [name, value] : x.get_ref<const tree::object_t&>())
      result[name] = simplified(value); // the last one of equal names
  } else if (x.is_array()) {
    for (auto& value : result)
      value = simplified(value);
  } else if (auto count = count_in(x)) {
    result = *count;
  }
  return result;
}

void fuzz_json(std::string_view text) {
  auto parsed = modelforge::json::parse(text);
  auto* root = std::get_if<tree>(&parsed);
  modelforge::json::reader skipper{text}, walker{text};
  require(skipper.finish() == (root != nullptr), "skipping takes what the tree takes");
  auto walked = tree_of(walker);
  require(walker.finish() == (root != nullptr), "walking takes what the tree takes");
  if (root != nullptr)
    require(walked == simplified(*root), "walking finds what the tree holds");
}

struct listener : piece_sink {
  lines said;

  void text(std::string_view x) override { add("t", x); }
  void reasoning(std::string_view x) override { add("r", x); }
  void refusal(std::string_view x) override { add("n", x); }
  void seal(std::string_view x) override { add("s", x); }
  void tool_call(uint32_t call, std::string_view id, std::string_view name, std::string_view signature) override {
    require(call == calls++, "calls are counted from 0");
    add("c" + std::to_string(call), std::string{id} + '|' + std::string{name} + '|' + std::string{signature});
  }
  void tool_arguments(uint32_t call, std::string_view x) override {
    require(call < calls, "arguments follow their call");
    arguments.resize(calls);
    arguments[call] += x;
    add("a" + std::to_string(call), x);
  }

  void add(const std::string& kind, std::string_view x) {
    require(utf8::is_valid(x), "pieces are UTF-8");
    said.push_back(kind + std::string{x});
  }

  uint32_t calls = 0;
  lines arguments; ///< Of each call, joined.
};

/// What the end tells of the calls is what their pieces told. Arguments of which no end came may be held back.
void check_calls(const completion& end, const listener& heard) {
  require(heard.calls <= end.tool_calls.size(), "the end tells of all calls");
  for (std::size_t i = 0; i < heard.arguments.size(); ++i)
    require(end.tool_calls[i].arguments.starts_with(heard.arguments[i]), "arguments are the same in pieces and joined");
  for (auto& call : end.tool_calls)
    require(!call.name.empty() || end.flaw == answer_flaw::cut || end.flaw == answer_flaw::blocked,
            "a call of a whole answer names its tool");
}

/// Whether the text has what ends an answer, perhaps with escapes.
bool has_end_mark(std::string_view text, const dialect& by) {
  if (&by == &anthropic::messages_api()) // or is a whole message, which needs no reason
    return text.find("stop") != text.npos || text.find(R"("message")") != text.npos
           || text.find(R"("content")") != text.npos || text.find('\\') != text.npos;
  if (&by == &gemini::content_api())
    return text.find("eason") != text.npos || text.find('\\') != text.npos;
  if (&by == &openai::responses_api())
    return text.find("complete") != text.npos || text.find("output") != text.npos || text.find("done") != text.npos
           || text.find('\\') != text.npos;
  if (&by == &ollama::chat_api())
    return text.find("done") != text.npos || text.find("eason") != text.npos || text.find('\\') != text.npos;
  auto first = text.find_first_not_of(" \t\r\n");
  auto small = ascii::lower(text);
  return text[first] == '{' || text[first] == '['  // a whole answer
         || small.find("done") != small.npos       // in any form
         || text.find_first_of("f\\") != text.npos // finish_reason
         || text.find("stop_reason") != text.npos || text.find("done_reason") != text.npos;
}

void fuzz_stream(std::string_view text, unsigned seed, const dialect& by) {
  const http::response_head head{200, {{"x-request-id", "req"}}};
  auto read = [&](bool in_parts, lines& to, std::size_t& news) {
    auto x = by.read_stream(head);
    listener sink;
    uint64_t tokens = 0;
    auto take = [&](std::string_view part) {
      auto ended = x->ended();
      auto more = x->take(part, sink);
      require(!ended || more == 0, "nothing follows the end");
      require(x->tokens() >= tokens, "tokens never become fewer");
      tokens = x->tokens();
      news += more;
    };
    if (in_parts)
      cut(text, seed, take);
    else
      take(text);
    auto end = x->end(sink);
    if (auto* good = std::get_if<completion>(&end))
      check_calls(*good, sink);
    to = std::move(sink.said);
    return end;
  };
  lines whole, parts;
  std::size_t news = 0, news_of_parts = 0;
  auto end = read(false, whole, news);
  require(end == read(true, parts, news_of_parts), "the end does not depend on the cuts");
  require(whole == parts && news == news_of_parts, "pieces do not depend on the cuts");
  if (auto* problem = std::get_if<failure>(&end))
    require(problem->code != errc::none && !problem->message.empty(), "a failure says what it is");
  else
    require(has_end_mark(text, by), "an answer has its end mark");
}

/// What an answer says, whatever pieces it came in; empty where it is none.
lines substance_of(const std::variant<completion, failure>& end, std::string_view text) {
  auto* good = std::get_if<completion>(&end);
  if (good == nullptr)
    return {};
  lines result{std::string{text}, std::to_string(static_cast<int>(good->finish_reason))};
  for (auto& call : good->tool_calls)
    result.push_back(call.id + '|' + call.name + '|' + call.arguments);
  return result;
}

lines read_substance(std::string_view body, unsigned seed, const dialect& by) {
  auto x = by.read_stream({200, {}});
  piece_collector sink;
  cut(body, seed, [&](std::string_view part) { x->take(part, sink); });
  auto end = x->end(sink);
  return substance_of(end, sink.words);
}

lines decoded_substance(std::string_view body, const dialect& by) {
  auto result = by.decode({200, {}}, body);
  auto* good = std::get_if<completion>(&result);
  return substance_of(result, good != nullptr ? std::string_view{good->text} : std::string_view{});
}

/// An answer in any framing is the whole answer, and one that was cut is none or the whole one.
void fuzz_framing(std::string_view choices, unsigned seed) {
  static const auto all = test::sample_streams();
  auto next = [&] {
    auto result = choices.empty() ? 0u : static_cast<unsigned>(static_cast<uint8_t>(choices.front()));
    choices.remove_prefix(choices.empty() ? 0 : 1);
    return result;
  };
  auto& x = all[next() % all.size()];
  const test::framing how{next(), next(), next(), next(), next(), next(), next(), next(), next()};
  auto body = test::framed(x.objects, how);
  auto expected = read_substance(test::framed(x.objects, {.done = 1}), 1, *x.by);
  require(expected.size() > 2 && read_substance(body, seed, *x.by) == expected, "a framing changes nothing");
  require(decoded_substance(body, *x.by) == expected, "nor where no stream was asked for");
  while (!choices.empty()) {
    auto end = next() * 256;
    end += next();
    auto part = std::string_view{body}.substr(0, end % body.size());
    auto streamed = read_substance(part, seed, *x.by);
    require(streamed.empty() || streamed == expected, "what was cut never passes for whole");
    auto whole = json::reader{part}.finish() ? lines{} : decoded_substance(part, *x.by);
    require(whole.empty() || whole == expected, "nor where no stream was asked for");
  }
}

void fuzz_vectors(std::string_view text, unsigned seed) {
  const dialect* speakers[] = {&openai::chat_api(), &gemini::content_api(), &ollama::chat_api()};
  auto inputs = 1 + seed / 3 % 3;
  auto result = speakers[seed % 3]->decode_embedding({200, {}}, text, inputs);
  if (auto* problem = std::get_if<failure>(&result))
    return require(problem->code != errc::none && !problem->message.empty(), "a failure says what it is");
  auto& vectors = std::get<embedding>(result).vectors;
  require(vectors.size() == inputs, "there is a vector for each input");
  for (auto& x : vectors) {
    require(!x.empty() && x.size() == vectors[0].size(), "vectors have one length");
    for (auto number : x)
      require(std::isfinite(number), "vectors are finite");
  }
}

void fuzz_result(std::string_view text, unsigned seed) {
  const dialect* speakers[] = {&openai::chat_api(), &anthropic::messages_api(), &openai::responses_api()};
  auto read = speakers[seed % 3]->batches()->decode_result(text);
  if (auto* problem = std::get_if<failure>(&read))
    return require(problem->code != errc::none && !problem->message.empty(), "a failure says what it is");
  auto& x = std::get<batch_result>(read);
  require(!x.id.empty() && utf8::is_valid(x.id), "a result names its item");
  auto* problem = std::get_if<failure>(&x.answer);
  require((problem == nullptr) == (x.end == batch_end::succeeded), "an item's end fits its answer");
  if (problem != nullptr)
    require(problem->code != errc::none && !problem->message.empty(), "an item's failure says what it is");
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  if (size < 2)
    return 0;
  std::string_view text{reinterpret_cast<const char*>(data) + 2, size - 2};
  static const char* const only = std::getenv("MODELFORGE_FUZZ_ONLY");
  auto chosen = only != nullptr && *only != '\0' ? static_cast<uint8_t>(*only) : data[0];
  switch (static_cast<uint8_t>(chosen - '0') % 11) {
    case 0:
      fuzz_events(text, data[1]);
      break;
    case 1:
      fuzz_json(text);
      break;
    case 2:
      fuzz_stream(text, data[1], openai::chat_api());
      break;
    case 3:
      fuzz_stream(text, data[1], openai::compatible_chat_api());
      break;
    case 4:
      fuzz_stream(text, data[1], gemini::content_api());
      break;
    case 5:
      fuzz_stream(text, data[1], ollama::chat_api());
      break;
    case 6:
      fuzz_stream(text, data[1], openai::responses_api());
      break;
    case 7:
      fuzz_vectors(text, data[1]);
      break;
    case 8:
      fuzz_stream(text, data[1], anthropic::messages_api());
      break;
    case 9:
      fuzz_result(text, data[1]);
      break;
    default:
      fuzz_framing(text, data[1]);
  }
  return 0;
}
