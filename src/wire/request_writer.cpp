#include "wire/request_writer.hpp"

#include "base/ascii.hpp"
#include "base/hex.hpp"
#include "base/trace_context.hpp"

namespace modelforge::wire {

namespace {

/// About how long the body will be.
std::size_t guess_size(const chat_request& request) {
  struct visitor {
    std::size_t operator()(const text_part& p) const { return p.text.size(); }
    std::size_t operator()(const image_part& p) const { return p.data.size() + p.url.size(); }
    std::size_t operator()(const tool_call& p) const { return p.arguments.size() + 100; }
    std::size_t operator()(const tool_result& p) const { return p.content.size() + 50; }
    std::size_t operator()(const reasoning_part&) const { return 0; }
  };
  auto size = 512 + request.extra.size() + request.response_format.schema.size();
  for (auto& message : request.messages)
    for (auto& part : message.content)
      size += 64 + std::visit(visitor{}, part);
  for (auto& tool : request.tools)
    size += 128 + tool.description.size() + tool.parameters.size();
  return size + size / 16; // escapes
}

} // namespace

void body_writer::start(std::size_t size, std::string_view stream_type,
                        std::initializer_list<std::string_view> merged) {
  for (auto name : merged)
    merged_.emplace_back(name, fields{});
  result_.headers.push_back({"content-type", "application/json"});
  if (!stream_type.empty())
    result_.headers.push_back({"accept", std::string{stream_type}});
  result_.body.reserve(size);
  read_extra();
  write_trace();
  out_.open('{');
}

void body_writer::write_model() {
  if (model_.empty())
    return fail("model", "is empty", errc::invalid_request, "name a model, or set a default");
  if (begin("model"))
    text(model_, "model");
}

std::variant<encoded_request, failure> body_writer::hand_out() {
  out_.close('}');
  if (problem_)
    return std::move(*problem_);
  return std::move(result_);
}

std::string body_writer::place() const {
  std::string text;
  if (list_ != nullptr)
    text = std::string{list_} + "[" + std::to_string(item_) + "].";
  if (part_ != none)
    text += "content[" + std::to_string(part_) + "].";
  return text;
}

void body_writer::fail(std::string_view field, std::string_view why, errc code, std::string suggestion) {
  if (problem_)
    return;
  auto name = place() + std::string{field};
  if (name.ends_with('.'))
    name.pop_back();
  problem_.emplace();
  problem_->code = code;
  problem_->message = name + " " + std::string{why};
  problem_->model = model_;
  problem_->suggestion = std::move(suggestion);
}

void body_writer::unsupported(std::string_view field, std::string suggestion) {
  fail(field, "is nothing that " + std::string{provider_} + " has", errc::unsupported, std::move(suggestion));
}

void body_writer::warn(std::string text) {
  auto& told = result_.warnings;
  if (std::find(told.begin(), told.end(), text) == told.end())
    told.push_back(std::move(text));
}

// Looked up by a linear search: `extra` has a handful of fields, and at most 1,000.
bool body_writer::begin(std::string_view name) {
  auto& given = inside_ != nullptr ? *inside_ : extra_;
  if (std::any_of(given.begin(), given.end(), [&](auto& x) { return x.first == name; })) {
    warn("extra replaces the request's own " + std::string{name});
    return false;
  }
  out_.key(name);
  return true;
}

void body_writer::texts(std::string_view name, const std::vector<std::string>& values, std::string_view field) {
  if (values.empty() || !begin(name))
    return;
  out_.open('[');
  for (auto& value : values)
    text(value, field);
  out_.close(']');
}

void body_writer::embed(std::string_view value, std::string_view field) {
  auto parsed = json::parse(value);
  if (auto* why = std::get_if<std::string>(&parsed))
    return fail(field, "is no JSON: " + *why);
  if (!std::get<json::value>(parsed).is_object())
    return fail(field, "is no JSON object");
  out_.raw(value);
}

// Parsed once, before the body is begun, since `begin` must know for each field whether it is replaced. Members of
// merged objects are taken out of `extra_`: they are written inside those objects.
void body_writer::read_extra() {
  if (given_extra_.empty())
    return;
  auto parsed = json::parse(given_extra_);
  if (auto* why = std::get_if<std::string>(&parsed))
    return fail("extra", "is no JSON: " + *why);
  auto* members = std::get<json::value>(parsed).get_ptr<json::value::object_t*>();
  if (members == nullptr)
    return fail("extra", "is no JSON object");
  auto take = [this](const json::value::object_t& given, fields& target, std::string_view where) {
    if (given.size() > 1000) // each field of the request is looked for among them
      return fail(where, "has more than 1,000 fields");
    for (auto& [name, value] : given) {
      std::erase_if(target, [&last = name](auto& x) { return x.first == last; }); // the last of equal names counts
      target.emplace_back(name, to_text(value));
    }
  };
  take(*members, extra_, "extra");
  if (std::any_of(extra_.begin(), extra_.end(), [](auto& x) { return x.first == "stream"; }))
    fail("extra.stream", "cannot be given here: whether an answer is streamed is decided by how it is asked for");
  for (auto& [name, fields] : merged_)
    if (auto* inner = member(std::get<json::value>(parsed), name).get_ptr<const json::value::object_t*>()) {
      std::erase_if(extra_, [&merged = name](auto& x) { return x.first == merged; });
      take(*inner, fields, "extra." + std::string{name});
    }
}

// A line break in it would smuggle in another header.
void body_writer::write_trace() {
  if (trace_.empty())
    return;
  auto is_safe = [](const std::string& text) {
    return std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; });
  };
  if (!is_safe(trace_))
    return fail("trace", "holds a character that no header may hold");
  if (!is_safe(trace_state_))
    return fail("trace_state", "holds a character that no header may hold");
  result_.headers.push_back({"traceparent", trace_});
  if (!trace_state_.empty() && trace_state_.size() <= max_trace_state)
    result_.headers.push_back({"tracestate", trace_state_});
}

