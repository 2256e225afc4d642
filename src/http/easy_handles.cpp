#include "http/easy_handles.hpp"

#include <utility>

namespace modelforge::http {

namespace {

/// Handles kept for the next transfers; each holds a few KiB.
constexpr std::size_t max_spare = 1024;

} // namespace

easy_handles::easy_handles(transport::loop& owner, const transport_options& options, bool is_proxied, connector connect)
  : owner_(owner), options_(options), proxied_(is_proxied), connect_(connect), share_(curl_share_init()) {
  curl_share_setopt(share_.get(), CURLSHOPT_SHARE, CURL_LOCK_DATA_DNS);
  curl_share_setopt(share_.get(), CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION);
  for (auto& entry : options_.resolve)
    resolve_.reset(curl_slist_append(resolve_.release(), entry.c_str()));
}

std::unique_ptr<transfer> easy_handles::take() {
  if (spare_.empty())
    return make();
  auto result = std::move(spare_.back());
  spare_.pop_back();
  return result;
}

void easy_handles::give_back(std::unique_ptr<transfer> ended) {
  if (spare_.size() < max_spare)
    spare_.push_back(std::move(ended));
}

void easy_handles::clear() {
  spare_.clear();
  share_.reset();
}

// A new handle, with all that holds for every transfer; what one transfer needs `transfer::configure` sets.
std::unique_ptr<transfer> easy_handles::make() {
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
  set(CURLOPT_DNS_CACHE_TIMEOUT, proxied_ ? 60L : -1L); // we say when an address is old, see `loop::begin`
  set(CURLOPT_TCP_KEEPALIVE, 1L);
  set(CURLOPT_TCP_KEEPIDLE, 60L);
  set(CURLOPT_TCP_KEEPINTVL, 60L);
  set(CURLOPT_MAXAGE_CONN, static_cast<long>(options_.max_idle_time.count()));
  auto* folder = options_.ca_folder.empty() ? nullptr : options_.ca_folder.c_str();
  set(CURLOPT_CAPATH, folder); // with a directory, libcurl parses the whole bundle for each connection
  set(CURLOPT_PROXY_CAPATH, folder);
  set(CURLOPT_NOPROXY, ""); // `proxy_rules` has read the variable
  if (!options_.ca_file.empty()) {
    set(CURLOPT_CAINFO, options_.ca_file.c_str());
    set(CURLOPT_PROXY_CAINFO, options_.ca_file.c_str());
  }
  if (resolve_ != nullptr)
    set(CURLOPT_RESOLVE, resolve_.get());
  // Without it libcurl sends a request again whose kept connection has closed, be it processed or not; with it only one
  // whose stream was refused. (Meant for RTSP, it means that nothing is sent.)
  set(CURLOPT_RTSP_REQUEST, static_cast<long>(CURL_RTSPREQ_RECEIVE));
  connect_(*result, owner_);
  return result;
}

} // namespace modelforge::http
