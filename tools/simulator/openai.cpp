#include "tools/simulator/openai.hpp"

#include "tools/simulator/answers.hpp"
#include "tools/simulator/openai_refusals.hpp"
#include "tools/simulator/openai_request.hpp"
#include "tools/simulator/schema.hpp"
#include "tools/simulator/text.hpp"

#include <algorithm>

namespace modelforge::simulator::openai {

namespace {

using form = chat_request::form;

constexpr std::string_view end_mark = "data: [DONE]\n\n";
constexpr int64_t models_created = 1'750'000'000;
constexpr std::string_view models[] = {"sim-mini", "sim-large", "sim-reasoning"}; ///< What the list shows.

/// One finished choice: text, or the arguments of a tool call.
struct choice {
  looped_text text;
  std::string call_id;      ///< Empty for text.
  uint32_t call_tokens = 0; ///< Of the called tool's name: part of `tokens`.
  uint32_t tokens = 0;
  std::string_view finish_reason = "stop";
};

std::optional<api_error> check_key(const exchange& x) {
  if (x.settings.api_key.empty())
    return std::nullopt;
  auto given = x.authorization;
  if (given.size() < 7 || (given.substr(0, 7) != "Bearer " && given.substr(0, 7) != "bearer "))
    return api_error{401, "You didn't provide an API key. You need to provide your API key in an Authorization header "
                          "using Bearer auth (i.e. Authorization: Bearer YOUR_KEY)."};
  if (given.substr(7) != x.settings.api_key)
    return api_error{401, "Incorrect API key provided.", "", "invalid_api_key"};
  return std::nullopt;
}

// -- what is said ---------------------------------------------------------------

std::vector<std::string> words_for(const chat_request& request) {
  auto words = key_words(request.prompt, 6);
  if (words.empty())
    words.emplace_back("sample");
  return words;
}

/// Returns the prompt's words, names (by their capital) first: they make the better arguments.
std::vector<std::string> values_for(const chat_request& request) {
  auto words = words_for(request);
  std::stable_partition(words.begin(), words.end(), [](const auto& x) { return x[0] >= 'A' && x[0] <= 'Z'; });
  return words;
}

std::string object_text(const chat_request& request, random_source source) {
  auto words = words_for(request);
  auto confidence = 0.5 + static_cast<double>(source.below(50)) / 100;
  return json{{"answer", answer_text(source, request.prompt, 12, 40)},
              {"topic", words.front()},
              {"keywords", words},
              {"confidence", confidence}}
    .dump();
}

looped_text full_text(const chat_request& request, random_source source, const options& settings) {
  switch (request.wanted) {
    case form::json_object:
      return looped_text(object_text(request, source));
    case form::json_schema:
    case form::tool_call:
      return looped_text(sample(request.schema, source, values_for(request)).dump());
    default:
      return long_answer(source, request.prompt, settings.min_answer_tokens, settings.max_answer_tokens);
  }
}

choice make_choice(const chat_request& request, uint32_t index, const options& settings) {
  random_source source(request.seed + index);
  choice made{full_text(request, source, settings), {}};
  auto limit = request.max_tokens.value_or(UINT32_MAX);
  if (request.wanted == form::tool_call) {
    made.call_id = "call_" + hex(mix(request.seed ^ ~uint64_t{index})) + hex(mix(request.seed + index), 8);
    made.finish_reason = request.is_tool_named ? "stop" : "tool_calls";
    made.call_tokens = std::min(limit, count_tokens(request.tool));
  } else {
    for (const auto& stop : request.stop)
      made.text.end_before(stop);
  }
  auto [bytes, count] = made.text.measure(limit - made.call_tokens);
  if (bytes < made.text.size())
    made.finish_reason = "length";
  made.text.shorten(bytes);
  made.tokens = count + made.call_tokens;
  return made;
}

// -- how it is written ------------------------------------------------------------

/// What every chunk and the unary answer begin with, up to the value of `choices`.
std::string opening(const exchange& x, const chat_request& request, std::string_view object) {
  auto id = mix(x.settings.seed + mix(x.number));
  std::string text = R"({"id":"chatcmpl-)" + hex(id) + hex(mix(id), 12) + R"(","object":")";
  text.append(object).append(R"(","created":)");
  append_number(text, static_cast<uint64_t>(x.created));
  text += R"(,"model":)";
  append_json(text, request.model);
  text += R"(,"service_tier":"default","system_fingerprint":"fp_)" + hex(mix(x.settings.seed), 10) + R"(","choices":)";
  return text;
}

std::string usage_text(uint32_t prompt, uint32_t completion) {
  std::string text = R"({"prompt_tokens":)";
  append_number(text, prompt);
  text += R"(,"completion_tokens":)";
  append_number(text, completion);
  text += R"(,"total_tokens":)";
  append_number(text, uint64_t{prompt} + completion);
  return text
         + R"(,"prompt_tokens_details":{"cached_tokens":0,"audio_tokens":0},"completion_tokens_details":)"
           R"({"reasoning_tokens":0,"audio_tokens":0,"accepted_prediction_tokens":0,)"
           R"("rejected_prediction_tokens":0}})";
}

void append_call(std::string& out, const choice& x, std::string_view name, std::string_view arguments) {
  out += R"({"id":")" + x.call_id + R"(","type":"function","function":{"name":)";
  append_json(out, name);
  out += R"(,"arguments":)";
  append_json(out, arguments);
  out += "}}";
}

void append_message(std::string& out, const choice& x, const chat_request& request) {
  out += R"({"role":"assistant","content":)";
  if (x.call_id.empty())
    append_json(out, x.text.first(x.text.size()));
  else
    out += "null";
  out += R"(,"refusal":null,"annotations":[])";
  if (!x.call_id.empty()) {
    out += R"(,"tool_calls":[)";
    append_call(out, x, request.tool, x.text.first(x.text.size()));
    out += ']';
  }
  out += '}';
}

std::string unary_text(const exchange& x, const chat_request& request, const std::vector<choice>& choices,
                       uint32_t completion_tokens) {
  auto text = opening(x, request, "chat.completion");
  for (std::size_t i = 0; i < choices.size(); ++i) {
    text += i == 0 ? R"([{"index":)" : R"(,{"index":)";
    append_number(text, i);
    text += R"(,"message":)";
    append_message(text, choices[i], request);
    text.append(R"(,"logprobs":null,"finish_reason":")").append(choices[i].finish_reason).append("\"}");
  }
  return text + R"(],"usage":)" + usage_text(request.prompt_tokens, completion_tokens) + "}";
}

