#include "tools/simulator/anthropic/message_request.hpp"

#include "tools/simulator/anthropic/conversation_reader.hpp"
#include "tools/simulator/random.hpp"
#include "tools/simulator/seals.hpp"

#include <algorithm>
#include <initializer_list>
#include <utility>

namespace modelforge::simulator::anthropic {

namespace {

/// The versions of the API that the header `anthropic-version` may name; the newer one is stricter.
constexpr std::string_view current_version = "2026-10-21";
constexpr std::string_view older_version = "2023-06-01";
constexpr uint32_t tools_preamble = 300; ///< Tokens of what the API tells the model about tools.
constexpr int64_t min_budget = 1024;
constexpr uint32_t adaptive_budget = 4096;
constexpr std::string_view refusal_trigger = "ANTHROPIC_MAGIC_STRING_TRIGGER_REFUSAL";
constexpr std::string_view redaction_trigger = "ANTHROPIC_MAGIC_STRING_TRIGGER_REDACTED_THINKING";

/// The fields that both endpoints have, and those of messages alone.
constexpr std::string_view counted_fields[] = {
  "model", "messages", "system", "tools", "thinking", "tool_choice", "output_config", "cache_control", "output_format"};
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

/// Returns the shortest prefix that the model caches, in tokens.
uint32_t min_cacheable(std::string_view model) {
  return std::find_if(std::begin(lengths), std::end(lengths),
                      [&](auto& entry) { return model.starts_with(entry.model); })
    ->tokens;
}

/// Reads one request of the Messages API, field by field, tools before the system prompt before messages, as they are
/// cached; after the first fault nothing more is looked at. Used once for each request.
class request_reader final : conversation_reader {
public:
  /// `is_count`: the request only has its tokens counted.
  request_reader(const json& body, const exchange& incoming, bool is_count)
    : conversation_reader(body, incoming.settings, incoming.anthropic_version == current_version), is_count_(is_count) {
  }

  /// The first fault in this order is the answer. Tools, system and messages keep the order of the cached prompt.
  std::variant<message_request, api_error> read() {
    using step = void (request_reader::*)();
    for (step next : std::initializer_list<step>{
           &request_reader::check_fields, &request_reader::read_model, &request_reader::read_limits,
           &request_reader::read_tools, &request_reader::read_system, &request_reader::read_thinking,
           &request_reader::read_messages, &request_reader::read_sampling, &request_reader::read_choice,
           &request_reader::read_output, &request_reader::read_older_format, &request_reader::check_cache_control,
           &request_reader::check_length}) {
      (this->*next)();
      if (error_)
        return std::move(*error_);
    }
    return std::move(result_);
  }

private:
  // -- fields -------------------------------------------------------------------

  /// Unknown fields are errors; in the current version those for sampling are unknown.
  void check_fields() {
    for (const auto& [name, value] : body_.items())
      if (!contains(counted_fields, name) && (is_count_ || !contains(other_fields, name))
          && (is_count_ || is_current() || !contains(sampling_fields, name)))
        return fail(name + ": Extra inputs are not permitted");
  }

  /// The model comes before everything that takes part in the seed.
  void read_model() {
    auto model = string_in(body_, "model", "");
    if (!model)
      return;
    if (model->empty())
      return fail("model: String should have at least 1 character");
    if (model->starts_with("missing"))
      return fail("model: " + *model, 404);
    begin_with(*model);
    cache_blocks(min_cacheable(*model));
  }

  /// Reads `max_tokens`, which is required, and `stream`.
  void read_limits() {
    if (is_count_)
      return;
    result_.is_stream = bool_in(body_, "stream", "", false);
    auto max_tokens = integer_in(body_, "max_tokens", "", 0);
    if (!max_tokens)
      return fail_missing("max_tokens");
    result_.max_tokens = static_cast<uint32_t>(std::min<int64_t>(*max_tokens, UINT32_MAX));
    result_.is_warm_up = *max_tokens == 0;
    if (result_.is_warm_up && result_.is_stream)
      fail("max_tokens: 0 is not supported with streaming");
  }

  // -- how to answer --------------------------------------------------------------

  /// Reads whether the model thinks, how long, and whether the client sees it.
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
      result_.max_thinking = adaptive_budget;
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

  /// A budget counts against `max_tokens`.
  void read_budget(const json& thinking) {
    auto budget = integer_in(thinking, "budget_tokens", "thinking.enabled.", min_budget);
    if (!budget)
      return fail_missing("thinking.enabled.budget_tokens");
    if (result_.max_tokens && *budget >= *result_.max_tokens)
      return fail("`max_tokens` must be greater than `thinking.budget_tokens`. Please consult our documentation.");
    result_.max_thinking = static_cast<uint32_t>(std::min<int64_t>(*budget, UINT32_MAX));
    demand_thinking();
  }

