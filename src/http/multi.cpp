#include "http/multi.hpp"

#include <algorithm>
#include <utility>

namespace modelforge::http {

namespace {

int on_timer(CURLM*, long milliseconds, void* user) {
  auto due = milliseconds < 0 ? steady::time_point::max() : steady::now() + std::chrono::milliseconds{milliseconds};
  static_cast<multi*>(user)->due = due;
  return 0;
}

} // namespace

multi_handles::multi_handles(transport::loop& owner, const transport_options& options, curl_socket_callback on_socket)
  : owner_(owner), options_(options), on_socket_(on_socket) {}

CURLMcode multi_handles::add(transfer& transfer) {
  auto& multi = choose(transfer);
  transfer.state.multi = &multi;
  decide_reuse(transfer);
  ++multi.active;
  multi.carried += multi.only != nullptr;
  multi.touched = true;
  limit_connections(multi);
  return curl_multi_add_handle(multi.handle.get(), transfer.easy.get());
}

void multi_handles::remove(transfer& transfer) {
  auto& multi = *transfer.state.multi;
  curl_multi_remove_handle(multi.handle.get(), transfer.easy.get());
  --multi.active;
  limit_connections(multi);
  multi.last_used = steady::now();
  drop_claim(transfer);
}

// Sharing transfers go to a handle of their origin with room. Others prefer one with an idle connection to their
// origin, else the first with room.
multi& multi_handles::choose(const transfer& transfer) {
  auto& origin = *transfer.state.origin;
  auto shares = transfer.may_share();
  auto max_active = shares ? std::min(origin.max_sharing, options_.transfers_per_multi) : options_.transfers_per_multi;
  http::multi* with_room = nullptr;
  for (auto& multi : handles_) {
    if (!multi->handle || multi->active >= max_active || multi->retired()
        || (multi->only != nullptr && multi->only != &origin))
      continue;
    if (shares) {
      if (multi->only == &origin)
        return *multi;
      continue;
    }
    auto& pool = origin.pool(multi->index);
    if (pool.idle > pool.claims)
      return *multi;
    // not to a handle of sharing ones: a new HTTP/1.1 connection there has libcurl believe that the origin cannot share
    if (with_room == nullptr && multi->only == nullptr)
      with_room = multi.get();
  }
  return with_room != nullptr ? *with_room : open(shares ? &origin : nullptr);
}

void multi_handles::decide_reuse(transfer& transfer) {
  auto& pool = transfer.state.origin->pool(transfer.state.multi->index);
  auto may_share = transfer.may_share();
  transfer.state.claimed = !may_share && pool.idle > pool.claims;
  pool.claims += transfer.state.claimed;
  auto fresh = !may_share && !transfer.state.claimed
               && transfer.state.origin->proxy.empty(); // a proxy's connections serve several origins
  curl_easy_setopt(transfer.easy.get(), CURLOPT_FRESH_CONNECT, fresh ? 1L : 0L);
  curl_easy_setopt(transfer.easy.get(), CURLOPT_PIPEWAIT, may_share ? 1L : 0L);
}

void multi_handles::drop_claim(transfer& transfer) {
  if (std::exchange(transfer.state.claimed, false))
    --transfer.state.origin->pool(transfer.state.multi->index).claims;
}

// Places of closed handles are used again: `index` is the number of a pool in every origin, and those stay few.
multi& multi_handles::open(origin* only) {
  auto unused = std::find_if(handles_.begin(), handles_.end(), [](auto& x) { return !x->handle; });
  if (unused == handles_.end()) {
    unused = handles_.insert(unused, std::make_unique<multi>());
    (*unused)->owner = &owner_;
    (*unused)->index = handles_.size() - 1;
  }
  auto& multi = **unused;
  multi.handle.reset(curl_multi_init());
  multi.only = only;
  auto set = [&multi](CURLMoption option, auto value) { curl_multi_setopt(multi.handle.get(), option, value); };
  set(CURLMOPT_SOCKETFUNCTION, on_socket_);
  set(CURLMOPT_SOCKETDATA, &multi);
  set(CURLMOPT_TIMERFUNCTION, &on_timer);
  set(CURLMOPT_TIMERDATA, &multi);
  set(CURLMOPT_PIPELINING, only != nullptr ? CURLPIPE_MULTIPLEX : CURLPIPE_NOTHING);
  if (only != nullptr)
    ++only->users;
  count_.fetch_add(1, std::memory_order_relaxed);
  return multi;
}

void multi_handles::limit_connections(multi& multi) {
  auto limit = static_cast<long>(multi.active + options_.max_idle_connections);
  curl_multi_setopt(multi.handle.get(), CURLMOPT_MAXCONNECTS, limit); // libcurl counts those in use, too
}

void multi_handles::close(multi& multi) {
  if (multi.only != nullptr && !multi.leaving && multi.carried >= multi.only->max_requests)
    multi.only->note_full_connection();
  multi.handle.reset();
  multi.due = steady::time_point::max();
  multi.carried = 0;
  multi.leaving = multi.refuses = false;
  if (auto* only = std::exchange(multi.only, nullptr); only != nullptr)
    --only->users;
  count_.fetch_sub(1, std::memory_order_relaxed);
}

void multi_handles::close_unused() {
  auto now = steady::now();
  for (auto& multi : handles_)
    if (multi->handle && multi->active == 0 && (multi->retired() || now - multi->last_used >= options_.max_idle_time))
      close(*multi);
}

void multi_handles::close_all() {
  for (auto& multi : handles_)
    multi->handle.reset();
  count_.store(0, std::memory_order_relaxed);
}

steady::time_point multi_handles::next_due() const {
  auto next = steady::time_point::max();
  for (auto& multi : handles_) {
    next = std::min(next, multi->due);
    if (multi->handle && multi->active == 0)
      next = std::min(next, multi->retired() ? steady::time_point{} : multi->last_used + options_.max_idle_time);
  }
  return next;
}

} // namespace modelforge::http
