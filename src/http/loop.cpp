#include "http/loop.hpp"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <stdexcept>

namespace modelforge::http {

namespace {

/// Handles kept for the next transfers; each holds a few KiB.
constexpr std::size_t max_spare = 1024;

/// Origins known before those that nobody uses are forgotten.
constexpr std::size_t many_origins = 1024;

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

const char* variable(const char* name) {
  auto* value = std::getenv(name);
  return value != nullptr && *value != '\0' ? value : nullptr;
}

/// These two variables are the curl tool's; the library does not read them.
std::string resolve_ca_file(const std::string& given) {
  if (!given.empty())
    return given;
  for (auto* name : {"CURL_CA_BUNDLE", "SSL_CERT_FILE"})
    if (auto* value = variable(name))
      return value;
  return {};
}

bool proxy_in_environment() {
  for (auto* name : {"http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"})
    if (variable(name) != nullptr)
      return true;
  return false;
}

/// For epoll_wait; -1: for ever.
int milliseconds_until(steady::time_point x) {
  if (x == steady::time_point::max())
    return -1;
  auto left = std::chrono::ceil<std::chrono::milliseconds>(x - steady::now()).count();
  return static_cast<int>(std::clamp<int64_t>(left, 0, 3'600'000));
}

transfer_error draining_error() {
  return {.code = errc::draining, .phase = phase::queued, .message = "the HTTP transport is shutting down"};
}

} // namespace

// -- from any thread ---------------------------------------------------------------

transport::loop::loop(transport_options options) : options_(std::move(options)), proxied_(proxy_in_environment()) {
  initialise_libcurl();
  raise_file_limit();
  options_.ca_file = resolve_ca_file(options_.ca_file);
  options_.transfers_per_multi = std::max<std::size_t>(options_.transfers_per_multi, 1);
  for (auto& x : options_.resolve)
    resolve_ = curl_slist_append(resolve_, x.c_str());
  share_.reset(curl_share_init());
  curl_share_setopt(share_.get(), CURLSHOPT_SHARE, CURL_LOCK_DATA_DNS);
  curl_share_setopt(share_.get(), CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION);
  epoll_ = epoll_create1(EPOLL_CLOEXEC);
  wake_up_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  epoll_event event{.events = EPOLLIN, .data = {.fd = wake_up_}};
  if (epoll_ < 0 || wake_up_ < 0 || epoll_ctl(epoll_, EPOLL_CTL_ADD, wake_up_, &event) != 0)
    throw std::runtime_error("the HTTP transport cannot be started: no more open files are allowed");
  sigset_t all{}, before{}; // signals are the host's; libcurl's writes may raise SIGPIPE
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::thread{[this] {
    run();
    auto last = std::move(alone_);
  }};
  pthread_setname_np(thread_.native_handle(), "modelforge-http");
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

transport::loop::~loop() {
  shutdown({});
  curl_slist_free_all(resolve_);
  close(wake_up_);
  close(epoll_);
}

transfer_id transport::loop::submit(request x, std::shared_ptr<receiver> to, uint64_t credit, bool here) {
  auto id = last_id_.fetch_add(1, std::memory_order_relaxed) + 1;
  count_.started.fetch_add(1, std::memory_order_relaxed);
  to->on_open(id);
  command next{std::in_place_type<start>, start{id, std::move(x), std::move(to), credit, steady::now()}};
  if (!post(std::move(next), here)) {
    count_.failed.fetch_add(1, std::memory_order_relaxed);
    auto& reader = *std::get<start>(next).to; // no other thread is left to call it
    reader.on_end({.error = draining_error(), .times = {}});
    reader.flush();
  }
  return id;
}

bool transport::loop::post(command&& x, bool here) {
  auto asleep = false;
  {
    std::lock_guard lock{mutex_};
    if (ended_)
      return false;
    inbox_.push_back(std::move(x));
    asleep = sleeping_.exchange(false, std::memory_order_relaxed);
  }
  if (asleep && !(here && work_in_its_place()))
    wake();
  return true;
}

void transport::loop::wake() {
  uint64_t one = 1;
  [[maybe_unused]] auto written = write(wake_up_, &one, sizeof one);
}

bool transport::loop::work_in_its_place() {
  std::unique_lock hold{state_, std::try_to_lock};
  if (!hold)
    return false;
  sleeping_.store(false, std::memory_order_relaxed); // the thread may have slept again since: no deputy in a deputy
  deputy_.store(std::this_thread::get_id(), std::memory_order_relaxed);
  take_commands();
  work();
  flush();
  deputy_.store({}, std::memory_order_relaxed);
  auto sooner = drain_until_ || next_due() < sleeps_until_; // it alone finds that all is drained
  {
    std::lock_guard lock{mutex_};
    sleeping_.store(inbox_.empty() && !sooner, std::memory_order_relaxed);
    sooner |= !inbox_.empty();
  }
  if (sooner)
    wake();
  return true;
}

void transport::loop::shutdown(std::chrono::nanoseconds grace) {
  auto now = steady::now();
  post(drain{grace < steady::time_point::max() - now ? now + grace : steady::time_point::max()});
  std::lock_guard lock{join_mutex_};
  if (thread_.joinable())
    thread_.join();
}

void transport::loop::end_alone(std::shared_ptr<loop> me) {
  alone_ = std::move(me);
  post(drain{steady::now()});
  std::lock_guard lock{join_mutex_};
  thread_.detach();
}

transport_stats transport::loop::stats() const {
  auto get = [](auto& x) { return x.load(std::memory_order_acquire); };
  transport_stats result;
  result.succeeded = get(count_.succeeded); // before `started`: what ended has started
  result.failed = get(count_.failed);
  result.cancelled = get(count_.cancelled);
  result.started = get(count_.started);
  result.connections = get(count_.connections);
  result.active = result.started - result.succeeded - result.failed - result.cancelled;
  result.waiting = get(count_.waiting);
  result.paused = get(count_.paused);
  result.multis = get(count_.multis);
  return result;
}

// -- the thread -----------------------------------------------------------------------

void transport::loop::run() {
  std::unique_lock hold{state_};
  while (!may_end()) {
    take_commands();
    work();
    flush();
    wait(hold);
  }
  flush();
  for (auto& x : multis_)
    x->handle.reset();
  count_.multis.store(0, std::memory_order_relaxed);
  spare_.clear();
  share_.reset();
}

bool transport::loop::may_end() {
  if (!drain_until_)
    return false;
  if (!live_.empty() && steady::now() >= *drain_until_) {
    std::vector<transfer*> left;
    for (auto& [id, x] : live_)
      left.push_back(x.get());
    for (auto* x : left)
      finish(*x, fault(*x, errc::cancelled, "cancelled: the HTTP transport is shutting down"));
  }
  std::lock_guard lock{mutex_};
  ended_ = live_.empty() && inbox_.empty();
  return ended_;
}

void transport::loop::take_commands() {
  {
    std::lock_guard lock{mutex_};
    taken_.swap(inbox_);
  }
  for (auto& x : taken_)
    std::visit([this](auto& y) { apply(y); }, x);
  taken_.clear();
}

void transport::loop::work() {
  do {
    resume_waiting();
    run_due();
  } while (!to_resume_.empty());
  fire_timers();
  resume_waiting();
}

steady::time_point transport::loop::next_due() const {
  auto next = drain_until_.value_or(steady::time_point::max());
  if (!timers_.empty())
    next = std::min(next, timers_.begin()->first);
  for (auto& x : multis_) {
    next = std::min(next, x->due);
    if (x->handle && x->active == 0)
      next = std::min(next, x->retired() ? steady::time_point{} : x->last_used + options_.max_idle_time);
  }
  return next;
}

void transport::loop::wait(std::unique_lock<std::mutex>& hold) {
  sleeps_until_ = next_due();
  auto timeout = milliseconds_until(sleeps_until_);
  {
    std::lock_guard lock{mutex_};
    if (!inbox_.empty())
      timeout = 0;
    sleeping_.store(timeout != 0, std::memory_order_relaxed);
  }
  hold.unlock();
  std::array<epoll_event, 256> events;
  auto count = epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), timeout);
  hold.lock();
  sleeping_.store(false, std::memory_order_relaxed);
  for (auto i = 0; i < count; ++i) {
    handle_event(events[static_cast<std::size_t>(i)].data.fd, events[static_cast<std::size_t>(i)].events);
    for (auto& x : multis_)
      if (x->touched)
        collect(*x);
    flush(); // no stream waits for what is read of the others
  }
  close_unused_multis();
}

