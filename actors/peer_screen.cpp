#include "actors/peer_screen.hpp"

#include <caf/actor.hpp>
#include <caf/binary_deserializer.hpp>
#include <caf/config.hpp>
#include <caf/error.hpp>
#include <caf/io/basp/header.hpp>
#include <caf/message_id.hpp>
#include <caf/type_id.hpp>

#include <algorithm>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace modelforge {

namespace {

namespace basp = caf::io::basp;

basp::message_type operation_of(const unsigned char* header) {
  return static_cast<basp::message_type>(header[0]);
}

/// A number as BASP writes it, the high byte first.
uint64_t number_at(const unsigned char* first, std::size_t bytes) {
  uint64_t result = 0;
  for (std::size_t i = 0; i < bytes; ++i)
    result = result << 8 | first[i];
  return result;
}

/// Whether the message goes to one of CAF's own servers, by its number instead of an actor's id.
bool is_to_server(const unsigned char* header) {
  return (header[3] & basp::header::named_receiver_flag) != 0;
}

/// The first call's number, which also says whether it is an answer.
caf::message_id id_of(const unsigned char* header) {
  return caf::make_message_id(number_at(header + 8, 8));
}

/// Reads what nodes write, piece by piece.
class reader {
public:
  reader(const void* data, std::size_t size) : source_(nullptr, data, size) {}

  template <class T>
  std::optional<T> next() {
    T result{};
    if (!source_.apply(result))
      return {};
    return result;
  }

  /// How many elements follow.
  std::optional<std::size_t> count() {
    std::size_t result = 0;
    if (!source_.begin_sequence(result))
      return {};
    return result;
  }

private:
  caf::binary_deserializer source_;
};

template <class... Ts>
bool is_one_of(caf::type_id_t type) {
  return ((type == caf::type_id_v<Ts>) || ...);
}

/// CAF's own types that occur in calls between nodes; all others of its types are orders to actors.
bool is_harmless(caf::type_id_t type) {
  return type >= caf::first_custom_type_id
         || is_one_of<bool, int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t, float, double,
                      std::string, std::set<std::string>, caf::actor, caf::strong_actor_ptr, caf::node_id, caf::unit_t,
                      caf::timespan, caf::timestamp, caf::get_atom, caf::ok_atom, caf::sys_atom>(type);
}

/// CAF asks each new node's server who it is, and waits for the answer. The server is asked nothing else.
bool is_allowed_question(const std::vector<caf::type_id_t>& types) {
  static const std::vector<caf::type_id_t> who{caf::type_id_v<caf::sys_atom>, caf::type_id_v<caf::get_atom>,
                                               caf::type_id_v<std::string>};
  return types == who;
}

/// Of the elements of a message; empty: it cannot be read.
std::optional<std::vector<caf::type_id_t>> types_in(reader& from) {
  auto count = from.count();
  if (!count || *count > 16)
    return {};
  std::vector<caf::type_id_t> result;
  for (std::size_t i = 0; i < *count; ++i) {
    auto type = from.next<uint16_t>();
    if (!type)
      return {};
    result.push_back(*type);
  }
  return result;
}

/// Whether a message may reach an actor of ours. One that cannot be read is not harmless.
bool is_harmless_message(const unsigned char* header, reader& from) {
#if CAF_MAJOR_VERSION < 1
  auto stages = from.count(); // where it would go after its receiver
  if (!stages || *stages > 0)
    return false;
#endif
  auto types = types_in(from);
  if (!types)
    return false;
  if (is_to_server(header))
    return is_allowed_question(*types);
  auto is_answer = id_of(header).is_response();
  if (types->empty() && !is_answer)
    return false;
  return std::all_of(types->begin(), types->end(), [&](caf::type_id_t type) {
    return is_harmless(type) || (is_answer && type == caf::type_id_v<caf::error>);
  });
}

} // namespace

uint32_t peer_screen::payload_of(const unsigned char* header) {
  return static_cast<uint32_t>(number_at(header + 4, 4));
}

bool peer_screen::allows_header(const unsigned char* header) {
  auto is_handshake = operation_of(header) == basp::message_type::client_handshake
                      || operation_of(header) == basp::message_type::server_handshake;
  if (std::exchange(is_first_, false))
    return is_handshake && payload_of(header) <= max_handshake_bytes;
  // Nodes talk for themselves: what is passed on could name any sender.
  return !is_handshake && payload_of(header) <= max_bytes_
         && operation_of(header) != basp::message_type::routed_message;
}

peer_screen::verdict peer_screen::judge(const unsigned char* header, const void* payload, std::size_t size) {
  reader from{payload, size};
  switch (operation_of(header)) {
    case basp::message_type::client_handshake:
    case basp::message_type::server_handshake: {
      auto id = from.next<caf::node_id>();
      if (!id)
        return verdict::ends_link;
      peer_ = *id;
      return verdict::passes;
    }
    case basp::message_type::direct_message:
      return is_harmless_message(header, from) ? verdict::passes : verdict::is_dropped;
    case basp::message_type::monitor_message:
    case basp::message_type::down_message: { // that it watches an actor of ours, or that one of its own has ended
      auto source = from.next<caf::node_id>();
      auto destination = from.next<caf::node_id>();
      return source && destination && *source == peer_ && *destination == here_ ? verdict::passes : verdict::is_dropped;
    }
    default:
      return verdict::passes;
  }
}

} // namespace modelforge
