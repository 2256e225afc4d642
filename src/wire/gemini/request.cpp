#include "wire/gemini/gemini.hpp"
#include "wire/request_writer.hpp"

#include <limits>

namespace modelforge::wire {

namespace {

constexpr std::size_t most_stops = 5;

/// Tokens for thinking, as Google itself translates efforts for models that know no levels.
struct effort_budget {
  std::string_view effort;
  uint32_t tokens;
};

constexpr auto budgets =
  std::to_array<effort_budget>({{"none", 0}, {"minimal", 1024}, {"low", 1024}, {"medium", 8192}, {"high", 24576}});

class gemini_writer : request_writer {
public:
  gemini_writer(const chat_request& x, bool stream) : request_writer("gemini", x, stream) {}

  std::variant<encoded_request, failure> run() {
    if (x_.model.empty())
      fail("model", "is empty", errc::invalid_request, "name a model, or set default_model");
    if (!utf8::is_valid(x_.model))
      fail("model", "is not UTF-8");
    result_.path = gemini_path(x_.model) + (stream_ ? ":streamGenerateContent?alt=sse" : ":generateContent");
    start("text/event-stream", {"generationConfig"});
    write_contents();
    write_system();
    write_tools();
    merge("generationConfig", [this] { write_config(); });
    return finish();
  }

private:
  static bool is_system(const chat_message& x) { return x.role == role::system || x.role == role::developer; }

  // -- the conversation --------------------------------------------------------------

  /// All system prompts in one: there is no other place for them.
  void write_system() {
    auto is_given = [](auto& x) { return is_system(x); };
    if (std::none_of(x_.messages.begin(), x_.messages.end(), is_given) || !begin("systemInstruction"))
      return;
    out_.open('{');
    out_.key("parts");
    out_.open('[');
    list_ = "messages";
    auto in_front = true;
    for (item_ = 0; item_ < x_.messages.size(); ++item_) {
      auto& message = x_.messages[item_];
      in_front = in_front && is_system(message);
      if (!is_system(message))
        continue;
      if (!in_front)
        warn(place() + "role: gemini has system prompts only before the conversation; it was moved there");
      write_parts(message);
    }
    list_ = nullptr;
    out_.close(']');
    out_.close('}');
  }

  void write_contents() {
    if (!begin("contents"))
      return;
    out_.open('[');
    list_ = "messages";
    auto written = result_.body.size();
    for (item_ = 0; item_ < x_.messages.size() && !failed(); ++item_)
      if (!is_system(x_.messages[item_]))
        write_message(x_.messages[item_]);
    list_ = nullptr;
    if (result_.body.size() == written)
      fail("messages", x_.messages.empty() ? "is empty" : "has nothing but system prompts");
    out_.close(']');
  }

  void write_message(const chat_message& x) {
    out_.open('{');
    out_.key("role");
    out_.raw(x.role == role::assistant ? R"("model")" : R"("user")");
    out_.key("parts");
    out_.open('[');
    write_parts(x);
    if (x.role == role::tool) // the results of one turn belong together
      while (item_ + 1 < x_.messages.size() && x_.messages[item_ + 1].role == role::tool)
        write_parts(x_.messages[++item_]);
    out_.close(']');
    out_.close('}');
  }

  void write_parts(const chat_message& x) {
    if (x.content.empty())
      return fail("content", "is empty");
    if (!x.name.empty())
      warn(place() + "name: gemini knows no names of participants; it was left out");
    auto before = result_.body.size();
    signature_ = {};
    has_call_ = false;
    for (part_ = 0; part_ < x.content.size() && !failed(); ++part_)
      std::visit([&](auto& part) { write_part(x, part); }, x.content[part_]);
    if (!signature_.empty() && !failed()) { // it stood behind all others
      out_.open('{');
      member_text("text", "", "text");
      write_signature();
      out_.close('}');
    }
    part_ = none;
    if (result_.body.size() == before)
      fail("content", "has nothing but reasoning");
  }

  void write_part(const chat_message& x, const text_part& part) {
    if (x.role == role::tool)
      return fail("", "is no tool's result, and the role tool has nothing else");
    out_.open('{');
    member_text("text", part.text, "text");
    if (x.role == role::assistant)
      write_signature();
    out_.close('}');
  }

  void write_part(const chat_message& x, const image_part& part) {
    if (x.role != role::user)
      return fail("", "is an image, which needs the role user", errc::unsupported);
    if (part.url.empty() == part.data.empty())
      return fail("", "is an image that needs either url or data");
    if (!part.data.empty() && part.media_type.empty())
      return fail("media_type", "is empty; data needs it");
    if (!part.detail.empty())
      warn(place() + "detail: gemini has none for single images; it was left out");
    out_.open('{');
    out_.key(part.data.empty() ? "fileData" : "inlineData");
    out_.open('{');
    if (!part.media_type.empty())
      member_text("mimeType", part.media_type, "media_type");
    if (part.data.empty())
      member_text("fileUri", part.url, "url");
    else
      member_text("data", part.data, "data");
    out_.close('}');
    out_.close('}');
  }

