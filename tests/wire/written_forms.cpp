#include "tests/wire/written_forms.hpp"

#include "wire/anthropic/anthropic.hpp"
#include "wire/gemini/gemini.hpp"
#include "wire/ollama/ollama.hpp"

#include <algorithm>

namespace modelforge::test::forms {

namespace {

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

} // namespace

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

std::string chat_part(const std::string& index, const std::string& id, const std::string& name,
                      const std::string& arguments) {
  std::string inside = name.empty() ? "" : R"("name":)" + quote(name);
  if (!arguments.empty())
    inside += (inside.empty() ? "" : ",") + (R"("arguments":)" + arguments);
  return "{" + (index.empty() ? "" : R"("index":)" + index + ",") + (id.empty() ? "" : R"("id":)" + quote(id) + ",")
         + R"("function":{)" + inside + "}}";
}

namespace {

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

} // namespace

std::span<const written_form> written_forms() {
  static const written_form list[] = {
    {"chat", openai::chat_api(), false, write_chat},
    {"chat stream", openai::chat_api(), true, write_chat_stream},
    {"chat in one piece for a stream", openai::compatible_chat_api(), true, write_chat},
    {"responses stream", openai::responses_api(), true, write_responses_stream},
    {"anthropic stream", anthropic::messages_api(), true, write_anthropic_stream},
    {"gemini stream", gemini::content_api(), true, write_gemini},
    {"ollama stream", ollama::chat_api(), true, write_ollama},
  };
  return list;
}

} // namespace modelforge::test::forms
