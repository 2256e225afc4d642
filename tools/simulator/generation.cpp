#include "tools/simulator/generation.hpp"

#include "tools/simulator/answers.hpp"
#include "tools/simulator/random.hpp"
#include "tools/simulator/schema.hpp"

#include <algorithm>

namespace modelforge::simulator {

namespace {

using form = generation::form;

std::vector<std::string> words_for(const generation& request) {
  auto words = key_words(request.prompt, 6);
  if (words.empty())
    words.emplace_back("sample");
  return words;
}

/// Returns the prompt's words, names (by their capital) first: they make the better arguments.
std::vector<std::string> values_for(const generation& request) {
  auto words = words_for(request);
  std::stable_partition(words.begin(), words.end(), [](const auto& x) { return x[0] >= 'A' && x[0] <= 'Z'; });
  return words;
}

std::string object_text(const generation& request, random_source source) {
  auto words = words_for(request);
  auto confidence = 0.5 + static_cast<double>(source.below(50)) / 100;
  return json{{"answer", answer_text(source, request.prompt, 12, 40)},
              {"topic", words.front()},
              {"keywords", words},
              {"confidence", confidence}}
    .dump();
}

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

void add_calls(choice& to, const generation& request, uint64_t seed) {
  for (const auto& tool : request.calls) {
    piece made{piece::kind::call, looped_text(sample(tool.schema, random_source(seed), values_for(request)).dump()),
               tool.name, mix(~seed)};
    made.name_tokens = count_tokens(tool.name);
    to.pieces.push_back(std::move(made));
    seed = mix(seed + 1); // the same function may be called twice
  }
  to.end = ending::calls;
}

void end_by_stops(choice& x, const std::vector<std::string>& stops) {
  auto& text = x.pieces.back().text;
  for (const auto& stop : stops) {
    auto before = text.size();
    text.end_before(stop);
    if (text.size() == before)
      continue;
    x.end = ending::stop_word;
    x.stop_word = stop;
  }
}

/// Cuts what goes beyond `left` tokens, and counts the rest.
void limit_tokens(choice& x, uint32_t left) {
  auto kept = x.pieces.begin();
  for (; kept != x.pieces.end() && (left > 0 || kept == x.pieces.begin()); ++kept) {
    auto named = std::min(left, kept->name_tokens);
    auto [bytes, count] = kept->text.measure(left - named);
    if (bytes < kept->text.size() || named < kept->name_tokens)
      x.end = ending::length;
    kept->text.shorten(bytes);
    kept->name_tokens = named;
    kept->tokens = named + count;
    x.tokens += kept->tokens;
    left -= kept->tokens;
  }
  if (kept == x.pieces.end())
    return;
  x.pieces.erase(kept, x.pieces.end());
  x.end = ending::length;
}

} // namespace

uint32_t choice::tokens_of(piece::kind what) const {
  uint32_t sum = 0;
  for (const auto& x : pieces)
    sum += x.what == what ? x.tokens : 0;
  return sum;
}

choice make_choice(const generation& request, uint32_t index, const options& settings) {
  auto seed = request.seed + index;
  choice made;
  if (request.most_thinking > 0) {
    auto most = std::min(request.most_thinking, 60u);
    auto text = answer_text(random_source(mix(~seed)), request.prompt, most / 3, most);
    made.pieces.push_back({piece::kind::thinking, looped_text(std::move(text))});
  }
  if (request.calls.empty()) {
    made.pieces.push_back(text_piece(request, random_source(seed), settings));
    end_by_stops(made, request.stop);
  } else {
    if (request.says_before_calls)
      made.pieces.push_back({piece::kind::text, looped_text(answer_text(random_source(seed), request.prompt, 5, 15))});
    add_calls(made, request, seed);
  }
  limit_tokens(made, request.max_tokens.value_or(UINT32_MAX));
  return made;
}

choice_cursor::step choice_cursor::next() {
  const auto& x = choice_.pieces[at_];
  auto index = at_;
  auto begins = sent_ == 0;
  auto rest = x.text.after(sent_);
  auto token = rest.empty() ? rest : rest.substr(0, first_token(rest));
  sent_ += token.size();
  tokens_ += (begins ? x.name_tokens : 0) + (token.empty() ? 0 : 1);
  auto ends = sent_ == x.text.size();
  if (ends) {
    ++at_;
    sent_ = 0;
  }
  return {x, index, token, begins, ends};
}

} // namespace modelforge::simulator
