#include "tools/simulator/gemini/content_request.hpp"

#include "tools/simulator/gemini/contents_reader.hpp"
#include "tools/simulator/gemini/gemini.hpp"

#include <algorithm>
#include <initializer_list>

namespace modelforge::simulator::gemini {

namespace {

constexpr std::size_t max_stops = 5;
constexpr uint32_t automatic_thinking = 4096; ///< Tokens, where no budget says otherwise.

/// The fields that Google knows, used or not; others are errors.
constexpr std::string_view request_fields[] = {
  "contents",          "tools",         "toolConfig",       "safetySettings", "model",
  "systemInstruction", "cachedContent", "generationConfig", "serviceTier",    "store"};
constexpr std::string_view config_fields[] = {"stopSequences",
                                              "responseMimeType",
                                              "responseSchema",
                                              "responseJsonSchema",
                                              "responseModalities",
                                              "candidateCount",
                                              "maxOutputTokens",
                                              "temperature",
                                              "topP",
                                              "topK",
                                              "seed",
                                              "presencePenalty",
                                              "frequencyPenalty",
                                              "responseLogprobs",
                                              "logprobs",
                                              "enableEnhancedCivicAnswers",
                                              "speechConfig",
                                              "thinkingConfig",
                                              "imageConfig",
                                              "mediaResolution"};
constexpr std::string_view thinking_fields[] = {"includeThoughts", "thinkingBudget", "thinkingLevel"};
bool is_name(std::string_view text) {
  constexpr std::string_view letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_";
  constexpr std::string_view others = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789.:-";
  return !text.empty() && text.size() <= 64 && letters.find(text[0]) != letters.npos
         && text.find_first_not_of(others) == text.npos;
}

/// Reads one request of generateContent or countTokens, field by field; after the first fault nothing more is looked
/// at. Used once for each request.
class request_reader final : contents_reader {
public:
  /// `is_count`: only the contents matter. Models from 3 on want their signatures back.
  request_reader(const json& body, const exchange& incoming, std::string_view model, bool is_count)
    : contents_reader(body, incoming.settings, !model.starts_with("gemini-1") && !model.starts_with("gemini-2")),
      is_count_(is_count) {
    cache_steps(model.starts_with("gemini-3") ? 4096 : 2048);
    begin_with(std::string(model));
  }

  std::variant<content_request, api_error> read() {
    using step = void (request_reader::*)();
    for (step next : std::initializer_list<step>{&request_reader::check_fields, &request_reader::read_seed,
                                                 &request_reader::read_tools, &request_reader::read_system,
                                                 &request_reader::read_contents, &request_reader::read_config,
                                                 &request_reader::choose_calls, &request_reader::check_length}) {
      (this->*next)();
      if (error_)
        return std::move(*error_);
    }
    return std::move(result_);
  }

private:
  // -- contents -----------------------------------------------------------------

  void check_fields() { fail(unknown_field(body_, "", request_fields)); }

  /// The seed comes first, so that it changes all that follows.
  void read_seed() {
    auto config = object_in(body_, "generationConfig", "");
    if (auto seed = config ? field(*config, "seed") : nullptr) {
      if (!seed->is_number_integer())
        return fail(wrong_type("generation_config.seed", "TYPE_INT32", *seed));
      mix_in(seed->dump());
    }
  }

  // -- how to answer --------------------------------------------------------------

  /// Reads `generationConfig`; a signature that is missing is found only once all contents are read.
  void read_config() {
    if (!unsigned_call().empty())
      return fail("Function call is missing a thought_signature in functionCall parts. This is required for tools to "
                  "work correctly, and missing thought_signature may lead to degraded model performance. Additional "
                  "data, function call `default_api:"
                  + unsigned_call()
                  + "`. Please refer to https://ai.google.dev/gemini-api/docs/thought-signatures for more details.");
    auto config = object_in(body_, "generationConfig", "");
    if (!config)
      return;
    const std::string path = "generation_config.";
    if (auto error = unknown_field(*config, "generation_config", config_fields))
      return fail(std::move(error));
    read_sampling(*config, path);
    read_thinking(*config, path + "thinking_config.");
    read_format(*config, path);
  }

