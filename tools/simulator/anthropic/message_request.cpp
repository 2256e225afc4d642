#include "tools/simulator/anthropic/message_request.hpp"

#include "tools/simulator/body_reader.hpp"
#include "tools/simulator/random.hpp"
#include "tools/simulator/seals.hpp"

#include <algorithm>
#include <utility>

namespace modelforge::simulator::anthropic {

namespace {

constexpr std::string_view current_version = "2026-10-21";
constexpr std::string_view older_version = "2023-06-01";
constexpr std::size_t most_breakpoints = 4;
constexpr uint32_t tools_preamble = 300; ///< Tokens of what the API tells the model about tools.
constexpr int64_t least_budget = 1024;
constexpr uint32_t adaptive_budget = 4096;
constexpr std::string_view refusal_trigger = "ANTHROPIC_MAGIC_STRING_TRIGGER_REFUSAL";
constexpr std::string_view redaction_trigger = "ANTHROPIC_MAGIC_STRING_TRIGGER_REDACTED_THINKING";

constexpr std::string_view counted_fields[] = {"model",    "messages",    "system",        "tools",
                                               "thinking", "tool_choice", "output_config", "cache_control"};
constexpr std::string_view other_fields[] = {"max_tokens",      "stream",       "stop_sequences", "metadata",
                                             "service_tier",    "container",    "inference_geo",  "speed",
                                             "user_profile_id", "workspace_id", "diagnostics"};
constexpr std::string_view sampling_fields[] = {"temperature", "top_p", "top_k"};

/// Least length of a cached prefix, by the beginning of the model's name.
struct cacheable_length {
  std::string_view model;
  uint32_t tokens;
};

constexpr cacheable_length lengths[] = {
  {"claude-opus-5", 512},    {"claude-fable-5", 512},    {"claude-mythos-5", 512},
  {"claude-opus-4-7", 2048}, {"claude-3-5-haiku", 2048}, {"claude-opus-4-6", 4096},
  {"claude-opus-4-5", 4096}, {"claude-haiku-4-5", 4096}, {"", 1024}};

uint32_t least_cacheable(std::string_view model) {
  return std::find_if(std::begin(lengths), std::end(lengths), [&](auto& x) { return model.starts_with(x.model); })
    ->tokens;
}

template <class List>
bool contains(const List& list, std::string_view x) {
  return std::find(std::begin(list), std::end(list), x) != std::end(list);
}

std::string at(const std::string& path, std::size_t i) {
  return path + "." + std::to_string(i);
}

bool is_blank(std::string_view text) {
  return text.find_first_not_of(" \t\r\n") == text.npos;
}

/// Returns whether `text` has 1 to `most` letters, digits, underscores and hyphens, and nothing else.
bool is_identifier(std::string_view text, std::size_t most) {
  return !text.empty() && text.size() <= most
         && text.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") == text.npos;
}

std::string list_of(const std::vector<std::string>& ids) {
  std::string text;
  for (const auto& x : ids)
    text += (text.empty() ? "" : ", ") + x;
  return text;
}

/// Reads one request, field by field; after the first fault nothing more is looked at.
class request_reader final : body_reader {
public:
  request_reader(const json& body, const exchange& x, bool is_count)
    : body_reader(body, x.settings, result_), is_count_(is_count), is_current_(x.anthropic_version == current_version) {
  }

  std::variant<message_request, api_error> read() {
    for (auto step :
         {&request_reader::check_fields, &request_reader::read_model, &request_reader::read_limits,
          &request_reader::read_tools, &request_reader::read_system, &request_reader::read_thinking,
          &request_reader::read_messages, &request_reader::read_sampling, &request_reader::read_choice,
          &request_reader::read_output, &request_reader::check_cache_control, &request_reader::check_length}) {
      (this->*step)();
      if (error_)
        return std::move(*error_);
    }
    return std::move(result_);
  }

private:
  // -- faults -------------------------------------------------------------------

