#include "log/logger.hpp"

#include "log/access_scribe.hpp"
#include "log/scribe.hpp"
#include "log/target.hpp"
#include "log/throttle.hpp"
#include "log/writer_thread.hpp"

#include <chrono>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

namespace modelforge::log {

namespace {

/// What the settings come to, given what the program says.
log_settings resolved(log_settings wanted, const log_options& options) {
  if (wanted.sink == "automatic")
    wanted.sink = wanted.level != log_level::automatic ? "stderr" : options.automatic_sink;
  if (wanted.level == log_level::automatic)
    wanted.level = options.level;
  if (options.sink)
    wanted.sink = "none";
  return wanted;
}

failure cannot_log(std::string_view key, const std::string& why) {
  return make_failure(errc::configuration, std::string{key} + ": " + why,
                      "name a file in a folder that can be written, `stderr` or `none`");
}

/// Why what `name` names cannot be had, where it is not what is had already.
std::optional<failure> try_out(std::string_view key, const std::string& name, const std::string& now) {
  if (name == now)
    return {};
  auto opened = target::open(name);
  if (auto* why = std::get_if<std::string>(&opened))
    return cannot_log(key, *why);
  return {};
}

/// Has lines go where `name` says; where that is where they go now, the file is opened again. What cannot be had is
/// told, and the place before is kept: the name that is in force is returned.
template <class Writer>
std::string change_place(Writer& writer, const std::string& name, const std::string& now, const std::string& what) {
  if (name == now) {
    writer.apply([](auto& to) { to.reopen(); });
    return name;
  }
  auto opened = target::open(name);
  if (auto* why = std::get_if<std::string>(&opened)) {
    say_aside("modelforge: " + what + ": " + *why + "\n");
    return now;
  }
  auto next = std::make_shared<target>(std::get<target>(std::move(opened))); // a change can be copied
  writer.apply([next](auto& to) { to.move_to(std::move(*next)); });
  return name;
}

} // namespace

class logger::event_writer : public writer_thread<throttle::timed, scribe, throttle> {
public:
  using writer_thread::writer_thread;
};

class logger::access_writer : public writer_thread<timed_record, access_scribe> {
public:
  using writer_thread::writer_thread;
};

std::variant<log_handle, failure> logger::start(const log_settings& settings, log_options options) {
  auto resolution = resolved(settings, options);
  auto log = target::open(resolution.sink);
  if (auto* why = std::get_if<std::string>(&log))
    return cannot_log("log.sink", *why);
  auto access = target::open(resolution.access);
  if (auto* why = std::get_if<std::string>(&access))
    return cannot_log("log.access", *why);
  try {
    auto events = std::make_shared<event_writer>(max_waiting, max_waiting_bytes, std::get<target>(std::move(log)),
                                                 settings.format, options.sink);
    auto requests = std::make_shared<access_writer>(max_waiting_records, max_waiting_record_bytes,
                                                    std::get<target>(std::move(access)));
    events->start();
    log_handle result{new logger{std::move(events), std::move(requests), std::move(options)}};
    result->take(resolution);
    return result;
  } catch (const std::exception& problem) {
    return make_failure(errc::internal, std::string{"the log cannot be started: "} + problem.what());
  }
}

logger::logger(std::shared_ptr<event_writer> events, std::shared_ptr<access_writer> requests, log_options options)
  : events_(std::move(events)), requests_(std::move(requests)), options_(std::move(options)) {}

// Both at a time: one that hangs takes nothing of the other's time.
logger::~logger() {
  auto until = std::chrono::steady_clock::now() + max_flush;
  events_->begin_end();
  requests_->end(until);
  events_->end(until);
}

/// Goes by settings whose targets are in place.
void logger::take(const log_settings& settings) {
  {
    std::lock_guard lock{mutex_};
    names_ = {settings.sink, settings.access};
  }
  threshold_ = settings.sink == "none" && !options_.sink ? -1 : static_cast<int>(settings.level);
  content_ = settings.content;
  if (settings.access != "none" && !wants_access()) {
    requests_->start();
    std::lock_guard lock{mutex_};
    requests_->apply([secrets = secrets_](access_scribe& to) { to.mask(secrets); });
  }
  access_.store(settings.access != "none", std::memory_order_release);
  if (wants_content())
    write(entry{event::log_content});
}

void logger::write(entry happened) noexcept {
  try {
    auto level = happened.rule().level;
    if (wants(level))
      events_->push({std::move(happened), std::chrono::system_clock::now()}, level <= log_level::warning);
  } catch (...) { // no memory: what is told of it would be lost, too
  }
}

void logger::write(request_record ended) noexcept {
  try {
    if (wants_access())
      requests_->push({std::move(ended), std::chrono::system_clock::now()}, false);
  } catch (...) { // no memory
  }
}

void logger::mask(std::shared_ptr<const secret_mask> secrets) {
  events_->apply([secrets](scribe& to) { to.mask(secrets); });
  std::lock_guard lock{mutex_};
  secrets_ = std::move(secrets);
  if (wants_access())
    requests_->apply([secrets = secrets_](access_scribe& to) { to.mask(secrets); });
}

void logger::reopen() {
  events_->apply([](scribe& to) { to.reopen(); });
  if (wants_access())
    requests_->apply([](access_scribe& to) { to.reopen(); });
}

logger::names logger::names_now() const {
  std::lock_guard lock{mutex_};
  return names_;
}

std::optional<failure> logger::check(const log_settings& settings) const {
  auto wanted = resolved(settings, options_);
  auto now = names_now();
  if (auto why = try_out("log.sink", wanted.sink, now.sink))
    return why;
  return try_out("log.access", wanted.access, now.access);
}

void logger::reconfigure(const log_settings& settings) {
  auto wanted = resolved(settings, options_);
  auto now = names_now();
  events_->apply([format = settings.format](scribe& to) { to.set_format(format); });
  wanted.sink = change_place(*events_, wanted.sink, now.sink, "the log");
  if (wanted.access != "none" || wants_access())
    wanted.access = change_place(*requests_, wanted.access, now.access, "the access log");
  try {
    take(wanted);
  } catch (const std::exception& problem) { // there is no other thread to be had
    say_aside(std::string{"modelforge: the access log cannot be started: "} + problem.what() + "\n");
  }
}

uint64_t logger::dropped() const {
  return events_->dropped();
}

uint64_t logger::dropped_requests() const {
  return requests_->dropped();
}

uint64_t logger::sink_failures() const {
  return events_->writes_by().sink_failures();
}

} // namespace modelforge::log

namespace modelforge {

std::variant<log_handle, failure> start_log(const log_settings& settings, const log_options& options) {
  return log::logger::start(settings, options);
}

void reopen(const log_handle& log) {
  if (log != nullptr)
    log->reopen();
}

uint64_t dropped_events(const log_handle& log) {
  return log != nullptr ? log->dropped() : 0;
}

uint64_t dropped_requests(const log_handle& log) {
  return log != nullptr ? log->dropped_requests() : 0;
}

} // namespace modelforge
