#include "tools/simulator/body_reader.hpp"

#include <algorithm>

namespace modelforge::simulator {

namespace {

/// Returns what nlohmann_json says about broken JSON, without its own error number.
std::string parse_fault(std::string_view body) {
  try {
    auto parsed = json::parse(body);
  } catch (const json::exception& e) {
    std::string_view text = e.what();
    auto end = text.find("] ");
    return std::string(end == text.npos ? text : text.substr(end + 2));
  }
  return "unknown fault";
}

/// Returns how deep arrays and objects lie inside each other.
std::size_t depth_of(std::string_view body) {
  std::size_t depth = 0, max = 0;
  auto is_text = false;
  for (std::size_t i = 0; i < body.size(); ++i) {
    if (body[i] == '"')
      is_text = !is_text;
    else if (is_text)
      i += body[i] == '\\';
    else if (body[i] == '[' || body[i] == '{')
      max = std::max(max, ++depth);
    else if ((body[i] == ']' || body[i] == '}') && depth > 0)
      --depth;
  }
  return max;
}

constexpr std::size_t max_depth = 500; ///< What is written again is written by recursion.

} // namespace

std::string type_of(const json& value) {
  switch (value.type()) {
    case json::value_t::object:
      return "an object";
    case json::value_t::array:
      return "an array";
    case json::value_t::string:
      return "a string";
    case json::value_t::boolean:
      return "a boolean";
    case json::value_t::number_float:
      return "a decimal";
    case json::value_t::null:
      return "null";
    default:
      return "an integer";
  }
}

// The depth is checked first: nlohmann_json parses without recursion, but writes nested values with it, so that a
// hostile body could exhaust the stack.
std::variant<json, std::string> parse_object(std::string_view body) {
  if (depth_of(body) > max_depth)
    return "The JSON body of your request is nested more than " + std::to_string(max_depth) + " deep.";
  auto parsed = json::parse(body, nullptr, false);
  if (parsed.is_discarded())
    return "We could not parse the JSON body of your request: " + parse_fault(body);
  if (!parsed.is_object())
    return "The JSON body of your request must be an object, but is " + type_of(parsed) + ".";
  return parsed;
}

const json* member(const json& object, std::string_view name) {
  auto found = object.find(name);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

const std::string* body_reader::string_in(const json& object, std::string_view name, const std::string& path,
                                          bool is_required) {
  auto value = member(object, name);
  if (!value && is_required)
    fail_missing(path + std::string(name));
  else if (value && !value->is_string())
    fail_type(path + std::string(name), "a string", *value);
  else if (value)
    return &value->get_ref<const std::string&>();
  return nullptr;
}

bool body_reader::bool_in(const json& object, std::string_view name, const std::string& path, bool fallback) {
  auto value = member(object, name);
  if (!value)
    return fallback;
  if (value->is_boolean())
    return value->get<bool>();
  fail_type(path + std::string(name), "a boolean", *value);
  return fallback;
}

// The model is part of the prefix, so two models never share an entry of the cache, but it counts as no token of the
// prompt.
void body_reader::begin_with(const std::string& model) {
  generation_.model = model;
  generation_.seed = hash(model, settings_.seed);
  chain_.add_unit(hash(model, 0), 0);
}

// OpenAI and Gemini cache in steps of this many tokens.
void body_reader::cache_steps(uint32_t min_tokens) {
  constexpr uint32_t step = 128;
  auto& plan = generation_.cacheable;
  plan.how = cache_plan::rule::automatic;
  plan.least = settings_.cache_min_tokens > 0 ? settings_.cache_min_tokens : min_tokens;
  chain_.note_steps(plan.least, step);
}

void body_reader::cache_blocks(uint32_t min_tokens) {
  auto& plan = generation_.cacheable;
  plan.how = cache_plan::rule::breakpoints;
  plan.least = settings_.cache_min_tokens > 0 ? settings_.cache_min_tokens : min_tokens;
}

void body_reader::add_breakpoint(bool is_long) {
  if (chain_.blocks() > 0)
    generation_.cacheable.breakpoints.push_back({chain_.blocks() - 1, is_long});
}

void body_reader::route_cacheable(std::string key, uint32_t lifetime) {
  generation_.cacheable.routing_key = std::move(key);
  generation_.cacheable.lifetime = lifetime;
}

void body_reader::finish_cacheable() {
  generation_.cacheable.prefixes = chain_.take_prefixes();
  generation_.cacheable.head = chain_.head();
}

void body_reader::offer(std::string name, const json* schema) {
  offers_.push_back({std::move(name), schema ? *schema : json{{"type", "object"}}});
}

void body_reader::call_any() {
  if (!offers_.empty())
    generation_.calls = {offers_[random_source(generation_.seed).below(offers_.size())]};
}

bool body_reader::call_named(std::string_view name) {
  auto found = std::find_if(offers_.begin(), offers_.end(), [&](const auto& tool) { return tool.name == name; });
  if (found == offers_.end())
    return false;
  generation_.calls = {*found};
  return true;
}

void body_reader::call_if_asked(bool is_parallel) {
  for (const auto& tool : offers_)
    if (is_about(tool.name) && (is_parallel || generation_.calls.empty()))
      generation_.calls.push_back(tool);
}

// Upper and lower case are alike; bit 0x20 is what distinguishes them in ASCII.
bool body_reader::is_about(std::string_view name) const {
  const auto& prompt = generation_.prompt;
  while (!name.empty()) {
    auto word = name.substr(0, name.find_first_of("_-."));
    name.remove_prefix(std::min(word.size() + 1, name.size()));
    auto same = [](char a, char b) { return (a | 0x20) == (b | 0x20); };
    if (word.size() >= 4 && std::search(prompt.begin(), prompt.end(), word.begin(), word.end(), same) != prompt.end())
      return true;
  }
  return false;
}

} // namespace modelforge::simulator
