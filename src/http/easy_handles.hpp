#pragma once

#include "http/transfer.hpp"
#include "http/transport.hpp"

#include <memory>
#include <vector>

namespace modelforge::http {

struct free_share {
  void operator()(CURLSH* handle) const { curl_share_cleanup(handle); }
};

struct free_list {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};

/// Makes transfers, and keeps those that have ended for the next requests: setting up one of libcurl's easy handles
/// takes longer than a small request. Here is what all of them have in common; `transfer::configure` sets the rest.
///
/// Belongs to the transport's thread or its deputy.
class easy_handles {
public:
  /// `connect` sets the callbacks of a new handle.
  using connector = void (*)(transfer& transfer, transport::loop& owner);

  easy_handles(transport::loop& owner, const transport_options& options, bool is_proxied, connector connect);

  std::unique_ptr<transfer> take();

  /// Takes an ended transfer back, whose state and request have been reset.
  void give_back(std::unique_ptr<transfer> ended);

  /// Whether the options name addresses, so that nothing is to be resolved or forgotten.
  bool has_fixed_addresses() const { return resolve_ != nullptr; }

  /// Frees all handles, which needs every transfer to have come back.
  void clear();

private:
  std::unique_ptr<transfer> make();

  transport::loop& owner_;
  const transport_options& options_;
  bool proxied_;
  connector connect_;
  std::unique_ptr<CURLSH, free_share> share_; ///< Addresses and TLS sessions, for all multi handles.
  std::unique_ptr<curl_slist, free_list> resolve_;
  std::vector<std::unique_ptr<transfer>> spare_;
};

} // namespace modelforge::http