  void write_part(const chat_message& x, const tool_call& part) {
    if (x.role != role::assistant)
      return fail("", "is a tool call, which needs the role assistant");
    if (part.name.empty())
      return fail("name", "is empty");
    out_.open('{');
    out_.key("functionCall");
    out_.open('{');
    if (!part.id.empty())
      member_text("id", part.id, "id");
    member_text("name", part.name, "name");
    out_.key("args");
    embed(part.arguments.empty() ? "{}" : part.arguments, "arguments");
    out_.close('}');
    if (auto seal = unsealed(part.signature, "gemini"); !seal.empty())
      signature_ = seal;
    if (signature_.empty() && !has_call_ && !has_budgets()) { // models from 3 on refuse a turn's first call without one
      signature_ = no_signature;
      warn(place() + "id: the call's thought signature is not known; gemini is asked to go on without it");
    }
    has_call_ = true;
    write_signature();
    out_.close('}');
  }

  void write_part(const chat_message& x, const tool_result& part) {
    if (x.role != role::tool)
      return fail("", "is a tool's result, which needs the role tool");
    auto* call = call_of(part.call_id);
    if (call == nullptr)
      return fail("call_id", "names no call in an earlier message, and gemini wants the tool's name");
    out_.open('{');
    out_.key("functionResponse");
    out_.open('{');
    member_text("id", part.call_id, "call_id");
    member_text("name", call->name, "call_id");
    out_.key("response");
    write_result(part);
    out_.close('}');
    out_.close('}');
  }

  /// An object goes as it is, all else as a member of one.
  void write_result(const tool_result& x) {
    auto parsed = json::parse(x.content);
    auto* tree = std::get_if<json::value>(&parsed);
    auto is_object = tree != nullptr && tree->is_object();
    if (is_object && !x.is_error)
      return out_.raw(x.content);
    out_.open('{');
    out_.key(x.is_error ? "error" : "output");
    is_object ? out_.raw(x.content) : text(x.content, "content");
    out_.close('}');
  }

  /// A thought's text stays here: the provider wants its signature back, at the part that follows.
  void write_part(const chat_message& x, const reasoning_part& part) {
    if (x.role != role::assistant)
      return fail("", "is reasoning, which needs the role assistant");
    if (auto seal = unsealed(part.signature, "gemini"); !seal.empty())
      signature_ = seal;
    else if (!part.signature.empty()) // without one it is a summary, which gemini does not miss
      warn(place() + "text: gemini takes no reasoning back without a signature of its own; it was left out");
  }

  void write_signature() {
    if (!signature_.empty())
      member_text("thoughtSignature", signature_, "signature");
    signature_ = {};
  }

  // -- tools -------------------------------------------------------------------------

  void write_tools() {
    if (!x_.tools.empty() && begin("tools")) {
      out_.open('[');
      out_.open('{');
      out_.key("functionDeclarations");
      out_.open('[');
      list_ = "tools";
      for (item_ = 0; item_ < x_.tools.size(); ++item_)
        write_tool(x_.tools[item_]);
      list_ = nullptr;
      out_.close(']');
      out_.close('}');
      out_.close(']');
    }
    auto& choice = x_.tool_choice;
    if (choice.parallel == false)
      unsupported("tool_choice.parallel", "say in the prompt that only one tool may be called at a time");
    if (choice.mode != tool_mode::automatic && begin("toolConfig"))
      write_choice(choice);
  }

  void write_tool(const tool_definition& x) {
    if (x.name.empty())
      fail("name", "is empty");
    if (x.strict)
      warn(place() + "strict: gemini has no such field; it was left out");
    out_.open('{');
    member_text("name", x.name, "name");
    if (!x.description.empty())
      member_text("description", x.description, "description");
    if (!x.parameters.empty()) {
      out_.key("parametersJsonSchema"); // `parameters` takes only a part of JSON Schema
      embed(x.parameters, "parameters");
    }
    out_.close('}');
  }

  void write_choice(const tool_choice& x) {
    out_.open('{');
    out_.key("functionCallingConfig");
    out_.open('{');
    out_.key("mode");
    out_.raw(x.mode == tool_mode::none ? R"("NONE")" : R"("ANY")");
    if (x.mode == tool_mode::named) {
      if (x.name.empty())
        fail("tool_choice.name", "is empty");
      out_.key("allowedFunctionNames");
      out_.open('[');
      text(x.name, "tool_choice.name");
      out_.close(']');
    }
    out_.close('}');
    out_.close('}');
  }

  // -- generationConfig --------------------------------------------------------------

