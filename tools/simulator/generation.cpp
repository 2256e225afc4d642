#include "tools/simulator/generation.hpp"

#include "tools/simulator/answers.hpp"
#include "tools/simulator/random.hpp"
#include "tools/simulator/schema.hpp"

#include <algorithm>

namespace modelforge::simulator {

namespace {

using form = generation::form;

/// Returns words to fill made-up values with; never empty.
std::vector<std::string> words_for(const generation& request) {
  auto words = key_words(request.prompt, 6);
  if (words.empty())
    words.emplace_back("sample");
  return words;
}

/// Returns the prompt's words, names (by their capital) first: they make the better arguments.
std::vector<std::string> values_for(const generation& request) {
  auto words = words_for(request);
  std::stable_partition(words.begin(), words.end(), [](const auto& word) { return word[0] >= 'A' && word[0] <= 'Z'; });
  return words;
}

/// Returns an object as a model might answer that was asked for JSON without a schema.
std::string object_text(const generation& request, random_source source) {
  auto words = words_for(request);
  auto confidence = 0.5 + static_cast<double>(source.below(50)) / 100;
  return json{{"answer", answer_text(source, request.prompt, 12, 40)},
              {"topic", words.front()},
              {"keywords", words},
              {"confidence", confidence}}
    .dump();
}

/// Returns the answer proper, in the form that the request wants. Its tokens are counted later.
piece text_piece(const generation& request, random_source source, const options& settings) {
  switch (request.wanted) {
    case form::json_object:
      return {piece::kind::text, looped_text(object_text(request, source))};
    case form::json_schema:
      return {piece::kind::text, looped_text(sample(request.schema, source, values_for(request)).dump())};
    default:
      return {piece::kind::text,
              long_answer(source, request.prompt, settings.min_answer_tokens, settings.max_answer_tokens)};
  }
}

/// Appends the calls, with arguments that fit their schemas.
void add_calls(choice& completion, const generation& request, uint64_t seed) {
  for (const auto& tool : request.calls) {
    piece call{piece::kind::call, looped_text(sample(tool.schema, random_source(seed), values_for(request)).dump()),
               tool.name, mix(~seed)};
    call.name_tokens = count_tokens(tool.name);
    completion.pieces.push_back(std::move(call));
    seed = mix(seed + 1); // the same function may be called twice
  }
  completion.end = ending::calls;
}

/// Ends the text before the first stop word in it; the last one that shortens it is the one reported.
void end_by_stops(choice& completion, const std::vector<std::string>& stops) {
  auto& text = completion.pieces.back().text;
  for (const auto& stop : stops) {
    auto before = text.size();
    text.end_before(stop);
    if (text.size() == before)
      continue;
    completion.end = ending::stop_word;
    completion.stop_word = stop;
  }
}

/// Cuts what goes beyond `left` tokens, and counts the rest.
void limit_tokens(choice& completion, uint32_t left) {
  auto kept = completion.pieces.begin();
  for (; kept != completion.pieces.end() && (left > 0 || kept == completion.pieces.begin()); ++kept) {
    auto named = std::min(left, kept->name_tokens);
    auto [bytes, count] = kept->text.measure(left - named);
    if (bytes < kept->text.size() || named < kept->name_tokens)
      completion.end = ending::length;
    kept->text.shorten(bytes);
    kept->name_tokens = named;
    kept->tokens = named + count;
    completion.tokens += kept->tokens;
    left -= kept->tokens;
  }
  if (kept == completion.pieces.end())
    return;
  completion.pieces.erase(kept, completion.pieces.end());
  completion.end = ending::length;
}

} // namespace

uint32_t choice::tokens_of(piece::kind type) const {
  uint32_t sum = 0;
  for (const auto& part : pieces)
    sum += part.type == type ? part.tokens : 0;
  return sum;
}

choice make_choice(const generation& request, uint32_t index, const options& settings) {
  auto seed = request.seed + index;
  choice completion;
  if (request.max_thinking > 0) {
    auto max_tokens = std::min(request.max_thinking, 60u);
    auto text = answer_text(random_source(mix(~seed)), request.prompt, max_tokens / 3, max_tokens);
    completion.pieces.push_back({piece::kind::thinking, looped_text(std::move(text))});
  }
  if (request.calls.empty()) {
    completion.pieces.push_back(text_piece(request, random_source(seed), settings));
    end_by_stops(completion, request.stop);
  } else {
    if (request.says_before_calls)
      completion.pieces.push_back(
        {piece::kind::text, looped_text(answer_text(random_source(seed), request.prompt, 5, 15))});
    add_calls(completion, request, seed);
  }
  limit_tokens(completion, request.max_tokens.value_or(UINT32_MAX));
  return completion;
}

std::vector<choice> make_choices(const generation& request, const options& settings) {
  std::vector<choice> result;
  for (uint32_t i = 0; i < request.choices; ++i)
    result.push_back(make_choice(request, i, settings));
  return result;
}

choice_cursor::step choice_cursor::next() {
  const auto& part = choice_.pieces[position_];
  auto index = position_;
  auto begins = sent_ == 0;
  auto rest = part.text.after(sent_);
  auto token = rest.empty() ? rest : rest.substr(0, first_token(rest));
  sent_ += token.size();
  tokens_ += (begins ? part.name_tokens : 0) + (token.empty() ? 0 : 1);
  auto ends = sent_ == part.text.size();
  if (ends) {
    ++position_;
    sent_ = 0;
  }
  return {part, index, token, begins, ends};
}

uint64_t tokens_of(const std::vector<choice_cursor>& choices) {
  uint64_t sum = 0;
  for (auto& cursor : choices)
    sum += cursor.tokens();
  return sum;
}

} // namespace modelforge::simulator
