#include "tools/simulator/gemini/content_request.hpp"
#include "tools/simulator/gemini/gemini.hpp"
#include "tools/simulator/random.hpp"
#include "tools/simulator/seals.hpp"

#include <algorithm>

// Google streams whole answers, each with an increment of every candidate and the usage so far; the unary answer has
// the same form. Thoughts are left out unless asked for, and a call comes whole, so some tokens put nothing on the
// wire.

namespace modelforge::simulator::gemini {

namespace {

using kind = piece::kind;

/// The numbers of an answer, or of its part so far.
struct usage {
  uint32_t prompt = 0, cached = 0, candidates = 0, thoughts = 0;
};

/// Returns `usageMetadata`; what is zero is left out.
std::string usage_text(const usage& counts) {
  std::string text = R"({"promptTokenCount":)" + std::to_string(counts.prompt);
  if (counts.cached > 0)
    text += R"(,"cachedContentTokenCount":)" + std::to_string(counts.cached);
  if (counts.candidates > 0)
    text += R"(,"candidatesTokenCount":)" + std::to_string(counts.candidates);
  if (counts.thoughts > 0)
    text += R"(,"thoughtsTokenCount":)" + std::to_string(counts.thoughts);
  text += R"(,"totalTokenCount":)" + std::to_string(uint64_t{counts.prompt} + counts.candidates + counts.thoughts);
  return text + R"(,"promptTokensDetails":[{"modality":"TEXT","tokenCount":)" + std::to_string(counts.prompt) + "}]}";
}

/// What follows the candidates, up to the end.
std::string ending_of(const exchange& incoming, const content_request& request) {
  std::string text = R"(,"modelVersion":)";
  append_json(text, request.model);
  return text + R"(,"responseId":")" + hex(unique_number(incoming)) + "\"}";
}

/// What all parts of an answer need.
struct style {
  bool shows_thoughts;
  bool thinks;
  uint64_t seed;
};

/// Appends a text, a thought or, at its end, a call; nothing for what is not shown, or was cut. The signature of a text
/// comes with its end, that of calls with the first.
void append_part(std::string& out, const choice_cursor::step& step, std::string_view text, const style& part_style) {
  const auto& part = step.part;
  if (part.type == kind::call) {
    if (!step.ends || !json::accept(part.whole()))
      return;
    auto arguments = part.whole();
    out += R"({"functionCall":{"id":")" + hex(part.id, 8) + R"(","name":)";
    append_json(out, part.tool);
    out.append(R"(,"args":)").append(arguments).append("}");
    if (step.index == 0 || (part_style.thinks && step.index == 1))
      out += R"(,"thoughtSignature":")" + signature_of(part.tool, json::parse(arguments), part_style.seed) + "\"";
    out += '}';
    return;
  }
  if (part.type == kind::thinking && !part_style.shows_thoughts)
    return;
  out += R"({"text":)";
  append_json(out, text);
  if (part.type == kind::thinking)
    out += R"(,"thought":true)";
  else if (step.ends && part_style.thinks)
    out += R"(,"thoughtSignature":")" + sealed(hash(part.whole(), part_style.seed), part_style.seed) + "\"";
  out += '}';
}

/// Appends a candidate of these parts.
void append_candidate(std::string& out, std::size_t index, std::string_view parts, std::string_view finish_reason) {
  out += out.empty() || out.back() == '[' ? R"({"content":{"parts":[)" : R"(,{"content":{"parts":[)";
  out.append(parts).append(R"(],"role":"model"})");
  if (!finish_reason.empty())
    out.append(R"(,"finishReason":")").append(finish_reason).append("\"");
  out += R"(,"index":)" + std::to_string(index) + "}";
}

/// Returns the choice's end in Google's words; calls end with STOP, too.
std::string_view finish_reason_of(const choice& completion) {
  return completion.end == ending::length ? "MAX_TOKENS" : "STOP";
}

/// Returns the usage of a whole answer.
usage usage_of(const content_request& request, const std::vector<choice>& choices) {
  usage sum{request.prompt_tokens, request.cached.read};
  for (const auto& completion : choices) {
    sum.thoughts += completion.tokens_of(kind::thinking);
    sum.candidates += completion.tokens - completion.tokens_of(kind::thinking);
  }
  return sum;
}

/// Returns the whole answer as one object.
std::string unary_text(const exchange& incoming, const content_request& request, const std::vector<choice>& choices) {
  style part_style{request.shows_thoughts, request.max_thinking > 0, incoming.settings.seed};
  std::string text = R"({"candidates":[)";
  for (std::size_t i = 0; i < choices.size(); ++i) {
    std::string parts;
    for (std::size_t j = 0; j < choices[i].pieces.size(); ++j) {
      const auto& each = choices[i].pieces[j];
      std::string part;
      append_part(part, {each, j, {}, true, true}, each.type == kind::call ? std::string() : each.whole(), part_style);
      parts.append(parts.empty() || part.empty() ? "" : ",").append(part);
    }
    append_candidate(text, i, parts, finish_reason_of(choices[i]));
  }
  return text + R"(],"usageMetadata":)" + usage_text(usage_of(request, choices)) + ending_of(incoming, request);
}

