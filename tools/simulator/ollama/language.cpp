#include "tools/simulator/ollama/ollama.hpp"

#include "tools/simulator/text.hpp"

namespace modelforge::simulator::ollama {

namespace {

using std::chrono::ceil;
using std::chrono::seconds;

/// How Ollama reports errors: as an object with nothing but a text. It has neither request ids nor limits' headers.
class ollama_speech : public language {
public:
  reply new_reply(const exchange&) const override {
    reply answer;
    answer.content_type = "application/json; charset=utf-8";
    return answer;
  }

  std::string error_text(const exchange&, const api_error& error) const override {
    return ollama::error_text(error.message);
  }

  std::optional<api_error> check_key(const exchange& incoming) const override {
    if (incoming.settings.api_key.empty() || bearer_key(incoming) == incoming.settings.api_key)
      return std::nullopt;
    return api_error{401, "unauthorized"};
  }

  reply limit_reply(const exchange& incoming, std::string_view, const ruling& refusal) const override {
    return error_reply(*this, incoming,
                       {429, std::string("too many ")
                               + (refusal.exceeded == limit_kind::requests ? "requests" : "tokens") + ": the limit is "
                               + std::to_string(refusal.limit)});
  }

  reply fault_reply(const exchange& incoming, std::string_view, fault injected) const override {
    switch (injected) {
      case fault::rate_limit:
        return error_reply(*this, incoming, {429, "too many requests"});
      case fault::rate_limit_waited: {
        auto answer = error_reply(*this, incoming, {429, "too many requests"});
        append_header(answer.headers, "retry-after",
                      std::to_string(ceil<seconds>(incoming.settings.retry_after).count()));
        return answer;
      }
      case fault::quota:
        return error_reply(*this, incoming,
                           {429, "you have reached your weekly usage limit, upgrade for higher limits"});
      case fault::unavailable:
      case fault::overloaded: // Ollama has no 529
        return error_reply(*this, incoming, {503, "server busy, please try again.  maximum pending requests exceeded"});
      default:
        return error_reply(*this, incoming, {500, "llama runner process has terminated: signal: killed"});
    }
  }

  reply garbage_reply(const exchange& incoming, bool is_stream) const override {
    auto answer = new_reply(incoming);
    answer.body = "{\"model\":\"\x01\xff\xfe{{{ garbage\n";
    if (is_stream)
      answer.content_type = "application/x-ndjson";
    return answer;
  }
};

} // namespace

const language& speech() {
  static const ollama_speech instance;
  return instance;
}

std::string error_text(std::string_view message) {
  std::string text = R"({"error":)";
  append_json(text, message);
  return text + "}";
}

api_error missing_model(std::string_view model) {
  return {404, "model '" + std::string(model) + "' not found"};
}

} // namespace modelforge::simulator::ollama
