#pragma once

#include <bit>
#include <charconv>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

/// The words of JSON, below its grammar (`reader`).

namespace modelforge::json {

constexpr uint64_t every_byte(uint8_t byte) {
  return 0x0101010101010101u * byte;
}

/// Marks the zero bytes by their highest bit; of the marks above the lowest one some may be wrong.
constexpr uint64_t zero_bytes(uint64_t word) {
  return (word - every_byte(1)) & ~word & every_byte(0x80);
}

/// Whether this byte of ASCII stands in a JSON string as it is.
constexpr bool is_plain(char c) {
  return static_cast<uint8_t>(c) >= 0x20 && static_cast<uint8_t>(c) < 0x80 && c != '"' && c != '\\';
}

/// Skips bytes that are plain.
inline const char* skip_plain(const char* p, const char* end) {
#ifdef __SSE2__ // halves what reading a streamed piece costs
  for (; end - p >= 16; p += 16) {
    auto bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    auto special = _mm_cmplt_epi8(bytes, _mm_set1_epi8(0x20)); // as signed numbers: those above 127, too
    special = _mm_or_si128(special, _mm_cmpeq_epi8(bytes, _mm_set1_epi8('"')));
    special = _mm_or_si128(special, _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\')));
    if (auto marks = static_cast<uint32_t>(_mm_movemask_epi8(special)); marks != 0)
      return p + std::countr_zero(marks);
  }
#endif
  for (; end - p >= 8; p += 8) {
    uint64_t word;
    std::memcpy(&word, p, sizeof word);
    auto special = (word | (word - every_byte(0x20))) & every_byte(0x80); // above 127, or a control character
    special |= zero_bytes(word ^ every_byte('"')) | zero_bytes(word ^ every_byte('\\'));
    if (special == 0)
      continue;
    if constexpr (std::endian::native == std::endian::little)
      return p + std::countr_zero(special) / 8; // the lowest mark is right
    break;
  }
  while (p != end && is_plain(*p))
    ++p;
  return p;
}

/// Returns the value of a number in JSON; one too large for a double becomes the largest one, one too small 0.
double real_of(std::string_view number);

/// Reads an integer that fits, and nothing else.
template <std::integral T>
bool read_whole(std::string_view number, T& value) {
  auto* end = number.data() + number.size();
  auto [stop, error] = std::from_chars(number.data(), end, value);
  return error == std::errc{} && stop == end;
}

/// Returns a whole number from 0 to 2^53, nothing for all else.
std::optional<uint64_t> whole_of(double number);

/// A value that holds no others.
struct scalar {
  enum class kind : uint8_t { string, number, true_word, false_word, null_word };

  kind type = kind::null_word;
  bool is_whole = false;      ///< Of a number: it has neither fraction nor exponent.
  std::string_view text = {}; ///< Of a number.
};

/// Takes JSON's words from a text, one by one, and keeps the first error.
class lexer {
public:
  /// Skips a byte order mark: some write one.
  explicit lexer(std::string_view text);

  /// Of a text that `is_known` to be JSON, as it was gone through before: then what is skipped is not checked again.
  lexer(std::string_view text, bool is_known)
    : begin_(text.data()), p_(begin_), end_(begin_ + text.size()), is_known_(is_known) {}

  bool is_known() const { return is_known_; }

  /// Where the next word, or the white space before it, begins.
  const char* position() const { return p_; }
  bool at_end() const { return p_ == end_; }

  /// Remembers why the text is not JSON, with the present place. Returns false.
  bool fail(std::string_view why);

  /// As `fail`; where the text has ended, that is the reason.
  bool fail_or_end(std::string_view why) { return fail(at_end() ? "unexpected end" : why); }

  bool failed() const { return !problem_.empty(); }

  /// What is wrong and at which byte; empty when nothing is.
  const std::string& problem() const { return problem_; }

  /// Skips white space. Returns the byte behind it, 0 at the end.
  char skip_space() { return p_ != end_ && static_cast<uint8_t>(*p_) > ' ' ? *p_ : skip_spaces(); }

  char peek() const { return p_ == end_ ? '\0' : *p_; }

  /// Steps over a byte that `peek` showed.
  void step() { ++p_; }

  /// Takes the string at the present quote; appends its text to `out` unless that is null.
  bool take_string(std::string* out) { return is_known_ ? take_known_string(out) : take_new_string(out); }

  /// Skips the object or array that begins here, of a text that is known.
  bool skip_known();

  /// Takes the string, number or word that begins here; appends the text of a string to `out` unless that is null.
  bool take_scalar(scalar& taken, std::string* out = nullptr);

private:
  char skip_spaces();
  bool take_new_string(std::string* out);
  bool take_known_string(std::string* out);
  bool take_escape(std::string* out);
  bool take_hex(uint32_t& unit);
  bool take_digits();
  bool take_number(scalar& taken);
  bool take_word(std::string_view word);

  const char* begin_;
  const char* p_;
  const char* end_;
  bool is_known_ = false;
  std::string problem_;
};

} // namespace modelforge::json
