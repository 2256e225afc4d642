#include "tools/simulator/gemini/content_request.hpp"
#include "tools/simulator/gemini/gemini.hpp"
#include "tools/simulator/random.hpp"
#include "tools/simulator/seals.hpp"

#include <algorithm>

namespace modelforge::simulator::gemini {

namespace {

using kind = piece::kind;

/// The numbers of an answer, or of its part so far.
struct usage {
  uint32_t prompt = 0, cached = 0, candidates = 0, thoughts = 0;
};

std::string usage_text(const usage& x) {
  std::string text = R"({"promptTokenCount":)" + std::to_string(x.prompt);
  if (x.cached > 0)
    text += R"(,"cachedContentTokenCount":)" + std::to_string(x.cached);
  if (x.candidates > 0)
    text += R"(,"candidatesTokenCount":)" + std::to_string(x.candidates);
  if (x.thoughts > 0)
    text += R"(,"thoughtsTokenCount":)" + std::to_string(x.thoughts);
  text += R"(,"totalTokenCount":)" + std::to_string(uint64_t{x.prompt} + x.candidates + x.thoughts);
  return text + R"(,"promptTokensDetails":[{"modality":"TEXT","tokenCount":)" + std::to_string(x.prompt) + "}]}";
}

/// What follows the candidates, up to the end.
std::string ending_of(const exchange& x, const content_request& request) {
  std::string text = R"(,"modelVersion":)";
  append_json(text, request.model);
  return text + R"(,"responseId":")" + hex(unique_number(x)) + "\"}";
}

/// What all parts of an answer need.
struct style {
  bool shows_thoughts;
  bool thinks;
  uint64_t seed;
};

/// Appends a text, a thought or, at its end, a call; nothing for what is not shown, or was cut. The signature of a text
/// comes with its end, that of calls with the first.
void append_part(std::string& out, const choice_cursor::step& step, std::string_view text, const style& how) {
  const auto& x = step.of;
  if (x.what == kind::call) {
    if (!step.ends || !json::accept(x.whole()))
      return;
    auto arguments = x.whole();
    out += R"({"functionCall":{"id":")" + hex(x.id, 8) + R"(","name":)";
    append_json(out, x.tool);
    out.append(R"(,"args":)").append(arguments).append("}");
    if (step.index == 0 || (how.thinks && step.index == 1))
      out += R"(,"thoughtSignature":")" + signature_of(x.tool, json::parse(arguments), how.seed) + "\"";
    out += '}';
    return;
  }
  if (x.what == kind::thinking && !how.shows_thoughts)
    return;
  out += R"({"text":)";
  append_json(out, text);
  if (x.what == kind::thinking)
    out += R"(,"thought":true)";
  else if (step.ends && how.thinks)
    out += R"(,"thoughtSignature":")" + sealed(hash(x.whole(), how.seed), how.seed) + "\"";
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

std::string_view finish_reason_of(const choice& x) {
  return x.end == ending::length ? "MAX_TOKENS" : "STOP";
}

usage usage_of(const content_request& request, const std::vector<choice>& choices) {
  usage sum{request.prompt_tokens, request.cached.read};
  for (const auto& x : choices) {
    sum.thoughts += x.tokens_of(kind::thinking);
    sum.candidates += x.tokens - x.tokens_of(kind::thinking);
  }
  return sum;
}

std::string unary_text(const exchange& x, const content_request& request, const std::vector<choice>& choices) {
  style how{request.shows_thoughts, request.most_thinking > 0, x.settings.seed};
  std::string text = R"({"candidates":[)";
  for (std::size_t i = 0; i < choices.size(); ++i) {
    std::string parts;
    for (std::size_t j = 0; j < choices[i].pieces.size(); ++j) {
      const auto& each = choices[i].pieces[j];
      std::string part;
      append_part(part, {each, j, {}, true, true}, each.what == kind::call ? std::string() : each.whole(), how);
      parts.append(parts.empty() || part.empty() ? "" : ",").append(part);
    }
    append_candidate(text, i, parts, finish_reason_of(choices[i]));
  }
  return text + R"(],"usageMetadata":)" + usage_text(usage_of(request, choices)) + ending_of(x, request);
}