/// Writes chunks: first the role, then a delta for each token of each choice, at last usage and [DONE].
class chat_stream : public token_stream {
public:
  chat_stream(const exchange& x, const chat_request& request, std::vector<choice> choices, uint32_t completion_tokens)
    : opening_("data: " + opening(x, request, "chat.completion.chunk")), tool_(request.tool),
      choices_(std::move(choices)), sent_(choices_.size()), padding_(request.seed),
      prompt_tokens_(request.prompt_tokens), completion_tokens_(completion_tokens),
      include_usage_(request.include_usage), obfuscation_(request.obfuscation) {}

  bool next(std::string& out) override {
    auto is_more = false;
    for (std::size_t i = 0; i < choices_.size(); ++i) {
      const auto& x = choices_[i];
      if (!is_begun_)
        begin_choice(out, i);
      auto is_open = !is_begun_ || sent_[i] < x.text.size();
      if (sent_[i] < x.text.size())
        send_token(out, i);
      if (is_open && sent_[i] == x.text.size())
        append_chunk(out, i, "{}", x.finish_reason, 0);
      is_more = is_more || sent_[i] < x.text.size();
    }
    is_begun_ = true;
    if (!is_more)
      finish(out);
    return is_more;
  }

  uint64_t tokens() const override { return tokens_; }

  uint64_t events() const override {
    uint64_t count = include_usage_ ? 2 : 1;
    for (const auto& x : choices_)
      count += 2 + x.tokens - x.call_tokens; // the first tells the role and the call, the last the finish reason
    return count;
  }

  void fail(std::string& out) const override {
    out.append("data: ").append(error_text(server_error())).append("\n\n").append(end_mark);
  }

private:
  void begin_choice(std::string& out, std::size_t i) {
    const auto& x = choices_[i];
    delta_ = R"({"role":"assistant","content":)";
    if (x.call_id.empty()) {
      delta_ += R"("","refusal":null})";
    } else {
      delta_ += R"(null,"refusal":null,"tool_calls":[{"index":0,)";
      auto start = delta_.size();
      append_call(delta_, x, tool_, "");
      delta_.erase(start, 1); // its brace: the index comes first
      delta_ += "]}";
    }
    append_chunk(out, i, delta_, {}, 0);
    tokens_ += x.call_tokens;
  }

  void send_token(std::string& out, std::size_t i) {
    const auto& x = choices_[i];
    auto rest = x.text.after(sent_[i]);
    auto token = rest.substr(0, first_token(rest));
    sent_[i] += token.size();
    delta_ = x.call_id.empty() ? R"({"content":)" : R"({"tool_calls":[{"index":0,"function":{"arguments":)";
    append_json(delta_, token);
    delta_ += x.call_id.empty() ? "}" : "}}]}";
    append_chunk(out, i, delta_, {}, token.size());
    ++tokens_;
  }

