#pragma once

#include "tools/simulator/prompt_cache.hpp"
#include "tools/simulator/simulator.hpp"
#include "tools/simulator/text.hpp"

#include <nlohmann/json.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// What is said, in no provider's form yet.
namespace modelforge::simulator {

/// Keeps the order of keys, so that an answer follows its schema's.
using json = nlohmann::ordered_json;

/// A function that a request offers.
struct offered_tool {
  std::string name;
  json schema; ///< Of its arguments.
};

/// A checked request for text or calls, whatever its language: what decides its answer.
struct generation {
  enum class form : uint8_t { text, json_object, json_schema };

  std::string model;
  std::string prompt;         ///< Text of the last user message.
  uint64_t seed = 0;          ///< Of the simulator's seed, the request's, the model and the messages.
  uint32_t prompt_tokens = 0; ///< Of messages and tools.
  uint32_t choices = 1;
  std::optional<uint32_t> max_tokens; ///< Of a choice, with its thinking.
  std::vector<std::string> stop;
  bool is_stream = false;
  form wanted = form::text;
  json schema;                     ///< Of the answer, for `json_schema`.
  std::vector<offered_tool> calls; ///< The answer makes these; none: it is text.
  bool says_before_calls = false;  ///< A few words come before the calls.
  uint32_t max_thinking = 0;       ///< Tokens of thinking; 0: there is none.
  cache_plan cacheable;            ///< Of the prompt.
  cache_use cached;                ///< What was found of it.
};

/// A run of an answer that is of one kind.
struct piece {
  enum class kind : uint8_t { thinking, text, call };

  kind type = kind::text;
  looped_text text = {};    ///< Of a call: its arguments, JSON unless the limit cut them.
  std::string tool = {};    ///< Name of the function called.
  uint64_t id = 0;          ///< Any number; of a call.
  uint32_t name_tokens = 0; ///< Of `tool`: part of `tokens`.
  uint32_t tokens = 0;

  /// All of the text, which may be large.
  std::string whole() const { return text.first(text.size()); }
};

/// Why a choice ended: by itself, by `max_tokens`, by a word of `stop`, or to have functions called.
enum class ending : uint8_t { stop, length, stop_word, calls };

/// One finished choice.
struct choice {
  std::vector<piece> pieces; ///< At least one: thinking, then text, then calls.
  ending end = ending::stop;
  std::string stop_word; ///< Which ended it.
  uint32_t tokens = 0;

  /// Tokens of the pieces of that kind.
  uint32_t tokens_of(piece::kind type) const;
};

/// Returns the `index`th choice for `request`: text, JSON or calls, with thinking before it, cut to `max_tokens`.
choice make_choice(const generation& request, uint32_t index, const options& settings);

/// Returns all that `request` wants.
std::vector<choice> make_choices(const generation& request, const options& settings);

/// Goes through a choice token by token. Holds the looped text and a position, never a copy of all of the answer, so
/// that streams of millions of tokens are affordable.
class choice_cursor {
public:
  /// What one call of `next` went through: at most one token of one piece.
  struct step {
    const piece& part;
    std::size_t index;      ///< Of the piece.
    std::string_view token; ///< Empty only in a piece without text.
    bool begins, ends;      ///< The piece.
  };

  /// Begins before the first token.
  explicit choice_cursor(choice completion) : choice_(std::move(completion)) {}

  /// Whether every piece was gone through.
  bool is_done() const { return position_ == choice_.pieces.size(); }

  /// Must not be done.
  step next();

  /// Tokens gone through so far; a call's name counts with its first.
  uint64_t tokens() const { return tokens_; }

  /// The choice that is gone through, not only the rest of it.
  const choice& all() const { return choice_; }

private:
  choice choice_;
  std::size_t position_ = 0;
  uint64_t sent_ = 0; ///< Bytes of the piece.
  uint64_t tokens_ = 0;
};

/// Returns how many tokens all of them have gone through.
uint64_t tokens_of(const std::vector<choice_cursor>& choices);

} // namespace modelforge::simulator
