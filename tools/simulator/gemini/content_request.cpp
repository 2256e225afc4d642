#include "tools/simulator/gemini/content_request.hpp"

#include "tools/simulator/gemini/fields.hpp"
#include "tools/simulator/gemini/gemini.hpp"
#include "tools/simulator/seals.hpp"

#include <algorithm>

namespace modelforge::simulator::gemini {

namespace {

constexpr std::size_t most_stops = 5;
constexpr uint32_t automatic_thinking = 4096; ///< Tokens, where no budget says otherwise.

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
constexpr std::string_view part_fields[] = {"thought",  "thoughtSignature", "partMetadata",  "mediaResolution",
                                            "text",     "inlineData",       "functionCall",  "functionResponse",
                                            "fileData", "executableCode",   "videoMetadata", "codeExecutionResult"};
constexpr std::string_view data_fields[] = {"text",     "inlineData",     "functionCall",       "functionResponse",
                                            "fileData", "executableCode", "codeExecutionResult"};
constexpr std::string_view thinking_fields[] = {"includeThoughts", "thinkingBudget", "thinkingLevel"};
/// What Google lets clients send where they have no signature.
constexpr std::string_view free_passes[] = {"skip_thought_signature_validator", "context_engineering_is_the_way_to_go"};

bool is_name(std::string_view text) {
  constexpr std::string_view letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_";
  constexpr std::string_view others = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789.:-";
  return !text.empty() && text.size() <= 64 && letters.find(text[0]) != letters.npos
         && text.find_first_not_of(others) == text.npos;
}

/// Brings JSON that was read and written by others into one form: members sorted, all numbers alike.
nlohmann::json canonical(const json& x) {
  if (x.is_number())
    return x.get<double>();
  nlohmann::json result = nullptr;
  if (x.is_object())
    for (const auto& [name, value] : x.items())
      result[name] = canonical(value);
  else if (x.is_array())
    for (const auto& value : x)
      result.push_back(canonical(value));
  else
    result = x;
  return result;
}

uint64_t hash_of_call(std::string_view name, const json& arguments, uint64_t seed) {
  return hash(canonical(arguments).dump(), hash(name, seed));
}

/// Reads one request, field by field; after the first fault nothing more is looked at.
class request_reader final : body_reader {
public:
  request_reader(const json& body, const exchange& x, std::string_view model, bool is_count)
    : body_reader(body, x.settings, result_), is_count_(is_count),
      wants_signatures_(!model.starts_with("gemini-1") && !model.starts_with("gemini-2")) {
    cache_steps(model.starts_with("gemini-3") ? 4096 : 2048);
    begin_with(std::string(model));
  }

  std::variant<content_request, api_error> read() {
    for (auto step : {&request_reader::check_fields, &request_reader::read_seed, &request_reader::read_tools,
                      &request_reader::read_system, &request_reader::read_contents, &request_reader::read_config,
                      &request_reader::choose_calls, &request_reader::check_length}) {
      (this->*step)();
      if (error_)
        return std::move(*error_);
    }
    return std::move(result_);
  }

private:
  // -- faults -------------------------------------------------------------------

  using body_reader::fail;

  void fail(std::string message) { fail(api_error{400, std::move(message)}); }

  void fail(std::optional<api_error> error) {
    if (error)
      fail(std::move(*error));
  }

  void fail_missing(const std::string& path) override { fail("* GenerateContentRequest." + path + ": must be set"); }

  void fail_type(const std::string& path, std::string_view expected, const json& found) override {
    fail(wrong_type(path, expected == "a boolean" ? "TYPE_BOOL" : "TYPE_STRING", found));
  }

  // -- numbers ------------------------------------------------------------------

  const json* number_in(const json& x, std::string_view name, const std::string& path) {
    auto value = field(x, name);
    if (value && !value->is_number())
      fail(wrong_type(path + std::string(name), "TYPE_FLOAT", *value));
    return value && value->is_number() ? value : nullptr;
  }

