#include "base/ascii.hpp"
#include "wire/conversation_writer.hpp"
#include "wire/openai/responses.hpp"

namespace modelforge::wire::openai {

namespace {

constexpr uint32_t min_tokens = 16; ///< OpenAI takes no smaller max_output_tokens.

/// Whether a model of that name gives its thoughts encrypted. Others refuse to be asked for it, and not to ask only
/// costs thoughts: so these are known by name.
bool seals_thoughts(std::string_view model) {
  model.remove_prefix(model.rfind('/') + 1); // npos + 1 is 0
  if (model.starts_with("ft:"))
    model.remove_prefix(3);
  auto digit = [&](std::size_t i) { return i < model.size() && ascii::is_digit(model[i]); };
  if (model.starts_with("gpt-"))
    return digit(4) && (digit(5) || model[4] >= '5') && model.find("-chat") == model.npos;
  return (model.starts_with('o') && digit(1)) || model.starts_with("codex-") || model.starts_with("grok-");
}

/// Writes a request of the Responses API. A message becomes several items: its texts and images, each call, each
/// result, each thought. Nothing is stored at the provider (`store` is false), so thoughts go back and forth encrypted.
class responses_writer : conversation_writer {
public:
  responses_writer(std::string_view name, const quirks& server, const chat_request& request, bool stream)
    : conversation_writer(name, request, stream), name_(name), quirks_(server) {}

  std::variant<encoded_request, failure> run() {
    result_.path = "/responses";
    logprobs_field_ = "top_logprobs";
    start("text/event-stream", {"reasoning", "text"});
    write_model();
    write_instructions();
    write_messages(
      "input", [this](auto& x) { write_message(x); }, prompts());
    write_sampling();
    merge("reasoning", [this] { write_effort(); });
    merge("text", [this] { write_format(); });
    write_tools();
    write_storing();
    if (quirks_.cache_key && !request_.cache_key.empty() && begin("prompt_cache_key"))
      text(request_.cache_key, "cache_key");
    write_stream();
    return finish();
  }

private:
  // -- the conversation --------------------------------------------------------------

  /// How many system prompts stand in front; none where there is nothing else.
  std::size_t prompts() const {
    auto end = std::find_if_not(request_.messages.begin(), request_.messages.end(), is_system);
    return end == request_.messages.end() ? 0 : static_cast<std::size_t>(end - request_.messages.begin());
  }

  /// The system prompts in front, joined by empty lines; later ones stay messages.
  void write_instructions() {
    auto count = prompts();
    if (count == 0 || !begin("instructions"))
      return;
    std::string joined;
    each_message(0, count, [&](const chat_message& message) {
      check(message);
      each_of<text_part>(message, [&](auto& part) {
        if (!utf8::is_valid(part.text))
          fail("text", "is not UTF-8");
        joined += (joined.empty() ? "" : "\n\n") + part.text;
      });
    });
    text(joined, "messages");
  }

  /// Refuses what a message's role cannot say, before any item of it is written.
  void check(const chat_message& message) {
    if (!check_content(message))
      return;
    leave_out_name(message, "the Responses API");
    if (message.role == role::tool)
      return;
    check_parts(message);
    if (count_of<reasoning_part>(message) == message.content.size())
      fail("content", "has nothing but reasoning");
    if (message.role != role::assistant && count_of<reasoning_part>(message) > 0)
      fail("content", "has reasoning, which needs the role assistant");
  }

  void write_message(const chat_message& message) {
    check(message);
    if (message.role == role::tool)
      return each_result(message, [this](auto& result) { write_result(result); });
    for (part_ = 0; part_ < message.content.size() && !failed(); ++part_) {
      auto& part = message.content[part_];
      if (auto* thought = std::get_if<reasoning_part>(&part))
        write_thought(*thought);
      else if (auto* call = std::get_if<tool_call>(&part))
        write_call(*call);
      else
        write_turn(message);
    }
    part_ = none;
  }

  /// Writes texts and images from the present one on, as far as there is nothing between them.
  void write_turn(const chat_message& message) {
    auto is_said = [](auto& part) { return part.index() < 2; };
    static_assert(std::is_same_v<std::variant_alternative_t<1, content_part>, image_part>);
    auto first = message.content.begin() + static_cast<std::ptrdiff_t>(part_);
    auto size = static_cast<std::size_t>(std::find_if_not(first, message.content.end(), is_said) - first);
    object([&] {
      member_word("role", name_of(message.role == role::developer && !quirks_.developer ? role::system : message.role));
      out_.key("content");
      if (auto* only = std::get_if<text_part>(&*first); only != nullptr && size == 1)
        return text(only->text, "text");
      list([&] {
        for (auto end = part_ + size; part_ < end; ++part_)
          write_said(message, message.content[part_]);
        --part_;
      });
    });
  }

  /// Texts that the model said have another type than those it was told.
  void write_said(const chat_message& message, const content_part& part) {
    object([&] {
      if (auto* piece = std::get_if<text_part>(&part)) {
        member_word("type", message.role == role::assistant ? "output_text" : "input_text");
        member_text("text", piece->text, "text");
      } else if (auto* image = std::get_if<image_part>(&part)) {
        member_word("type", "input_image");
        out_.key("image_url");
        image_url(*image);
        member_text("detail", image->detail.empty() ? "auto" : image->detail, "detail");
      }
    });
  }

