#include "wire/embedding_answer.hpp"

#include "base/ascii.hpp"
#include "base/text_encoding.hpp"
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

constexpr std::size_t max_frames = 6; ///< Of objects around a vector.

/// What a vector is called, or the list of all.
constexpr auto vector_names =
  std::to_array<std::string_view>({"embedding", "embeddings", "values", "vector", "float", "base64"});

/// What stands around them, and may be something else: OpenAI's `data`, Vertex' `predictions`, those of gateways.
constexpr auto frame_names = std::to_array<std::string_view>({"data", "predictions", "output", "result", "results"});

constexpr auto no_vector = "a vector that is neither a list of numbers nor base64 of floats";

template <std::size_t N>
bool is_among(std::string_view name, const std::array<std::string_view, N>& names) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

/// Tokens of the input, under the names of the known servers. Where vectors are made, all tokens are of the input.
json::raw input_tokens_in(json::raw usage) {
  json::raw tokens, all;
  read_fields(usage, {{"prompt_tokens", &tokens},
                      {"input_tokens", &tokens},
                      {"promptTokens", &tokens},
                      {"promptTokenCount", &tokens},
                      {"total_tokens", &all}});
  return tokens.text.empty() ? all : tokens;
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

/// The failure of an `error` member; with what stands beside it, unless megabytes do.
failure error_of(const http::response_head& head, json::raw error, std::string_view text) {
  if (auto found = error_in(head, text))
    return std::move(*found);
  return error_in(head, R"({"error":)" + std::string{error.text} + "}")
    .value_or(invalid_answer(head, "vectors and an error that is too long"));
}

} // namespace

void vector_answer::fail(std::string why) {
  if (problem_.empty())
    problem_ = std::move(why);
}

void vector_answer::take(json::reader& in) {
  entry all;
  if (!take_object(in, all, false, 0))
    take_list(in, all, true, 0);
  error = all.error;
  if (all.has_vector && put_ == 0)
    put(all.index);
}

// Of one vector's names the last one counts, as everywhere; of several lists the first one that has any.
bool vector_answer::take_object(json::reader& in, entry& found, bool is_entry, std::size_t depth) {
  return depth <= max_frames && in.members([&](std::string_view name) {
    auto is_sure = is_among(name, vector_names);
    if ((is_sure || is_among(name, frame_names)) && (is_entry || put_ == 0))
      take_vectors(in, found, is_entry, is_sure, depth + 1);
    else if (name == "index" || name == "text_index")
      found.index = in.value();
    else if (name == "error")
      found.error = in.value();
    else if (!is_entry && ascii::all(name, ascii::is_digit)) // in place of a list
      take_entry(in, json::raw{name}, depth);
    else if (depth == 0)
      take_account(name, in);
  });
}

/// What stands beside the vectors.
void vector_answer::take_account(std::string_view name, json::reader& in) {
  if (name == "model") {
    model = in.value();
  } else if (name == "id") {
    id = in.value();
  } else if (name == "usage" || name == "usageMetadata") {
    usage.input = input_tokens_in(in.value());
  } else if (name == "prompt_eval_count") { // Ollama
    usage.input = in.value();
  } else if (name == "meta") { // Cohere
    json::raw billed;
    read_fields(in.value(), {{"billed_units", &billed}});
    usage.input = input_tokens_in(billed);
  }
}

/// Takes what may be a vector, a list of them, or an object around either. `is_sure`: it can be nothing else.
void vector_answer::take_vectors(json::reader& in, entry& found, bool is_entry, bool is_sure, std::size_t depth) {
  auto is_list = is_entry ? take_numbers(in, found) : take_list(in, found, is_sure, depth);
  if (is_list || take_object(in, found, is_entry, depth) || !is_sure)
    return;
  auto value = in.value();
  if (value.is_string())
    take_base64(value, found);
  else if (is_entry)
    fail(no_vector);
}

/// Takes a list of vectors, or the numbers of one alone; what else is in a list that may be another one is left.
bool vector_answer::take_list(json::reader& in, entry& found, bool is_sure, std::size_t depth) {
  std::vector<float> numbers;
  auto before = put_;
  auto is_list = in.elements([&] {
    if (take_entry(in, {}, depth))
      return;
    auto value = in.value();
    if (entry one; value.is_string()) {
      take_base64(value, one);
      return put({});
    }
    if (float number = float_in(value.text); is_sure && !std::isnan(number))
      numbers.push_back(number);
    else if (is_sure)
      fail(no_vector);
  });
  if (numbers.empty())
    return is_list;
  if (put_ > before)
    fail(no_vector);
  taken_ = std::move(numbers);
  found.has_vector = true;
  return true;
}

