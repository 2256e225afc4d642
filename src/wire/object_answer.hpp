#pragma once

#include "wire/answer_parts.hpp"
#include "wire/json.hpp"
#include "wire/stream.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace modelforge::wire {

/// An answer that comes as JSON objects of one shape: one for a whole answer, several for a streamed one. Dialects
/// derive from it what such an object says; it keeps what they found, and judges the end.
class object_answer {
public:
  /// Names what is wrong with an answer: `no_answer` what an object without one is ("JSON without any ..."),
  /// `usual_address` what base_url looks like ("it usually ends in /v1beta").
  struct words {
    std::string_view no_answer, usual_address;
  };

  /// Keeps of the head what answers and failures tell of it.
  object_answer(const http::response_head& head, words say);
  virtual ~object_answer() = default;

  /// Takes the next object, or an array of objects. Returns whether it brought something new.
  bool take(std::string_view data, piece_sink& to);

  /// Takes an object that was not ended properly: an end mark or an error may be in it, but for text it is too late.
  void take_late(std::string_view data);

  /// Ends the answer with a failure, unless it has ended.
  void fail(failure x);
  void fail_with(errc code, std::string message);

  /// The end mark behind which nothing comes, or an error.
  bool ended() const { return ended_; }

  /// Whether events of that name are the provider's; others may be of somebody between us.
  virtual bool knows(std::string_view event) const { return event.empty() || event == "message" || event == "error"; }

  /// How many bytes of one object are taken.
  virtual std::size_t most_bytes() const { return 1 << 20; }

  uint64_t tokens() const { return tokens_; }

  const http::response_head& head() const { return head_; }

  /// Tells how the answer ended, once. `streamed`: it needs its end mark; else being there is enough.
  std::variant<completion, failure> end(bool streamed);

  /// Makes a failure's suggestion fit this provider.
  failure fitted(failure x) const;

protected:
  /// Reads one object. False, and nothing was said, where it is no JSON; `problem` says why.
  virtual bool read(std::string_view object, piece_sink& to, std::string& problem) = 0;

  /// What `reason_` means.
  virtual finish_reason meaning() const = 0;

  /// Whether an `error` member tells of one; then the answer has ended.
  bool read_error(json::raw error, std::string_view object);

  using said = void (piece_sink::*)(std::string_view);

  void say(said what, json::raw x, piece_sink& to);

  /// Hands on a seal; nothing where there is none. `dialect`: what is put before it, as `reasoning_part` has it.
  void say_seal(std::string_view dialect, json::raw x, piece_sink& to);

  /// `arguments`: an object; none and null stand for an empty one. `signature`: as the neutral form has it.
  void say_call(json::raw id, json::raw name, json::raw arguments, std::string signature, piece_sink& to);

  /// Begins a call whose arguments come in fragments; returns its place.
  std::size_t begin_call(json::raw id, json::raw name, piece_sink& to);

  /// More of the arguments of the call at that place: JSON, cut anywhere.
  void say_arguments(std::size_t call, std::string_view fragment, piece_sink& to);

  /// The signature for a provider's seal, as `reasoning_part` has it; empty where there is none.
  std::string sealed(std::string_view dialect, json::raw x);

  /// The last one counts.
  void note_usage(const told_usage& x) { usage_.note(x, tokens_); }

  /// Keeps the first text that there is.
  void note(std::string& kept, json::raw x);

  void warn(std::string text);

  /// Ends the answer if its calls are too large.
  void check_calls(std::size_t bytes);

  std::string id_, model_, reason_;
  std::string call_names_; ///< To make up ids of calls from, where that is not `id_`.
  std::string scratch_;
  std::vector<called_tool> calls_;
  uint64_t pieces_ = 0;
  uint64_t signs_ = 0; ///< Of life, that say nothing by themselves.
  uint64_t tokens_ = 0;
  bool is_refused_ = false; ///< The model declined.
  bool is_done_ = false;    ///< The end mark was seen.
  bool ended_ = false;      ///< Nothing more is to be expected.
  bool has_answer_ = false; ///< There was an object with an answer.
  bool has_others_ = false; ///< There were answers beside the first one.

private:
  void note_size(std::size_t more);
  bool take_one(std::string_view object, piece_sink& to);

  http::response_head head_;
  words say_;
  std::unique_ptr<failure> problem_;
  noted_usage usage_;
  std::vector<std::string> warnings_;
  std::size_t size_ = 0; ///< Bytes of calls.
  bool is_repaired_ = false;
};

/// Reads a whole answer, whatever its status.
std::variant<completion, failure> read_whole(object_answer& x, std::string_view body);

/// How the objects of a streamed answer are cut from its body.
enum class framing : uint8_t {
  events, ///< As the data of server-sent events; also plain ones between these, and in an array.
  lines,  ///< One behind the other.
};

/// Makes the reader of a streamed answer.
std::unique_ptr<stream_reader> read_objects(std::unique_ptr<object_answer> x, framing form);

} // namespace modelforge::wire
