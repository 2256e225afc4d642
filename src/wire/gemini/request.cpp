#include "wire/conversation_writer.hpp"
#include "wire/gemini/gemini.hpp"

#include <limits>

namespace modelforge::wire::gemini {

namespace {

constexpr std::size_t max_stops = 5;

/// Tokens for thinking, as Google itself translates efforts for models that know no levels.
struct effort_budget {
  std::string_view effort;
  uint32_t tokens;
};

constexpr auto budgets =
  std::to_array<effort_budget>({{"none", 0}, {"minimal", 1024}, {"low", 1024}, {"medium", 8192}, {"high", 24576}});

/// Writes a request of generateContent. The model is in the path. Roles are only user and model, and a message's
/// thoughts are not sent back: just their signatures, each at the part that follows. What `extra` has for
/// generationConfig is merged into it.
class content_writer : conversation_writer {
public:
  content_writer(const chat_request& request, bool stream) : conversation_writer("gemini", request, stream) {}

  std::variant<encoded_request, failure> run() {
    if (request_.model.empty())
      fail("model", "is empty", errc::invalid_request, "name a model, or set default_model");
    if (!utf8::is_valid(request_.model))
      fail("model", "is not UTF-8");
    result_.path = model_path(request_.model) + (stream_ ? ":streamGenerateContent?alt=sse" : ":generateContent");
    choices_field_ = "generationConfig.candidateCount";
    logprobs_field_ = "generationConfig.responseLogprobs";
    start("text/event-stream", {"generationConfig"});
    write_turns("contents", [this](auto& x) { write_message(x); });
    write_system();
    write_tools();
    merge("generationConfig", [this] { write_config(); });
    return finish();
  }

private:
  // -- the conversation --------------------------------------------------------------

  /// All system prompts in one: there is no other place for them.
  void write_system() {
    if (!has_system_prompts() || !begin("systemInstruction"))
      return;
    object([this] {
      member_list("parts", [this] {
        each_system_prompt("gemini has system prompts only before the conversation; it was moved there",
                           [this](auto& x) { write_parts(x); });
      });
    });
  }

  void write_message(const chat_message& message) {
    object([&] {
      member_word("role", message.role == role::assistant ? "model" : "user");
      member_list("parts", [&] { with_further_results(message, [this](auto& y) { write_parts(y); }); });
    });
  }

  void write_parts(const chat_message& message) {
    if (!check_content(message))
      return;
    leave_out_name(message, "gemini");
    auto before = result_.body.size();
    signature_ = {};
    has_call_ = false;
    each_part(message, [&](auto& part) {
      if (may_say(message.role, part))
        write_part(message, part);
    });
    if (!signature_.empty() && !failed()) // it stood behind all others
      object([this] {
        member_text("text", "", "text");
        write_signature();
      });
    if (result_.body.size() == before)
      fail("content", "has nothing but reasoning");
  }

  void write_part(const chat_message& message, const text_part& part) {
    object([&] {
      member_text("text", part.text, "text");
      if (message.role == role::assistant)
        write_signature();
    });
  }

  void write_part(const chat_message&, const image_part& part) {
    if (!check_source(part))
      return;
    if (!part.detail.empty())
      warn(place() + "detail: gemini has none for single images; it was left out");
    object([&] {
      member_object(part.data.empty() ? "fileData" : "inlineData", [&] {
        if (!part.media_type.empty())
          member_text("mimeType", part.media_type, "media_type");
        if (part.data.empty())
          member_text("fileUri", part.url, "url");
        else
          member_text("data", part.data, "data");
      });
    });
  }

  void write_part(const chat_message&, const tool_call& part) {
    require(part.name, "name");
    object([&] {
      member_object("functionCall", [&] {
        if (!part.id.empty())
          member_text("id", part.id, "id");
        member_text("name", part.name, "name");
        out_.key("args");
        embed(part.arguments.empty() ? "{}" : part.arguments, "arguments");
      });
      if (auto seal = unsealed(part.signature, "gemini"); !seal.empty())
        signature_ = seal;
      if (signature_.empty() && !has_call_
          && !has_budgets()) { // models from 3 on refuse a turn's first call without one
        signature_ = no_signature;
        warn(place() + "id: the call's thought signature is not known; gemini is asked to go on without it");
      }
      has_call_ = true;
      write_signature();
    });
  }

  void write_part(const chat_message&, const tool_result& part) {
    auto* call = call_of(part.call_id);
    if (call == nullptr)
      return fail("call_id", "names no call in an earlier message, and gemini wants the tool's name");
    object([&] {
      member_object("functionResponse", [&] {
        member_text("id", part.call_id, "call_id");
        member_text("name", call->name, "call_id");
        out_.key("response");
        write_result(part);
      });
    });
  }