  /// Sampling is checked but has no effect, except for length, candidates and stop sequences.
  void read_sampling(const json& config, const std::string& path) {
    auto temperature = number_in(config, "temperature", path);
    if (temperature && !(temperature->get<double>() >= 0 && temperature->get<double>() <= 2))
      return fail("Unable to submit request because it has a temperature value of " + temperature->dump()
                  + " but the supported range is from 0 (inclusive) to 2.0001 (exclusive).");
    auto top_p = number_in(config, "topP", path);
    if (top_p && !(top_p->get<double>() >= 0 && top_p->get<double>() <= 1))
      return fail("Unable to submit request because it has a topP value of " + top_p->dump()
                  + " but the supported range is from 0 (inclusive) to 1.0001 (exclusive).");
    number_in(config, "topK", path);
    number_in(config, "presencePenalty", path);
    number_in(config, "frequencyPenalty", path);
    result_.choices = static_cast<uint32_t>(integer_in(config, "candidateCount", path, 1, 8).value_or(1));
    if (auto max_tokens = integer_in(config, "maxOutputTokens", path, 1, INT32_MAX))
      result_.max_tokens = static_cast<uint32_t>(*max_tokens);
    auto stops = array_in(config, "stopSequences", path);
    if (stops && stops->size() > max_stops)
      return fail("* GenerateContentRequest.generation_config.stop_sequences: at most 5 stop sequences are allowed.");
    for (std::size_t i = 0; stops && i < stops->size(); ++i)
      (*stops)[i].is_string() ? result_.stop.push_back((*stops)[i].get<std::string>())
                              : fail(wrong_type(path + index_path("stop_sequences", i), "TYPE_STRING", (*stops)[i]));
    std::erase(result_.stop, "");
  }

  /// A budget of -1 leaves it to the model; 0 turns thinking off.
  void read_thinking(const json& config, const std::string& path) {
    auto thinking = object_in(config, "thinkingConfig", "generation_config.");
    if (!thinking)
      return;
    fail(unknown_field(*thinking, "generation_config.thinking_config", thinking_fields));
    auto shows = field(*thinking, "includeThoughts");
    if (shows && !shows->is_boolean())
      return fail(wrong_type(path + "include_thoughts", "TYPE_BOOL", *shows));
    result_.shows_thoughts = shows && shows->get<bool>();
    auto budget = integer_in(*thinking, "thinkingBudget", path, -1, 65'536);
    auto level = string_in_either(*thinking, "thinkingLevel", path);
    if (budget && level)
      return fail("You can only set only one of thinking budget and thinking level.");
    static constexpr std::string_view levels[] = {"minimal", "low", "medium", "high"};
    auto lower = level ? *level : "low";
    std::transform(lower.begin(), lower.end(), lower.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? c | 0x20 : c; });
    if (std::find(std::begin(levels), std::end(levels), lower) == std::end(levels))
      return fail("Invalid value at '" + path + "thinking_level', \"" + *level + "\"");
    result_.max_thinking = budget.value_or(-1) == -1 ? automatic_thinking : static_cast<uint32_t>(budget.value_or(0));
  }

  /// Reads the form of the answer; a schema comes in Google's own form or as JSON Schema.
  void read_format(const json& config, const std::string& path) {
    auto type = string_in_either(config, "responseMimeType", path);
    auto own = field(config, "responseSchema");
    auto standard = field(config, "responseJsonSchema");
    auto is_json = type && *type == "application/json";
    if (type && !is_json && *type != "text/plain" && *type != "text/x.enum")
      return fail("* GenerateContentRequest.generation_config.response_mime_type: allowed mimetypes are `text/plain`, "
                  "`application/json`, `application/xml`, `application/yaml` and `text/x.enum`.\n");
    if (own && standard)
      return fail("Only one of response_schema and response_json_schema can be set.");
    if ((own || standard) && !is_json)
      return fail("Unable to submit request because response_schema requires response_mime_type `application/json`.");
    if (is_json)
      result_.wanted = own || standard ? form::json_schema : form::json_object;
    if (own)
      return fail(read_schema(*own, path + "response_schema", result_.schema));
    if (standard)
      result_.schema = *standard;
  }

  // -- tools ----------------------------------------------------------------------

  /// Reads the functions; the other kinds of tools are taken and never called.
  void read_tools() {
    auto tools = array_in(body_, "tools", "");
    for (std::size_t i = 0; tools && i < tools->size() && !error_; ++i) {
      auto path = index_path("tools", i);
      if (!(*tools)[i].is_object())
        return fail(wrong_type(path, "type.googleapis.com/google.ai.generativelanguage.v1beta.Tool", (*tools)[i]));
      auto functions = array_in((*tools)[i], "functionDeclarations", path + ".");
      for (std::size_t j = 0; functions && j < functions->size() && !error_; ++j)
        read_function((*functions)[j], path + "." + index_path("function_declarations", j));
    }
  }