  void write_config() {
    auto& s = x_.sampling;
    number("maxOutputTokens", s.max_tokens, "sampling.max_tokens");
    number("temperature", s.temperature, "sampling.temperature");
    number("topP", s.top_p, "sampling.top_p");
    number("topK", s.top_k, "sampling.top_k");
    number("frequencyPenalty", s.frequency_penalty, "sampling.frequency_penalty");
    number("presencePenalty", s.presence_penalty, "sampling.presence_penalty");
    using whole = std::numeric_limits<int32_t>;
    if (s.seed && (*s.seed < whole::min() || *s.seed > whole::max()))
      fail("sampling.seed", "has more than the 32 bits that gemini takes", errc::unsupported);
    number("seed", s.seed, "sampling.seed");
    if (s.stop.size() > most_stops)
      fail("sampling.stop", "has more than the 5 texts that gemini takes", errc::unsupported);
    texts("stopSequences", s.stop, "sampling.stop");
    write_thinking();
    write_response_format();
  }

  void write_thinking() {
    auto& s = x_.sampling;
    if ((!s.reasoning_budget && s.reasoning_effort.empty()) || !begin("thinkingConfig"))
      return;
    if (s.reasoning_budget && !s.reasoning_effort.empty())
      warn("sampling.reasoning_effort: left out, since reasoning_budget says it exactly");
    auto budget = s.reasoning_budget;
    if (!budget && has_budgets())
      budget = budget_of(s.reasoning_effort);
    out_.open('{');
    if (budget != 0u) {
      out_.key("includeThoughts");
      out_.boolean(true);
    }
    if (budget) {
      out_.key("thinkingBudget");
      out_.number(*budget);
    } else if (s.reasoning_effort == "none") {
      fail("sampling.reasoning_effort", "\"none\" is nothing that " + x_.model + " takes", errc::unsupported,
           "use \"minimal\" or \"low\"");
    } else {
      member_text("thinkingLevel", s.reasoning_effort, "sampling.reasoning_effort");
    }
    out_.close('}');
  }

  /// Whether the model takes tokens for thinking; those from 3 on take a level.
  bool has_budgets() const { return x_.model.find("gemini-2") != x_.model.npos; }

  std::optional<uint32_t> budget_of(std::string_view effort) {
    for (auto& x : budgets)
      if (x.effort == effort)
        return x.tokens;
    fail("sampling.reasoning_effort", "is nothing that " + x_.model + " has", errc::unsupported,
         "use \"low\", \"medium\" or \"high\", or give reasoning_budget");
    return {};
  }

  void write_response_format() {
    auto& format = x_.response_format;
    if (format.kind == response_kind::text)
      return;
    if (begin("responseMimeType"))
      out_.raw(R"("application/json")");
    if (format.kind == response_kind::json_schema && begin("responseJsonSchema"))
      embed(format.schema, "response_format.schema");
  }

  /// What Google lets clients send where they have no signature.
  static constexpr std::string_view no_signature = "skip_thought_signature_validator";

  std::string_view signature_; ///< Of a thought, for the part behind it.
  bool has_call_ = false;      ///< The present message has had a call.
};

class gemini_dialect : public dialect {
public:
  std::string_view name() const override { return "gemini"; }

  std::string_view default_base_url() const override { return "https://generativelanguage.googleapis.com/v1beta"; }

  http::header authorize(std::string_view key) const override { return {"x-goog-api-key", std::string{key}}; }

  std::variant<encoded_request, failure> encode(const chat_request& x, bool stream) const override {
    return write_gemini_request(x, stream);
  }

  std::variant<completion, failure> decode(const http::response_head& head, std::string_view body) const override {
    return read_whole(*gemini_answer(head), body);
  }

  std::unique_ptr<stream_reader> read_stream(const http::response_head& head) const override {
    return read_objects(gemini_answer(head), framing::events);
  }

  limits::token_accounting accounting() const override { return limits::token_accounting::input; }

  std::size_t most_inputs() const override { return 100; }

  std::variant<encoded_request, failure> encode_embedding(const embedding_request& x) const override {
    return write_gemini_embedding(x);
  }

  std::variant<embedding, failure> decode_embedding(const http::response_head& head, std::string_view body,
                                                    std::size_t inputs) const override {
    return read_gemini_embedding(head, body, inputs);
  }

  std::string_view models_path() const override { return "/models?pageSize=1000"; }

  std::variant<model_list, failure> decode_models(const http::response_head& head,
                                                  std::string_view body) const override {
    auto result = read_names(head, body, "models", "name");
    if (auto* bad = std::get_if<failure>(&result))
      return gemini_answer(head)->fitted(std::move(*bad));
    if (auto* good = std::get_if<model_list>(&result))
      for (auto& x : good->models)
        if (x.starts_with("models/"))
          x.erase(0, 7);
    return result;
  }
};

} // namespace

std::string gemini_path(std::string_view model) {
  std::string_view list = "models/";
  for (std::string_view known : {"models/", "tunedModels/"})
    if (model.starts_with(known)) {
      list = known;
      model.remove_prefix(known.size());
      break;
    }
  return "/" + std::string{list} + path_segment(model);
}

std::variant<encoded_request, failure> write_gemini_request(const chat_request& x, bool stream) {
  return gemini_writer{x, stream}.run();
}

const dialect& gemini() {
  static const gemini_dialect x;
  return x;
}

} // namespace modelforge::wire
