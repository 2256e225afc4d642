#include "http/loop.hpp"

#include "base/times.hpp"
#include "http/authorities.hpp"

#include <sys/resource.h>

#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <stdexcept>
#include <utility>

namespace modelforge::http {

namespace {

void initialise_libcurl() {
  static std::once_flag once;
  std::call_once(once, [] {
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
      throw std::runtime_error("libcurl cannot be initialised");
  });
}

void raise_file_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
  }
}

std::string resolve_ca_file(const std::string& given) {
  auto named = given.empty() ? authorities_of_environment() : std::nullopt;
  return named ? std::move(named->path) : given;
}

/// The same for a folder of certificates, which is OpenSSL's; they count beside those of the file.
std::string resolve_ca_folder(const std::string& given, const std::string& given_file) {
  if (!given.empty())
    return given;
  auto* folder =
    given_file.empty() && set_variable("CURL_CA_BUNDLE") == nullptr ? set_variable("SSL_CERT_DIR") : nullptr;
  return folder != nullptr ? folder : "";
}

/// Prepares the process for transfers, and completes the options.
transport_options prepare(transport_options options) {
  initialise_libcurl();
  raise_file_limit();
  options.ca_folder = resolve_ca_folder(options.ca_folder, options.ca_file);
  options.ca_file = resolve_ca_file(options.ca_file);
  options.transfers_per_multi = std::max<std::size_t>(options.transfers_per_multi, 1);
  return options;
}

/// For epoll_wait; -1: for ever.
int milliseconds_until(steady::time_point time) {
  if (time == steady::time_point::max())
    return -1;
  auto left = std::chrono::ceil<std::chrono::milliseconds>(time - steady::now()).count();
  return static_cast<int>(std::clamp<int64_t>(left, 0, 3'600'000));
}

transfer_error draining_error() {
  return {.code = errc::draining, .phase = phase::queued, .message = "the HTTP transport is shutting down"};
}

} // namespace

// -- from any thread ---------------------------------------------------------------

