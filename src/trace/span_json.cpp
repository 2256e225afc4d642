#include "trace/span_json.hpp"

#include "base/hex.hpp"
#include "base/url.hpp"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

namespace modelforge::trace {

namespace {

using log::request_kind;
using log::request_outcome;
using log::request_record;
using log::timed_record;
using time_point = std::chrono::system_clock::time_point;

/// The numbers of OTLP's enum `SpanKind`.
enum class span_kind : uint8_t { internal = 1, client = 3 };

constexpr int status_error = 2; ///< Of OTLP's enum `StatusCode`.

/// Writes the list of a span's attributes, and leaves out those without a value.
class attribute_writer {
public:
  explicit attribute_writer(json::writer& out) : out_(out) {
    out_.key("attributes");
    out_.open('[');
  }

  void text(std::string_view name, std::string_view value) {
    if (!value.empty())
      write(name, "stringValue", [&] { out_.repaired(value); });
  }

  /// A name with an ending of others, and any text.
  void text(std::string_view prefix, std::string_view ending, std::string_view value) {
    out_.open('{');
    out_.key("key");
    out_.repaired(std::string{prefix}.append(ending));
    out_.key("value");
    out_.open('{');
    out_.key("stringValue");
    out_.repaired(value);
    out_.close('}');
    out_.close('}');
  }

  void texts(std::string_view name, std::initializer_list<std::string_view> values) {
    write(name, "arrayValue", [&] {
      out_.open('{');
      out_.key("values");
      out_.open('[');
      for (auto each : values) {
        out_.open('{');
        out_.key("stringValue");
        out_.repaired(each);
        out_.close('}');
      }
      out_.close(']');
      out_.close('}');
    });
  }

  /// 64 bits do not fit into all readers' numbers, so OTLP has them as texts.
  void count(std::string_view name, uint64_t value) {
    write(name, "intValue", [&] { out_.word(std::to_string(value)); });
  }

  void real(std::string_view name, double value) {
    if (std::isfinite(value))
      write(name, "doubleValue", [&] { out_.number(value); });
  }

  void seconds(std::string_view name, std::chrono::nanoseconds value) {
    real(name, std::chrono::duration<double>(value).count());
  }

  void flag(std::string_view name) {
    write(name, "boolValue", [&] { out_.boolean(true); });
  }

  void close() { out_.close(']'); }

private:
  template <class F>
  void write(std::string_view name, std::string_view kind, F value) {
    out_.open('{');
    out_.key("key");
    out_.word(name);
    out_.key("value");
    out_.open('{');
    out_.key(kind);
    value();
    out_.close('}');
    out_.close('}');
  }

  json::writer& out_;
};

std::string unix_nanos(time_point time) {
  auto since = std::chrono::duration_cast<std::chrono::nanoseconds>(time.time_since_epoch()).count();
  return std::to_string(std::max<int64_t>(since, 0));
}

/// What every span begins with.
struct span_head {
  uint64_t id = 0;
  uint64_t parent = 0; ///< 0: none.
  span_kind kind = span_kind::internal;
  time_point start;
  time_point end;
};

void begin_span(json::writer& out, const log::trace_part& place, const span_head& head, std::string_view name) {
  out.open('{');
  out.key("traceId");
  out.word(trace_id_text(place.context));
  out.key("spanId");
  out.word(hex::digits_of(head.id));
  if (!place.state.empty()) {
    out.key("traceState");
    out.repaired(place.state);
  }
  if (head.parent != 0) {
    out.key("parentSpanId");
    out.word(hex::digits_of(head.parent));
  }
  out.key("flags");
  out.number(unsigned{place.context.flags});
  out.key("name");
  out.repaired(name);
  out.key("kind");
  out.number(static_cast<unsigned>(head.kind));
  out.key("startTimeUnixNano");
  out.word(unix_nanos(head.start));
  out.key("endTimeUnixNano");
  out.word(unix_nanos(std::max(head.start, head.end)));
}

void end_span(json::writer& out, bool failed) {
  if (failed) {
    out.key("status");
    out.open('{');
    out.key("code");
    out.number(status_error);
    out.close('}');
  }
  out.close('}');
}

/// Attempts that were made elsewhere are told there.
bool is_ours(const request_record& of, const attempt_record& attempt) {
  return attempt.number > of.trace->earlier;
}

/// Whether a part of an answer came piece by piece.
bool has_stream(const request_record& of) {
  return of.first_token && !of.attempts.empty() && is_ours(of, of.attempts.back());
}

/// The request's own span and the spans below it.
class request_spans {
public:
  request_spans(json::writer& out, const timed_record& ended)
    : out_(out), of_(ended.what), place_(*of_.trace), start_(ended.time - of_.duration), end_(ended.time) {}

  void write() {
    write_request();
    for (auto& attempt : of_.attempts)
      if (is_ours(of_, attempt))
        write_attempt(attempt);
    if (has_stream(of_))
      write_stream(of_.attempts.back());
  }

private:
  uint64_t id_of(const attempt_record& attempt) const { return child_span(place_.context.span, attempt.number); }

  void write_request() {
    auto operation = of_.kind == request_kind::embedding ? std::string_view{"embeddings"} : std::string_view{"chat"};
    auto name = std::string{operation};
    if (!of_.model.empty())
      (name += ' ') += of_.model;
    begin_span(out_, place_, {place_.context.span, place_.parent, span_kind::client, start_, end_}, name);
    attribute_writer to{out_};
    to.text("gen_ai.operation.name", operation);
    to.text("gen_ai.provider.name", place_.vendor);
    to.text("gen_ai.request.model", of_.model);
    if (of_.kind == request_kind::stream)
      to.flag("gen_ai.request.stream");
    write_answer(to);
    write_server(to);
    if (of_.code != errc::none)
      to.text("error.type", name_of(of_.code));
    write_own(to);
    to.close();
    end_span(out_, of_.code != errc::none);
  }