void body_writer::write_fields(const fields& fields) {
  std::string name;
  for (auto& [key, value] : fields) {
    name.clear();
    json::writer{name}.repaired(key);
    out_.key(std::string_view{name}.substr(1, name.size() - 2));
    out_.raw(value);
  }
}

std::string_view body_writer::value_in(const fields& fields, std::string_view name) {
  auto found = std::find_if(fields.begin(), fields.end(), [&](auto& x) { return x.first == name; });
  return found != fields.end() ? std::string_view{found->second} : std::string_view{};
}

std::string_view body_writer::extra(std::string_view merged, std::string_view name) const {
  auto found = std::find_if(merged_.begin(), merged_.end(), [&](auto& x) { return x.first == merged; });
  return found != merged_.end() ? value_in(found->second, name) : std::string_view{};
}

void request_writer::start(std::string_view stream_type, std::initializer_list<std::string_view> merged) {
  body_writer::start(guess_size(request_), stream_ ? stream_type : std::string_view{}, merged);
  if (request_.extra.empty())
    return;
  check_choices();
  check_logprobs();
}

std::string_view request_writer::told(std::string_view field) const {
  auto dot = field.find('.');
  return dot == field.npos ? extra(field) : extra(field.substr(0, dot), field.substr(dot + 1));
}

// Answers that are asked for are paid for: where they would be ignored, or lost, nothing is sent. By which field they
// are asked for differs, and "n" is what most people know.
void request_writer::check_choices() {
  for (auto field : {std::string_view{"n"}, choices_field_}) {
    auto count = field.empty() ? std::nullopt : count_in(json::raw{told(field)});
    if (!count || *count < 2)
      continue;
    if (field != choices_field_)
      return unsupported("extra." + std::string{field}, choices_field_.empty()
                                                          ? "ask several times"
                                                          : "use " + std::string{choices_field_} + " in extra");
    if (stream_)
      return fail("extra." + std::string{field}, "asks for several answers, and a stream carries one",
                  errc::unsupported, "ask for whole answers (not streamed), or several times");
    result_.choices = *count;
  }
}

void request_writer::check_logprobs() {
  auto is_set = [](std::string_view value) { return !value.empty() && value != "false" && value != "null"; };
  if (is_set(told("logprobs")) && logprobs_field_ != "logprobs")
    return unsupported("extra.logprobs",
                       logprobs_field_.empty() ? "leave it out" : "use " + std::string{logprobs_field_} + " in extra");
  result_.logprobs = !logprobs_field_.empty() && is_set(told(logprobs_field_));
}

std::string path_segment(std::string_view text) {
  auto is_dots = text.find_first_not_of('.') == text.npos; // would lead to another path
  std::string result;
  for (char c : text)
    if (!is_dots && (ascii::is_alnum(c) || c == '-' || c == '.' || c == '_' || c == '~'))
      result += c;
    else
      hex::append(result += '%', c, hex::large_digits);
  return result;
}

} // namespace modelforge::wire
