#include "log/access_line.hpp"

#include "base/utc_text.hpp"
#include "log/line.hpp"

#include <array>
#include <charconv>
#include <cmath>
#include <optional>

namespace modelforge::log {

namespace {

using time_point = std::chrono::system_clock::time_point;

/// Writes the members of one object, and leaves out those without a value.
class object_writer {
public:
  explicit object_writer(std::string& out) : out_(out) { out_ += '{'; }

  void text(std::string_view name, std::string_view value) {
    if (!value.empty())
      append_json_text(key(name), value);
  }

  /// A name and a text of others; both may be empty.
  void label(std::string_view name, std::string_view value) {
    separate();
    append_json_text(out_, name);
    append_json_text(out_ += ':', value);
  }

  /// A number, where it is not 0.
  void count(std::string_view name, uint64_t value) {
    if (value != 0)
      key(name) += std::to_string(value);
  }

  void number(std::string_view name, uint64_t value) { key(name) += std::to_string(value); }

  /// With all its digits: sums of many small ones are to be right.
  void exact(std::string_view name, double value) {
    char buffer[64];
    key(name).append(buffer, std::to_chars(buffer, buffer + sizeof buffer, value).ptr);
  }

  void seconds(std::string_view name, std::chrono::nanoseconds value) {
    append_json_number(key(name), std::chrono::duration<double>(value).count());
  }

  template <class F>
  void object(std::string_view name, F write) {
    object_writer inner{key(name)};
    write(inner);
    inner.close();
  }

  void close() { out_ += '}'; }

private:
  void separate() {
    if (out_.back() != '{')
      out_ += ',';
  }

  /// A name of ours, which needs no escapes.
  std::string& key(std::string_view name) {
    separate();
    ((out_ += '"') += name) += "\":";
    return out_;
  }

