#include "tools/simulator/answers.hpp"

#include "tools/simulator/phrases.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>

// An answer is drawn from a stock of sentences in the prompt's language (phrases.hpp) whose gaps take the prompt's own
// words, so that a reader of a log sees which prompt it belongs to. The random sequence alone decides which sentences
// come and in which order; the same seed and prompt give the same bytes on every machine.

namespace modelforge::simulator {

namespace {

/// The first `limit` bytes of `text` at most, cut between characters.
std::string_view beginning(std::string_view text, std::size_t limit) {
  if (text.size() <= limit)
    return text;
  auto end = limit;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80)
    --end;
  return text.substr(0, end);
}

constexpr uint32_t max_written = 2'000; ///< Tokens; a longer answer repeats itself.
constexpr uint32_t repeated = 1'000;    ///< Tokens that it repeats, about.

constexpr std::size_t prompt_limit = 4'000; ///< What follows changes the hash, but not the words.

/// Lowers ASCII, and the Russian and western European letters of UTF-8's two-byte range.
std::string lower_case(std::string_view word) {
  std::string text(word);
  for (std::size_t i = 0; i < text.size(); ++i) {
    auto c = static_cast<unsigned char>(text[i]);
    auto before = i == 0 ? 0 : static_cast<unsigned char>(text[i - 1]);
    if ((c >= 'A' && c <= 'Z') || (before == 0xc3 && c >= 0x80 && c <= 0x9e)
        || (before == 0xd0 && c >= 0x90 && c < 0xa0))
      text[i] = static_cast<char>(c + 0x20);
    else if (before == 0xd0 && c >= 0xa0 && c < 0xb0)
      text[i - 1] = static_cast<char>(0xd1), text[i] = static_cast<char>(c - 0x20);
  }
  return text;
}

/// Cuts `text` into runs of letters and digits; wide characters into runs of at most six.
std::vector<std::string_view> words_of(std::string_view text) {
  std::vector<std::string_view> words;
  std::size_t start = 0, at = 0, wide = 0;
  auto end_word = [&] {
    if (at > start)
      words.push_back(text.substr(start, at - start));
    start = at;
    wide = 0;
  };
  while (at < text.size()) {
    auto point = decode(text.substr(at));
    auto kind = script_of(point.value);
    if (is_wide(kind) ? wide == 6 || (wide == 0 && at > start) : wide > 0)
      end_word();
    if (is_wide(kind))
      ++wide;
    if (is_wide(kind) || is_letter(kind) || kind == script::digit) {
      at += point.bytes;
      continue;
    }
    end_word();
    start = at += point.bytes;
  }
  end_word();
  return words;
}

/// Appends `sentence`, each `{}` replaced by the next of `words`, round and round.
void append_filled(std::string& out, std::string_view sentence, const std::vector<std::string>& words,
                   std::size_t& next) {
  for (auto slot = sentence.find("{}"); slot != sentence.npos; slot = sentence.find("{}")) {
    out.append(sentence.substr(0, slot)).append(words[next++ % words.size()]);
    sentence.remove_prefix(slot + 2);
  }
  out.append(sentence);
}

/// Takes a decimal number without an exponent from the front of `text`; leaves `text` as it is when there is none.
std::optional<double> take_number(std::string_view& text) {
  double value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed);
  if (error != std::errc{})
    return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return value;
}

/// Removes the spaces at the front of `text`.
void skip_spaces(std::string_view& text) {
  text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
}

/// Takes "+", "-", "*", "×", "/" or "÷" from the front of `text`; 0 when there is none.
char take_operator(std::string_view& text) {
  struct sign {
    std::string_view text;
    char meaning;
  };
  for (auto candidate : {sign{"+", '+'}, {"-", '-'}, {"*", '*'}, {"×", '*'}, {"x ", '*'}, {"/", '/'}, {"÷", '/'}})
    if (text.starts_with(candidate.text)) {
      text.remove_prefix(candidate.text.size());
      return candidate.meaning;
    }
  return 0;
}

/// Writes a whole number without a decimal point, as long as a double holds it exactly, and others with ten digits.
std::string plain_number(double number) {
  char buffer[40];
  auto whole = number == std::floor(number) && std::abs(number) < 1e15;
  auto end = whole ? std::to_chars(buffer, buffer + sizeof(buffer), static_cast<int64_t>(number)).ptr
                   : std::to_chars(buffer, buffer + sizeof(buffer), number, std::chars_format::general, 10).ptr;
  return {buffer, end};
}