  /// `size` is the length of the text inside, which the padding hides.
  void append_chunk(std::string& out, std::size_t index, std::string_view delta, std::string_view finish_reason,
                    std::size_t size) {
    out.append(opening_).append(R"([{"index":)");
    append_number(out, index);
    out.append(R"(,"delta":)").append(delta).append(R"(,"logprobs":null,"finish_reason":)");
    if (finish_reason.empty())
      out += "null";
    else
      out.append("\"").append(finish_reason).append("\"");
    out += include_usage_ ? R"(}],"usage":null)" : "}]";
    if (obfuscation_)
      out.append(R"(,"obfuscation":")").append(hex(padding_.next(), static_cast<int>(16 - size % 16))).append("\"");
    out += "}\n\n";
  }

  void finish(std::string& out) {
    if (include_usage_)
      out += opening_ + R"([],"usage":)" + usage_text(prompt_tokens_, completion_tokens_) + "}\n\n";
    out += end_mark;
  }

  std::string opening_;
  std::string tool_;
  std::string delta_;
  std::vector<choice> choices_;
  std::vector<uint64_t> sent_; ///< Bytes of each choice's text.
  random_source padding_;
  uint64_t tokens_ = 0;
  uint32_t prompt_tokens_;
  uint32_t completion_tokens_;
  bool include_usage_;
  bool obfuscation_;
  bool is_begun_ = false;
};

reply answer_chat(const exchange& x, const chat_request& request) {
  auto answer = new_reply(x);
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
    answer.content_type = "text/event-stream; charset=utf-8";
    answer.headers += "cache-control: no-cache\r\nx-accel-buffering: no\r\n";
    answer.stream = std::make_unique<chat_stream>(x, request, std::move(choices), answer.completion_tokens);
  } else {
    answer.body = unary_text(x, request, choices, answer.completion_tokens);
  }
  return answer;
}

void append_model(std::string& out, std::string_view id) {
  out += R"({"id":)";
  append_json(out, id);
  out += R"(,"object":"model","created":)";
  append_number(out, models_created);
  out += R"(,"owned_by":"modelforge-simulator"})";
}

/// Decides about a valid request, and answers it or not.
reply serve_chat(const exchange& x, const chat_request& request) {
  auto decided =
    x.gate.decide(x.arrived, x.request_id, x.attempt, request.prompt_tokens, request.max_tokens, request.is_stream);
  reply answer;
  if (!decided.limits.is_admitted())
    answer = limit_reply(x, request.model, decided.limits);
  else if (decided.effect == fault::none || spoils_answer(decided.effect))
    answer = answer_chat(x, request);
  else
    answer = fault_reply(x, request.model, request.is_stream, decided.effect);
  answer.decided = decided;
  return answer;
}

reply check_and_serve(const exchange& x) {
  if (auto error = check_key(x))
    return error_reply(x, *error);
  auto request = read_chat_request(x.body, x.settings);
  if (auto error = std::get_if<api_error>(&request))
    return error_reply(x, *error);
  return serve_chat(x, std::get<chat_request>(request));
}

} // namespace

reply new_reply(const exchange& x) {
  auto unique = mix(x.settings.seed) + x.number;
  reply answer;
  answer.headers = "x-request-id: req_" + hex(mix(unique)) + hex(mix(~unique)) + "\r\nopenai-version: 2020-10-01\r\n";
  answer.timing_header = "openai-processing-ms";
  return answer;
}

reply error_reply(const exchange& x, const api_error& error) {
  auto answer = new_reply(x);
  answer.status = error.status;
  answer.body = error_text(error);
  return answer;
}

std::string error_text(const api_error& error) {
  std::string text;
  auto field = [&](std::string_view name, const std::string& value) {
    text.append(name);
    if (value.empty())
      text += "null";
    else
      append_json(text, value);
  };
  field(R"({"error":{"message":)", error.message);
  field(R"(,"type":)", error.type);
  field(R"(,"param":)", error.param);
  field(R"(,"code":)", error.code);
  return text + "}}";
}

reply chat_completions(const exchange& x) {
  auto answer = check_and_serve(x);
  append_limit_headers(x, answer);
  return answer;
}

reply list_models(const exchange& x) {
  if (auto error = check_key(x))
    return error_reply(x, *error);
  auto answer = new_reply(x);
  for (auto model : models) {
    answer.body += answer.body.empty() ? R"({"object":"list","data":[)" : ",";
    append_model(answer.body, model);
  }
  answer.body += "]}";
  return answer;
}

reply show_model(const exchange& x) {
  if (auto error = check_key(x))
    return error_reply(x, *error);
  auto id = x.path.substr(x.path.rfind('/') + 1);
  if (id.starts_with("missing"))
    return error_reply(x, {404, "The model '" + std::string(id) + "' does not exist", "model", "model_not_found"});
  auto answer = new_reply(x);
  append_model(answer.body, id);
  return answer;
}

reply unknown_path(const exchange& x) {
  return error_reply(x, {404,
                         "Unknown request URL: " + std::string(x.method) + " " + std::string(x.path)
                           + ". Please check the URL for typos.",
                         "", "unknown_url"});
}

reply wrong_method(const exchange& x, std::string_view allowed) {
  auto answer =
    error_reply(x, {405,
                    "Not allowed to " + std::string(x.method) + " on " + std::string(x.path)
                      + " (HINT: Perhaps you meant to make your HTTP request using " + std::string(allowed) + "?)",
                    "", "method_not_supported"});
  answer.headers += "allow: " + std::string(allowed) + "\r\n";
  return answer;
}

} // namespace modelforge::simulator::openai
