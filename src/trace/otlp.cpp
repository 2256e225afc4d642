#include "trace/otlp.hpp"

#include "base/utf8.hpp"
#include "trace/span_json.hpp"
#include "wire/retry_after.hpp"
#include "json/value.hpp"
#include "json/writer.hpp"

#include <charconv>
#include <string_view>

namespace modelforge::trace {

namespace {

constexpr std::size_t max_reason = 256; // bytes

void write_text(json::writer& out, std::string_view name, std::string_view value) {
  if (value.empty())
    return;
  out.open('{');
  out.key("key");
  out.word(name);
  out.key("value");
  out.open('{');
  out.key("stringValue");
  out.repaired(value);
  out.close('}');
  out.close('}');
}

void write_resource(json::writer& out, const resource& from) {
  out.key("resource");
  out.open('{');
  out.key("attributes");
  out.open('[');
  write_text(out, "service.name", from.service);
  write_text(out, "service.version", from.version);
  write_text(out, "service.instance.id", from.instance);
  write_text(out, "telemetry.sdk.name", "modelforge");
  write_text(out, "telemetry.sdk.language", "cpp");
  write_text(out, "telemetry.sdk.version", from.version);
  write_text(out, "modelforge.node.name", from.node);
  out.close(']');
  out.close('}');
}

void write_scope(json::writer& out, const resource& from) {
  out.key("scope");
  out.open('{');
  out.key("name");
  out.word("modelforge");
  if (!from.version.empty()) {
    out.key("version");
    out.repaired(from.version);
  }
  out.close('}');
}

bool may_be_sent_again(uint16_t status) {
  return status == 429 || status == 502 || status == 503 || status == 504;
}

/// What an answer with 200 says of spans that were not taken: a number, as a text or not, and a message.
delivery partial_success(std::string_view body) {
  delivery result;
  auto parsed = json::parse(body);
  auto* root = std::get_if<json::value>(&parsed);
  if (root == nullptr) // it was taken, whatever that says
    return result;
  auto& partial = json::member(*root, "partialSuccess");
  auto& rejected = json::member(partial, "rejectedSpans");
  if (auto text = json::string_in(rejected); !text.empty())
    std::from_chars(text.data(), text.data() + text.size(), result.rejected);
  else
    result.rejected = json::count_in(rejected).value_or(0);
  if (result.rejected > 0)
    result.reason = "it rejected " + std::to_string(result.rejected) + " spans: "
                    + std::string{utf8::cut(json::string_in(json::member(partial, "errorMessage")), max_reason)};
  return result;
}

} // namespace

std::string to_otlp(const resource& from, const std::vector<log::timed_record>& ended) {
  std::string text;
  text.reserve(1024 + 3072 * ended.size()); // about what they take
  json::writer out{text};
  out.open('{');
  out.key("resourceSpans");
  out.open('[');
  out.open('{');
  write_resource(out, from);
  out.key("scopeSpans");
  out.open('[');
  out.open('{');
  write_scope(out, from);
  out.key("spans");
  out.open('[');
  for (auto& each : ended)
    write_spans(out, each);
  for (auto bracket : {']', '}', ']', '}', ']', '}'})
    out.close(bracket);
  return text;
}

delivery judge(const http::response& answer, std::chrono::system_clock::time_point now) {
  using result = delivery::result;
  if (answer.end.error && answer.head.status == 0) {
    auto& error = *answer.end.error;
    auto is_ours = error.code == errc::invalid_request || error.code == errc::configuration;
    return {.what = is_ours ? result::refused : result::again, .reason = error.message};
  }
  auto status = answer.head.status;
  if (status / 100 == 2)
    return partial_success(answer.body);
  delivery bad{.what = may_be_sent_again(status) ? result::again : result::refused,
               .wait = wire::retry_after(answer.head, now).value_or(std::chrono::nanoseconds{0}),
               .reason = "it answered with HTTP " + std::to_string(status)};
  if (bad.what == result::refused && !answer.body.empty()) // protobuf's Status in JSON, or whatever a proxy says
    if (auto parsed = json::parse(answer.body); auto* root = std::get_if<json::value>(&parsed))
      if (auto said = json::string_in(json::member(*root, "message")); !said.empty())
        bad.reason += ": " + std::string{utf8::cut(said, max_reason)};
  return bad;
}

} // namespace modelforge::trace