/// Takes a vector of a list, an object or numbers, and puts it to its input. False where neither comes.
bool vector_answer::take_entry(json::reader& in, json::raw name, std::size_t depth) {
  entry one;
  one.index = name;
  if (!take_object(in, one, true, depth + 1) && !take_numbers(in, one))
    return false;
  if (!one.has_vector)
    taken_.clear();
  if (!one.has_vector && tells_error(one.error))
    fail("an error in place of a vector: " + clean_words(one.error.text, 300));
  put(one.index);
  return true;
}

// The first vector's length is a good guess for the others: they must be equal anyway. Some servers have a list around
// each vector; several in it are of the input's tokens, and none of them is the input's.
bool vector_answer::take_numbers(json::reader& in, entry& found) {
  std::vector<float> numbers;
  numbers.reserve(length_);
  std::size_t count = 0, lists = 0;
  auto is_list = in.elements([&] {
    ++count;
    auto value = in.value();
    if (!value.is_array())
      return numbers.push_back(float_in(value.text));
    ++lists;
    json::reader inner{value};
    inner.elements([&] { numbers.push_back(float_in(inner.value().text)); });
  });
  if (!is_list)
    return false;
  if (lists > 0 && count > 1)
    fail("several vectors for one input, as of a model that does not pool those of its tokens");
  length_ = numbers.size();
  taken_ = std::move(numbers);
  return found.has_vector = true;
}

void vector_answer::take_base64(json::raw value, entry& found) {
  std::string scratch;
  taken_.clear();
  found.has_vector = read_base64(string_in(value, scratch), taken_);
  if (!found.has_vector)
    fail(no_vector);
}

// Checked vector by vector, while the place is known, so that the message can name it; `finish` checks what concerns
// all.
void vector_answer::put(json::raw index) {
  auto told = told_count(index);
  auto place = told.value_or(put_);
  ++put_;
  has_numbers_ = has_numbers_ || !taken_.empty();
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

namespace {

/// The failure for an answer whose vectors are none. It would be the same the next time, unless it is nearly empty.
failure no_vectors(const http::response_head& head, std::string_view text, const std::string& why, bool has_any) {
  if (has_any) {
    auto problem = invalid_answer(head, std::string{unfit_words} + ": " + why);
    problem.suggestion.clear();
    return problem;
  }
  std::string description = "JSON without any vectors";
  if (text.find('"') != text.npos)
    description += "; " + std::string{unknown_words} + ", and it begins " + clean_words(text, 100);
  return invalid_answer(head, std::move(description));
}

} // namespace

// The body is read in one pass without a tree: thousands of vectors have megabytes of numbers. An error without a
// member of its own is looked for only where there are no vectors.
std::variant<embedding, failure> read_vectors(const http::response_head& head, std::string_view body,
                                              std::size_t inputs) {
  auto text = ascii::trim_front(without_mark(ascii::trim_front(body)));
  if (head.status < 200 || head.status >= 300)
    return error_in(head, text).value();
  vector_answer answer{inputs};
  json::reader in{text};
  answer.take(in);
  if (!in.finish()) {
    auto numbers = json::without_odd_numbers(text); // a vector with null in it is none
    if (numbers && json::reader{*numbers}.finish()) {
      auto result = read_vectors(head, *numbers, inputs);
      if (auto* good = std::get_if<embedding>(&result))
        good->warnings.emplace_back(odd_numbers_warning);
      return result;
    }
    return text.starts_with('{') || text.starts_with('[') ? broken_json(head, in.problem()) : invalid_body(head, text);
  }
  if (tells_error(answer.error))
    return error_of(head, answer.error, text);
  auto has_any = answer.has_any();
  auto vectors = answer.finish();
  if (auto* why = std::get_if<std::string>(&vectors)) {
    if (auto found = answer.has_numbers() ? std::nullopt : error_in(head, text))
      return std::move(*found);
    return no_vectors(head, text, *why, has_any);
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
