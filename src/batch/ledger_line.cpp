#include "batch/ledger_line.hpp"

#include "base/hex.hpp"

#include <array>
#include <charconv>
#include <variant>

namespace modelforge::batch::ledger_line {

namespace {

constexpr std::size_t body_at = 18; ///< After `{"sum":"01234567",`.

/// Of "slicing by 8" (Kounavis and Berry, 2005): table k is for a byte with k more behind it.
constexpr auto crc_tables = [] {
  std::array<std::array<uint32_t, 256>, 8> tables{};
  for (uint32_t i = 0; i < 256; ++i) {
    auto x = i;
    for (int bit = 0; bit < 8; ++bit)
      x = (x & 1) != 0 ? (x >> 1) ^ 0xEDB88320u : x >> 1;
    tables[0][i] = x;
  }
  for (std::size_t k = 1; k < 8; ++k)
    for (std::size_t i = 0; i < 256; ++i)
      tables[k][i] = (tables[k - 1][i] >> 8) ^ tables[0][tables[k - 1][i] & 0xFF];
  return tables;
}();

/// CRC-32 as in gzip (ISO 3309): it sees every change within 32 bits in a row.
std::string sum_of(std::string_view bytes) {
  auto byte = [&](std::size_t i) { return static_cast<unsigned char>(bytes[i]); };
  uint32_t x = ~uint32_t{0};
  for (; bytes.size() >= 8; bytes.remove_prefix(8)) {
    uint32_t next = 0;
    for (std::size_t i = 0; i < 4; ++i)
      next ^= crc_tables[7 - i][((x >> (8 * i)) ^ byte(i)) & 0xFF] ^ crc_tables[3 - i][byte(4 + i)];
    x = next;
  }
  for (; !bytes.empty(); bytes.remove_prefix(1))
    x = crc_tables[0][(x ^ byte(0)) & 0xFF] ^ (x >> 8);
  return hex::digits_of(~x);
}

} // namespace

void append(std::string& out, std::string_view body) {
  ((((out += sum_key) += sum_of(body)) += "\",") += body) += '\n';
}

bool is_whole(std::string_view line) {
  return line.size() > body_at && line.starts_with(sum_key) && line.substr(16, 2) == "\","
         && line.substr(8, 8) == sum_of(line.substr(body_at));
}

bool is_header(std::string_view beginning) {
  return beginning.starts_with(sum_key) && beginning.size() > body_at
         && beginning.substr(body_at).starts_with(R"("event":"header")");
}

bool could_be_header(std::string_view line) {
  return line.size() < 4096
         && (line.empty() || line.substr(0, sum_key.size()) == sum_key.substr(0, line.size()) || line[0] == '\0');
}

json::value members_of(std::string_view line) {
  auto head = std::string{line.substr(0, line.find(result_key))};
  if (head.size() < line.size())
    head += '}';
  auto parsed = json::parse(head);
  auto* members = std::get_if<json::value>(&parsed);
  return members != nullptr ? std::move(*members) : json::value{};
}

std::string_view result_in(std::string_view line) {
  auto begin = line.find(result_key);
  if (begin == line.npos)
    return {};
  begin += result_key.size();
  return line.substr(begin, line.size() - begin - 1);
}

std::string with_item(std::string_view result, uint64_t item) {
  auto number = std::to_string(item + 1);
  auto end = result.starts_with(id_key) ? result.find('"', id_key.size()) : result.npos;
  if (end == result.npos || result.substr(id_key.size(), end - id_key.size()) == number)
    return std::string{result};
  return (std::string{id_key} += number) += result.substr(end);
}

std::string custom_id_in(std::string_view result) {
  constexpr std::string_view key = "\",\"custom_id\":";
  auto begin = result.starts_with(id_key) ? result.find(key, id_key.size()) : result.npos;
  if (begin == result.npos)
    return {};
  begin += key.size();
  auto end = begin + 1; // of a string: a quote that nothing escapes
  while (end < result.size() && result[end] != '"')
    end += result[end] == '\\' ? 2 : 1;
  if (end >= result.size())
    return {};
  auto parsed = json::parse(result.substr(begin, end + 1 - begin));
  auto* text = std::get_if<json::value>(&parsed);
  return text != nullptr ? std::string{json::string_in(*text)} : std::string{};
}

uint64_t number_in(const json::value& members, std::string_view name) {
  return json::count_in(json::member(members, name)).value_or(0);
}

std::string text_in(const json::value& members, std::string_view name) {
  return std::string{json::string_in(json::member(members, name))};
}

std::vector<std::vector<uint64_t>> lists_in(const json::value& members, std::string_view name, std::size_t size) {
  std::vector<std::vector<uint64_t>> lists;
  for (auto& list : json::member(members, name))
    if (list.is_array() && list.size() == size) {
      lists.emplace_back();
      for (auto& number : list)
        lists.back().push_back(json::count_in(number).value_or(0));
    }
  return lists;
}

std::vector<std::pair<uint64_t, uint64_t>> ranges_in(const json::value& members, std::string_view name) {
  std::vector<std::pair<uint64_t, uint64_t>> ranges;
  for (auto& range : lists_in(members, name, 2))
    ranges.emplace_back(range[0], range[1]);
  return ranges;
}

std::map<std::string, std::string> texts_in(const json::value& members, std::string_view name) {
  std::map<std::string, std::string> texts;
  if (auto& object = json::member(members, name); object.is_object())
    for (auto& [key, text] : object.get_ref<const json::value::object_t&>())
      texts.emplace(key, json::string_in(text));
  return texts;
}

uint64_t from_hex(std::string_view text) {
  uint64_t x = 0;
  std::from_chars(text.data(), text.data() + text.size(), x, 16);
  return x;
}

writer::writer(std::string_view event, uint64_t synced) {
  raw("event", '"' + std::string{event} + '"');
  number("synced", synced);
}

writer& writer::text(std::string_view name, std::string_view text) {
  out_.key(name);
  out_.repaired(text);
  return *this;
}

writer& writer::raw(std::string_view name, std::string_view json) {
  out_.key(name);
  out_.raw(json);
  return *this;
}

writer& writer::texts(std::string_view name, const std::map<std::string, std::string>& texts) {
  out_.key(name);
  out_.open('{');
  for (auto& [key, value] : texts)
    text(key, value);
  out_.close('}');
  return *this;
}

writer& writer::lists(std::string_view name, const std::vector<std::vector<uint64_t>>& lists) {
  std::string text = "[";
  for (auto& list : lists) {
    text += text.size() > 1 ? ",[" : "[";
    for (auto& number : list)
      text += (&number == list.data() ? "" : ",") + std::to_string(number);
    text += ']';
  }
  return raw(name, text + ']');
}

writer& writer::ranges(std::string_view name, const std::vector<std::pair<uint64_t, uint64_t>>& ranges) {
  std::vector<std::vector<uint64_t>> pairs;
  for (auto& [first, last] : ranges)
    pairs.push_back({first, last});
  return lists(name, pairs);
}

std::string writer::take() {
  text_ += '}';
  return std::move(text_);
}

} // namespace modelforge::batch::ledger_line