  void fail(std::string message, int status = 400) { body_reader::fail({status, std::move(message)}); }

  void fail_missing(const std::string& path) override { fail(path + ": Field required"); }

  void fail_type(const std::string& path, std::string_view expected, const json& found) override {
    fail(path + ": Input should be " + std::string(expected) + ", but is " + type_of(found));
  }

  // -- numbers ------------------------------------------------------------------

  std::optional<int64_t> integer_in(const json& x, std::string_view name, const std::string& path, int64_t least) {
    auto value = member(x, name);
    if (!value)
      return std::nullopt;
    auto where = path + std::string(name);
    if (!value->is_number_integer()) {
      fail_type(where, "a valid integer", *value);
      return std::nullopt;
    }
    auto is_huge = value->is_number_unsigned() && value->get<uint64_t>() > INT64_MAX;
    auto number = is_huge ? INT64_MAX : value->get<int64_t>();
    if (number < least)
      fail(where + ": Input should be greater than or equal to " + std::to_string(least));
    return number;
  }

  std::optional<double> share_in(std::string_view name) {
    auto value = member(body_, name);
    if (!value)
      return std::nullopt;
    if (!value->is_number())
      fail_type(std::string(name), "a valid number", *value);
    else if (!(value->get<double>() >= 0 && value->get<double>() <= 1))
      fail(std::string(name) + ": range: 0..1");
    else
      return value->get<double>();
    return std::nullopt;
  }

  /// Models from 4 on are stricter.
  bool is_old() const { return result_.model.starts_with("claude-3") || result_.model.starts_with("claude-2"); }

  // -- fields -------------------------------------------------------------------

  void check_fields() {
    for (const auto& [name, value] : body_.items())
      if (!contains(counted_fields, name) && (is_count_ || !contains(other_fields, name))
          && (is_count_ || is_current_ || !contains(sampling_fields, name)))
        return fail(name + ": Extra inputs are not permitted");
  }

  void read_model() {
    auto model = string_in(body_, "model", "");
    if (!model)
      return;
    if (model->empty())
      return fail("model: String should have at least 1 character");
    if (model->starts_with("missing"))
      return fail("model: " + *model, 404);
    begin_with(*model);
    cache_blocks(least_cacheable(*model));
  }

  void read_limits() {
    if (is_count_)
      return;
    result_.is_stream = bool_in(body_, "stream", "", false);
    auto most = integer_in(body_, "max_tokens", "", 0);
    if (!most)
      return fail_missing("max_tokens");
    result_.max_tokens = static_cast<uint32_t>(std::min<int64_t>(*most, UINT32_MAX));
    result_.is_warm_up = *most == 0;
    if (result_.is_warm_up && result_.is_stream)
      fail("max_tokens: 0 is not supported with streaming");
  }

  // -- content ------------------------------------------------------------------

  void read_system() {
    auto system = member(body_, "system");
    if (!system)
      return;
    if (system->is_string()) {
      absorb(system->get_ref<const std::string&>());
      return close_block();
    }
    if (!system->is_array())
      return fail_type("system", "a valid string or an array of blocks", *system);
    for (std::size_t i = 0; i < system->size() && !error_; ++i) {
      const auto& block = (*system)[i];
      auto path = at("system", i);
      auto type = block.is_object() ? string_in(block, "type", path + ".") : nullptr;
      if (!type)
        return block.is_object() ? void() : fail_type(path, "a valid dictionary", block);
      if (*type != "text")
        return fail(path + ".type: Input should be 'text'");
      read_text(block, path);
      close_block();
    }
  }