  std::optional<int64_t> integer_in(const json& x, std::string_view name, const std::string& path, int64_t least,
                                    int64_t most) {
    auto value = field(x, name);
    if (!value)
      return std::nullopt;
    auto is_huge = value->is_number_unsigned() && value->get<uint64_t>() > INT32_MAX;
    if (!value->is_number_integer() || is_huge) {
      fail(wrong_type(path + std::string(name), "TYPE_INT32", *value));
      return std::nullopt;
    }
    auto number = value->get<int64_t>();
    if (number < least || number > most) {
      fail("* GenerateContentRequest." + path + std::string(name) + ": " + std::to_string(number)
           + " is not in the range [" + std::to_string(least) + ", " + std::to_string(most) + "].");
      return std::nullopt;
    }
    return number;
  }

  const json* object_in(const json& x, std::string_view name, const std::string& path) {
    auto value = field(x, name);
    if (value && !value->is_object())
      fail(wrong_type(path + std::string(name), "message", *value));
    return value && value->is_object() ? value : nullptr;
  }

  const json* array_in(const json& x, std::string_view name, const std::string& path) {
    auto value = field(x, name);
    if (value && !value->is_array())
      fail(wrong_type(path + std::string(name), "a list", *value));
    return value && value->is_array() ? value : nullptr;
  }

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

  void read_system() {
    auto system = object_in(body_, "systemInstruction", "");
    auto parts = system ? array_in(*system, "parts", "system_instruction.") : nullptr;
    for (std::size_t i = 0; parts && i < parts->size() && !error_; ++i) {
      auto text = (*parts)[i].is_object() ? string_in((*parts)[i], "text", "system_instruction.parts.") : nullptr;
      if (text)
        absorb(*text);
    }
  }

  void read_contents() {
    auto contents = array_in(body_, "contents", "");
    if (!error_ && (!contents || contents->empty()))
      return fail("* GenerateContentRequest.contents: contents is not specified\n");
    for (std::size_t i = 0; contents && i < contents->size() && !error_; ++i)
      read_content((*contents)[i], at("contents", i), i);
    if (!error_ && open_calls_ > 0)
      return fail("Please ensure that function call turn is followed by a function response turn.");
    if (!error_ && contents->size() == 1 && last_role_ == "model")
      fail("Please ensure that single turn requests end with a user role or the role field is empty.");
  }

  /// What one content held.
  struct tally {
    uint32_t calls = 0, responses = 0, others = 0;
    std::string text;
  };

  void read_content(const json& x, const std::string& path, std::size_t index) {
    static constexpr std::string_view fields[] = {"role", "parts"};
    if (!x.is_object())
      return fail(wrong_type(path, "type.googleapis.com/google.ai.generativelanguage.v1beta.Content", x));
    fail(unknown_field(x, path, fields));
    auto role = string_in(x, "role", path + ".", false);
    auto is_model = role && *role == "model";
    if (role && !is_model && !role->empty() && *role != "user" && *role != "function")
      return fail("Please use a valid role: user, model.");
    auto parts = array_in(x, "parts", path + ".");
    if (!error_ && (!parts || parts->empty()))
      return fail("* GenerateContentRequest." + path + ".parts: contents.parts must not be empty.\n");
    absorb_frame(is_model ? "model" : "user");
    tally held;
    for (std::size_t i = 0; parts && i < parts->size() && !error_; ++i)
      read_part((*parts)[i], path + "." + at("parts", i), is_model, held);
    if (!error_)
      check_turn(held, is_model, index);
    last_role_ = is_model ? "model" : "user";
  }

  void check_turn(tally& held, bool is_model, std::size_t index) {
    if (held.calls > 0 && (index == 0 || last_role_ == "model"))
      return fail("Please ensure that function call turn comes immediately after a user turn or after a function "
                  "response turn.");
    if (held.responses > 0 && open_calls_ == 0)
      return fail("Please ensure that function response turn comes immediately after a function call turn.");
    if (held.responses != open_calls_)
      return fail("Please ensure that the number of function response parts is equal to the number of function call "
                  "parts of the function call turn.");
    open_calls_ = held.calls;
    is_asked_ = !is_model && held.responses == 0;
    if (is_asked_)
      unsigned_call_.clear(); // another turn: what lies before it is not looked at
    if (is_asked_ && !held.text.empty())
      result_.prompt = std::move(held.text);
    if (held.calls == 0 && held.responses == 0 && held.others == 0)
      fail("* GenerateContentRequest." + at("contents", index) + ".parts: contents.parts must not be empty.\n");
  }

