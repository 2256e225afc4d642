#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

/// What is asked of the store that decides who owns a provider, and what it answers, whatever store that is. All of it
/// is about one provider.

namespace modelforge::cluster {

using lease_id = int64_t; ///< 0: none.
using revision = int64_t; ///< Of the store's content: grows with each change, from 1 on. 0: none.

/// No honest revision is beyond it.
inline constexpr revision max_revision = revision{1} << 62;

/// No lease is longer, whatever the store says.
inline constexpr std::chrono::seconds max_ttl{3600};

/// Who owns the provider. The record ends with its lease.
struct owner_record {
  std::string node;
  lease_id lease = 0;
  revision created = 0; ///< The epoch.

  friend bool operator==(const owner_record&, const owner_record&) = default;
};

/// A preferred node asks the owner of this epoch for the provider. Ends with its lease, and means nothing to the owner
/// of another epoch.
struct claim_record {
  std::string node;
  revision epoch = 0;

  friend bool operator==(const claim_record&, const claim_record&) = default;
};

/// All that the store has about a provider's ownership.
struct store_view {
  revision at = 0; ///< As of which revision.
  std::optional<owner_record> owner{};
  std::vector<claim_record> claims{};
  std::string placed{}; ///< The node that an operator has moved it to, preferred to all others; empty: none.

  friend bool operator==(const store_view&, const store_view&) = default;
};

// -- questions --------------------------------------------------------------------

struct grant_lease {
  std::chrono::seconds ttl{0};
};

struct renew_lease {
  lease_id lease = 0;
};

/// End a lease, and with it all records that were made under it.
struct revoke_lease {
  lease_id lease = 0;
};

/// Read what there is. Must be answered by what a majority of the store's servers has.
struct look {};

/// If there is no owner, make this node the owner under this lease, and remove its claim.
struct acquire {
  lease_id lease = 0;
};

/// If the owner is of that epoch, note that this node asks for the provider, under this lease.
struct claim {
  lease_id lease = 0;
  revision epoch = 0;
};

/// If the owner is of that epoch, remove it; and note where an operator has placed the provider.
struct give_up {
  revision epoch = 0;
  std::optional<std::string> placed{}; ///< Empty: that stays as it is.
};

using question = std::variant<grant_lease, renew_lease, revoke_lease, look, acquire, claim, give_up>;

// -- answers ----------------------------------------------------------------------

struct lease_granted {
  revision at = 0;
  lease_id lease = 0;
  std::chrono::seconds ttl{0};
};

struct lease_renewed {
  std::chrono::seconds ttl{0}; ///< 0: there is no such lease (any more).
};

/// This node is the owner now.
struct acquired {
  revision epoch = 0;
};

/// It was changed as asked: to `revoke_lease`, `claim`, `give_up`.
struct changed {
  revision at = 0;
};

/// Answers `look`, and tells why a change was not made: what was asked for did not hold.
struct seen {
  store_view view;
};

/// There is no answer, or none of use. What was asked may have happened, and may yet.
struct no_answer {
  enum class reason : uint8_t {
    unavailable, ///< Not reached, too slow, or it has no leader.
    lease_gone,  ///< The lease that was named is no more: nothing was changed.
    refused,     ///< It does not want to, and will not by itself: credentials, permission, space, garbage.
  };

  reason why = reason::unavailable;
  std::string text{}; ///< For people.
};

using answer = std::variant<lease_granted, lease_renewed, acquired, changed, seen, no_answer>;

} // namespace modelforge::cluster
