#include "provider/chronicle.hpp"

#include "config/secret_mask.hpp"

#include <optional>

namespace modelforge::provider {

namespace {

using log::entry;
using log::event;
using log::field;

std::string masked(const setup& setup, std::string text) {
  setup.secrets->mask(text, secret_mask::extent::cut);
  return text;
}

/// 0, where no answer came, is left out.
std::optional<uint16_t> status_of(const failure& why) {
  return why.http_status != 0 ? std::optional{why.http_status} : std::nullopt;
}

event event_of(lane_event::change what) {
  switch (what) {
    case lane_event::change::opened:
      return event::breaker_opened;
    case lane_event::change::half_open:
      return event::breaker_half_open;
    case lane_event::change::closed:
      return event::breaker_closed;
    case lane_event::change::paused:
      return event::limits_paused;
    case lane_event::change::key_refused:
      break;
  }
  return event::key_refused;
}

void append(std::string& out, std::string_view who, std::string_view text) {
  if (out.size() >= entry::max_text || text.empty())
    return;
  ((out += out.empty() ? "" : "\n") += who) += ": ";
  out += text.substr(0, entry::max_text);
}

} // namespace

void chronicle::add(entry happened) {
  if (news_.size() < max_news)
    news_.push_back(std::move(happened));
}

entry chronicle::begin(event what, const setup& setup) const {
  return entry{what}.with(field::provider, setup.settings.name);
}

// -- of the provider --------------------------------------------------------------------

void chronicle::add(const std::vector<lane_event>& happened, const setup& setup, const std::string& reason) {
  for (auto& each : happened) {
    auto told = begin(event_of(each.what), setup).with(field::lane, setup.lane_name({each.group, each.key}));
    if (each.what == lane_event::change::opened)
      std::move(told).with(field::failures, each.failures);
    if (each.wait.count() > 0)
      std::move(told).with(field::wait_seconds, each.wait);
    if (each.what == lane_event::change::opened || each.what == lane_event::change::key_refused)
      std::move(told).with(field::reason, masked(setup, reason));
    add(std::move(told));
  }
}

void chronicle::limits_restored(const setup& setup, std::chrono::nanoseconds age) {
  add(begin(event::limits_restored, setup).with(field::age_seconds, age));
}

void chronicle::limits_not_kept(const setup& setup, const std::string& why) {
  if (std::exchange(is_kept_, false))
    add(begin(event::limits_not_kept, setup).with(field::reason, why));
}

void chronicle::limits_kept(const setup& setup) {
  if (!std::exchange(is_kept_, true))
    add(begin(event::limits_kept, setup));
}

void chronicle::optimizer_failed(const setup& setup, const std::string& why) {
  add(begin(event::optimizer_failed, setup).with(field::reason, masked(setup, why)));
}

// -- of requests ------------------------------------------------------------------------

void chronicle::admitted(request_id id, const setup& setup, const std::string& model, priority rank,
                         const std::string& tenant) {
  add(entry{event::request_admitted}
        .with(field::request, to_string(id))
        .with(field::provider, setup.settings.name)
        .with(field::model, model)
        .with(field::priority, name_of(rank))
        .with(field::tenant, tenant));
}

void chronicle::refused(request_id id, const failure& why, std::unique_ptr<log::request_record> account) {
  if (follows_)
    add(entry{event::request_refused}
          .with(field::request, to_string(id))
          .with(field::provider, why.provider)
          .with(field::model, why.model)
          .with(field::code, name_of(why.code))
          .with(field::reason, why.message));
  accounts_.refused(id, why, std::move(account));
}

void chronicle::sent(const request& which, const setup& setup) {
  if (!follows_ || !which.under_way)
    return;
  auto& record = *which.under_way;
  auto told = entry{event::request_sent}
                .with(field::request, to_string(which.id))
                .with(field::provider, setup.settings.name)
                .with(field::lane, record.lane)
                .with(field::attempt, record.number)
                .with(field::waited_seconds, record.waited);
  if (record.waited_for != wait_reason::nothing)
    std::move(told).with(field::waited_for, name_of(record.waited_for));
  add(std::move(told));
}

void chronicle::again(const request& which, const failure& why, const setup& setup) {
  if (follows_)
    add(entry{event::request_again}
          .with(field::request, to_string(which.id))
          .with(field::provider, setup.settings.name)
          .with(field::attempt, which.spent)
          .with(field::code, name_of(why.code))
          .with(field::status, status_of(why))
          .with(field::reason, masked(setup, why.message)));
}

void chronicle::cut(const request& which, const failure& why, const setup& setup) {
  add(begin(event::stream_cut, setup)
        .with(field::request, to_string(which.id))
        .with(field::model, which.model)
        .with(field::code, name_of(why.code))
        .with(field::reason, masked(setup, why.message)));
}

void chronicle::answered(const request& which, const std::string& provider, const std::string& model,
                         std::size_t attempts, const std::optional<token_usage>& usage, std::chrono::nanoseconds age) {
  auto told = entry{event::request_answered}
                .with(field::request, to_string(which.id))
                .with(field::provider, provider)
                .with(field::model, model)
                .with(field::attempts, attempts)
                .with(field::duration_seconds, age);
  if (usage)
    std::move(told).with(field::input_tokens, usage->input).with(field::output_tokens, usage->output);
  add(std::move(told));
}

void chronicle::failed(request& which, const failure& why, std::chrono::nanoseconds age, log::request_outcome how) {
  accounts_.failed(which, why, age, how);
  if (follows_)
    add(entry{event::request_failed}
          .with(field::request, to_string(which.id))
          .with(field::provider, why.provider)
          .with(field::model, why.model)
          .with(field::attempts, why.attempts.size() + which.more_records)
          .with(field::duration_seconds, age)
          .with(field::code, name_of(why.code))
          .with(field::status, status_of(why))
          .with(field::reason, why.message));
}

// -- prompts ----------------------------------------------------------------------------

std::string prompt_text(const chat_request& asked) {
  std::string result;
  for (auto& message : asked.messages)
    for (auto& part : message.content) {
      if (auto* text = std::get_if<text_part>(&part))
        append(result, name_of(message.role), text->text);
      else if (auto* answer = std::get_if<tool_result>(&part))
        append(result, name_of(message.role), answer->content);
    }
  return result;
}

std::string prompt_text(const embedding_request& asked) {
  std::string result;
  for (auto& text : asked.inputs)
    append(result, "input", text);
  return result;
}

} // namespace modelforge::provider