// The thread is made last: what it uses is there by then. It inherits a mask that blocks every signal.
transport::loop::loop(transport_options options)
  : options_(prepare(std::move(options))), origins_(proxy_rules_of_environment()),
    easy_handles_(*this, options_, proxy_rules_of_environment().any(), &loop::connect_callbacks),
    multis_(*this, options_, &loop::on_socket) {
  sigset_t all{}, before{}; // signals are the host's; libcurl's writes may raise SIGPIPE
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_.handle = std::thread{[this] {
    run();
    auto last_owner = std::move(thread_.owned);
  }};
  pthread_setname_np(thread_.handle.native_handle(), "modelforge-http");
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

transport::loop::~loop() {
  shutdown({});
}

// The id is the count of transfers: unique, and one atomic step for both.
transfer_id transport::loop::submit(http::request request, std::shared_ptr<http::receiver> receiver, uint64_t credit,
                                    bool may_work_here) {
  auto id = counters_.started.fetch_add(1, std::memory_order_relaxed) + 1;
  receiver->on_open(id);
  command next{std::in_place_type<start_command>,
               start_command{id, std::move(request), std::move(receiver), credit, steady::now()}};
  if (!post(std::move(next), may_work_here)) {
    counters_.failed.fetch_add(1, std::memory_order_relaxed);
    auto& refused = *std::get<start_command>(next).receiver; // no other thread is left to call it
    refused.on_end({.error = draining_error(), .times = {}});
    refused.flush();
  }
  return id;
}

bool transport::loop::post(command&& next, bool may_work_here) {
  auto outcome = inbox_.post(std::move(next));
  if (outcome == inbox::outcome::sleeper && !(may_work_here && work_as_deputy()))
    poller_.wake();
  return outcome != inbox::outcome::closed;
}

// What the thread does between two waits, on the caller's thread. Whoever holds the mutex may be in the middle of that,
// or about to sleep again, so it is not waited for. At the end the thread is told if it now has to wake earlier than it
// planned; epoll needs no word about new descriptors.
bool transport::loop::work_as_deputy() {
  std::unique_lock work_lock{work_mutex_, std::try_to_lock};
  if (!work_lock)
    return false;
  inbox_.awake(); // the thread may have slept again since: no deputy in a deputy
  deputy_.store(std::this_thread::get_id(), std::memory_order_relaxed);
  take_commands();
  work();
  flush();
  deputy_.store({}, std::memory_order_relaxed);
  auto is_due_sooner = drain_deadline_ || next_due() < sleeps_until_; // it alone finds that all is drained
  if (is_due_sooner || !inbox_.fall_asleep())
    poller_.wake();
  return true;
}

void transport::loop::shutdown(std::chrono::nanoseconds grace) {
  auto now = steady::now();
  post(drain_command{time_after(now, grace)});
  std::lock_guard lock{thread_.join_mutex};
  if (thread_.handle.joinable())
    thread_.handle.join();
}

void transport::loop::end_alone(std::shared_ptr<loop> me) {
  thread_.owned = std::move(me);
  post(drain_command{steady::now()});
  std::lock_guard lock{thread_.join_mutex};
  thread_.handle.detach();
}

transport_stats transport::loop::stats() const {
  auto get = [](auto& x) { return x.load(std::memory_order_acquire); };
  transport_stats result;
  result.succeeded = get(counters_.succeeded); // before `started`: what ended has started
  result.failed = get(counters_.failed);
  result.cancelled = get(counters_.cancelled);
  result.started = get(counters_.started);
  result.connections = get(counters_.connections);
  result.active = result.started - result.succeeded - result.failed - result.cancelled;
  result.waiting = get(counters_.waiting);
  result.paused = get(counters_.paused);
  result.multis = multis_.count();
  return result;
}

// -- the thread -----------------------------------------------------------------------

// One turn: commands, what is due, then a wait for sockets, whose events are handled in it.
void transport::loop::run() {
  std::unique_lock work_lock{work_mutex_};
  while (!may_end()) {
    take_commands();
    work();
    flush();
    wait(work_lock);
  }
  flush();
  multis_.close_all();
  easy_handles_.clear();
}

// Only a drained transport ends, and only when no transfer and no command is left: each gets its end.
bool transport::loop::may_end() {
  if (!drain_deadline_)
    return false;
  if (!live_.empty() && steady::now() >= *drain_deadline_) {
    std::vector<transfer*> left;
    for (auto& [id, transfer] : live_)
      left.push_back(transfer.get());
    for (auto* transfer : left)
      finish(*transfer, error_of(*transfer, errc::cancelled, "cancelled: the HTTP transport is shutting down"));
  }
  return live_.empty() && inbox_.close();
}

void transport::loop::take_commands() {
  inbox_.take([this](auto& command) { apply(command); });
}

void transport::loop::work() {
  do {
    resume_waiting();
    run_due();
  } while (origins_.has_resumed());
  fire_deadlines();
  resume_waiting();
}

steady::time_point transport::loop::next_due() const {
  auto drain = drain_deadline_.value_or(steady::time_point::max());
  return std::min({drain, deadlines_.next(), multis_.next_due()});
}

// The only place where the thread lets go of the mutex. Commands that came since they were last taken keep it from
// sleeping; those that come later wake it, by the inbox's word that there is a sleeper.
void transport::loop::wait(std::unique_lock<std::mutex>& work_lock) {
  sleeps_until_ = next_due();
  auto timeout = milliseconds_until(sleeps_until_);
  if (timeout != 0 && !inbox_.fall_asleep())
    timeout = 0;
  work_lock.unlock();
  std::array<epoll_event, 256> room;
  auto events = poller_.wait(room, timeout);
  work_lock.lock();
  inbox_.awake();
  for (auto& event : events) {
    if (!poller_.is_wake_up(event))
      on_event(event.data.fd, event.events);
    for (auto& multi : multis_)
      if (multi->touched)
        collect(*multi);
    flush(); // no stream waits for what is read of the others
  }
  multis_.close_unused();
}

// From here on the transfer is live and ends by `finish`, also where it is refused: a receiver always hears an end.
void transport::loop::apply(start_command& start) {
  auto owned = easy_handles_.take();
  auto& transfer = *owned;
  live_.emplace(start.id, std::move(owned));
  transfer.request = std::move(start.request);
  auto& state = transfer.state;
  state.id = start.id;
  state.receiver = std::move(start.receiver);
  state.started = start.asked_at;
  state.credit = start.credit;
  state.may_pause = start.credit != UINT64_MAX;
  if (drain_deadline_)
    return finish(transfer, draining_error());
  if (auto reason = refuse_reason(transfer.request); !reason.empty())
    return finish(transfer, error_of(transfer, errc::invalid_request, reason));
  state.origin = origins_.find(transfer.request.url);
  if (state.origin == nullptr)
    return finish(transfer, error_of(transfer, errc::invalid_request,
                                     "the URL is not valid; it must start with http:// or https://"));
  ++state.origin->users;
  if (!state.origin->proxy_flaw.empty())
    return finish(transfer,
                  error_of(transfer, errc::configuration,
                           "the proxy " + state.origin->proxy_name + " cannot be used: " + state.origin->proxy_flaw));
  transfer.configure();
  deadlines_.arm(transfer);
  begin(transfer);
}

// libcurl hands on what it held back within `curl_easy_pause`, so callbacks come from in here.
void transport::loop::apply(grant_command& grant) {
  auto found = live_.find(grant.id);
  if (found == live_.end())
    return;
  auto& transfer = *found->second;
  auto& state = transfer.state;
  state.credit = grant.bytes < UINT64_MAX - state.credit ? state.credit + grant.bytes : UINT64_MAX;
  if (!state.paused)
    return;
  state.paused = false;
  counters_.paused.fetch_sub(1, std::memory_order_relaxed);
  state.last_byte = steady::now();
  state.multi->touched = true;
  auto code = curl_easy_pause(transfer.easy.get(), CURLPAUSE_CONT); // hands on what libcurl held back
  if (code != CURLE_OK)
    return complete(transfer, code);
  deadlines_.arm(transfer);
}

void transport::loop::apply(cancel_command& cancel) {
  auto found = live_.find(cancel.id);
  if (found == live_.end())
    return;
  auto& transfer = *found->second;
  if (cancel.after.count() <= 0)
    return finish(transfer, error_of(transfer, errc::cancelled, "cancelled"));
  transfer.request.total_timeout = steady::now() - transfer.state.started + cancel.after;
  deadlines_.arm(transfer);
}

void transport::loop::apply(drain_command& drain) {
  drain_deadline_ = std::min(drain.deadline, drain_deadline_.value_or(steady::time_point::max()));
}

// -- transfers ------------------------------------------------------------------------

// `CURLOPT_RESOLVE` with "-host:port" has libcurl forget the address it has cached, so the resolver asks anew.
void transport::loop::begin(transfer& transfer) {
  auto& origin = *transfer.state.origin;
  auto is_stale = !origin.literal && steady::now() >= origin.fresh_until;
  if (is_stale && origin.resolver != nullptr) {
    transfer.state.waiting = true;
    counters_.waiting.fetch_add(1, std::memory_order_relaxed);
    origin.waiting.push_back(transfer.state.id);
    return;
  }
  if (is_stale)
    origin.resolver = &transfer;
  if (!easy_handles_.has_fixed_addresses()) {
    transfer.forget = {origin.forget.data(), nullptr};
    curl_easy_setopt(transfer.easy.get(), CURLOPT_RESOLVE, is_stale ? &transfer.forget : nullptr);
  }
  if (auto code = multis_.add(transfer); code != CURLM_OK)
    finish(transfer, error_of(transfer, errc::internal,
                              std::string{"libcurl refused the request: "} + curl_multi_strerror(code)));
}

void transport::loop::resume_waiting() {
  while (auto id = origins_.take_resumed())
    if (auto found = live_.find(id); found != live_.end()) {
      found->second->state.waiting = false;
      counters_.waiting.fetch_sub(1, std::memory_order_relaxed);
      begin(*found->second);
    }
}

void transport::loop::fail_waiting(origin& origin, const transfer_error& error) {
  for (auto id : std::exchange(origin.waiting, {}))
    if (auto found = live_.find(id); found != live_.end())
      finish(*found->second, error);
}

void transport::loop::fire_deadlines() {
  if (deadlines_.empty())
    return;
  auto now = steady::now();
  while (auto* transfer = deadlines_.take_due(now))
    if (transfer->deadline() <= now)
      finish(*transfer, timeout_error(*transfer, now));
    else
      deadlines_.arm(*transfer);
}

void transport::loop::flush_later(const std::shared_ptr<http::receiver>& receiver) {
  if (unflushed_.empty() || unflushed_.back() != receiver)
    unflushed_.push_back(receiver);
}

void transport::loop::flush() {
  for (auto& receiver : unflushed_)
    receiver->flush();
  unflushed_.clear();
}

// libcurl keeps a message for each transfer it is done with; it stays valid until the next one is asked for or its
// handle is removed, so the result is read first.
void transport::loop::collect(multi& multi) {
  multi.touched = false;
  int left = 0;
  while (auto* message = curl_multi_info_read(multi.handle.get(), &left)) {
    if (message->msg != CURLMSG_DONE)
      continue;
    auto code = message->data.result;
    transfer* ended = nullptr;
    curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &ended);
    complete(*ended, code);
  }
  if (multi.refuses)
    end_refused(multi);
}

