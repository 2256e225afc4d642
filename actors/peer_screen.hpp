#pragma once

#include <caf/node_id.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>

namespace modelforge {

/// Decides what a linked program may say to this one in CAF's protocol between nodes (BASP). CAF itself hands
/// everything to any actor that was ever named outside, also what ends actors: exit and down messages, bare errors,
/// links, orders to its servers. What comes in is calls of actors' interfaces and answers to calls of ours; nobody
/// speaks for somebody else.
///
/// Used by one connection, from one thread.
class peer_screen {
public:
  enum class verdict {
    passes,
    is_dropped, ///< As if it had not come; the link stays.
    ends_link,
  };

  /// `here` is this program's id; a message may have up to `max_bytes` bytes.
  peer_screen(caf::node_id here, uint64_t max_bytes) : here_(std::move(here)), max_bytes_(max_bytes) {}

  /// Whether a header of `caf::io::basp::header_size` bytes, at `header`, may begin a message.
  bool allows_header(const unsigned char* header);

  /// How many bytes follow it.
  static uint32_t payload_of(const unsigned char* header);

  /// Of a whole message, whose header was allowed.
  verdict judge(const unsigned char* header, const void* payload, std::size_t size);

private:
  caf::node_id here_;
  uint64_t max_bytes_;
  bool is_first_ = true;
  caf::node_id peer_{}; ///< As the handshake told it.
};

/// What two nodes say first is short: so many bytes at most.
inline constexpr uint32_t max_handshake_bytes = 64u << 10;

} // namespace modelforge
