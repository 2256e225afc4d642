#include "wire/embedding_answer.hpp"

#include "base/ascii.hpp"
#include "wire/provider_error.hpp"
#include "json/lexer.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <utility>

namespace modelforge::wire {

namespace {

/// The number in a JSON text that is one; not finite where it is too large, or no number at all.
float float_in(std::string_view number) {
  float result = 0;
  auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), result);
  if (error == std::errc{})
    return result;
  auto is_number = !number.empty() && (number.front() == '-' || (number.front() >= '0' && number.front() <= '9'));
  return is_number ? static_cast<float>(json::real_of(number)) : NAN; // beyond a float: nearly 0, or infinite
}

/// Value of each base64 digit; 0xFF for any other byte.
constexpr auto base64_values = [] {
  std::array<uint8_t, 256> result{};
  result.fill(0xFF);
  uint8_t value = 0;
  for (char c : std::string_view{"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"})
    result[static_cast<uint8_t>(c)] = value++;
  return result;
}();

/// Whether the text is base64 of whole floats; they are appended to `floats`.
bool read_base64(std::string_view text, std::vector<float>& floats) {
  text = text.substr(0, text.find_last_not_of('=') + 1);
  auto bytes = text.size() * 6 / 8;
  if (text.size() % 4 == 1 || bytes % sizeof(float) != 0)
    return false;
  floats.reserve(bytes / sizeof(float));
  uint32_t bits = 0, word = 0;
  std::size_t pending = 0, taken = 0;
  for (char c : text) {
    auto value = base64_values[static_cast<uint8_t>(c)];
    if (value == 0xFF)
      return false;
    bits = bits << 6 | value;
    pending += 6;
    if (pending < 8)
      continue;
    pending -= 8;
    word |= (bits >> pending & 0xFF) << 8 * (taken++ % sizeof word);
    if (taken % sizeof word == 0)
      floats.push_back(std::bit_cast<float>(std::exchange(word, 0)));
  }
  return true;
}

/// The failure that an answer tells of; also one that tells of none, where its status does.
std::optional<failure> error_in(const http::response_head& head, std::string_view text) {
  text = text.substr(0, 1 << 16); // an error is not long
  auto parsed = json::parse(utf8::is_valid(text) ? std::string{text} : utf8::repair(text));
  auto* tree = std::get_if<json::value>(&parsed);
  auto is_success = head.status >= 200 && head.status < 300;
  if (is_success && (tree == nullptr || !find_error(*tree)))
    return {};
  return error_answer(head, tree, text);
}

} // namespace

void vector_answer::fail(std::string why) {
  if (problem_.empty())
    problem_ = std::move(why);
}

// The first vector's length is a good guess for the others: they must be equal anyway.
void vector_answer::take_vector(json::reader& in) {
  taken_.clear();
  if (put_ > 0 && !vectors_.empty())
    taken_.reserve(vectors_.front().size());
  if (in.elements([&] { taken_.push_back(float_in(in.value().text)); }))
    return;
  std::string scratch;
  if (auto raw = in.value(); !raw.is_string() || !read_base64(string_in(raw, scratch), taken_))
    fail("a vector that is neither a list of numbers nor base64 of floats");
}

// Checked vector by vector, while the place is known, so that the message can name it; `finish` checks what concerns
// all.
void vector_answer::put(json::raw index) {
  auto told = count_in(index.is_string() ? json::raw{index.between_quotes()} : index);
  auto place = told.value_or(put_);
  ++put_;
  if (!told && !index.text.empty() && index.text != "null" && vectors_.size() > 1)
    return fail("a vector whose index is no whole number: " + clean_words(index.text, 50));
  if (taken_.empty())
    return fail("an empty vector");
  if (!std::all_of(taken_.begin(), taken_.end(), [](float x) { return std::isfinite(x); }))
    return fail("a vector with something in it that is no finite number");
  if (place >= vectors_.size())
    return fail("more vectors than inputs (" + std::to_string(vectors_.size()) + ")");
  if (!vectors_[place].empty())
    return fail("two vectors for input " + std::to_string(place));
  vectors_[place] = std::move(taken_);
}

std::variant<std::vector<std::vector<float>>, std::string> vector_answer::finish() {
  if (put_ == 0)
    return "JSON without any vectors";
  if (!problem_.empty())
    return std::move(problem_);
  if (put_ < vectors_.size())
    return std::to_string(put_) + " vectors for " + std::to_string(vectors_.size()) + " inputs";
  auto size = vectors_.front().size();
  for (auto& vector : vectors_)
    if (vector.size() != size)
      return "vectors of different lengths (" + std::to_string(size) + " and " + std::to_string(vector.size()) + ")";
  return std::move(vectors_);
}

// The body is read in one pass without a tree: thousands of vectors have megabytes of numbers. An error in a success is
// looked for only where the shape is odd.
std::variant<embedding, failure> read_vectors(const http::response_head& head, std::string_view body,
                                              std::size_t inputs, vector_member read) {
  auto text = ascii::trim_front(body);
  if (head.status < 200 || head.status >= 300)
    return error_in(head, text).value();
  vector_answer answer{inputs};
  json::raw error;
  json::reader in{text};
  auto is_object = in.members([&](std::string_view name) {
    if (name == "error")
      error = in.value();
    else
      read(name, in, answer);
  });
  if (!in.finish())
    return text.starts_with('{') ? invalid_answer(head, "broken JSON (" + clean_words(in.problem(), 200) + ")")
                                 : invalid_body(head, text);
  if (!is_object || error.is_object() || error.is_string())
    if (auto found = error_in(head, text))
      return std::move(*found);
  auto vectors = answer.finish();
  if (auto* why = std::get_if<std::string>(&vectors)) {
    if (auto found = answer.has_any() ? std::nullopt : error_in(head, text))
      return std::move(*found);
    auto problem = invalid_answer(head, std::move(*why));
    if (answer.has_any())
      problem.suggestion.clear();
    return problem;
  }
  std::string scratch;
  embedding result;
  result.vectors = std::move(std::get<0>(vectors));
  result.usage = usage_of(answer.usage);
  if (is_odd(answer.usage))
    result.warnings.emplace_back(usage_warning);
  result.model = string_in(answer.model, scratch);
  result.provider_request_id = request_id_in(head, string_in(answer.id, scratch));
  return result;
}

} // namespace modelforge::wire