  /// Reads one declaration, whose schema comes in either form.
  void read_function(const json& function, const std::string& path) {
    static constexpr std::string_view fields[] = {"name",     "description",          "behavior",          "parameters",
                                                  "response", "parametersJsonSchema", "responseJsonSchema"};
    if (!function.is_object())
      return fail(
        wrong_type(path, "type.googleapis.com/google.ai.generativelanguage.v1beta.FunctionDeclaration", function));
    if (auto error = unknown_field(function, path, fields))
      return fail(std::move(error));
    auto name = string_in(function, "name", path + ".");
    if (!name)
      return;
    if (!is_name(*name))
      return fail("* GenerateContentRequest." + path
                  + ".name: Invalid function name. Must start with a letter or an underscore. Must be alphanumeric "
                    "(a-z, A-Z, 0-9), underscores (_), dots (.), colons (:), or dashes (-), with a maximum length of "
                    "64.\n");
    for (const auto& other : offers())
      if (other.name == *name)
        return fail("Duplicate function declaration found: " + *name);
    auto own = field(function, "parameters");
    auto schema = field(function, "parametersJsonSchema");
    json converted;
    if (own && schema)
      return fail("Only one of parameters and parameters_json_schema can be set.");
    if (own)
      fail(read_schema(*own, path + ".parameters", converted));
    absorb_size(function);
    offer(*name, own ? &converted : schema);
  }

  /// Decides whether the answer calls functions.
  void choose_calls() {
    if (is_count_)
      return;
    auto config = object_in(body_, "toolConfig", "");
    auto calling = config ? object_in(*config, "functionCallingConfig", "tool_config.") : nullptr;
    auto mode = calling ? string_in_either(*calling, "mode", "tool_config.function_calling_config.") : nullptr;
    auto allowed =
      calling ? array_in(*calling, "allowedFunctionNames", "tool_config.function_calling_config.") : nullptr;
    if (error_)
      return;
    auto is_any = mode && *mode == "ANY";
    if (mode && !is_any && *mode != "AUTO" && *mode != "NONE" && *mode != "VALIDATED" && *mode != "MODE_UNSPECIFIED")
      return fail("Invalid value at 'tool_config.function_calling_config.mode' "
                  "(type.googleapis.com/google.ai.generativelanguage.v1beta.FunctionCallingConfig.Mode), \""
                  + *mode + "\"");
    if (allowed && !is_any && !(mode && *mode == "VALIDATED"))
      return fail("Function calling config is set without the mode ANY but allowed_function_names is not empty.");
    if (is_any && offers().empty())
      return fail("Function calling config is set without function_declarations.");
    if (allowed && !allowed->empty())
      return call_allowed(*allowed);
    if (is_any)
      return call_any();
    if (!(mode && *mode == "NONE") && is_asked())
      call_if_asked(true);
  }

  /// All names must be known; the first is called.
  void call_allowed(const json& names) {
    for (const auto& name : names)
      if (!name.is_string() || !call_named(name.get<std::string>()))
        return fail("allowed_function_names contains " + name.dump() + ", which is no declared function.");
    call_named(names[0].get<std::string>());
  }

  /// Too long a prompt is an error, not cut.
  void check_length() {
    finish_cacheable();
    if (result_.prompt_tokens > settings_.context_tokens)
      fail("The input token count (" + std::to_string(result_.prompt_tokens)
           + ") exceeds the maximum number of tokens allowed (" + std::to_string(settings_.context_tokens) + ").");
  }

  using form = generation::form;

  bool is_count_;
};

} // namespace

std::variant<content_request, api_error> read_content_request(const exchange& incoming, std::string_view model,
                                                              bool is_count) {
  if (model.starts_with("missing"))
    return missing_model(model, "generateContent");
  auto body = parse_object(incoming.body);
  if (auto problem = std::get_if<std::string>(&body))
    return api_error{400, "Invalid JSON payload received. " + *problem};
  return request_reader(std::get<json>(body), incoming, model, is_count).read();
}

} // namespace modelforge::simulator::gemini