  void write_answer(attribute_writer& to) const {
    to.text("gen_ai.response.model", of_.answered_by);
    if (of_.finish)
      to.texts("gen_ai.response.finish_reasons", {name_of(*of_.finish)});
    if (of_.first_token)
      to.seconds("gen_ai.response.time_to_first_chunk", *of_.first_token);
    if (!of_.usage)
      return;
    to.count("gen_ai.usage.input_tokens", of_.usage->input);
    to.count("gen_ai.usage.output_tokens", of_.usage->output);
    to.count("gen_ai.usage.cache_read.input_tokens", of_.usage->cached_read);
    to.count("gen_ai.usage.cache_creation.input_tokens", of_.usage->cache_written);
    to.count("gen_ai.usage.reasoning.output_tokens", of_.usage->reasoning);
  }

  /// Where the conventions have no name.
  void write_own(attribute_writer& to) const {
    to.text("modelforge.provider", of_.provider);
    to.text("modelforge.request", to_string(of_.id));
    if (of_.part_of)
      to.text("modelforge.part_of", to_string(of_.part_of));
    to.text("modelforge.kind", name_of(of_.kind));
    to.text("modelforge.priority", name_of(of_.rank));
    to.text("modelforge.outcome", name_of(of_.outcome));
    if (of_.flaw != answer_flaw::none)
      to.text("modelforge.flaw", name_of(of_.flaw));
    to.text("modelforge.tenant", of_.tenant);
    to.text("modelforge.node", of_.node);
    to.count("modelforge.attempts", of_.attempts.size() + of_.more_attempts);
    if (of_.cost)
      to.real("modelforge.cost", *of_.cost);
    for (std::size_t i = 0; i < of_.waits.size(); ++i)
      if (of_.waits[i].count() > 0)
        to.seconds("modelforge.wait." + std::string{cause_name(static_cast<wait_reason>(i))}, of_.waits[i]);
    for (auto& [label, value] : of_.labels)
      to.text("modelforge.label.", label, value);
  }

  /// What is not known has waited in the queue, as the access log has it.
  static std::string_view cause_name(wait_reason cause) {
    return cause == wait_reason::nothing ? "queue" : name_of(cause);
  }

  void write_server(attribute_writer& to) const {
    auto address = host_of(place_.url);
    if (address.empty())
      return;
    auto colon = address.rfind(':');
    auto has_port = colon != address.npos && address.find(']', colon) == address.npos;
    auto host = address.substr(0, has_port ? colon : address.npos);
    if (host.starts_with('[') && host.ends_with(']'))
      host = host.substr(1, host.size() - 2);
    to.text("server.address", host);
    uint64_t port = place_.url.starts_with("https") ? 443 : 80;
    if (has_port) {
      auto digits = address.substr(colon + 1);
      std::from_chars(digits.data(), digits.data() + digits.size(), port);
    }
    to.count("server.port", port);
  }

  /// One HTTP exchange, by the conventions for clients of HTTP.
  void write_attempt(const attempt_record& attempt) {
    auto begun = start_ + attempt.started;
    begin_span(out_, place_, {id_of(attempt), place_.context.span, span_kind::client, begun, begun + attempt.duration},
               "POST");
    attribute_writer to{out_};
    to.text("http.request.method", "POST");
    to.text("url.full", place_.url);
    write_server(to);
    if (attempt.http_status != 0)
      to.count("http.response.status_code", attempt.http_status);
    if (attempt.number > 1)
      to.count("http.request.resend_count", attempt.number - 1);
    if (attempt.http_status >= 400)
      to.text("error.type", std::to_string(attempt.http_status));
    else if (attempt.result != errc::none)
      to.text("error.type", name_of(attempt.result));
    to.text("modelforge.lane", attempt.lane);
    if (attempt.waited.count() > 0)
      to.seconds("modelforge.wait." + std::string{cause_name(attempt.waited_for)}, attempt.waited);
    if (attempt.result != errc::none)
      to.text("modelforge.code", name_of(attempt.result));
    to.close();
    end_span(out_, attempt.result != errc::none);
  }

  void write_stream(const attempt_record& attempt) {
    begin_span(out_, place_,
               {child_span(id_of(attempt), 1), id_of(attempt), span_kind::internal, start_ + *of_.first_token,
                start_ + attempt.started + attempt.duration},
               "stream");
    attribute_writer to{out_};
    to.text("gen_ai.request.model", of_.model);
    if (of_.finish)
      to.texts("gen_ai.response.finish_reasons", {name_of(*of_.finish)});
    if (attempt.result != errc::none)
      to.text("error.type", name_of(attempt.result));
    to.close();
    end_span(out_, attempt.result != errc::none);
  }

  json::writer& out_;
  const request_record& of_;
  const log::trace_part& place_;
  time_point start_;
  time_point end_;
};

} // namespace

std::size_t count_spans(const log::request_record& of) {
  auto ours = std::count_if(of.attempts.begin(), of.attempts.end(), [&](auto& x) { return is_ours(of, x); });
  return 1 + static_cast<std::size_t>(ours) + (has_stream(of) ? 1 : 0);
}

void write_spans(json::writer& out, const log::timed_record& ended) {
  request_spans{out, ended}.write();
}

} // namespace modelforge::trace