  void read_messages() {
    auto messages = member(body_, "messages");
    if (!messages)
      return fail_missing("messages");
    if (!messages->is_array())
      return fail_type("messages", "a valid array", *messages);
    if (messages->empty())
      return fail("messages: at least one message is required");
    mix_in(member(body_, "thinking") ? "thinking" : "");
    for (auto name : {"thinking", "tool_choice"}) // a change of these changes what comes after
      if (auto value = member(body_, name))
        add_tokens(hash(value->dump(), 0), 0);
    for (std::size_t i = 0; i < messages->size() && !error_; ++i)
      read_message((*messages)[i], at("messages", i));
    if (error_)
      return;
    if (!open_uses_.empty())
      return fail_open_uses();
    if (last_role_ == "assistant" && !is_old())
      return fail("This model does not support assistant message prefill. The conversation must end with a user "
                  "message.");
    if (demands_thinking_ && ends_with_results_ && !began_with_thinking_)
      fail(assistant_path_
           + ".content.0.type: Expected `thinking` or `redacted_thinking`, but found another block. When `thinking` is "
             "enabled, a final `assistant` message must start with a thinking block (preceding the lastmost set of "
             "`tool_use` and `tool_result` blocks).");
  }

  void read_message(const json& x, const std::string& path) {
    if (!x.is_object())
      return fail_type(path, "a valid dictionary", x);
    auto role = string_in(x, "role", path + ".");
    if (!role)
      return;
    if (*role == "system")
      return fail("messages: Unexpected role \"system\". The Messages API accepts a top-level `system` parameter, not "
                  "\"system\" as an input message role.");
    if (*role != "user" && *role != "assistant")
      return fail(path + ".role: Input should be 'user' or 'assistant'");
    if (*role == "assistant" && !open_uses_.empty())
      return fail_open_uses();
    last_role_ = *role;
    ends_with_results_ = has_text_ = false;
    absorb_frame(*role);
    if (*role == "assistant") {
      assistant_path_ = path;
      began_with_thinking_ = false;
    }
    text_.clear();
    read_content(x, path);
    if (!error_ && *role == "user" && !open_uses_.empty())
      return fail_open_uses();
    if (*role == "user" && has_text_)
      result_.prompt = std::move(text_);
  }

  void read_content(const json& x, const std::string& path) {
    auto content = member(x, "content");
    if (!content)
      return fail_missing(path + ".content");
    if (content->is_string()) {
      text_ = content->get_ref<const std::string&>();
      if (text_.empty())
        return fail(path + ": " + last_role_ + " messages must have non-empty content");
      has_text_ = true;
      absorb(text_);
      return close_block();
    }
    if (!content->is_array())
      return fail_type(path + ".content", "a valid string or an array of blocks", *content);
    if (content->empty())
      return fail(path + ": " + last_role_ + " messages must have non-empty content");
    leading_ = true;
    path_ = path;
    for (std::size_t i = 0; i < content->size() && !error_; ++i) {
      read_block((*content)[i], at(path + ".content", i), i == 0);
      close_block();
    }
  }

  void read_block(const json& x, const std::string& path, bool is_first) {
    if (!x.is_object())
      return fail_type(path, "a valid dictionary", x);
    auto type = string_in(x, "type", path + ".");
    if (!type)
      return;
    leading_ = leading_ && *type == "tool_result";
    auto is_assistant = last_role_ == "assistant";
    if (*type == "text")
      return read_text(x, path);
    if (*type == "tool_use" && is_assistant)
      return read_use(x, path);
    if (*type == "tool_result" && !is_assistant)
      return read_result(x, path);
    if ((*type == "image" && !is_assistant) || (*type == "document" && !(is_assistant && is_current_)))
      return read_media(x, path, *type);
    if ((*type == "thinking" || *type == "redacted_thinking") && is_assistant) {
      began_with_thinking_ = began_with_thinking_ || is_first;
      return *type == "thinking" ? read_thought(x, path) : read_redacted(x, path);
    }
    fail(path + ": Input tag '" + *type + "' is not expected in a message of the role '" + last_role_ + "'");
  }