void transport::loop::apply(start& x) {
  auto id = x.id;
  auto owned = make_transfer();
  auto& t = *owned;
  live_.emplace(id, std::move(owned));
  t.asked = std::move(x.asked);
  t.now.id = id;
  t.now.to = std::move(x.to);
  t.now.started = x.at;
  t.now.credit = x.credit;
  t.now.may_pause = x.credit != UINT64_MAX;
  if (drain_until_)
    return finish(t, draining_error());
  if (auto reason = refuse_reason(t.asked); !reason.empty())
    return finish(t, fault(t, errc::invalid_request, reason));
  t.now.at = find_origin(t.asked.url);
  if (t.now.at == nullptr)
    return finish(t, fault(t, errc::invalid_request, "the URL is not valid; it must start with http:// or https://"));
  ++t.now.at->users;
  t.configure();
  arm(t);
  begin(t);
}

void transport::loop::apply(grant& x) {
  auto found = live_.find(x.id);
  if (found == live_.end())
    return;
  auto& t = *found->second;
  t.now.credit = x.bytes < UINT64_MAX - t.now.credit ? t.now.credit + x.bytes : UINT64_MAX;
  if (!t.now.paused)
    return;
  t.now.paused = false;
  count_.paused.fetch_sub(1, std::memory_order_relaxed);
  t.now.last_byte = steady::now();
  t.now.in->touched = true;
  auto code = curl_easy_pause(t.easy.get(), CURLPAUSE_CONT); // hands on what libcurl held back
  if (code != CURLE_OK)
    return complete(t, code);
  arm(t);
}

