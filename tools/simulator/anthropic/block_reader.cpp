#include "tools/simulator/anthropic/block_reader.hpp"

#include <utility>

namespace modelforge::simulator::anthropic {

namespace {

constexpr std::size_t max_breakpoints = 4;

} // namespace

bool is_identifier(std::string_view text, std::size_t max) {
  return !text.empty() && text.size() <= max
         && text.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") == text.npos;
}

void block_reader::fail_type(const std::string& path, std::string_view expected, const json& found) {
  fail(path + ": Input should be " + std::string(expected) + ", but is " + type_of(found));
}

// Numbers beyond 63 bits count as the largest, so that every bound refuses or takes them.
std::optional<int64_t> block_reader::integer_in(const json& object, std::string_view name, const std::string& path,
                                                int64_t min) {
  auto value = member(object, name);
  if (!value)
    return std::nullopt;
  auto where = path + std::string(name);
  if (!value->is_number_integer()) {
    fail_type(where, "a valid integer", *value);
    return std::nullopt;
  }
  auto is_huge = value->is_number_unsigned() && value->get<uint64_t>() > INT64_MAX;
  auto number = is_huge ? INT64_MAX : value->get<int64_t>();
  if (number < min)
    fail(where + ": Input should be greater than or equal to " + std::to_string(min));
  return number;
}

std::optional<double> block_reader::share_in(std::string_view name) {
  auto value = member(body_, name);
  if (!value)
    return std::nullopt;
  if (!value->is_number())
    fail_type(std::string(name), "a valid number", *value);
  else if (!(value->get<double>() >= 0 && value->get<double>() <= 1))
    fail(std::string(name) + ": range: 0..1");
  else
    return value->get<double>();
  return std::nullopt;
}

void block_reader::note_cache_control(const json& object, const std::string& path) {
  auto mark = member(object, "cache_control");
  if (!mark || error_)
    return;
  auto where = path + ".cache_control";
  if (!mark->is_object())
    return fail_type(where, "a valid dictionary", *mark);
  auto type = string_in(*mark, "type", where + ".");
  if (!type)
    return;
  if (*type != "ephemeral")
    return fail(where + ".type: Input should be 'ephemeral'");
  auto ttl = string_in(*mark, "ttl", where + ".", false);
  if (ttl && *ttl != "5m" && *ttl != "1h")
    return fail(where + ".ttl: Input should be '5m' or '1h'");
  auto is_long = ttl && *ttl == "1h";
  if (is_long && marks_.has_short)
    return fail(where
                + ".ttl: a ttl='1h' cache_control block must not come after a ttl='5m' cache_control block. Note that "
                  "blocks are processed in the following order: `tools`, `system`, `messages`.");
  marks_.has_short = marks_.has_short || !is_long;
  marks_.open = is_long;
  ++marks_.count;
}

void block_reader::close_block() {
  end_block();
  if (auto mark = std::exchange(marks_.open, std::nullopt))
    add_breakpoint(*mark);
}

// Called last, when all marks are known; the request's own mark stands for one at the end of its last block.
void block_reader::check_cache_control() {
  note_cache_control(body_, ""); // of the last block, by itself
  if (auto mark = std::exchange(marks_.open, std::nullopt))
    add_breakpoint(*mark);
  finish_cacheable();
  if (marks_.count > max_breakpoints)
    fail("A maximum of 4 blocks with cache_control may be provided. Found " + std::to_string(marks_.count) + ".");
}

} // namespace modelforge::simulator::anthropic
