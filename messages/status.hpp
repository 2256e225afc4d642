#pragma once

#include <cstdint>
#include <string>

namespace modelforge {

/// What a provider actor is doing now, and what it has done since it started.
struct provider_status {
  std::string name;
  std::string kind; ///< As in TOML, e.g. "openai".
  std::string base_url;
  uint32_t max_concurrent = 0;
  uint64_t queued = 0;
  uint64_t queued_bytes = 0;
  uint64_t in_flight = 0;
  uint64_t answered = 0; ///< Requests that ended in a completion.
  uint64_t failed = 0;   ///< Requests that ended in an error, refused ones included.
  uint64_t attempts = 0; ///< HTTP exchanges begun.
  bool draining = false;

  friend bool operator==(const provider_status&, const provider_status&) = default;
};

template <class Inspector>
bool inspect(Inspector& f, provider_status& x) {
  return f.object(x).fields(f.field("name", x.name), f.field("kind", x.kind), f.field("base_url", x.base_url),
                            f.field("max_concurrent", x.max_concurrent), f.field("queued", x.queued),
                            f.field("queued_bytes", x.queued_bytes), f.field("in_flight", x.in_flight),
                            f.field("answered", x.answered), f.field("failed", x.failed),
                            f.field("attempts", x.attempts), f.field("draining", x.draining));
}

} // namespace modelforge