/// Writes whole answers that hold an increment each.
class content_stream : public token_stream {
public:
  content_stream(const exchange& incoming, const content_request& request, std::vector<choice> choices)
    : style_{request.shows_thoughts, request.max_thinking > 0, incoming.settings.seed},
      ending_(ending_of(incoming, request)), usage_{request.prompt_tokens, request.cached.read} {
    for (auto& each : choices)
      choices_.emplace_back(std::move(each));
  }

  bool next(std::string& out) override {
    std::string candidates;
    auto is_more = false;
    for (std::size_t i = 0; i < choices_.size(); ++i)
      if (!choices_[i].is_done()) {
        send_step(candidates, i);
        is_more = is_more || !choices_[i].is_done();
      }
    if (candidates.empty())
      return is_more;
    out.append(R"(data: {"candidates":[)").append(candidates).append(R"(],"usageMetadata":)");
    out.append(usage_text(usage_)).append(ending_).append("\n\n");
    return is_more;
  }

  uint64_t tokens() const override { return tokens_of(choices_); }

  /// Which steps are silent is known only by going through them.
  uint64_t events() const override {
    auto rest = *this;
    uint64_t count = 0;
    std::string event;
    for (auto is_more = true; is_more;) {
      event.clear();
      is_more = rest.next(event);
      count += !event.empty();
    }
    return count;
  }

  /// In the middle of a stream the error comes as it is, without "data:".
  void fail(std::string& out) const override { out.append(server_error()).append("\n"); }

  stream_form form() const override { return {"\n\n", ": keep-alive\n\n", true}; }

private:
  /// Goes one token further in that candidate, and appends it if anything of it is shown.
  void send_step(std::string& candidates, std::size_t i) {
    auto& cursor = choices_[i];
    auto before = cursor.tokens();
    auto step = cursor.next();
    (step.part.type == kind::thinking ? usage_.thoughts : usage_.candidates) +=
      static_cast<uint32_t>(cursor.tokens() - before);
    std::string part;
    append_part(part, step, step.token, style_);
    if (!part.empty() || cursor.is_done())
      append_candidate(candidates, i, part, cursor.is_done() ? finish_reason_of(cursor.all()) : "");
  }

  style style_;
  std::string ending_;
  usage usage_; ///< So far.
  std::vector<choice_cursor> choices_;
};

/// Answers a request that was admitted; `is_list`: the answer is an element of an array.
reply answer_content(const exchange& incoming, const content_request& request, bool is_list) {
  auto choices = make_choices(request, incoming.settings);
  auto answer = paced_reply(speech(), incoming, request, choices);
  if (request.is_stream) {
    answer.content_type = "text/event-stream";
    answer.stream = std::make_unique<content_stream>(incoming, request, std::move(choices));
  } else {
    answer.body = unary_text(incoming, request, choices);
    if (is_list)
      answer.body = "[" + answer.body + "]";
  }
  return answer;
}

/// Without "alt=sse" a stream is one JSON array; here it has one element.
reply generate(const exchange& incoming, std::string_view model, bool is_stream) {
  auto is_events = is_stream && ("&" + std::string(incoming.query) + "&").find("&alt=sse&") != std::string::npos;
  auto read = [&] {
    auto result = read_content_request(incoming, model);
    if (auto request = std::get_if<content_request>(&result))
      request->is_stream = is_events;
    return result;
  };
  return judge(incoming, speech(), read,
               [&](const auto& request) { return answer_content(incoming, request, is_stream && !is_events); });
}

/// Answers `countTokens`.
reply count_tokens(const exchange& incoming, std::string_view model) {
  if (auto error = speech().check_key(incoming))
    return error_reply(speech(), incoming, *error);
  auto request = read_content_request(incoming, model, true);
  if (auto error = std::get_if<api_error>(&request))
    return error_reply(speech(), incoming, *error);
  auto answer = speech().new_reply(incoming);
  answer.body = R"({"totalTokens":)" + std::to_string(std::get<content_request>(request).prompt_tokens) + "}";
  return answer;
}

/// Undoes the escapes of a path.
std::string unescaped(std::string_view text) {
  std::string result;
  for (std::size_t i = 0; i < text.size(); ++i) {
    auto code = text[i] == '%' && i + 2 < text.size() ? std::string(text.substr(i + 1, 2)) : std::string();
    if (code.empty() || code.find_first_not_of("0123456789abcdefABCDEF") != code.npos) {
      result += text[i];
      continue;
    }
    result += static_cast<char>(std::stoi(code, nullptr, 16));
    i += 2;
  }
  return result;
}

} // namespace

reply call_method(const exchange& incoming) {
  auto name = unescaped(incoming.path.substr(incoming.path.find("/models/") + std::string_view("/models/").size()));
  auto colon = name.rfind(':');
  auto method = colon == name.npos ? std::string() : name.substr(colon + 1);
  auto model = name.substr(0, colon);
  if (method == "generateContent" || method == "streamGenerateContent")
    return generate(incoming, model, method[0] == 's');
  if (method == "countTokens")
    return gemini::count_tokens(incoming, model);
  if (method == "embedContent" || method == "batchEmbedContents")
    return embed_contents(incoming, model, method[0] == 'b');
  return error_reply(speech(), incoming, {404, "Method not found: \"" + method + "\" of models/" + model + "."});
}

} // namespace modelforge::simulator::gemini
