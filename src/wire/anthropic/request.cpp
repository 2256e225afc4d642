#include "base/ascii.hpp"
#include "wire/anthropic/anthropic.hpp"
#include "wire/anthropic/model_family.hpp"
#include "wire/anthropic/thinking.hpp"
#include "wire/conversation_writer.hpp"

#include <array>

namespace modelforge::wire::anthropic {

namespace {

constexpr std::size_t max_marks = 4; ///< For the cache.
constexpr auto short_cache = std::chrono::minutes{5};

/// Whether a text is nothing but white space, which the provider refuses as a block of its own.
bool is_blank(std::string_view text) {
  return text.find_first_not_of(" \t\r\n\f\v") == text.npos;
}

/// Writes a request of the Messages API. Its order follows the provider's prompt cache: tools, then system prompts,
/// then turns, since a mark caches all that stands before it in this order, and marks are counted in it too. What a
/// model takes of thinking and sampling is decided by `plan_thinking` and its family beforehand.
class message_writer : conversation_writer {
public:
  message_writer(const chat_request& request, bool stream)
    : conversation_writer("anthropic", request, stream), family_(family_of(request.model)),
      plan_(plan_thinking(request, family_)) {}

  std::variant<encoded_request, failure> run() {
    result_.path = "/v1/messages";
    start("text/event-stream", {"output_config"});
    write_model();
    check_thinking();
    plan_marks();
    write_max_tokens();
    write_tools();
    write_system();
    write_turns("messages", [this](auto& x) { write_message(x); });
    write_sampling();
    write_stops();
    check_absent();
    write_thinking();
    merge("output_config", [this] { write_output(); });
    if (stream_ && begin("stream"))
      out_.boolean(true);
    return finish();
  }

private:
  // -- thinking and length -----------------------------------------------------------

  /// Passes on what the plan found; what it could not fit is a problem of the request.
  void check_thinking() {
    for (auto& warning : plan_.warnings)
      warn(warning);
    if (auto& problem = plan_.problem)
      fail(problem->field, problem->why, problem->code, problem->suggestion);
  }

  /// The one field that others leave to the provider. What was thought counts too.
  void write_max_tokens() {
    auto most = request_.sampling.max_tokens;
    if (most && plan_.budget && *most <= *plan_.budget)
      fail("sampling.max_tokens", "must be more than the " + std::to_string(*plan_.budget) + " tokens for thinking");
    if (most == 0u && stream_)
      fail("sampling.max_tokens", "is 0, which only fills the cache and cannot be streamed");
    if (!begin("max_tokens"))
      return;
    if (!most) {
      most = family_.usual_output + plan_.room;
      warn("sampling.max_tokens: anthropic needs one; " + std::to_string(*most) + " was sent");
    }
    out_.number(*most);
  }

  /// Nothing is written where the request says nothing: then the model's own default holds.
  void write_thinking() {
    if ((!plan_.budget && !plan_.is_adaptive && !plan_.is_off) || !begin("thinking"))
      return;
    object([&] {
      member_word("type", plan_.budget ? "enabled" : plan_.is_adaptive ? "adaptive" : "disabled");
      if (plan_.budget) {
        out_.key("budget_tokens");
        out_.number(*plan_.budget);
      }
      if (plan_.is_adaptive && family_.thinks != thinking_kind::either) // up to 4.6 they show it anyway
        member_word("display", "summarized");
    });
  }

  /// Effort and schema, inside the object `output_config`.
  void write_output() {
    if (plan_.is_adaptive && begin("effort"))
      text(request_.sampling.reasoning_effort, "sampling.reasoning_effort");
    auto& format = request_.response_format;
    if (format.kind == response_kind::json_object)
      unsupported("response_format.kind", "give a schema (json_schema), or ask for JSON in the prompt");
    if (format.kind != response_kind::json_schema || !begin("format"))
      return;
    object([&] {
      member_word("type", "json_schema");
      out_.key("schema");
      embed(format.schema, "response_format.schema");
    });
  }

  void write_sampling() {
    auto& s = request_.sampling;
    if (s.temperature && (*s.temperature < 0 || *s.temperature > 1))
      fail("sampling.temperature", "is not from 0 to 1, which is what anthropic takes");
    if (!family_.takes_sampling)
      return check_no_sampling();
    if (s.temperature && s.top_p && request_.model.find("claude-3") == request_.model.npos)
      fail("sampling.top_p", "cannot be given beside temperature to " + request_.model);
    number("temperature", s.temperature, "sampling.temperature");
    number("top_p", s.top_p, "sampling.top_p");
    number("top_k", s.top_k, "sampling.top_k");
  }