  void read_text(const json& x, const std::string& path) {
    auto text = string_in(x, "text", path + ".");
    if (!text)
      return;
    if (is_blank(*text))
      return fail(text->empty() ? "messages: text content blocks must be non-empty"
                                : "messages: text content blocks must contain non-whitespace text");
    auto citations = member(x, "citations");
    if (citations && !citations->empty() && last_role_ == "user" && is_current_)
      return fail(path + ".citations: citations are not permitted in user messages");
    note_cache_control(x, path);
    absorb(*text);
    text_ += (text_.empty() ? "" : "\n") + *text;
    has_text_ = true;
  }

  void read_media(const json& x, const std::string& path, std::string_view type) {
    static constexpr std::string_view images[] = {"image/jpeg", "image/png", "image/gif", "image/webp"};
    auto source = member(x, "source");
    if (!source || !source->is_object())
      return fail_missing(path + ".source");
    auto where = path + ".source.";
    auto kind = string_in(*source, "type", where);
    if (!kind)
      return;
    if (*kind == "base64") {
      auto media = string_in(*source, "media_type", where);
      auto data = string_in(*source, "data", where);
      if (media && type == "image" && !contains(images, *media))
        return fail(where
                    + "base64.media_type: Input should be 'image/jpeg', 'image/png', 'image/gif' or 'image/webp'");
      if (data && data->empty())
        return fail(where + "base64: " + std::string(type) + " cannot be empty");
    } else if (*kind == "url") {
      auto url = string_in(*source, "url", where);
      if (url && !url->starts_with("https://") && !url->starts_with("http://"))
        return fail(where + "url.url: Only HTTPS URLs are supported.");
    } else if (*kind != "file" && (type == "image" || (*kind != "text" && *kind != "content"))) {
      return fail(where + "type: Input tag '" + *kind + "' found does not match any of the expected tags");
    }
    note_cache_control(x, path);
    absorb_media(*source);
  }

  void read_thought(const json& x, const std::string& path) {
    auto text = string_in(x, "thinking", path + ".");
    auto signature = string_in(x, "signature", path + ".");
    if (!text || !signature)
      return;
    if (*signature != signature_of(*text, settings_.seed))
      return fail(path + ": Invalid `signature` in `thinking` block");
    if (member(x, "cache_control"))
      return fail(path + ".thinking.cache_control: Extra inputs are not permitted");
    absorb(*text);
  }

  void read_redacted(const json& x, const std::string& path) {
    auto data = string_in(x, "data", path + ".");
    if (data && !unsealed(*data, settings_.seed))
      return fail(path + ": Invalid `data` in `redacted_thinking` block");
    if (data)
      absorb(*data);
  }

  void read_use(const json& x, const std::string& path) {
    auto id = string_in(x, "id", path + ".");
    auto name = string_in(x, "name", path + ".");
    if (!id || !name)
      return;
    if (!is_identifier(*id, 256))
      return fail(path + ".tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'");
    if (contains(used_ids_, *id))
      return fail("messages: `tool_use` ids must be unique");
    auto input = member(x, "input");
    if (!input)
      return fail_missing(path + ".tool_use.input");
    if (!input->is_object())
      return fail_type(path + ".tool_use.input", "a valid dictionary", *input);
    used_ids_.push_back(*id);
    open_uses_.push_back(*id);
    note_cache_control(x, path);
    absorb(*name);
    absorb(input->dump());
  }

  void read_result(const json& x, const std::string& path) {
    auto id = string_in(x, "tool_use_id", path + ".");
    if (!id)
      return;
    auto open = std::find(open_uses_.begin(), open_uses_.end(), *id);
    if (open == open_uses_.end())
      return fail(path + ": unexpected `tool_use_id` found in `tool_result` blocks: " + *id
                  + ". Each `tool_result` block must have a corresponding `tool_use` block in the previous message.");
    if (!leading_)
      return fail_open_uses();
    open_uses_.erase(open);
    ends_with_results_ = true;
    note_cache_control(x, path);
    bool_in(x, "is_error", path + ".", false);
    auto content = member(x, "content");
    if (content && content->is_string())
      return absorb(content->get_ref<const std::string&>());
    if (content && !content->is_array())
      return fail_type(path + ".content", "a valid string or an array of blocks", *content);
    auto text = std::move(text_);
    auto had_text = has_text_;
    for (std::size_t i = 0; content && i < content->size() && !error_; ++i)
      read_result_block((*content)[i], at(path + ".content", i));
    text_ = std::move(text); // a result is no prompt
    has_text_ = had_text;
  }