  /// A signature holds the item's id and its encrypted content.
  void write_thought(const reasoning_part& part) {
    auto seal = unsealed(part.signature, name_);
    auto colon = seal.find(':');
    if (colon == seal.npos)
      return warn(place() + "text: " + std::string{name_}
                  + " takes no reasoning back without a signature of its own; it was left out");
    object([&] {
      member_word("type", "reasoning");
      member_text("id", seal.substr(0, colon), "signature");
      member_list("summary", [&] {
        if (!part.text.empty())
          object([&] {
            member_word("type", "summary_text");
            member_text("text", part.text, "text");
          });
      });
      member_text("encrypted_content", seal.substr(colon + 1), "signature");
    });
    has_seals_ = true;
  }

  void write_call(const tool_call& call) {
    require(call.id, "id");
    require(call.name, "name");
    object([&] {
      member_word("type", "function_call");
      member_text("call_id", call.id, "id");
      member_text("name", call.name, "name");
      member_text("arguments", call.arguments.empty() ? "{}" : call.arguments, "arguments");
    });
  }

  void write_result(const tool_result& result) {
    require(result.call_id, "call_id");
    if (result.is_error)
      warn(place() + "is_error: there is no such field here; only the content tells it");
    object([&] {
      member_word("type", "function_call_output");
      member_text("call_id", result.call_id, "call_id");
      member_text("output", result.content, "content");
    });
  }

  // -- the rest ----------------------------------------------------------------------

  /// This API has fewer knobs: what it lacks is refused, since leaving it out would change the answer.
  void write_sampling() {
    auto& s = request_.sampling;
    auto lacks = [this](bool is_set, std::string_view field, std::string suggestion) {
      if (is_set)
        unsupported(field, std::move(suggestion));
    };
    constexpr auto chat = "leave it out, or set api = \"chat\" for this model";
    lacks(s.top_k.has_value(), "sampling.top_k", "use top_p");
    lacks(s.frequency_penalty.has_value(), "sampling.frequency_penalty", chat);
    lacks(s.presence_penalty.has_value(), "sampling.presence_penalty", chat);
    lacks(s.seed.has_value(), "sampling.seed", chat);
    lacks(!s.stop.empty(), "sampling.stop", chat);
    lacks(s.reasoning_budget.has_value(), "sampling.reasoning_budget", "use reasoning_effort");
    if (quirks_.is_strict && s.max_tokens && *s.max_tokens < min_tokens)
      fail("sampling.max_tokens", "is less than the " + std::to_string(min_tokens) + " that the Responses API takes",
           errc::unsupported);
    number("max_output_tokens", s.max_tokens, "sampling.max_tokens");
    number("temperature", s.temperature, "sampling.temperature");
    number("top_p", s.top_p, "sampling.top_p");
  }

  void write_effort() {
    if (!request_.sampling.reasoning_effort.empty() && begin("effort"))
      text(request_.sampling.reasoning_effort, "sampling.reasoning_effort");
  }

  void write_format() {
    auto& format = request_.response_format;
    if (format.kind == response_kind::text || !begin("format"))
      return;
    object([&] {
      member_word("type", name_of(format.kind));
      if (format.kind != response_kind::json_schema)
        return;
      member_text("name", format.name.empty() ? "answer" : format.name, "response_format.name");
      out_.key("schema");
      embed(format.schema, "response_format.schema");
      member_flag("strict", format.strict);
    });
  }

  /// Tools are flat objects here, without the inner "function".
  void write_tools() {
    if (!request_.tools.empty() && begin("tools"))
      write_tool_list([this](auto& tool) { write_tool(tool); });
    auto& choice = request_.tool_choice;
    if (choice.mode == tool_mode::named)
      require(choice.name, "tool_choice.name");
    if (choice.mode != tool_mode::automatic && begin("tool_choice"))
      write_choice(choice);
    if (choice.parallel && begin("parallel_tool_calls"))
      out_.boolean(*choice.parallel);
  }

  void write_choice(const tool_choice& choice) {
    if (choice.mode != tool_mode::named)
      return out_.word(name_of(choice.mode));
    object([&] {
      member_word("type", "function");
      member_text("name", choice.name, "tool_choice.name");
    });
  }

  void write_tool(const tool_definition& tool) {
    require(tool.name, "name");
    object([&] {
      member_word("type", "function");
      member_text("name", tool.name, "name");
      if (!tool.description.empty())
        member_text("description", tool.description, "description");
      out_.key("parameters"); // they and `strict` must be told here
      if (tool.parameters.empty())
        out_.raw(R"({"type":"object","properties":{},"additionalProperties":false})");
      else
        embed(tool.parameters, "parameters");
      member_flag("strict", tool.strict);
    });
  }

  /// Encrypted thoughts must be asked for, but models that have none refuse to be asked.
  void write_storing() {
    if (begin("store"))
      out_.boolean(false);
    auto thinks = has_seals_ || !request_.sampling.reasoning_effort.empty() || seals_thoughts(request_.model);
    if (thinks && begin("include"))
      out_.raw(R"(["reasoning.encrypted_content"])");
  }

  /// Some gateways stream unless told not to.
  void write_stream() {
    if (stream_ || !quirks_.is_strict)
      member_flag("stream", stream_); // nothing that `extra` can replace
    if (stream_ && quirks_.obfuscation && begin("stream_options"))
      out_.raw(R"({"include_obfuscation":false})"); // padding of no use to us
  }

  std::string_view name_;
  const quirks& quirks_;
  bool has_seals_ = false; ///< The conversation has encrypted thoughts.
};

} // namespace

std::variant<encoded_request, failure> responses_dialect::encode(const chat_request& request, bool stream) const {
  return responses_writer{name_, quirks_, request, stream}.run();
}

} // namespace modelforge::wire::openai