  /// What says no more than the default is left out.
  void check_no_sampling() {
    auto& s = request_.sampling;
    auto refuse = [this](std::string_view field) {
      fail(field, "is nothing that " + request_.model + " takes", errc::unsupported,
           "leave it out, or use an older model");
    };
    if (s.temperature && *s.temperature != 1)
      refuse("sampling.temperature");
    if (s.top_p && *s.top_p != 1)
      refuse("sampling.top_p");
    if (s.top_k)
      refuse("sampling.top_k");
  }

  void write_stops() {
    auto& s = request_.sampling;
    if (std::any_of(s.stop.begin(), s.stop.end(), is_blank))
      fail("sampling.stop", "has a text of nothing but white space, which anthropic refuses");
    texts("stop_sequences", s.stop, "sampling.stop");
  }

  /// Fields that the provider has not got. A seed or penalty changes the answer, so they are refused, not ignored.
  void check_absent() {
    auto& s = request_.sampling;
    if (s.seed)
      unsupported("sampling.seed", "leave it out: answers cannot be made to repeat");
    if (s.frequency_penalty)
      unsupported("sampling.frequency_penalty", "leave it out");
    if (s.presence_penalty)
      unsupported("sampling.presence_penalty", "leave it out");
  }

  // -- marks for the cache ---------------------------------------------------------------

  /// The provider takes the first marks it meets and refuses more than four: here the last ones count, since the
  /// longest prefix saves most.
  void plan_marks() {
    std::size_t marks = 0;
    for (auto& tool : request_.tools)
      marks += tool.cache;
    for (auto& message : request_.messages)
      for (auto& part : message.content)
        marks += is_marked(part);
    if (marks <= max_marks)
      return;
    skipped_marks_ = marks - max_marks;
    warn("messages: anthropic takes four marks for its cache; of " + std::to_string(marks)
         + " the last four were sent");
  }

  static bool is_marked(const content_part& part) {
    struct visitor {
      bool operator()(const text_part& part) const { return part.cache && !is_blank(part.text); }
      bool operator()(const image_part& part) const { return part.cache; }
      bool operator()(const tool_result& result) const { return result.cache; }
      bool operator()(const tool_call&) const { return false; }
      bool operator()(const reasoning_part&) const { return false; }
    };
    return std::visit(visitor{}, part);
  }

  /// Writes a mark, if it is one of those that count.
  void write_mark(bool wanted) {
    if (!wanted || (skipped_marks_ > 0 && skipped_marks_-- > 0))
      return;
    out_.key("cache_control");
    auto is_long = request_.cache_ttl && *request_.cache_ttl > short_cache;
    out_.raw(is_long ? R"({"type":"ephemeral","ttl":"1h"})" : R"({"type":"ephemeral"})");
  }

  // -- the conversation --------------------------------------------------------------

  /// System prompts go into a field of their own, in front, wherever they stood.
  void write_system() {
    if (!has_system_prompts() || !begin("system"))
      return;
    list([this] {
      each_system_prompt("anthropic has system prompts before the conversation; it was moved there",
                         [this](auto& x) { write_parts(x); });
    });
  }

  void write_message(const chat_message& message) {
    object([&] {
      member_word("role", message.role == role::assistant ? "assistant" : "user");
      member_list("content", [&] { with_further_results(message, [this](auto& y) { write_parts(y); }); });
    });
  }

  void write_parts(const chat_message& message) {
    if (!check_content(message))
      return;
    leave_out_name(message, "anthropic");
    auto before = result_.body.size();
    each_part(message, [&](auto& part) {
      if (may_say(message.role, part))
        write_part(part);
    });
    if (result_.body.size() == before)
      fail("content", "has nothing that anthropic takes");
  }

  /// Writes an object of that type, the rest of it by `f`.
  template <class F>
  void typed(std::string_view type, F&& f) {
    object([&] {
      member_word("type", type);
      f();
    });
  }

  void write_part(const text_part& part) {
    if (is_blank(part.text))
      return; // the provider refuses them
    typed("text", [&] {
      member_text("text", part.text, "text");
      write_mark(part.cache);
    });
  }