/// Writes whole answers that hold an increment each.
class content_stream : public token_stream {
public:
  content_stream(const exchange& x, const content_request& request, std::vector<choice> choices)
    : how_{request.shows_thoughts, request.most_thinking > 0, x.settings.seed},
      ending_(ending_of(x, request)), usage_{request.prompt_tokens, request.cached.read} {
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

  uint64_t tokens() const override {
    uint64_t sum = 0;
    for (const auto& x : choices_)
      sum += x.tokens();
    return sum;
  }

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
  void send_step(std::string& candidates, std::size_t i) {
    auto& x = choices_[i];
    auto before = x.tokens();
    auto step = x.next();
    (step.of.what == kind::thinking ? usage_.thoughts : usage_.candidates) +=
      static_cast<uint32_t>(x.tokens() - before);
    std::string part;
    append_part(part, step, step.token, how_);
    if (!part.empty() || x.is_done())
      append_candidate(candidates, i, part, x.is_done() ? finish_reason_of(x.all()) : "");
  }

  style how_;
  std::string ending_;
  usage usage_; ///< So far.
  std::vector<choice_cursor> choices_;
};

reply answer_content(const exchange& x, const content_request& request, bool is_list) {
  auto answer = speech().new_reply(x);
  std::vector<choice> choices;
  for (uint32_t i = 0; i < request.choices; ++i) {
    choices.push_back(make_choice(request, i, x.settings));
    answer.completion_tokens += choices.back().tokens;
    answer.steps = std::max(answer.steps, choices.back().tokens);
  }
  answer.is_paced = true;
  answer.jitter_seed = request.seed;
  answer.prompt_tokens = request.prompt_tokens;
  if (request.is_stream) {
    answer.content_type = "text/event-stream";
    answer.stream = std::make_unique<content_stream>(x, request, std::move(choices));
  } else {
    answer.body = unary_text(x, request, choices);
    if (is_list)
      answer.body = "[" + answer.body + "]";
  }
  return answer;
}

/// Without "alt=sse" a stream is one JSON array; here it has one element.
reply generate(const exchange& x, std::string_view model, bool is_stream) {
  auto is_events = is_stream && ("&" + std::string(x.query) + "&").find("&alt=sse&") != std::string::npos;
  auto read = [&] {
    auto result = read_content_request(x, model);
    if (auto request = std::get_if<content_request>(&result))
      request->is_stream = is_events;
    return result;
  };
  return judge(x, speech(), read,
               [&](const auto& request) { return answer_content(x, request, is_stream && !is_events); });
}

reply count_tokens(const exchange& x, std::string_view model) {
  if (auto error = speech().check_key(x))
    return error_reply(speech(), x, *error);
  auto request = read_content_request(x, model, true);
  if (auto error = std::get_if<api_error>(&request))
    return error_reply(speech(), x, *error);
  auto answer = speech().new_reply(x);
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

reply call_method(const exchange& x) {
  auto name = unescaped(x.path.substr(x.path.find("/models/") + std::string_view("/models/").size()));
  auto colon = name.rfind(':');
  auto method = colon == name.npos ? std::string() : name.substr(colon + 1);
  auto model = name.substr(0, colon);
  if (method == "generateContent" || method == "streamGenerateContent")
    return generate(x, model, method[0] == 's');
  if (method == "countTokens")
    return gemini::count_tokens(x, model);
  if (method == "embedContent" || method == "batchEmbedContents")
    return embed_contents(x, model, method[0] == 'b');
  return error_reply(speech(), x, {404, "Method not found: \"" + method + "\" of models/" + model + "."});
}

} // namespace modelforge::simulator::gemini
