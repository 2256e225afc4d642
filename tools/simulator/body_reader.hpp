#pragma once

#include "tools/simulator/generation.hpp"
#include "tools/simulator/language.hpp"
#include "tools/simulator/random.hpp"

#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace modelforge::simulator {

/// Names a JSON type with its article, as OpenAI's messages do.
std::string type_of(const json& value);

/// Returns the object that `body` holds, or what is wrong with it, as a sentence.
std::variant<json, std::string> parse_object(std::string_view body);

/// Returns the member `name` of `object`, or nullptr when it is not there or null.
const json* member(const json& object, std::string_view name);

/// Reads one request for text or calls, field by field; after the first fault nothing more is looked at. The languages
/// derive from it: they know the fields and the words.
///
/// While the fields are read, three things grow: the answer's seed, from everything that may change the answer; the
/// prompt's token count; and the chain of prefixes by which the prompt cache knows the prompt again. A derived reader
/// therefore reads tools, system prompt and messages in the order in which its provider caches them.
class body_reader {
protected:
  /// `result` is where all is read into; it may still be under construction.
  body_reader(const json& body, const options& settings, generation& result)
    : body_(body), settings_(settings), generation_(result) {}

  ~body_reader() = default;

  // -- faults -------------------------------------------------------------------

  /// Notes the fault unless there was one before: the first is the answer.
  void fail(api_error error) {
    if (!error_)
      error_ = std::move(error);
  }

  /// `path` names a field that must be there.
  virtual void fail_missing(const std::string& path) = 0;

  /// The field should be `expected`, a type with its article.
  virtual void fail_type(const std::string& path, std::string_view expected, const json& found) = 0;

  // -- access: `path` is what comes before the name -------------------------------

  /// Returns the string `name` of `object`, or nullptr after a fault, or without one if it may be missing.
  const std::string* string_in(const json& object, std::string_view name, const std::string& path,
                               bool is_required = true);

  /// Returns the boolean `name` of `object`, or `fallback` when it is not there, null, or after a fault.
  bool bool_in(const json& object, std::string_view name, const std::string& path, bool fallback);

  // -- what decides the answer ------------------------------------------------------

  /// Names the model: it and the simulator's seed begin the answer's.
  void begin_with(const std::string& model);

  /// Takes `text` into the answer's seed alone.
  void mix_in(std::string_view text) { generation_.seed = hash(text, generation_.seed); }

  /// Takes `text` into the answer's seed and the prompt's tokens.
  void absorb(std::string_view text) {
    mix_in(text);
    generation_.prompt_tokens += chain_.add(text);
  }

  /// Takes what frames a message of that role.
  void absorb_frame(std::string_view role) {
    mix_in(role);
    add_tokens(hash(role, 0), frame_tokens);
  }

  /// Takes what the model is told about a tool or a schema: a third of its size.
  void absorb_size(const json& value) {
    auto text = value.dump();
    add_tokens(hash(text, 0), static_cast<uint32_t>(text.size() / 3));
  }

  /// Takes tokens that are the same as a whole, or not at all.
  void add_tokens(uint64_t key, uint32_t tokens) {
    chain_.add_unit(key, tokens);
    generation_.prompt_tokens += tokens;
  }

  /// Returns the tokens of the prompt read so far, frames and tools included.
  uint32_t prompt_tokens() const { return generation_.prompt_tokens; }

  /// Takes a picture, or something else that is not text.
  void absorb_media(const json& value) {
    auto text = value.dump();
    mix_in(text);
    add_tokens(hash(text, 0), media_tokens);
  }

  // -- caching ----------------------------------------------------------------------

  /// Makes the prompt cacheable in steps of 128 tokens, from `min_tokens` on unless the settings say otherwise. Before
  /// any of it is read.
  void cache_steps(uint32_t min_tokens);

  /// Sends the prompt to the machine of that key, if it is not empty, and keeps it so many times the usual time.
  void route_cacheable(std::string key, uint32_t lifetime);

  /// Makes the prompt cacheable at its breakpoints, from `min_tokens` tokens on unless the settings say otherwise.
  void cache_blocks(uint32_t min_tokens);

  /// A block of the prompt ends.
  void end_block() { chain_.end_block(); }

  /// The last block that ended is a breakpoint, for an hour or less.
  void add_breakpoint(bool is_long);

  /// The prompt is read: hands over what was noted of it.
  void finish_cacheable();

  // -- tools ----------------------------------------------------------------------

  /// The schema may be nullptr.
  void offer(std::string name, const json* schema);

  /// Returns the functions that the request offers, in its order.
  const std::vector<offered_tool>& offers() const { return offers_; }

  /// Makes the answer call some function.
  void call_any();

  /// Makes the answer call that function; returns whether it was offered.
  bool call_named(std::string_view name);

  /// Makes the answer call the functions of whose name the prompt holds a word of four letters or more: all of them, or
  /// the first.
  void call_if_asked(bool is_parallel);

  static constexpr uint32_t frame_tokens = 4;  ///< What frames a message.
  static constexpr uint32_t media_tokens = 85; ///< A low-detail image's price.

  const json& body_;
  const options& settings_;
  std::optional<api_error> error_;
  prompt_chain chain_; ///< Of the model and the prompt.

private:
  /// Returns whether the prompt holds one of the words that `name` is made of.
  bool is_about(std::string_view name) const;

  generation& generation_;
  std::vector<offered_tool> offers_;
};

} // namespace modelforge::simulator