  void write_part(const image_part& part) {
    if (!check_source(part))
      return;
    if (!part.detail.empty())
      warn(place() + "detail: anthropic has none; it was left out");
    typed("image", [&] {
      out_.key("source");
      typed(part.data.empty() ? "url" : "base64", [&] {
        if (part.data.empty())
          return member_text("url", part.url, "url");
        member_text("media_type", part.media_type, "media_type");
        member_text("data", part.data, "data");
      });
      write_mark(part.cache);
    });
  }

  void write_part(const tool_call& call) {
    require(call.id, "id");
    require(call.name, "name");
    typed("tool_use", [&] {
      member_id("id", call.id, "id");
      member_text("name", call.name, "name");
      out_.key("input");
      embed(call.arguments.empty() ? "{}" : call.arguments, "arguments");
    });
  }

  void write_part(const tool_result& result) {
    require(result.call_id, "call_id");
    typed("tool_result", [&] {
      member_id("tool_use_id", result.call_id, "call_id");
      member_text("content", result.content, "content");
      if (result.is_error)
        member_flag("is_error", true);
      write_mark(result.cache);
    });
  }

  /// Writes a call's id. Those of other providers may hold what this one refuses; a call and its result are changed
  /// alike.
  void member_id(std::string_view name, std::string_view id, std::string_view field) {
    auto is_plain = [](char c) { return ascii::is_alnum(c) || c == '_' || c == '-'; };
    if (std::all_of(id.begin(), id.end(), is_plain) || !utf8::is_valid(id))
      return member_text(name, id, field);
    std::string changed;
    for (char c : id)
      changed += is_plain(c) ? std::string{c} : "_" + std::to_string(static_cast<unsigned char>(c));
    member_text(name, changed, field);
  }

  /// Thinking goes back as it came, or not at all: the signature covers the text.
  void write_part(const reasoning_part& part) {
    auto seal = unsealed(part.signature, "anthropic");
    if (seal.empty())
      return warn(place() + "text: anthropic takes no reasoning back without a signature of its own; it was left out");
    if (seal.starts_with(redacted))
      return typed("redacted_thinking", [&] { member_text("data", seal.substr(redacted.size()), "signature"); });
    typed("thinking", [&] {
      member_text("thinking", part.text, "text");
      member_text("signature", seal, "signature");
    });
  }

  // -- tools -------------------------------------------------------------------------

  void write_tools() {
    if (!request_.tools.empty() && begin("tools"))
      write_tool_list([this](auto& tool) { write_tool(tool); });
    auto& choice = request_.tool_choice;
    if (choice.mode == tool_mode::automatic && choice.parallel != false)
      return;
    if (request_.tools.empty())
      refuse_choice(choice.mode);
    else if (begin("tool_choice"))
      write_choice(choice);
  }

  /// The provider takes none without tools.
  void refuse_choice(tool_mode mode) {
    if (mode == tool_mode::required || mode == tool_mode::named)
      return fail("tool_choice.mode", "asks for a call, but there are no tools", errc::invalid_request,
                  "give tools; with tools in extra, give tool_choice there, too");
    warn("tool_choice: left out, since there are no tools");
  }

  void write_tool(const tool_definition& tool) {
    require(tool.name, "name");
    object([&] {
      member_text("name", tool.name, "name");
      if (!tool.description.empty())
        member_text("description", tool.description, "description");
      out_.key("input_schema");
      embed(tool.parameters.empty() ? R"({"type":"object"})" : tool.parameters, "parameters");
      if (tool.strict)
        member_flag("strict", true);
      write_mark(tool.cache);
    });
  }

  void write_choice(const tool_choice& choice) {
    static constexpr auto modes = std::to_array<std::string_view>({"auto", "none", "any", "tool"});
    typed(modes[static_cast<std::size_t>(choice.mode)], [&] {
      if (choice.mode == tool_mode::named) {
        require(choice.name, "tool_choice.name");
        member_text("name", choice.name, "tool_choice.name");
      }
      if (choice.parallel == false && choice.mode != tool_mode::none)
        member_flag("disable_parallel_tool_use", true);
    });
  }

  const model_family& family_;
  thinking_plan plan_;
  std::size_t skipped_marks_ = 0; ///< Still to be left out.
};

} // namespace

std::variant<encoded_request, failure> write_request(const chat_request& request, bool stream) {
  return message_writer{request, stream}.run();
}

} // namespace modelforge::wire::anthropic