void transport::loop::apply(cancel& x) {
  auto found = live_.find(x.id);
  if (found == live_.end())
    return;
  auto& t = *found->second;
  if (x.after.count() <= 0)
    return finish(t, fault(t, errc::cancelled, "cancelled"));
  t.asked.total_timeout = steady::now() - t.now.started + x.after;
  arm(t);
}

void transport::loop::apply(drain& x) {
  drain_until_ = std::min(x.until, drain_until_.value_or(steady::time_point::max()));
}

// -- transfers ------------------------------------------------------------------------

std::unique_ptr<transfer> transport::loop::make_transfer() {
  if (!spare_.empty()) {
    auto result = std::move(spare_.back());
    spare_.pop_back();
    return result;
  }
  auto result = std::make_unique<transfer>();
  result->easy.reset(curl_easy_init());
  auto* handle = result->easy.get();
  auto set = [handle](CURLoption option, auto value) { curl_easy_setopt(handle, option, value); };
  set(CURLOPT_PRIVATE, result.get());
  set(CURLOPT_SHARE, share_.get());
  set(CURLOPT_ERRORBUFFER, result->error_text);
  set(CURLOPT_USERAGENT, options_.user_agent.c_str());
  set(CURLOPT_PROTOCOLS_STR, "http,https");
  set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_QUICK_EXIT, 1L); // else ending a transfer waits for its resolver thread
  set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  set(CURLOPT_CONNECTTIMEOUT_MS, 24L * 3600 * 1000);    // ours are the timers; 0 would mean libcurl's own 300 s
  set(CURLOPT_DNS_CACHE_TIMEOUT, proxied_ ? 60L : -1L); // we say when an address is old, see `begin`
  set(CURLOPT_TCP_KEEPALIVE, 1L);
  set(CURLOPT_TCP_KEEPIDLE, 60L);
  set(CURLOPT_TCP_KEEPINTVL, 60L);
  set(CURLOPT_MAXAGE_CONN, static_cast<long>(options_.max_idle_time.count()));
  set(CURLOPT_CAPATH, nullptr); // with a directory, libcurl parses the whole bundle for each connection
  set(CURLOPT_PROXY_CAPATH, nullptr);
  if (!options_.ca_file.empty()) {
    set(CURLOPT_CAINFO, options_.ca_file.c_str());
    set(CURLOPT_PROXY_CAINFO, options_.ca_file.c_str());
  }
  if (resolve_ != nullptr)
    set(CURLOPT_RESOLVE, resolve_);
  auto* user = result.get();
  set(CURLOPT_OPENSOCKETFUNCTION, &loop::on_open);
  set(CURLOPT_OPENSOCKETDATA, user);
  set(CURLOPT_CLOSESOCKETFUNCTION, &loop::on_close);
  set(CURLOPT_CLOSESOCKETDATA, this); // connections outlive transfers
  set(CURLOPT_PREREQFUNCTION, &loop::on_ready);
  set(CURLOPT_PREREQDATA, user);
  set(CURLOPT_XFERINFOFUNCTION, &loop::on_progress);
  set(CURLOPT_XFERINFODATA, user);
  // Without it libcurl sends a request again whose kept connection has closed, be it processed or not; with it only one
  // whose stream was refused. (Meant for RTSP, it means that nothing is sent.)
  set(CURLOPT_RTSP_REQUEST, static_cast<long>(CURL_RTSPREQ_RECEIVE));
  set(CURLOPT_DEBUGFUNCTION, &loop::on_note);
  set(CURLOPT_DEBUGDATA, user);
  set(CURLOPT_HEADERFUNCTION, &loop::on_header);
  set(CURLOPT_HEADERDATA, user);
  set(CURLOPT_WRITEFUNCTION, &loop::on_body);
  set(CURLOPT_WRITEDATA, user);
  return result;
}

