#pragma once

#include "base/base64.hpp"
#include "cluster/etcd.hpp"
#include "json/reader.hpp"
#include "json/writer.hpp"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

/// What etcd's messages have in common, for the files that read and write them.

namespace modelforge::cluster::etcd {

// -- writing ----------------------------------------------------------------------

inline void put(json::writer& out, std::string_view name, int64_t number) {
  out.key(name);
  out.word(std::to_string(number));
}

inline void put_bytes(json::writer& out, std::string_view name, std::string_view bytes) {
  out.key(name);
  out.word(base64::encode(bytes));
}

/// The members that select all keys with that prefix.
void put_prefix(json::writer& out, const std::string& prefix);

// -- reading ----------------------------------------------------------------------

/// A whole number of 64 bits: a string, or a number; 0 where there is none. Empty: it is something else.
std::optional<int64_t> integer_in(json::raw raw);

/// Any answer's members. Empty ones were left out.
struct message {
  json::raw header, error, code, text, result, id, ttl, succeeded, responses, kvs, more, token, created, canceled,
    cancel_reason, events;

  revision at = 0;      ///< Of the header; 0: it has none, or none that can be.
  uint64_t cluster = 0; ///< Likewise.
};

/// Reads an object with its header; empty: it is not one, or not whole.
std::optional<message> read_message(std::string_view body);

/// What a status and a body that are no answer mean; empty: they are one. `read`: the body, where it could be read.
struct refusal {
  no_answer is;
  bool needs_token = false;
};

std::optional<refusal> refusal_in(uint16_t status, const std::optional<message>& read);

/// A message in its first line, unless it is refused. A stream's answer stands in `result`.
std::variant<message, refusal> read_good(uint16_t status, std::string_view body, bool is_stream = false);

no_answer not_understood(std::string_view what);

/// A key with its value, as the store has it.
struct record {
  std::string key, value;
  revision created = 0, changed = 0;
  lease_id lease = 0;
};

/// Reads one; empty: it cannot be.
std::optional<record> read_record(json::raw raw);

/// Reads all in `kvs`; false: one of them cannot be, or there are too many.
bool read_records(json::raw kvs, std::vector<record>& to);

/// The records that a read within a transaction brought, by its place among the transaction's parts.
bool read_response(json::raw responses, std::size_t place, std::vector<record>& to);

} // namespace modelforge::cluster::etcd
