#include "log/scribe.hpp"

#include "base/utf8.hpp"
#include "config/secret_mask.hpp"
#include "log/line.hpp"

#include <utility>
#include <variant>

namespace modelforge::log {

void scribe::write(throttle::timed& happened) {
  auto& rule = happened.what.rule();
  for (auto& each : happened.what.fields()) {
    auto* text = std::get_if<std::string>(&each.value);
    if (text != nullptr && secrets_ != nullptr)
      secrets_->mask(*text, secret_mask::extent::cut);
    if (text != nullptr && sink_)
      *text = std::string{utf8::cut(utf8::repair(*text), max_field)};
  }
  log_record record{happened.time, rule.level, rule.name, rule.component, rule.message, happened.what.fields()};
  if (sink_)
    return hand_over(record);
  if (output_.to().is_none())
    return;
  output_.add([&](std::string& lines) {
    if (output_.to().is_journal())
      lines += journal_prefix(rule.level);
    if (format_ == log_format::json)
      append_json(lines, record);
    else
      append_text(lines, record);
  });
}

void scribe::hand_over(const log_record& record) {
  try {
    sink_(record);
  } catch (...) { // the host's; there is nobody to tell
    ++sink_failures_;
  }
}

// What is missing is told behind what is there. Where that cannot be written either, it stays to be told.
void scribe::flush(time_point now) {
  output_.flush(now, [this](uint64_t count, std::chrono::nanoseconds time, const std::string& reason) {
    throttle::timed told{entry{event::log_dropped}
                           .with(field::count, count)
                           .with(field::duration_seconds, time)
                           .with(field::reason, std::string_view{reason}),
                         std::chrono::system_clock::now()};
    write(told);
  });
}

} // namespace modelforge::log