origin* transport::loop::find_origin(const std::string& url) {
  auto key = origin_part(url);
  if (auto found = origins_.find(key); found != origins_.end())
    return &found->second;
  auto made = parse_origin(key);
  if (!made)
    return nullptr;
  if (origins_.size() >= many_origins && to_resume_.empty())
    std::erase_if(origins_, [](auto& x) { return x.second.users == 0; });
  return &origins_.emplace(key, std::move(*made)).first->second;
}

void transport::loop::begin(transfer& x) {
  auto& at = *x.now.at;
  auto stale = !at.literal && steady::now() >= at.fresh_until;
  if (stale && at.resolver != nullptr) { // each transfer that resolves is a thread of libcurl's
    x.now.waiting = true;
    count_.waiting.fetch_add(1, std::memory_order_relaxed);
    at.waiting.push_back(x.now.id);
    return;
  }
  if (stale)
    at.resolver = &x;
  if (resolve_ == nullptr) {
    x.forget = {at.forget.data(), nullptr};
    curl_easy_setopt(x.easy.get(), CURLOPT_RESOLVE, stale ? &x.forget : nullptr);
  }
  auto& in = choose_multi(x);
  x.now.in = &in;
  decide_reuse(x);
  ++in.active;
  in.begun += in.only != nullptr;
  in.touched = true;
  limit_connections(in);
  if (auto code = curl_multi_add_handle(in.handle.get(), x.easy.get()); code != CURLM_OK)
    finish(x, fault(x, errc::internal, std::string{"libcurl refused the request: "} + curl_multi_strerror(code)));
}

multi& transport::loop::choose_multi(const transfer& x) {
  auto& at = *x.now.at;
  auto shares = x.may_share();
  auto most = shares ? std::min(at.most_sharing, options_.transfers_per_multi) : options_.transfers_per_multi;
  multi* with_room = nullptr;
  for (auto& m : multis_) {
    if (!m->handle || m->active >= most || m->retired() || (m->only != nullptr && m->only != &at))
      continue;
    if (shares) {
      if (m->only == &at)
        return *m;
      continue;
    }
    auto& pool = at.pool(m->index);
    if (pool.idle > pool.claims)
      return *m;
    // not to a handle of sharing ones: a new HTTP/1.1 connection there has libcurl believe that the origin cannot share
    if (with_room == nullptr && m->only == nullptr)
      with_room = m.get();
  }
  return with_room != nullptr ? *with_room : open_multi(shares ? &at : nullptr);
}

void transport::loop::decide_reuse(transfer& x) {
  auto& at = *x.now.at;
  auto& pool = at.pool(x.now.in->index);
  auto may_share = x.may_share();
  x.now.claimed = !may_share && pool.idle > pool.claims;
  pool.claims += x.now.claimed;
  auto fresh = !may_share && !x.now.claimed && !proxied_; // a proxy's connections serve several origins
  curl_easy_setopt(x.easy.get(), CURLOPT_FRESH_CONNECT, fresh ? 1L : 0L);
  curl_easy_setopt(x.easy.get(), CURLOPT_PIPEWAIT, may_share ? 1L : 0L);
}

void transport::loop::drop_claim(transfer& x) {
  if (std::exchange(x.now.claimed, false))
    --x.now.at->pool(x.now.in->index).claims;
}

void transport::loop::give_up_resolving(transfer& x) {
  auto& at = *x.now.at;
  if (at.resolver != &x)
    return;
  at.resolver = nullptr;
  if (!at.waiting.empty())
    to_resume_.push_back(&at);
}

void transport::loop::resume_waiting() {
  while (!to_resume_.empty()) {
    auto& at = *to_resume_.back();
    to_resume_.pop_back();
    while (!at.waiting.empty() && (at.resolver == nullptr || steady::now() < at.fresh_until)) {
      auto found = live_.find(at.waiting.front());
      at.waiting.pop_front();
      if (found == live_.end())
        continue;
      found->second->now.waiting = false;
      count_.waiting.fetch_sub(1, std::memory_order_relaxed);
      begin(*found->second);
    }
  }
}

