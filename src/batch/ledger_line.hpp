#pragma once

#include "json/value.hpp"
#include "json/writer.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// The ledger's lines: how one is written, and read again (docs/batches.md has the format).

namespace modelforge::batch::ledger_line {

/// How every line begins.
inline constexpr std::string_view sum_key = "{\"sum\":\"";

/// Ahead of an output's line, the last member of a result.
inline constexpr std::string_view result_key = ",\"line\":";

/// How every line for the output begins, with the number of its item, from 1, behind it.
inline constexpr std::string_view id_key = "{\"id\":\"batch_req_";

/// Appends a line: the sum of its body, the body, and the line's end. `body` begins behind the sum's comma.
void append(std::string& out, std::string_view body);

/// Whether a line's sum is that of its body.
bool is_whole(std::string_view line);

/// Whether this is how a ledger begins.
bool is_header(std::string_view beginning);

/// Whether a crash can have left this of a header. Nothing follows one that was not synced.
bool could_be_header(std::string_view line);

/// Returns the members in front of the output's line, which may be large and is not looked into; null where the line is
/// not JSON.
json::value members_of(std::string_view line);

/// Returns the output's line of a result's; empty: it has none.
std::string_view result_in(std::string_view line);

/// Returns the output's line for an item, which may have been another one's: its id names the item.
std::string with_item(std::string_view result, uint64_t item);

/// Returns the custom_id in an output's line; empty: it is none of ours.
std::string custom_id_in(std::string_view result);

/// Returns a member's value; 0 or empty where there is none of that kind.
uint64_t number_in(const json::value& members, std::string_view name);
std::string text_in(const json::value& members, std::string_view name);
std::vector<std::pair<uint64_t, uint64_t>> ranges_in(const json::value& members, std::string_view name);
std::vector<std::vector<uint64_t>> lists_in(const json::value& members, std::string_view name, std::size_t size);
std::map<std::string, std::string> texts_in(const json::value& members, std::string_view name);

/// The number of up to 16 hexadecimal digits; what is not hexadecimal reads as 0.
uint64_t from_hex(std::string_view text);

/// Writes a line's body; what is not UTF-8 becomes U+FFFD.
class writer {
public:
  writer(std::string_view event, uint64_t synced);

  writer& number(std::string_view name, auto x) {
    out_.key(name);
    out_.number(x);
    return *this;
  }

  writer& text(std::string_view name, std::string_view text);
  writer& raw(std::string_view name, std::string_view json);
  writer& texts(std::string_view name, const std::map<std::string, std::string>& texts);
  writer& ranges(std::string_view name, const std::vector<std::pair<uint64_t, uint64_t>>& ranges);
  writer& lists(std::string_view name, const std::vector<std::vector<uint64_t>>& lists);

  /// Ends the body; to be called once.
  std::string take();

private:
  std::string text_;
  json::writer out_{text_};
};

} // namespace modelforge::batch::ledger_line
