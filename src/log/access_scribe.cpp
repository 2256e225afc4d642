#include "log/access_scribe.hpp"

#include "config/secret_mask.hpp"
#include "log/access_line.hpp"

namespace modelforge::log {

void mask_texts(request_record& of, const secret_mask& secrets) {
  auto mask = [&](std::string& text) { secrets.mask(text, secret_mask::extent::cut); };
  for (auto* text : {&of.tenant, &of.node, &of.model, &of.answered_by})
    mask(*text);
  for (auto& [name, value] : of.labels) {
    mask(name);
    mask(value);
  }
  if (of.trace)
    for (auto* text : {&of.trace->state, &of.trace->url})
      mask(*text);
}

void access_scribe::write(timed_record& ended) {
  if (output_.to().is_none())
    return;
  if (secrets_ != nullptr)
    mask_texts(ended.what, *secrets_);
  output_.add([&](std::string& lines) { append_access(lines, ended.what, ended.time); });
}

void access_scribe::flush(time_point now) {
  output_.flush(now, [this](uint64_t count, std::chrono::nanoseconds time, const std::string& reason) {
    output_.add([&](std::string& lines) {
      append_missing(lines, {count, time, reason}, std::chrono::system_clock::now());
    });
  });
}

} // namespace modelforge::log