// A failed connection makes the next transfer resolve the host again. A failed resolution ends all who wait for it:
// each would make the same experience.
void transport::loop::complete(transfer& transfer, CURLcode code) {
  if (code == CURLE_OK && transfer.state.head_given && !transfer.state.compressed.is_cut())
    return finish(transfer, std::nullopt);
  auto error = error_of(transfer, code);
  auto& origin = *transfer.state.origin;
  if (error.code == errc::connect_failed)
    origin.fresh_until = {}; // the host may have moved
  if (error.code == errc::resolve_failed && origin.resolver == &transfer)
    fail_waiting(origin, error);
  finish(transfer, std::move(error));
}

// The end is worked out while libcurl still has the transfer. The receiver is called last, when all books are right: it
// may start the next transfer, though only by a command.
void transport::loop::finish(transfer& transfer, std::optional<transfer_error> error) {
  auto now = steady::now();
  auto& state = transfer.state;
  auto since_start = [&](steady::time_point time) {
    return time == steady::time_point{} ? steady::duration{} : time - state.started;
  };
  transfer_end end{.error = std::move(error),
                   .times = {since_start(state.connected), since_start(state.first_byte), since_start(now)},
                   .reused_connection = state.begun && !state.opened_socket};
  state.ending = true; // libcurl may still call back while it lets go of the transfer
  deadlines_.disarm(transfer);
  if (state.waiting)
    counters_.waiting.fetch_sub(1, std::memory_order_relaxed);
  if (state.paused)
    counters_.paused.fetch_sub(1, std::memory_order_relaxed);
  if (state.multi != nullptr)
    detach(transfer);
  if (state.origin != nullptr)
    --state.origin->users;
  auto receiver = std::move(state.receiver);
  auto ended = live_.extract(state.id);
  state = {};
  transfer.request = {};
  easy_handles_.give_back(std::move(ended.mapped()));
  auto& counter = !end.error                           ? counters_.succeeded
                  : end.error->code == errc::cancelled ? counters_.cancelled
                                                       : counters_.failed;
  counter.fetch_add(1, std::memory_order_release);
  receiver->on_end(std::move(end));
  flush_later(receiver);
}

void transport::loop::detach(transfer& transfer) {
  multis_.remove(transfer);
  origins_.give_up_resolving(transfer);
  if (transfer.state.socket < 0)
    return;
  auto& socket = poller_.at(transfer.state.socket);
  if (std::exchange(socket.user, nullptr) == &transfer && !socket.http2)
    socket.set_idle(true); // libcurl kept it, or we would have seen it closed
}

} // namespace modelforge::http