void transport::loop::fail_waiting(origin& at, const transfer_error& why) {
  for (auto id : std::exchange(at.waiting, {}))
    if (auto found = live_.find(id); found != live_.end())
      finish(*found->second, why);
}

void transport::loop::arm(transfer& x) {
  auto next = x.deadline();
  if (next == steady::time_point::max() || x.now.ending)
    return;
  if (x.now.armed != steady::time_point{}) {
    if (x.now.armed <= next)
      return;
    timers_.erase({x.now.armed, &x});
  }
  x.now.armed = next;
  timers_.emplace(next, &x);
}

void transport::loop::fire_timers() {
  if (timers_.empty())
    return;
  auto now = steady::now();
  while (!timers_.empty() && timers_.begin()->first <= now) {
    auto& x = *timers_.begin()->second;
    timers_.erase(timers_.begin());
    x.now.armed = {};
    if (x.deadline() <= now)
      finish(x, timeout_fault(x, now));
    else
      arm(x);
  }
}

void transport::loop::note_news(const std::shared_ptr<receiver>& to) {
  if (news_.empty() || news_.back() != to)
    news_.push_back(to);
}

void transport::loop::flush() {
  for (auto& to : news_)
    to->flush();
  news_.clear();
}

void transport::loop::collect(multi& in) {
  in.touched = false;
  int left = 0;
  while (auto* message = curl_multi_info_read(in.handle.get(), &left)) {
    if (message->msg != CURLMSG_DONE)
      continue;
    auto code = message->data.result;
    transfer* x = nullptr;
    curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &x);
    complete(*x, code);
  }
  if (in.refuses)
    end_refused(in);
}

/// libcurl would try some of these again, and others it would wait for.
void transport::loop::end_refused(multi& in) {
  in.refuses = false;
  std::vector<transfer*> refused;
  for (auto& [id, x] : live_)
    if (x->now.in == &in && x->now.refused && !x->now.any_byte)
      refused.push_back(x.get());
  for (auto* x : refused)
    finish(*x, refused_fault(*x));
}

void transport::loop::complete(transfer& x, CURLcode code) {
  if (code == CURLE_OK && x.now.head_given)
    return finish(x, std::nullopt);
  auto error = fault(x, code);
  auto& at = *x.now.at;
  if (error.code == errc::connect_failed)
    at.fresh_until = {}; // the host may have moved
  if (error.code == errc::resolve_failed && at.resolver == &x)
    fail_waiting(at, error);
  finish(x, std::move(error));
}

void transport::loop::finish(transfer& x, std::optional<transfer_error> error) {
  auto ended = steady::now();
  auto since_start = [&](steady::time_point at) {
    return at == steady::time_point{} ? steady::duration{} : at - x.now.started;
  };
  transfer_end end{.error = std::move(error),
                   .times = {since_start(x.now.connected), since_start(x.now.first_byte), since_start(ended)},
                   .reused_connection = x.now.begun && !x.now.opened_socket};
  x.now.ending = true; // libcurl may still call back while it lets go of the transfer
  if (x.now.armed != steady::time_point{})
    timers_.erase({std::exchange(x.now.armed, {}), &x});
  if (x.now.waiting)
    count_.waiting.fetch_sub(1, std::memory_order_relaxed);
  if (x.now.paused)
    count_.paused.fetch_sub(1, std::memory_order_relaxed);
  if (x.now.in != nullptr)
    detach(x);
  if (x.now.at != nullptr)
    --x.now.at->users;
  auto to = std::move(x.now.to);
  auto kept = live_.extract(x.now.id);
  x.now = {};
  x.asked = {};
  if (spare_.size() < max_spare)
    spare_.push_back(std::move(kept.mapped()));
  auto& counter = !end.error ? count_.succeeded : end.error->code == errc::cancelled ? count_.cancelled : count_.failed;
  counter.fetch_add(1, std::memory_order_release);
  to->on_end(std::move(end));
  note_news(to);
}

void transport::loop::detach(transfer& x) {
  auto& in = *x.now.in;
  curl_multi_remove_handle(in.handle.get(), x.easy.get());
  --in.active;
  limit_connections(in);
  in.last_used = steady::now();
  drop_claim(x);
  give_up_resolving(x);
  if (x.now.socket < 0)
    return;
  auto& socket = at(x.now.socket);
  if (std::exchange(socket.user, nullptr) == &x && !socket.http2)
    set_idle(socket, true); // libcurl kept it, or we would have seen it closed
}

} // namespace modelforge::http
