#pragma once

#include <modelforge/messages/completion.hpp>
#include <modelforge/messages/error.hpp>

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <variant>

namespace modelforge::wire {

/// Takes what a streamed answer says, piece by piece, in order. The texts are UTF-8 and live as long as the call.
class piece_sink {
public:
  virtual ~piece_sink() = default;

  virtual void text(std::string_view more) = 0;

  /// What the provider tells of the model's thinking.
  virtual void reasoning(std::string_view more) = 0;

  /// What was thought since the last seal is a whole part, and this is what the provider wants back with it; see
  /// `reasoning_part::signature`. There may be a seal without thinking.
  virtual void seal(std::string_view signature) = 0;

  /// The model's words when it declines.
  virtual void refusal(std::string_view more) = 0;

  /// The model begins to call a tool. `call` counts the answer's calls from 0. `signature`: the call's seal, if it has
  /// one.
  virtual void tool_call(uint32_t call, std::string_view id, std::string_view name, std::string_view signature) = 0;

  /// More of a call's arguments: a fragment of JSON, cut anywhere between characters.
  virtual void tool_arguments(uint32_t call, std::string_view fragment) = 0;
};

/// What is known of an answer's end while its body may still go on.
enum class stream_end : uint8_t {
  open,   ///< Something is missing yet.
  likely, ///< It would be whole if the body ended now, but nothing says that it does.
  sure,   ///< Its end mark has come, behind which this provider sends nothing.
};

/// Reads one streamed answer of status 200 and knows whether it has ended as the provider ends an answer. Plain: takes
/// bytes as they come, cut anywhere; not thread-safe.
class stream_reader {
public:
  virtual ~stream_reader() = default;

  /// Takes the next bytes of the body and hands on what they say. Returns the number of events that brought something
  /// new: comments, pings and what we do not know are none. Behind the end mark of a stream, bytes add nothing to the
  /// answer; if they hold more of one, it is unclear.
  virtual std::size_t take(std::string_view bytes, piece_sink& sink) = 0;

  /// An error has come, or something that makes the answer unclear whatever follows: the rest of the body is not read.
  virtual bool ended() const = 0;

  /// The provider's end mark has come, so an error of the transfer behind it is of no interest. Unless `ended`, what
  /// comes soon behind it is read nevertheless: it may be more of the answer.
  virtual bool has_end() const { return ended(); }

  /// How long the body's end is worth waiting for: some servers keep the connection open behind the answer.
  virtual stream_end end_so_far() const { return ended() ? stream_end::sure : stream_end::open; }

  /// Tokens of the answer so far: as the provider told last, else one for each piece.
  virtual uint64_t tokens() const = 0;

  /// Tells how the answer ended; called once, when `ended`, when nothing more is waited for, or when the body has ended
  /// without an error of the transfer. First hands on what the last bytes held, if these lack only the end of their
  /// line or event. The completion has all but the texts, which went to the sink: finish reason, usage, model, the
  /// joined tool calls. An answer with neither the provider's end mark nor a finish reason behind its last piece is a
  /// failure
  /// (`stream_interrupted`; `invalid_response` when not one piece had come), and so is one that ends in the middle of
  /// an event, an object or an array before its end mark, and one with an error in it, whatever came behind that.
  virtual std::variant<completion, failure> end(piece_sink& sink) = 0;
};

} // namespace modelforge::wire
