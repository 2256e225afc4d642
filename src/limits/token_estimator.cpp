#include "limits/token_estimator.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <variant>

namespace modelforge::limits {

namespace {

// -- a text's cost, by an automaton over its bytes ---------------------------------------

/// What a byte is. The first byte of a longer character names its script, near enough.
enum kind : uint8_t {
  lower,
  upper,
  digit,
  punctuation,
  space,
  line_end,
  accented,   // C3 to CC: Latin letters with accents
  vietnamese, // E1: more of these; Georgian, Khmer and others, too
  symbol,     // C2, E2: quotes, dashes, arrows, box drawing
  greek,      // CD to CF
  cyrillic,   // D0 to D4
  semitic,    // D5 to DF: Hebrew, Arabic; Armenian, too
  indic,      // E0: also Thai
  kana,       // E3
  han,        // E4 to E9
  hangul,     // EA to ED
  wide,       // EE, EF: full-width forms
  emoji,      // F0 to F4
  follower,   // 80 to BF: a byte within a character
  invalid,
  kinds
};

/// What stands before a byte.
enum state : uint8_t {
  after_line,
  after_space,
  after_punctuation,
  after_upper,    // one capital
  after_capitals, // several
  after_digit,    // the first of three
  after_digit_2,
  after_digit_3,
  after_letter, // and so on to the twelfth of a word
  after_last_letter = after_letter + 11,
  after_symbol,
  after_greek,
  after_cyrillic,
  after_semitic,
  after_indic,
  after_kana,
  after_han,
  after_hangul,
  after_other, // full-width forms, emoji
  after_stray, // what is not UTF-8
  states
};

/// A script's letters, in hundredths of a token a character.
struct script_cost {
  kind lead; ///< Of its first byte.
  state after;
  uint8_t first; ///< After anything else.
  uint8_t next;  ///< After another of the same script.
  uint8_t bytes; ///< In one character.
};

constexpr auto scripts = std::to_array<script_cost>({
  {symbol, after_symbol, 99, 26, 2},
  {greek, after_greek, 30, 43, 2},
  {cyrillic, after_cyrillic, 114, 11, 2},
  {semitic, after_semitic, 40, 35, 2},
  {indic, after_indic, 32, 38, 3},
  {kana, after_kana, 92, 63, 3},
  {han, after_han, 92, 78, 3},
  {hangul, after_hangul, 90, 59, 3},
  {wide, after_other, 60, 60, 3},
  {emoji, after_other, 250, 250, 4},
});

/// Of a character's cost, what each of its bytes but the first carries, so that stray ones cost something.
constexpr uint8_t follower_cost = 10;
constexpr uint8_t stray_cost = 60; ///< Of a byte that is not UTF-8.

/// By its first bits, a byte of UTF-8 tells the script of its character well enough.
constexpr kind kind_of(uint8_t byte) {
  if (byte < 0x80) {
    if (byte >= 'a' && byte <= 'z')
      return lower;
    if (byte >= 'A' && byte <= 'Z')
      return upper;
    if (byte >= '0' && byte <= '9')
      return digit;
    return byte == '\n' || byte == '\r' ? line_end : byte == ' ' || byte == '\t' ? space : punctuation;
  }
  if (byte < 0xC0)
    return follower;
  if (byte < 0xE0)
    return byte < 0xC2    ? invalid
           : byte == 0xC2 ? symbol
           : byte < 0xCD  ? accented
           : byte < 0xD0  ? greek
           : byte < 0xD5  ? cyrillic
                          : semitic;
  if (byte < 0xE4)
    return byte == 0xE0 ? indic : byte == 0xE1 ? vietnamese : byte == 0xE2 ? symbol : kana;
  return byte < 0xEA ? han : byte < 0xEE ? hangul : byte < 0xF0 ? wide : byte < 0xF5 ? emoji : invalid;
}

constexpr bool is_digit_state(int state) {
  return state >= after_digit && state <= after_digit_3;
}

constexpr bool is_letter_state(int state) {
  return state >= after_letter && state <= after_last_letter;
}

/// What a byte costs, in hundredths of a token, and what it leaves behind.
struct step {
  uint16_t cost = 0;
  uint16_t next = 0; ///< Row of the state.
};

/// Of a row: each kind, and then each once more for a byte that repeats the one before it.
constexpr int columns = 64;
static_assert(columns >= 2 * kinds);

/// A letter after what stands before it.
constexpr step letter_step(int from) {
  constexpr std::array<uint8_t, 12> by_place = {0, 0, 14, 14, 16, 16, 17, 17, 5, 5, 5, 21}; // from the second on
  if (is_letter_state(from)) {
    auto place = from - after_letter;
    return {by_place[static_cast<std::size_t>(place)],
            static_cast<uint16_t>(std::min(from + 1, static_cast<int>(after_last_letter)))};
  }
  if (from == after_upper)
    return {8, after_letter + 1};
  if (from == after_capitals)
    return {174, after_letter + 1};
  return {static_cast<uint16_t>(is_digit_state(from) ? 73 : 69), after_letter};
}

constexpr step upper_step(int from) {
  if (from == after_upper || from == after_capitals)
    return {11, after_capitals};
  return {static_cast<uint16_t>(is_letter_state(from) ? 96 : is_digit_state(from) ? 127 : 76), after_upper};
}

/// Tokenizers take up to three digits at once, and a space before them on its own.
constexpr step digit_step(int from) {
  if (from == after_digit || from == after_digit_2)
    return {0, static_cast<uint16_t>(from + 1)};
  auto after_word = is_letter_state(from) || from == after_upper || from == after_capitals;
  return {static_cast<uint16_t>(from == after_space ? 194 : after_word ? 132 : 115), after_digit};
}

/// What a byte of this kind costs after that state. The numbers are those of the fit (see the class). Evaluated by the
/// compiler alone: at run time there is one look into a table for each byte.
constexpr step step_of(int from, int byte, bool repeated) {
  switch (byte) {
    case lower:
      return letter_step(from);
    case upper:
      return upper_step(from);
    case digit:
      return digit_step(from);
    case punctuation:
      return {static_cast<uint16_t>(from == after_space         ? 115
                                    : from != after_punctuation ? 63
                                    : repeated                  ? 3
                                                                : 39),
              after_punctuation};
    case space:
      return {static_cast<uint16_t>(from == after_space ? 1 : from == after_line ? 33 : 5), after_space};
    case line_end:
      return {static_cast<uint16_t>(from == after_line ? 2 : from == after_punctuation ? 20 : 162), after_line};
    case accented:
    case vietnamese: {
      auto letter = letter_step(from);
      letter.cost += byte == accented ? 113 - follower_cost : 47 - 2 * follower_cost;
      return letter;
    }
    case follower:
      if (from < after_letter || from == after_stray) // no character that has one begins like these
        return {stray_cost, after_stray};
      return {follower_cost, static_cast<uint16_t>(from)};
    default:
      break;
  }
  for (auto& script : scripts)
    if (script.lead == byte) {
      auto cost = from == script.after ? script.next : script.first;
      return {static_cast<uint16_t>(std::max(cost - (script.bytes - 1) * follower_cost, 0)), script.after};
    }
  return {stray_cost, after_stray};
}

using step_table = std::array<step, static_cast<std::size_t>(states) * columns>;

constexpr step_table make_steps() {
  step_table table{};
  for (int from = 0; from < states; ++from)
    for (int byte = 0; byte < 2 * kinds; ++byte) {
      auto taken = step_of(from, byte % kinds, byte >= kinds);
      taken.next = static_cast<uint16_t>(taken.next * columns);
      table[static_cast<std::size_t>(from * columns + byte)] = taken;
    }
  return table;
}

constexpr std::array<uint8_t, 256> make_kinds() {
  std::array<uint8_t, 256> table{};
  for (std::size_t i = 0; i < table.size(); ++i)
    table[i] = kind_of(static_cast<uint8_t>(i));
  return table;
}

constexpr auto steps = make_steps();
constexpr auto kind_table = make_kinds();

/// Where the automaton stands: the row of its state.
using row = std::size_t;

constexpr row row_of(state from) {
  return static_cast<row>(from) * columns;
}

/// Takes one byte in, `before` the one before it; returns what it costs. No branch: none could be predicted.
inline uint64_t take(row& position, char c, char before) {
  auto kind_index = static_cast<std::size_t>(kind_table[static_cast<uint8_t>(c)]);
  auto taken = steps[position + kind_index + static_cast<std::size_t>(c == before) * kinds];
  position = taken.next;
  return taken.cost;
}

/// From the second byte on; there must be one before `p`.
uint64_t cost_of(row position, const char* p, const char* end) {
  uint64_t cost = 0;
  for (; p != end; ++p)
    cost += take(position, *p, p[-1]);
  return cost;
}

constexpr std::ptrdiff_t worth_cutting = 256;

/// Where to cut a text near `p`, at most 64 bytes behind it: after a space, or at least between two characters.
const char* cut_after_space(const char* p) {
  auto* found = static_cast<const char*>(std::memchr(p, ' ', worth_cutting / 4));
  if (found != nullptr)
    return found + 1;
  for (int i = 0; i < 3 && kind_of(static_cast<uint8_t>(*p)) == follower; ++i)
    ++p;
  return p;
}

/// Four walks at once: each step of one waits for the memory, and the others use the time.
uint64_t cost_in_quarters(row position, const char* p, const char* end) {
  auto quarter = (end - p) / 4;
  std::array<const char*, 5> cuts = {p, cut_after_space(p + quarter), cut_after_space(p + 2 * quarter),
                                     cut_after_space(p + 3 * quarter), end};
  auto [a, b, c, d, last] = cuts;
  auto shortest = std::min({b - a, c - b, d - c, last - d});
  std::array<row, 4> rows = {position, row_of(after_space), row_of(after_space), row_of(after_space)};
  uint64_t cost = 0;
  for (std::ptrdiff_t i = 0; i < shortest; ++i) {
    cost += take(rows[0], a[i], a[i - 1]);
    cost += take(rows[1], b[i], b[i - 1]);
    cost += take(rows[2], c[i], c[i - 1]);
    cost += take(rows[3], d[i], d[i - 1]);
  }
  for (std::size_t i = 0; i < rows.size(); ++i)
    cost += cost_of(rows[i], cuts[i] + shortest, cuts[i + 1]);
  return cost;
}

// -- a prompt's cost ---------------------------------------------------------------------

constexpr uint64_t token = 100; // hundredths

/// A text's ends cost more than its middle: the first word has no space before it, the last stop no word behind it.
constexpr uint64_t text_cost = 60;

constexpr uint64_t message_cost = 4 * token; ///< Role and frame.
constexpr uint64_t reply_cost = 3 * token;   ///< The beginning of the answer.
constexpr uint64_t tool_cost = 7 * token;
constexpr uint64_t tools_cost = 12 * token; ///< Once, where there are any.
constexpr uint64_t call_cost = 6 * token;
constexpr uint64_t schema_cost = 10 * token;

/// OpenAI's 85 for an image it shrinks to one tile, and 170 more for each of the six tiles of a photo or a screen.
constexpr uint64_t small_image_cost = 85 * token;
constexpr uint64_t image_cost = (85 + 6 * 170) * token;

uint64_t cost_of(std::string_view text) {
  if (text.empty())
    return 0;
  auto* p = text.data();
  auto* end = p + text.size();
  auto position = row_of(after_line);
  auto cost = text_cost + take(position, *p++, '\0');
  return cost + (end - p < worth_cutting ? cost_of(position, p, end) : cost_in_quarters(position, p, end));
}

struct part_cost {
  uint64_t operator()(const text_part& part) const { return cost_of(part.text); }
  uint64_t operator()(const image_part& part) const { return part.detail == "low" ? small_image_cost : image_cost; }
  uint64_t operator()(const tool_call& call) const { return call_cost + cost_of(call.name) + cost_of(call.arguments); }
  uint64_t operator()(const tool_result& result) const { return message_cost + cost_of(result.content); }
  uint64_t operator()(const reasoning_part& part) const { return part.signature.empty() ? 0 : cost_of(part.text); }
};

uint64_t cost_of(const chat_request& request) {
  auto cost = reply_cost;
  for (auto& message : request.messages) {
    cost += message_cost + cost_of(message.name);
    for (auto& part : message.content)
      cost += std::visit(part_cost{}, part);
  }
  for (auto& tool : request.tools)
    cost += tool_cost + cost_of(tool.name) + cost_of(tool.description) + cost_of(tool.parameters);
  if (!request.tools.empty())
    cost += tools_cost;
  if (request.response_format.kind == response_kind::json_schema)
    cost += schema_cost + cost_of(request.response_format.name) + cost_of(request.response_format.schema);
  return cost;
}

uint64_t tokens_of(uint64_t cost) {
  return cost / token + (cost % token != 0);
}

// -- learning ------------------------------------------------------------------------------

constexpr uint32_t head_start = 3; // answers that what is assumed beforehand counts for
constexpr double slowest_weight = 1.0 / 16;
constexpr double largest_jump = 4; // of a ratio, against the mean
constexpr double smallest_ratio = 1.0 / 16;
constexpr double largest_ratio = 64;

constexpr std::size_t window_length = 256;
constexpr std::size_t enough_lengths = 20; // with fewer, the 95th percentile is the longest
constexpr uint64_t cautious_length = 1024;

/// 4^n from 64 on.
std::size_t size_class(uint64_t raw, std::size_t classes) {
  auto bits = static_cast<std::size_t>(std::bit_width(raw));
  return std::min(bits < 7 ? 0 : (bits - 5) / 2, classes - 1);
}

uint64_t scaled(uint64_t raw, double factor) {
  constexpr double max_tokens = 9e18;
  constexpr double next_to_nothing = 0.01; // of a token: an average never quite reaches a steady ratio
  auto tokens = std::ceil(static_cast<double>(raw) * factor - next_to_nothing);
  return static_cast<uint64_t>(std::clamp(tokens, 1.0, max_tokens));
}

} // namespace

void token_estimator::ratio::learn(double observed) {
  observed = std::clamp(observed, mean / largest_jump, mean * largest_jump);
  auto weight = std::max(slowest_weight, 1.0 / (++answers + head_start));
  deviation += weight * (std::abs(observed - mean) - deviation);
  mean = std::clamp(mean + weight * (observed - mean), smallest_ratio, largest_ratio);
}

double token_estimator::ratio::safe() const {
  return mean + std::min(2 * deviation, mean);
}

void token_estimator::length_window::add(uint64_t tokens) {
  if (recent_.size() < window_length) {
    recent_.push_back(tokens);
  } else {
    sorted_.erase(std::lower_bound(sorted_.begin(), sorted_.end(), recent_[next_]));
    recent_[next_] = tokens;
    next_ = (next_ + 1) % window_length;
  }
  sorted_.insert(std::upper_bound(sorted_.begin(), sorted_.end(), tokens), tokens);
}

uint64_t token_estimator::length_window::expected() const {
  if (sorted_.size() < enough_lengths)
    return std::max(sorted_.empty() ? 0 : sorted_.back(), cautious_length);
  return sorted_[(sorted_.size() * 95 + 99) / 100 - 1];
}

/// The ratio for prompts of that size, or for the nearest size that was seen; of two equally near the larger ratio.
const token_estimator::ratio& token_estimator::known_model::best_ratio(uint64_t raw) const {
  auto wanted = size_class(raw, size_classes);
  auto* best = &ratios[wanted];
  for (std::size_t distance = 1; distance < size_classes && best->answers == 0; ++distance)
    for (auto i : {wanted - distance, wanted + distance}) // below 0 it wraps round
      if (i < size_classes && ratios[i].answers > 0 && (best->answers == 0 || ratios[i].safe() > best->safe()))
        best = &ratios[i];
  return *best;
}

uint64_t token_estimator::raw(std::string_view text) {
  return tokens_of(cost_of(text));
}

uint64_t token_estimator::raw(const chat_request& request) {
  return tokens_of(cost_of(request));
}

uint64_t token_estimator::raw(const embedding_request& request) {
  uint64_t sum = 0;
  for (auto& text : request.inputs)
    sum += raw(text);
  return std::max<uint64_t>(sum, 1);
}

uint64_t token_estimator::estimate(std::string_view model, uint64_t raw) const {
  return scaled(raw, ratio_for(model, raw).safe());
}

uint64_t token_estimator::likely(std::string_view model, uint64_t raw) const {
  return scaled(raw, ratio_for(model, raw).mean);
}

uint64_t token_estimator::least(std::string_view model, uint64_t raw) const {
  return std::min(likely(model, raw), raw) / 4;
}

void token_estimator::train(std::string_view model, uint64_t raw, uint64_t real) {
  if (raw == 0 || real == 0)
    return;
  auto& trained = touch(model);
  auto known = trained.best_ratio(raw);
  auto error = static_cast<double>(scaled(raw, known.mean)) / static_cast<double>(real) - 1;
  ++trained.answers;
  trained.underestimated += scaled(raw, known.safe()) < real;
  trained.error_sum += error;
  trained.absolute_error_sum += std::abs(error);
  auto& own = trained.ratios[size_class(raw, size_classes)];
  if (own.answers == 0)
    own = {known.mean, std::max(known.deviation, known.mean / 4), 0};
  own.learn(static_cast<double>(real) / static_cast<double>(raw));
}

uint64_t token_estimator::expected_output(std::string_view model, std::optional<uint32_t> max_tokens) const {
  auto* known = find(model);
  auto expected = known != nullptr ? known->outputs.expected() : cautious_length;
  return max_tokens ? std::min<uint64_t>(expected, *max_tokens) : expected;
}

void token_estimator::train_output(std::string_view model, uint64_t real) {
  touch(model).outputs.add(real);
}

token_estimator::error_report token_estimator::errors(std::string_view model) const {
  auto* known = find(model);
  if (known == nullptr || known->answers == 0)
    return {};
  auto n = static_cast<double>(known->answers);
  return {known->answers, known->error_sum / n, known->absolute_error_sum / n,
          static_cast<double>(known->underestimated) / n};
}

const token_estimator::known_model* token_estimator::find(std::string_view model) const {
  auto i = models_.find(model);
  return i != models_.end() ? &i->second : nullptr;
}

token_estimator::known_model& token_estimator::touch(std::string_view model) {
  auto i = models_.find(model);
  if (i == models_.end()) {
    if (models_.size() == max_models)
      models_.erase(std::min_element(models_.begin(), models_.end(),
                                     [](auto& x, auto& y) { return x.second.trained < y.second.trained; }));
    i = models_.emplace(model, known_model{}).first;
  }
  i->second.trained = ++trainings_;
  return i->second;
}

token_estimator::ratio token_estimator::ratio_for(std::string_view model, uint64_t raw) const {
  auto* known = find(model);
  return known != nullptr ? known->best_ratio(raw) : ratio{};
}

} // namespace modelforge::limits