  void read_part(const json& x, const std::string& path, bool is_model, tally& held) {
    if (!x.is_object())
      return fail(wrong_type(path, "type.googleapis.com/google.ai.generativelanguage.v1beta.Part", x));
    if (auto error = unknown_field(x, path, part_fields))
      return fail(std::move(error));
    auto kinds =
      std::count_if(std::begin(data_fields), std::end(data_fields), [&](auto name) { return field(x, name); });
    if (kinds == 0)
      return fail("* GenerateContentRequest." + path
                  + ".data: required oneof field 'data' must have one initialized "
                    "field\n");
    if (kinds > 1)
      return fail({400, "Invalid value at '" + path + "' (oneof), oneof field 'data' is already set.", path});
    auto signature = string_in_either(x, "thoughtSignature", path + ".");
    if (auto call = object_in(x, "functionCall", path + "."))
      return read_call(*call, path + ".function_call.", signature, is_model, held);
    if (signature && !is_free_pass(*signature) && !unsealed(*signature, settings_.seed))
      return fail("Corrupted thought signature.");
    if (auto response = object_in(x, "functionResponse", path + "."))
      return read_response(*response, path + ".function_response.", held);
    if (field(x, "text"))
      return read_text(x, path, held);
    read_media(x, path, held);
  }

  const std::string* string_in_either(const json& x, std::string_view name, const std::string& path) {
    auto value = field(x, name);
    if (value && !value->is_string())
      fail(wrong_type(path + std::string(name), "TYPE_STRING", *value));
    return value && value->is_string() ? &value->get_ref<const std::string&>() : nullptr;
  }

  void read_text(const json& x, const std::string& path, tally& held) {
    ++held.others;
    auto text = string_in(x, "text", path + ".");
    if (!text || bool_in(x, "thought", path + ".", false))
      return;
    absorb(*text);
    held.text += (held.text.empty() ? "" : "\n") + *text;
  }

  void read_media(const json& x, const std::string& path, tally& held) {
    ++held.others;
    auto data = object_in(x, "inlineData", path + ".");
    auto file = object_in(x, "fileData", path + ".");
    if (data && (!field(*data, "mimeType") || !field(*data, "data")))
      return fail("* GenerateContentRequest." + path + ".inline_data: mime_type and data must be set.\n");
    if (file && !field(*file, "fileUri"))
      return fail("* GenerateContentRequest." + path + ".file_data.file_uri: must be set.\n");
    absorb_media(x);
  }

  void read_call(const json& call, const std::string& path, const std::string* signature, bool is_model, tally& held) {
    auto name = string_in(call, "name", path);
    auto arguments = object_in(call, "args", path);
    if (!name || error_)
      return;
    if (!is_model)
      return fail("Please ensure that function call turn comes immediately after a user turn or after a function "
                  "response turn.");
    auto given = arguments ? *arguments : json::object();
    if (signature && !is_free_pass(*signature)
        && unsealed(*signature, settings_.seed) != hash_of_call(*name, given, settings_.seed))
      return fail("Corrupted thought signature.");
    if (!signature && held.calls == 0 && wants_signatures_ && unsigned_call_.empty())
      unsigned_call_ = *name;
    ++held.calls;
    absorb(*name);
    absorb(given.dump());
  }

  static bool is_free_pass(std::string_view signature) {
    return std::find(std::begin(free_passes), std::end(free_passes), signature) != std::end(free_passes);
  }

  void read_response(const json& response, const std::string& path, tally& held) {
    ++held.responses;
    auto name = string_in(response, "name", path);
    auto value = field(response, "response");
    if (!name)
      return;
    if (!value || !value->is_object())
      return value ? fail(wrong_type(path + "response", "type.googleapis.com/google.protobuf.Struct", *value))
                   : fail_missing(path + "response");
    absorb(*name);
    absorb(value->dump());
  }

  // -- how to answer --------------------------------------------------------------