  std::string& out_;
};

/// What is known of a request where its line is written.
struct source {
  const request_record& of;
  time_point time;
};

/// A member of the line: its name, what it says, and what writes it.
struct member {
  std::string_view name;
  std::string_view meaning; ///< For docs/logs.md.
  void (*write)(object_writer& to, std::string_view name, const source& from);
};

/// The cause of a wait; one that nobody knows is the queue.
std::string_view cause_name(std::size_t cause) {
  auto reason = static_cast<wait_reason>(cause);
  return reason == wait_reason::nothing ? "queue" : name_of(reason);
}

void write_waits(object_writer& to, std::string_view name, const source& from) {
  auto& waits = from.of.waits;
  for (auto each : waits)
    if (each.count() > 0)
      return to.object(name, [&](object_writer& inner) {
        for (std::size_t i = 0; i < waits.size(); ++i)
          if (waits[i].count() > 0)
            inner.seconds(cause_name(i), waits[i]);
      });
}

void write_labels(object_writer& to, std::string_view name, const source& from) {
  if (!from.of.labels.empty())
    to.object(name, [&](object_writer& inner) {
      for (auto& [label, value] : from.of.labels)
        inner.label(label, value);
    });
}

template <uint64_t token_usage::*Tokens>
void write_tokens(object_writer& to, std::string_view name, const source& from) {
  if (from.of.usage)
    to.number(name, (*from.of.usage).*Tokens);
}

template <std::string request_record::*Text>
void write_text(object_writer& to, std::string_view name, const source& from) {
  to.text(name, from.of.*Text);
}

constexpr auto members = std::to_array<member>({
  {"time", "When it ended: UTC, with milliseconds",
   [](auto& to, auto name, auto& from) { to.text(name, base::utc_text(from.time)); }},
  {"request", "Its id, as in the log and in the header `x-modelforge-request`",
   [](auto& to, auto name, auto& from) { to.text(name, to_string(from.of.id)); }},
  {"part_of",
   "The id of the request for embeddings that had more inputs than the provider takes, of which this is a part",
   [](auto& to, auto name, auto& from) {
     if (from.of.part_of)
       to.text(name, to_string(from.of.part_of));
   }},
  {"kind", "`chat`, `stream`, `embedding`, or `batch_item`: a batch's item that is sent live",
   [](auto& to, auto name, auto& from) { to.text(name, name_of(from.of.kind)); }},
  {"priority", "`interactive` or `batch`",
   [](auto& to, auto name, auto& from) { to.text(name, name_of(from.of.rank)); }},
  {"tenant", "For whom it was made", write_text<&request_record::tenant>},
  {"labels", "Those that the host gave it, as an object: the first 32 by name", write_labels},
  {"more_labels", "How many labels are left out",
   [](auto& to, auto name, auto& from) { to.count(name, from.of.more_labels); }},
  {"node", "The node that asked; left out: this one", write_text<&request_record::node>},
  {"provider", "The provider's name in the settings", write_text<&request_record::provider>},
  {"model", "The model that was asked for, or the default", write_text<&request_record::model>},
  {"answered_by", "The model, as the provider named it", write_text<&request_record::answered_by>},
  {"outcome",
   "`answered`; `cut`: a stream that broke off behind a part that its readers have; `failed`; `expired`: its deadline "
   "passed; `cancelled`: it was taken back, or its last reader left; `abandoned`: its caller ended; `stopped`: the "
   "provider ended; `refused`: it was not taken in",
   [](auto& to, auto name, auto& from) { to.text(name, name_of(from.of.outcome)); }},
  {"code", "The error's code; left out: it has an answer",
   [](auto& to, auto name, auto& from) {
     if (from.of.code != errc::none)
       to.text(name, name_of(from.of.code));
   }},
  {"flaw", "What keeps the answer from being a good one: `cut`, `blocked`, `empty` or `unclear`",
   [](auto& to, auto name, auto& from) {
     if (from.of.flaw != answer_flaw::none)
       to.text(name, name_of(from.of.flaw));
   }},
  {"finish_reason",
   "Why the model stopped: `stop`, `length`, `tool_calls`, `content_filter`, `refusal`, `paused`, "
   "`unknown`",
   [](auto& to, auto name, auto& from) {
     if (from.of.finish)
       to.text(name, name_of(*from.of.finish));
   }},
  {"attempts", "How many HTTP exchanges were begun for it, those at other nodes included",
   [](auto& to, auto name, auto& from) { to.number(name, from.of.attempts.size() + from.of.more_attempts); }},
  {"status", "The HTTP status of the last attempt; left out: it brought none",
   [](auto& to, auto name, auto& from) {
     if (!from.of.attempts.empty())
       to.count(name, from.of.attempts.back().http_status);
   }},
  {"duration_seconds", "From its acceptance to its end",
   [](auto& to, auto name, auto& from) { to.seconds(name, from.of.duration); }},
  {"first_token_seconds", "Of a stream: from its acceptance to the first piece of its answer",
   [](auto& to, auto name, auto& from) {
     if (from.of.first_token)
       to.seconds(name, *from.of.first_token);
   }},
  {"waits",
   "The seconds that it waited, as an object, by what held it last each time: `slot` (`max_concurrent`), `rate_limit`, "
   "`server_wait` (a wait that the provider named), `backoff` (between attempts), `retry_budget`, `breaker`, or "
   "`queue` "
   "where that is not known",
   write_waits},
  {"input_tokens", "Tokens of the prompt, cached ones included, as the provider counted them",
   write_tokens<&token_usage::input>},
  {"output_tokens", "Tokens of the answer, thinking included", write_tokens<&token_usage::output>},
  {"cached_tokens", "Of the prompt, those that came from the provider's cache",
   write_tokens<&token_usage::cached_read>},
  {"cache_written_tokens", "Of the prompt, those that were written to it", write_tokens<&token_usage::cache_written>},
  {"reasoning_tokens", "Of the answer, those that were thinking", write_tokens<&token_usage::reasoning>},
  {"cost", "By these tokens and the `price` of the settings, in its currency; left out: no price is set",
   [](auto& to, auto name, auto& from) {
     if (from.of.cost && std::isfinite(*from.of.cost))
       to.exact(name, *from.of.cost);
   }},
});

} // namespace

void append_access(std::string& out, const request_record& record, time_point time) {
  object_writer line{out};
  for (auto& each : members)
    each.write(line, each.name, {record, time});
  line.close();
  out += '\n';
}

void append_missing(std::string& out, const missing_lines& lost, time_point time) {
  object_writer line{out};
  line.text("time", base::utc_text(time));
  line.number("missing", lost.count);
  line.seconds("duration_seconds", lost.time);
  line.text("reason", lost.reason);
  line.close();
  out += '\n';
}

std::string access_markdown() {
  std::string result = "| member | meaning |\n|---|---|\n";
  for (auto& each : members)
    ((((result += "| `") += each.name) += "` | ") += each.meaning) += " |\n";
  return result;
}

} // namespace modelforge::log
