#include "config/secret_mask.hpp"

#include "base/ascii.hpp"
#include "base/hex.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <utility>

namespace modelforge {

namespace {

constexpr std::string_view mask_text = "***";

constexpr std::size_t shortest_word = 4;
constexpr std::size_t shortest_part = 8;
constexpr std::size_t shortest_base64 = 12; ///< Nine bytes.

/// Words that are kept at most.
constexpr std::size_t max_words = 64;

/// Four bytes looked at every fifth byte lie within every part of eight.
constexpr std::size_t gram = 4;
constexpr std::size_t stride = shortest_part - gram + 1;

uint32_t gram_at(std::string_view text, std::size_t position) {
  uint32_t result;
  std::memcpy(&result, text.data() + position, gram);
  return result;
}

uint32_t bit_of(uint32_t hash) {
  return (hash * 2'654'435'761u) >> 16;
}

bool is_word_char(char c) {
  return ascii::is_letter(c) || ascii::is_digit(c) || c == '_' || c == '-';
}

bool is_scheme(std::string_view word) {
  constexpr auto schemes = std::to_array<std::string_view>({"bearer", "basic", "token", "digest", "key", "apikey"});
  return std::any_of(schemes.begin(), schemes.end(),
                     [&](std::string_view scheme) { return ascii::iequals(scheme, word); });
}

/// The part of a text in base64 that says `word` whatever stands around it, where `before` (0 to 2) bytes precede it
/// in its group of three.
std::string in_base64(std::string_view word, std::size_t before, bool for_urls) {
  std::string alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
  alphabet += for_urls ? "-_" : "+/";
  auto bit = [&](std::size_t position) -> unsigned { // of the bytes before and the word
    auto byte = position / 8;
    return byte < before ? 0u : (static_cast<unsigned char>(word[byte - before]) >> (7 - position % 8)) & 1u;
  };
  std::string result;
  for (auto position = (before * 8 + 5) / 6 * 6; position + 6 <= (before + word.size()) * 8; position += 6) {
    unsigned value = 0;
    for (std::size_t i = 0; i < 6; ++i)
      value = 2 * value + bit(position + i);
    result += alphabet[value];
  }
  return result;
}

/// A text without the escapes of URLs and JSON, and where each of its bytes, and its end, were.
struct plain_text {
  std::string text;
  std::vector<std::size_t> starts;

  explicit plain_text(std::string_view original) {
    text.reserve(original.size());
    for (std::size_t i = 0; i < original.size();) {
      starts.push_back(i);
      auto [c, length] = read(original.substr(i));
      text += c;
      i += length;
    }
    starts.push_back(original.size());
  }

  /// The first character of `rest` without its escape, and how many bytes that took.
  static std::pair<char, std::size_t> read(std::string_view rest) {
    auto byte_at = [&](std::size_t where) -> std::optional<char> {
      if (rest.size() < where + 2)
        return {};
      auto high = hex::value_of(rest[where]), low = hex::value_of(rest[where + 1]);
      return high && low ? std::optional{static_cast<char>(16 * *high + *low)} : std::nullopt;
    };
    if (rest[0] == '%')
      if (auto c = byte_at(1))
        return {*c, 3};
    if (rest[0] == '\\' && rest.substr(1).starts_with("u00"))
      if (auto c = byte_at(4))
        return {*c, 6};
    if (rest[0] == '\\' && rest.size() > 1 && std::strchr("/\"\\", rest[1]) != nullptr)
      return {rest[1], 2};
    return {rest[0], 1};
  }
};

} // namespace

void secret_mask::add(std::string_view value) {
  auto ends_word = [](char c) { return c == ' ' || c == '\t' || c == ',' || c == ';'; };
  while (!value.empty()) {
    auto end = static_cast<std::size_t>(std::find_if(value.begin(), value.end(), ends_word) - value.begin());
    auto word = value.substr(0, end);
    value.remove_prefix(std::min(end + 1, value.size()));
    if (is_scheme(word))
      continue;
    add_word(word);
    auto name = word.find('='); // NAME=VALUE, as in cookies; but '=' may end a key in base64
    if (name != word.npos && word.find_first_not_of('=', name) != word.npos)
      add_word(word.substr(name + 1));
  }
  index();
}

void secret_mask::keep(const secret_mask& older) {
  auto own = std::exchange(words_, older.words_);
  for (auto& word : own) // the newer ones last
    add_word(word.reveal());
  index();
}

void secret_mask::add_word(std::string_view word) {
  if (word.size() < shortest_word)
    return;
  std::erase_if(words_, [&](const secret& known) { return known.reveal() == word; });
  if (words_.size() == max_words)
    words_.erase(words_.begin());
  words_.emplace_back(word);
}

// Each form of each secret is entered by every group of four bytes in it. A text is then looked at only every fifth
// byte (`stride`): each part of eight bytes and more has one of these groups whole. A filter of 64 Ki bits sorts out
// the many groups that occur in no secret, so that a long answer costs little.
void secret_mask::index() {
  forms_.clear();
  places_.clear();
  filter_.assign(65'536 / 64, 0);
  auto add = [&](std::string_view text, std::size_t min_size) {
    if (text.size() < min_size
        || std::any_of(forms_.begin(), forms_.end(), [&](auto& form) { return form.text.reveal() == text; }))
      return;
    forms_.push_back({secret{text}, min_size});
    for (std::size_t i = 0; i + gram <= text.size(); ++i) {
      auto four = gram_at(text, i);
      places_[four].push_back({static_cast<uint32_t>(forms_.size() - 1), static_cast<uint32_t>(i)});
      filter_[bit_of(four) / 64] |= uint64_t{1} << (bit_of(four) % 64);
    }
  };
  for (auto& word : words_) {
    add(word.reveal(), shortest_part);
    for (std::size_t before = 0; before < 3; ++before)
      for (auto for_urls : {false, true}) {
        auto text = in_base64(word.reveal(), before, for_urls);
        add(text, shortest_base64);
        wipe(text);
      }
  }
}

// From each group that matches, the match is extended in both directions as far as text and form agree. Whether it is
// masked depends on how long it became. Words too short for the index are looked for one by one.
void secret_mask::find(std::string_view text, extent depth, std::vector<span>& spans) const {
  for (std::size_t position = 0; position + gram <= text.size(); position += stride) {
    auto four = gram_at(text, position);
    if (((filter_[bit_of(four) / 64] >> (bit_of(four) % 64)) & 1) == 0)
      continue;
    auto found = places_.find(four);
    if (found == places_.end())
      continue;
    for (auto& [which, offset] : found->second) {
      auto form = forms_[which].text.reveal();
      std::size_t before = 0, behind = gram;
      while (before < std::min<std::size_t>(position, offset)
             && text[position - before - 1] == form[offset - before - 1])
        ++before;
      while (position + behind < text.size() && offset + behind < form.size()
             && text[position + behind] == form[offset + behind])
        ++behind;
      if (before + behind >= (depth == extent::cut ? forms_[which].min_part : form.size()))
        spans.push_back({position - before, position + behind});
    }
  }
  if (depth == extent::whole)
    return;
  for (auto& word : words_)
    if (auto short_word = word.reveal(); short_word.size() < shortest_part)
      for (auto position = text.find(short_word); position != text.npos;
           position = text.find(short_word, position + 1)) {
        auto end = position + short_word.size();
        if ((position == 0 || !is_word_char(text[position - 1])) && (end == text.size() || !is_word_char(text[end])))
          spans.push_back({position, end});
      }
}

// The text is searched as it is, and without its escapes; places found in the latter are mapped back. Spans that
// overlap become one mask.
void secret_mask::mask(std::string& text, extent depth) const {
  if (empty() || text.size() < shortest_word)
    return;
  std::vector<span> spans;
  find(text, depth, spans);
  if (text.find_first_of("%\\") != text.npos) {
    plain_text plain{text};
    std::vector<span> more;
    find(plain.text, depth, more);
    for (auto& span : more)
      spans.push_back({plain.starts[span.begin], plain.starts[span.end]});
    wipe(plain.text);
  }
  if (spans.empty())
    return;
  std::sort(spans.begin(), spans.end(), [](auto& a, auto& b) { return a.begin < b.begin; });
  std::string result;
  std::size_t done = 0;
  for (std::size_t i = 0; i < spans.size();) {
    auto [begin, end] = spans[i];
    for (++i; i < spans.size() && spans[i].begin <= end; ++i)
      end = std::max(end, spans[i].end);
    result.append(text, done, begin - done);
    result += mask_text;
    done = end;
  }
  result.append(text, done);
  wipe(text);
  text = std::move(result);
}

} // namespace modelforge