  void read_result_block(const json& x, const std::string& path) {
    auto type = x.is_object() ? string_in(x, "type", path + ".") : nullptr;
    if (!type)
      return x.is_object() ? void() : fail_type(path, "a valid dictionary", x);
    if (*type == "text")
      return read_text(x, path);
    if (*type == "image" || *type == "document")
      return read_media(x, path, *type);
    fail(path + ".type: Input tag '" + *type + "' found does not match any of the expected tags");
  }

  void fail_open_uses() {
    fail(path_after(assistant_path_)
         + ": `tool_use` ids were found without `tool_result` blocks immediately after: " + list_of(open_uses_)
         + ". Each `tool_use` block must have a corresponding `tool_result` block in the next message.");
  }

  /// The message after that one is where its results should be.
  static std::string path_after(const std::string& path) {
    auto dot = path.rfind('.') + 1;
    return path.substr(0, dot) + std::to_string(std::stoul(path.substr(dot)) + 1);
  }

  // -- how to answer --------------------------------------------------------------

  void read_thinking() {
    auto thinking = member(body_, "thinking");
    if (!thinking)
      return;
    if (!thinking->is_object())
      return fail_type("thinking", "a valid dictionary", *thinking);
    auto type = string_in(*thinking, "type", "thinking.");
    if (!type)
      return;
    if (*type == "disabled")
      return;
    if (*type == "adaptive")
      result_.most_thinking = adaptive_budget;
    else if (*type == "enabled")
      read_budget(*thinking);
    else
      return fail("thinking.type: Input tag '" + *type + "' found; expected 'enabled', 'adaptive' or 'disabled'");
    if (auto display = string_in(*thinking, "display", "thinking.", false)) {
      if (*display != "summarized" && *display != "omitted")
        return fail("thinking.display: Input should be 'summarized' or 'omitted'");
      result_.hides_thinking = *display == "omitted";
    }
  }

  void read_budget(const json& thinking) {
    auto budget = integer_in(thinking, "budget_tokens", "thinking.enabled.", least_budget);
    if (!budget)
      return fail_missing("thinking.enabled.budget_tokens");
    if (result_.max_tokens && *budget >= *result_.max_tokens)
      return fail("`max_tokens` must be greater than `thinking.budget_tokens`. Please consult our documentation.");
    result_.most_thinking = static_cast<uint32_t>(std::min<int64_t>(*budget, UINT32_MAX));
    demands_thinking_ = true;
  }

  void read_sampling() {
    auto temperature = share_in("temperature");
    auto top_p = share_in("top_p");
    if (temperature && top_p && !is_old())
      return fail("`temperature` and `top_p` cannot both be specified for this model. Please use only one.");
    if (temperature && *temperature != 1 && result_.most_thinking > 0)
      return fail("`temperature` may only be set to 1 when thinking is enabled.");
    auto top_k = integer_in(body_, "top_k", "", 0);
    if (top_k && result_.most_thinking > 0)
      return fail("`top_k` must be unset when thinking is enabled.");
    auto stops = member(body_, "stop_sequences");
    if (!stops)
      return;
    if (!stops->is_array())
      return fail_type("stop_sequences", "a valid array", *stops);
    for (const auto& x : *stops) {
      if (!x.is_string())
        return fail_type("stop_sequences", "strings", x);
      if (is_blank(x.get_ref<const std::string&>()))
        return fail("stop_sequences: each stop sequence must contain non-whitespace");
      result_.stop.push_back(x.get<std::string>());
    }
  }

