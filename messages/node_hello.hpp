#pragma once

#include <cstdint>
#include <string>

namespace modelforge {

/// The version of the messages' layout between nodes. Rises with any change to any message type, their order in
/// `type_ids.hpp`, or an enum: CAF's wire format has no field names, so unequal versions must not talk.
inline constexpr uint32_t wire_version = 10;

/// The first thing two nodes say to each other: who they are, and which layout of messages they speak. Both sides judge
/// it by themselves (`src/node/greeting.hpp`) and drop a link that does not fit, with words that name both. Its own
/// layout never changes, so that any two versions can at least tell each other why they do not fit.
struct node_hello {
  uint32_t wire = wire_version;
  std::string program; ///< Version of the program, for people.
  /// Nodes of different clusters never talk: it keeps a test's programs away from those at work.
  std::string cluster;
  /// Unique within the cluster, as configured.
  std::string node;

  friend bool operator==(const node_hello&, const node_hello&) = default;
};

template <class Inspector>
bool inspect(Inspector& f, node_hello& x) {
  return f.object(x).fields(f.field("wire", x.wire), f.field("program", x.program), f.field("cluster", x.cluster),
                            f.field("node", x.node));
}

} // namespace modelforge