  void read_config() {
    if (!unsigned_call_.empty())
      return fail("Function call is missing a thought_signature in functionCall parts. This is required for tools to "
                  "work correctly, and missing thought_signature may lead to degraded model performance. Additional "
                  "data, function call `default_api:"
                  + unsigned_call_
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
    if (auto most = integer_in(config, "maxOutputTokens", path, 1, INT32_MAX))
      result_.max_tokens = static_cast<uint32_t>(*most);
    auto stops = array_in(config, "stopSequences", path);
    if (stops && stops->size() > most_stops)
      return fail("* GenerateContentRequest.generation_config.stop_sequences: at most 5 stop sequences are allowed.");
    for (std::size_t i = 0; stops && i < stops->size(); ++i)
      (*stops)[i].is_string() ? result_.stop.push_back((*stops)[i].get<std::string>())
                              : fail(wrong_type(path + at("stop_sequences", i), "TYPE_STRING", (*stops)[i]));
    std::erase(result_.stop, "");
  }

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
    result_.most_thinking = budget.value_or(-1) == -1 ? automatic_thinking : static_cast<uint32_t>(budget.value_or(0));
  }

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

  void read_tools() {
    auto tools = array_in(body_, "tools", "");
    for (std::size_t i = 0; tools && i < tools->size() && !error_; ++i) {
      auto path = at("tools", i);
      if (!(*tools)[i].is_object())
        return fail(wrong_type(path, "type.googleapis.com/google.ai.generativelanguage.v1beta.Tool", (*tools)[i]));
      auto functions = array_in((*tools)[i], "functionDeclarations", path + ".");
      for (std::size_t j = 0; functions && j < functions->size() && !error_; ++j)
        read_function((*functions)[j], path + "." + at("function_declarations", j));
    }
  }

  void read_function(const json& x, const std::string& path) {
    static constexpr std::string_view fields[] = {"name",     "description",          "behavior",          "parameters",
                                                  "response", "parametersJsonSchema", "responseJsonSchema"};
    if (!x.is_object())
      return fail(wrong_type(path, "type.googleapis.com/google.ai.generativelanguage.v1beta.FunctionDeclaration", x));
    if (auto error = unknown_field(x, path, fields))
      return fail(std::move(error));
    auto name = string_in(x, "name", path + ".");
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
    auto own = field(x, "parameters");
    auto schema = field(x, "parametersJsonSchema");
    json converted;
    if (own && schema)
      return fail("Only one of parameters and parameters_json_schema can be set.");
    if (own)
      fail(read_schema(*own, path + ".parameters", converted));
    absorb_size(x);
    offer(*name, own ? &converted : schema);
  }

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
    if (!(mode && *mode == "NONE") && is_asked_)
      call_if_asked(true);
  }

  void call_allowed(const json& names) {
    for (const auto& x : names)
      if (!x.is_string() || !call_named(x.get<std::string>()))
        return fail("allowed_function_names contains " + x.dump() + ", which is no declared function.");
    call_named(names[0].get<std::string>());
  }

  void check_length() {
    finish_cacheable();
    if (result_.prompt_tokens > settings_.context_tokens)
      fail("The input token count (" + std::to_string(result_.prompt_tokens)
           + ") exceeds the maximum number of tokens allowed (" + std::to_string(settings_.context_tokens) + ").");
  }

  using form = generation::form;

  content_request result_;
  bool is_count_;
  bool wants_signatures_;
  std::string last_role_;
  std::string unsigned_call_; ///< Name of a call of this turn that should have had a signature.
  uint32_t open_calls_ = 0;   ///< Of the last content, that want their responses.
  bool is_asked_ = false;     ///< The last content is a user's, and no response.
};

} // namespace

std::variant<content_request, api_error> read_content_request(const exchange& x, std::string_view model,
                                                              bool is_count) {
  if (model.starts_with("missing"))
    return missing_model(model, "generateContent");
  auto body = parse_object(x.body);
  if (auto problem = std::get_if<std::string>(&body))
    return api_error{400, "Invalid JSON payload received. " + *problem};
  return request_reader(std::get<json>(body), x, model, is_count).read();
}

std::string signature_of(std::string_view name, const json& arguments, uint64_t seed) {
  return sealed(hash_of_call(name, arguments, seed), seed);
}

} // namespace modelforge::simulator::gemini