  /// An object goes as it is, all else as a member of one.
  void write_result(const tool_result& result) {
    auto parsed = json::parse(result.content);
    auto* tree = std::get_if<json::value>(&parsed);
    auto is_object = tree != nullptr && tree->is_object();
    if (is_object && !result.is_error)
      return out_.raw(result.content);
    object([&] {
      out_.key(result.is_error ? "error" : "output");
      is_object ? out_.raw(result.content) : text(result.content, "content");
    });
  }

  /// A thought's text stays here: the provider wants its signature back, at the part that follows.
  void write_part(const chat_message&, const reasoning_part& part) {
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
    if (!request_.tools.empty() && begin("tools"))
      list([this] {
        object([this] {
          out_.key("functionDeclarations");
          write_tool_list([this](auto& tool) { write_tool(tool); });
        });
      });
    auto& choice = request_.tool_choice;
    if (choice.parallel == false)
      unsupported("tool_choice.parallel", "say in the prompt that only one tool may be called at a time");
    if (choice.mode != tool_mode::automatic && begin("toolConfig"))
      write_choice(choice);
  }

  void write_tool(const tool_definition& tool) {
    require(tool.name, "name");
    if (tool.strict)
      warn(place() + "strict: gemini has no such field; it was left out");
    object([&] {
      member_text("name", tool.name, "name");
      if (!tool.description.empty())
        member_text("description", tool.description, "description");
      if (!tool.parameters.empty()) {
        out_.key("parametersJsonSchema"); // `parameters` takes only a part of JSON Schema
        embed(tool.parameters, "parameters");
      }
    });
  }

  /// `none` and `required` are modes; a named tool is the only one that is allowed.
  void write_choice(const tool_choice& choice) {
    object([&] {
      member_object("functionCallingConfig", [&] {
        member_word("mode", choice.mode == tool_mode::none ? "NONE" : "ANY");
        if (choice.mode == tool_mode::named) {
          require(choice.name, "tool_choice.name");
          member_list("allowedFunctionNames", [&] { text(choice.name, "tool_choice.name"); });
        }
      });
    });
  }

  // -- generationConfig --------------------------------------------------------------

  /// Checks what the provider would refuse with words that do not name our field.
  void write_config() {
    auto& s = request_.sampling;
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
    if (s.stop.size() > max_stops)
      fail("sampling.stop", "has more than the 5 texts that gemini takes", errc::unsupported);
    texts("stopSequences", s.stop, "sampling.stop");
    write_thinking();
    write_response_format();
  }

  /// Models up to 2.5 take a budget of tokens, later ones a level.
  void write_thinking() {
    auto& s = request_.sampling;
    if ((!s.reasoning_budget && s.reasoning_effort.empty()) || !begin("thinkingConfig"))
      return;
    if (s.reasoning_budget && !s.reasoning_effort.empty())
      warn("sampling.reasoning_effort: left out, since reasoning_budget says it exactly");
    auto budget = s.reasoning_budget;
    if (!budget && has_budgets())
      budget = budget_of(s.reasoning_effort);
    object([&] {
      if (budget != 0u)
        member_flag("includeThoughts", true);
      if (budget) {
        out_.key("thinkingBudget");
        out_.number(*budget);
      } else if (s.reasoning_effort == "none") {
        fail("sampling.reasoning_effort", "\"none\" is nothing that " + request_.model + " takes", errc::unsupported,
             "use \"minimal\" or \"low\"");
      } else {
        member_text("thinkingLevel", s.reasoning_effort, "sampling.reasoning_effort");
      }
    });
  }

  /// Whether the model takes tokens for thinking; those from 3 on take a level.
  bool has_budgets() const { return request_.model.find("gemini-2") != request_.model.npos; }

  std::optional<uint32_t> budget_of(std::string_view effort) {
    for (auto& each : budgets)
      if (each.effort == effort)
        return each.tokens;
    fail("sampling.reasoning_effort", "is nothing that " + request_.model + " has", errc::unsupported,
         "use \"low\", \"medium\" or \"high\", or give reasoning_budget");
    return {};
  }

  /// JSON is asked for by its media type; a schema comes on top.
  void write_response_format() {
    auto& format = request_.response_format;
    if (format.kind == response_kind::text)
      return;
    if (begin("responseMimeType"))
      out_.word("application/json");
    if (format.kind == response_kind::json_schema && begin("responseJsonSchema"))
      embed(format.schema, "response_format.schema");
  }

  /// What Google lets clients send where they have no signature.
  static constexpr std::string_view no_signature = "skip_thought_signature_validator";

  std::string_view signature_; ///< Of a thought, for the part behind it.
  bool has_call_ = false;      ///< The present message has had a call.
};

} // namespace

std::string model_path(std::string_view model) {
  std::string_view list = "models/";
  for (std::string_view known : {"models/", "tunedModels/"})
    if (model.starts_with(known)) {
      list = known;
      model.remove_prefix(known.size());
      break;
    }
  return "/" + std::string{list} + path_segment(model);
}

std::variant<encoded_request, failure> write_request(const chat_request& request, bool stream) {
  return content_writer{request, stream}.run();
}

} // namespace modelforge::wire::gemini
