#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace modelforge::sse {

/// One event, as its lines said it. The texts live as long as the call that hands it out.
struct event {
  std::string_view type; ///< Empty where none was given, which means "message".
  std::string_view data; ///< The data lines, joined by \n.
  std::string_view id;   ///< Of this event; ids of earlier ones are not carried on.
};

/// Reads server-sent events from bytes that are cut anywhere. Lines may end in LF, CRLF or CR, mixed; a byte order mark
/// at the start and comments are skipped, and so are events without data.
///
/// Servers that leave out the blank line between events are understood where the caller can tell whether data is whole
/// (`whole_data`): then the next line of data or the next name of an event ends the one before. The first such line
/// has to wait for its successor; from then on whole data is handed out with its line.
///
/// What lies whole within the fed bytes is handed out as a view of them; only what is cut, and data of several lines,
/// is copied. Nothing is allocated for an event unless it outgrows the ones before.
class parser {
public:
  enum class state : uint8_t {
    open,
    stopped,   ///< The callback wanted no more.
    too_large, ///< A line, or the data of one event, exceeds the limit.
    foreign,   ///< A line is no field, and `refuse_foreign_lines` was called.
  };

  /// Says whether data can stand for itself, as one line of an event.
  using whole_data = bool (*)(std::string_view data);

  static constexpr std::size_t default_limit = 1 << 20;

  /// `limit`: bytes in a line, and in the joined data of an event. With `is_whole` the parser is lenient: it ends
  /// events as said above, takes fields whose line begins with spaces, takes a field `error` (of older llama.cpp) for
  /// an event of that name, and stops in front of lines that begin with a bracket.
  explicit parser(std::size_t limit = default_limit, whole_data is_whole = nullptr)
    : limit_(limit), is_whole_(is_whole) {}

  /// Lines that are no fields end the input from now on. (The format demands to ignore them.)
  void refuse_foreign_lines() { refuses_foreign_ = true; }

  /// Calls `f(const event&)` for each event that these bytes complete, until it returns false. Once the state is not
  /// `open`, bytes are ignored. A lenient parser takes bytes up to a line that begins with { or [: see `left`.
  template <class F>
  state feed(std::string_view bytes, F&& f) {
    if (state_ != state::open)
      return state_;
    rest_ = bytes;
    stops_ = false;
    line_ends ends;
    for (event next_event; next(next_event, ends);)
      if (!f(static_cast<const event&>(next_event))) {
        state_ = state::stopped;
        break;
      }
    if (!stops_)
      rest_ = {};
    return state_;
  }

  /// What the last `feed` did not take, since a line begins there that is JSON by itself: more may be fed behind it.
  std::string_view left() const { return rest_; }

  /// The beginning of a line of which the end has not come.
  std::string_view open_line() const { return line_is_read_ ? std::string_view{} : line_; }

  /// Whether something of an event has come that was not handed out.
  bool is_within_event() const { return !open_line().empty() || (open_.has_data && !open_.is_done); }

  /// The input has ended. Unlike browsers, hands out an event that no blank line followed: whether it is
  /// whole is the caller's to judge.
  template <class F>
  state finish(F&& f) {
    return feed("\n\n", f);
  }

  /// The beginning of the first line that is no field and yet may tell something: it holds an object, a page or an
  /// error. Only of a lenient parser; empty: there was none.
  std::string_view foreign_line() const { return foreign_ != nullptr ? *foreign_ : std::string_view{}; }

  /// Says which limit was exceeded; empty unless the state is `too_large`.
  std::string problem() const;

private:
  /// Where the fed bytes hold the next end of a line, of either kind, or end; null: not looked for yet.
  struct line_ends {
    const char* line_feed = nullptr;
    const char* carriage_return = nullptr;
  };

  /// Reads on to the end of the next event; false where there is none, or on an error.
  bool next(event& out, line_ends& ends);

  /// Takes an event of a name, perhaps, one line of data and a blank line, if it lies whole in the fed bytes and
  /// all of its lines end in LF, or in CRLF where it has no name.
  bool take_usual(event& out, line_ends& ends);

  const char* find_once(const char*& found, char end) const;
  void skip_line_feed();

  bool take_line(std::string_view& line, line_ends& ends);
  bool begins_value() const;
  bool ends_event(std::string_view line, const event& out) const;
  void hand_out(const event& out, bool is_named);
  bool take_field(std::string_view line, event& out);
  void take_foreign(std::string_view line);
  bool set_data(std::string_view value, event& out);
  void keep(const event& out);
  void forget();

  /// An event of which the end has not come, as far as `rest_` does not hold it.
  struct open_event {
    std::string type, data, id;
    bool has_data = false;
    bool is_done = false;    ///< The event that the strings hold is done with,
    bool keeps_name = false; ///< but not its name: no blank line has come.
  };

  std::size_t limit_;
  whole_data is_whole_;
  std::string_view rest_;  ///< What is left of the fed bytes.
  std::string_view again_; ///< A line that ended the event before it, still to be taken.
  std::string line_;       ///< The beginning of a line that is cut.
  open_event open_;
  std::unique_ptr<std::string> foreign_; ///< Null: none.
  state state_ = state::open;
  bool at_start_ = true;
  bool after_cr_ = false;         ///< An LF that comes now belongs to the line end before it.
  bool line_is_read_ = false;     ///< `line_` was completed; views of it may still be in use.
  bool lines_are_events_ = false; ///< Blank lines were missing.
  bool stops_ = false;            ///< In front of a line that is a value by itself.
  bool refuses_foreign_ = false;
};

} // namespace modelforge::sse