  void read_tools() {
    auto tools = member(body_, "tools");
    if (!tools)
      return;
    if (!tools->is_array())
      return fail_type("tools", "a valid array", *tools);
    if (!tools->empty())
      add_tokens(0, tools_preamble);
    for (std::size_t i = 0; i < tools->size() && !error_; ++i) {
      read_tool((*tools)[i], at("tools", i));
      close_block();
    }
  }

  void read_tool(const json& x, const std::string& path) {
    if (!x.is_object())
      return fail_type(path, "a valid dictionary", x);
    auto type = string_in(x, "type", path + ".", false);
    auto name = string_in(x, "name", path + ".");
    if (!name)
      return;
    note_cache_control(x, path);
    auto unmarked = x;
    unmarked.erase("cache_control");
    absorb_size(unmarked);
    if (type && *type != "custom")
      return; // the provider's own tools: taken, never called
    auto where = path + ".custom.";
    if (!is_identifier(*name, 128))
      return fail(where + "name: String should match pattern '^[a-zA-Z0-9_-]{1,128}$'");
    auto schema = member(x, "input_schema");
    if (!schema)
      return fail_missing(where + "input_schema");
    if (!schema->is_object())
      return fail_type(where + "input_schema", "a valid dictionary", *schema);
    auto kind = string_in(*schema, "type", where + "input_schema.");
    if (kind && *kind != "object")
      return fail(where + "input_schema.type: Input should be 'object'");
    for (const auto& other : offers())
      if (other.name == *name)
        return fail("tools: Tool names must be unique.");
    offer(*name, schema);
  }

  void read_choice() {
    auto choice = member(body_, "tool_choice");
    auto is_parallel = true;
    std::string type = "auto";
    if (choice) {
      if (!choice->is_object())
        return fail_type("tool_choice", "a valid dictionary", *choice);
      auto given = string_in(*choice, "type", "tool_choice.");
      if (!given)
        return;
      type = *given;
      is_parallel = !bool_in(*choice, "disable_parallel_tool_use", "tool_choice." + type + ".", false);
      if (!member(body_, "tools") && type != "none")
        return fail("tool_choice may only be specified while providing tools.");
    }
    if ((type == "any" || type == "tool") && result_.most_thinking > 0)
      return fail("Thinking may not be enabled when tool_choice forces tool use.");
    if (type == "any")
      return call_any();
    if (type == "tool")
      return call_chosen(*choice);
    if (type != "auto" && type != "none")
      return fail("tool_choice: Input tag '" + type + "' found; expected 'any', 'auto', 'none' or 'tool'");
    if (type == "auto" && has_text_ && !ends_with_results_)
      call_if_asked(is_parallel);
    result_.says_before_calls = true;
  }

  void call_chosen(const json& choice) {
    auto name = string_in(choice, "name", "tool_choice.tool.");
    if (name && !call_named(*name))
      fail("tool_choice.tool.name: Tool '" + *name + "' not found in provided tools");
  }

  void read_output() {
    result_.is_refused = result_.prompt.find(refusal_trigger) != std::string::npos;
    result_.is_redacted = result_.prompt.find(redaction_trigger) != std::string::npos;
    auto config = member(body_, "output_config");
    if (!config)
      return;
    if (!config->is_object())
      return fail_type("output_config", "a valid dictionary", *config);
    static constexpr std::string_view efforts[] = {"low", "medium", "high", "xhigh", "max"};
    if (auto effort = string_in(*config, "effort", "output_config.", false); effort && !contains(efforts, *effort))
      return fail("output_config.effort: Input should be 'low', 'medium', 'high', 'xhigh' or 'max'");
    auto format = member(*config, "format");
    if (!format)
      return;
    if (!format->is_object())
      return fail_type("output_config.format", "a valid dictionary", *format);
    auto type = string_in(*format, "type", "output_config.format.");
    if (!type)
      return;
    if (*type != "json_schema")
      return fail("output_config.format.type: Input should be 'json_schema'");
    auto schema = member(*format, "schema");
    if (!schema || !schema->is_object())
      return fail_missing("output_config.format.schema");
    result_.wanted = form::json_schema;
    result_.schema = *schema;
  }

