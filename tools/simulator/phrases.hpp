#pragma once

#include <array>
#include <span>
#include <string_view>

namespace modelforge::simulator {

/// Sentences of one language; each `{}` takes a word of the prompt.
struct phrases {
  std::string_view gap;      ///< Between sentences.
  std::string_view fallback; ///< Stands in for a word when the prompt has none.
  std::array<std::string_view, 2> openers;
  std::array<std::string_view, 6> middles;
  std::array<std::string_view, 2> closers;
  std::string_view common; ///< Frequent short words with a space around each: they tell the language.
};

/// Returns the phrases of the language that `text` seems to be written in: English, German, French or Spanish, Russian,
/// Arabic, Chinese, Japanese or Korean; English for anything else.
const phrases& phrases_for(std::string_view text);

/// Returns whether `word`, lower case, is among the frequent short words of any language here.
bool is_common(std::string_view word);

} // namespace modelforge::simulator