  /// Sampling is checked but has no effect, except for the stop sequences.
  void read_sampling() {
    auto temperature = share_in("temperature");
    auto top_p = share_in("top_p");
    if (temperature && top_p && !is_old())
      return fail("`temperature` and `top_p` cannot both be specified for this model. Please use only one.");
    if (temperature && *temperature != 1 && result_.max_thinking > 0)
      return fail("`temperature` may only be set to 1 when thinking is enabled.");
    auto top_k = integer_in(body_, "top_k", "", 0);
    if (top_k && result_.max_thinking > 0)
      return fail("`top_k` must be unset when thinking is enabled.");
    auto stops = member(body_, "stop_sequences");
    if (!stops)
      return;
    if (!stops->is_array())
      return fail_type("stop_sequences", "a valid array", *stops);
    for (const auto& stop : *stops) {
      if (!stop.is_string())
        return fail_type("stop_sequences", "strings", stop);
      if (is_blank(stop.get_ref<const std::string&>()))
        return fail("stop_sequences: each stop sequence must contain non-whitespace");
      result_.stop.push_back(stop.get<std::string>());
    }
  }

  /// Reads the tools; each is a block of the cached prompt.
  void read_tools() {
    auto tools = member(body_, "tools");
    if (!tools)
      return;
    if (!tools->is_array())
      return fail_type("tools", "a valid array", *tools);
    if (!tools->empty())
      add_tokens(0, tools_preamble);
    for (std::size_t i = 0; i < tools->size() && !error_; ++i) {
      read_tool((*tools)[i], index_path("tools", i));
      close_block();
    }
  }

  /// Reads one tool. The mark for the cache is not part of what the model sees.
  void read_tool(const json& tool, const std::string& path) {
    if (!tool.is_object())
      return fail_type(path, "a valid dictionary", tool);
    auto type = string_in(tool, "type", path + ".", false);
    auto name = string_in(tool, "name", path + ".");
    if (!name)
      return;
    note_cache_control(tool, path);
    auto unmarked = tool;
    unmarked.erase("cache_control");
    absorb_size(unmarked);
    if (type && *type != "custom")
      return; // the provider's own tools: taken, never called
    auto where = path + ".custom.";
    if (!is_identifier(*name, 128))
      return fail(where + "name: String should match pattern '^[a-zA-Z0-9_-]{1,128}$'");
    auto schema = member(tool, "input_schema");
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

  /// Decides whether the answer calls functions; without being forced it says a few words before.
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
    if ((type == "any" || type == "tool") && result_.max_thinking > 0)
      return fail("Thinking may not be enabled when tool_choice forces tool use.");
    if (type == "any")
      return call_any();
    if (type == "tool")
      return call_chosen(*choice);
    if (type != "auto" && type != "none")
      return fail("tool_choice: Input tag '" + type + "' found; expected 'any', 'auto', 'none' or 'tool'");
    if (type == "auto" && is_asked())
      call_if_asked(is_parallel);
    result_.says_before_calls = true;
  }

  /// The request names the function.
  void call_chosen(const json& choice) {
    auto name = string_in(choice, "name", "tool_choice.tool.");
    if (name && !call_named(*name))
      fail("tool_choice.tool.name: Tool '" + *name + "' not found in provided tools");
  }

  /// Reads the form of the answer, and the test strings that ask for a refusal or encrypted thinking.
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
    if (auto format = member(*config, "format"))
      read_format(*format, "output_config.format");
  }

  /// Clients of the time when structured outputs were a beta give the form at another place.
  void read_older_format() {
    auto format = member(body_, "output_format");
    if (format == nullptr)
      return;
    if (result_.wanted == form::json_schema)
      return fail("output_format: This field is deprecated. Only one of 'output_format' and 'output_config.format' may "
                  "be given");
    read_format(*format, "output_format");
  }

  void read_format(const json& format, const std::string& path) {
    if (!format.is_object())
      return fail_type(path, "a valid dictionary", format);
    auto type = string_in(format, "type", path + ".");
    if (!type)
      return;
    if (*type != "json_schema")
      return fail(path + ".type: Input should be 'json_schema'");
    auto schema = member(format, "schema");
    if (!schema || !schema->is_object())
      return fail_missing(path + ".schema");
    result_.wanted = form::json_schema;
    result_.schema = *schema;
  }

  /// Too long a prompt is an error, not cut.
  void check_length() {
    if (result_.prompt_tokens > settings_.context_tokens)
      fail("prompt is too long: " + std::to_string(result_.prompt_tokens) + " tokens > "
           + std::to_string(settings_.context_tokens) + " maximum");
  }

  using form = generation::form;

  bool is_count_;
};

} // namespace

std::variant<message_request, api_error> read_message_request(const exchange& incoming, bool is_count) {
  if (incoming.anthropic_version.empty())
    return api_error{400, "anthropic-version: header is required"};
  if (incoming.anthropic_version != current_version && incoming.anthropic_version != older_version)
    return api_error{400,
                     "anthropic-version: \"" + std::string(incoming.anthropic_version) + "\" is not a valid version"};
  auto body = parse_object(incoming.body);
  if (auto problem = std::get_if<std::string>(&body))
    return api_error{400, *problem};
  return request_reader(std::get<json>(body), incoming, is_count).read();
}

std::string signature_of(std::string_view thinking, uint64_t seed) {
  return sealed(hash(thinking, seed), seed);
}

} // namespace modelforge::simulator::anthropic