  // -- caching ------------------------------------------------------------------

  void note_cache_control(const json& x, const std::string& path) {
    auto mark = member(x, "cache_control");
    if (!mark || error_)
      return;
    auto where = path + ".cache_control";
    if (!mark->is_object())
      return fail_type(where, "a valid dictionary", *mark);
    auto type = string_in(*mark, "type", where + ".");
    if (!type)
      return;
    if (*type != "ephemeral")
      return fail(where + ".type: Input should be 'ephemeral'");
    auto ttl = string_in(*mark, "ttl", where + ".", false);
    if (ttl && *ttl != "5m" && *ttl != "1h")
      return fail(where + ".ttl: Input should be '5m' or '1h'");
    auto is_long = ttl && *ttl == "1h";
    if (is_long && has_short_mark_)
      return fail(
        where
        + ".ttl: a ttl='1h' cache_control block must not come after a ttl='5m' cache_control block. Note that "
          "blocks are processed in the following order: `tools`, `system`, `messages`.");
    has_short_mark_ = has_short_mark_ || !is_long;
    mark_ = is_long;
    ++marks_;
  }

  /// A block ends here; it is a breakpoint if it was marked, itself or inside.
  void close_block() {
    end_block();
    if (auto mark = std::exchange(mark_, std::nullopt))
      add_breakpoint(*mark);
  }

  void check_cache_control() {
    note_cache_control(body_, ""); // of the last block, by itself
    if (auto mark = std::exchange(mark_, std::nullopt))
      add_breakpoint(*mark);
    finish_cacheable();
    if (marks_ > most_breakpoints)
      fail("A maximum of 4 blocks with cache_control may be provided. Found " + std::to_string(marks_) + ".");
  }

  void check_length() {
    if (result_.prompt_tokens > settings_.context_tokens)
      fail("prompt is too long: " + std::to_string(result_.prompt_tokens) + " tokens > "
           + std::to_string(settings_.context_tokens) + " maximum");
  }

  using form = generation::form;

  message_request result_;
  bool is_count_;
  bool is_current_; ///< The request is of the version that has no sampling parameters.
  std::string last_role_;
  std::string path_;           ///< Of the message.
  std::string assistant_path_; ///< Of the last message of the assistant.
  std::string text_;           ///< Of the message so far.
  std::vector<std::string> used_ids_;
  std::vector<std::string> open_uses_; ///< Ids of its calls that still want their results.
  std::size_t marks_ = 0;              ///< Of caching.
  std::optional<bool> mark_;           ///< Of the present block: whether it is for an hour.
  bool has_short_mark_ = false;
  bool has_text_ = false;          ///< The message has.
  bool leading_ = false;           ///< Only results came in this message so far.
  bool ends_with_results_ = false; ///< The last message has some.
  bool began_with_thinking_ = false;
  bool demands_thinking_ = false;
};

} // namespace

std::variant<message_request, api_error> read_message_request(const exchange& x, bool is_count) {
  if (x.anthropic_version.empty())
    return api_error{400, "anthropic-version: header is required"};
  if (x.anthropic_version != current_version && x.anthropic_version != older_version)
    return api_error{400, "anthropic-version: \"" + std::string(x.anthropic_version) + "\" is not a valid version"};
  auto body = parse_object(x.body);
  if (auto problem = std::get_if<std::string>(&body))
    return api_error{400, *problem};
  return request_reader(std::get<json>(body), x, is_count).read();
}

std::string signature_of(std::string_view thinking, uint64_t seed) {
  return sealed(hash(thinking, seed), seed);
}

} // namespace modelforge::simulator::anthropic
