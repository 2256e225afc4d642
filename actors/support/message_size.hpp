#pragma once

#include <modelforge/messages/error.hpp>

#include <caf/actor_system.hpp>
#include <caf/binary_serializer.hpp>
#include <caf/byte_buffer.hpp>
#include <caf/config.hpp>

#include <cstdint>
#include <optional>
#include <string>

namespace modelforge {

/// How many bytes `value` takes in a message between nodes.
template <class T>
uint64_t message_size(const T& value) {
  thread_local caf::byte_buffer buffer;
  buffer.clear();
#if CAF_MAJOR_VERSION >= 1
  caf::binary_serializer out{buffer};
#else
  caf::binary_serializer out{nullptr, buffer};
#endif
  static_cast<void>(out.apply(value)); // into memory, it does not fail
  auto size = buffer.size();
  if (buffer.capacity() > (1u << 20))
    buffer = {};
  return size;
}

/// Why what takes `size` bytes is not sent to another node; empty: it may be.
inline std::optional<failure> too_large_for_nodes(uint64_t size, uint64_t most, const std::string& subject,
                                                  const std::string& instead) {
  if (size <= most)
    return {};
  return make_failure(errc::too_large,
                      subject + " has " + std::to_string(size) + " bytes; a message between nodes may have "
                        + std::to_string(most) + " (max_message_bytes in [node])",
                      instead + ", or raise max_message_bytes on both nodes");
}

} // namespace modelforge