/// Answers a short prompt that holds "NUMBER OPERATOR NUMBER".
std::optional<std::string> arithmetic(std::string_view prompt) {
  auto digit = prompt.find_first_of("0123456789");
  if (prompt.size() > 80 || digit == prompt.npos)
    return std::nullopt;
  prompt.remove_prefix(digit);
  auto start = prompt;
  auto left = take_number(prompt);
  skip_spaces(prompt);
  auto sign = take_operator(prompt);
  skip_spaces(prompt);
  auto right = take_number(prompt);
  if (!left || sign == 0 || !right || (sign == '/' && *right == 0))
    return std::nullopt;
  auto result = sign == '+'   ? *left + *right
                : sign == '-' ? *left - *right
                : sign == '*' ? *left * *right
                              : *left / *right;
  return std::string(start.substr(0, start.size() - prompt.size())) + " = " + plain_number(result) + ".";
}

} // namespace

std::vector<std::string> key_words(std::string_view prompt, std::size_t limit) {
  std::vector<std::string_view> found;
  for (auto word : words_of(beginning(prompt, prompt_limit))) {
    auto lower = lower_case(word);
    if (!is_common(lower)
        && std::none_of(found.begin(), found.end(), [&](auto other) { return lower_case(other) == lower; }))
      found.push_back(word);
    if (found.size() == 64)
      break;
  }
  auto ranked = found;
  std::stable_sort(ranked.begin(), ranked.end(), [](auto a, auto b) { return a.size() > b.size(); });
  ranked.resize(std::min(ranked.size(), limit));
  std::vector<std::string> words;
  for (auto word : found) // in the prompt's order
    if (std::find(ranked.begin(), ranked.end(), word) != ranked.end())
      words.emplace_back(beginning(word, 60));
  return words;
}

std::string answer_text(random_source source, std::string_view prompt, uint32_t min_tokens, uint32_t max_tokens) {
  if (auto result = arithmetic(prompt))
    return *result;
  const auto& language = phrases_for(beginning(prompt, prompt_limit));
  auto words = key_words(prompt, 4);
  if (words.empty())
    words.emplace_back(language.fallback);
  max_tokens = std::max(min_tokens, max_tokens);
  auto target = min_tokens + source.below(uint64_t{max_tokens} - min_tokens + 1);
  std::string text, sentence;
  std::size_t slot = 0;
  const auto count = language.middles.size();
  auto middle = source.below(count), stride = source.below(2) == 0 ? 1 : count - 1; // each once before any again
  append_filled(text, language.openers[source.below(language.openers.size())], words, slot);
  auto tokens = count_tokens(text);
  auto closer = language.closers[source.below(language.closers.size())];
  auto closer_tokens = count_tokens(closer) + 2;
  while (tokens + closer_tokens < target || tokens < min_tokens) {
    middle = (middle + stride) % count;
    sentence.assign(language.gap);
    append_filled(sentence, language.middles[middle], words, slot);
    auto more = count_tokens(sentence);
    if (tokens + more > max_tokens)
      break;
    text += sentence;
    tokens += more;
  }
  sentence.assign(language.gap);
  append_filled(sentence, closer, words, slot);
  if (tokens + count_tokens(sentence) <= max_tokens)
    text += sentence;
  return text;
}

looped_text long_answer(random_source source, std::string_view prompt, uint32_t min_tokens, uint32_t max_tokens) {
  max_tokens = std::max(min_tokens, max_tokens);
  if (max_tokens <= max_written)
    return looped_text(answer_text(source, prompt, min_tokens, max_tokens));
  auto target = min_tokens + static_cast<uint32_t>(source.below(uint64_t{max_tokens} - min_tokens + 1));
  if (target <= max_written)
    return looped_text(answer_text(source, prompt, target, target));
  auto text = answer_text(source, prompt, repeated, repeated);
  if (count_tokens(text) < repeated / 2) // the result of a sum
    return looped_text(text);
  looped_text endless(text + "\n\n", UINT64_MAX);
  endless.shorten(endless.measure(target).first);
  return endless;
}

} // namespace modelforge::simulator
