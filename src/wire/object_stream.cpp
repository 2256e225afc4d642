#include "base/ascii.hpp"
#include "sse/parser.hpp"
#include "wire/object_answer.hpp"
#include "wire/object_gatherer.hpp"
#include "wire/provider_error.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace modelforge::wire {

namespace {

constexpr std::size_t shown_bytes = 2048; ///< Of a body that is nothing we know: up to a page's title.

/// Cuts a body into the objects of an answer and hands these to it, whatever dialect it is of. What the body is, is
/// sniffed, since servers and proxies name the wrong type: server-sent events, or plain objects, one behind the other,
/// on lines or in an array, or both mixed. Of a body without anything of an answer only the beginning is kept, for
/// the failure that quotes it. Called by the session of a stream, with bytes as the transport brings them.
class object_stream : public stream_reader {
public:
  /// `limit`: bytes of one object.
  object_stream(std::unique_ptr<object_answer> answer, std::size_t limit)
    : answer_(std::move(answer)), events_(limit, is_row), limit_(limit) {
    answer_->watch_growth();
  }

  std::size_t take(std::string_view bytes, piece_sink& sink) override {
    news_ = 0;
    auto all = bytes;
    if (form_ == form::unknown)
      bytes = guess_form(bytes);
    while (!bytes.empty() && !answer_->is_over())
      if (form_ == form::text)
        bytes = {};
      else if (form_ == form::lines)
        take_lines(bytes, sink);
      else if (object_.is_open() || bytes.front() == '{')
        take_object(bytes, sink);
      else
        step_to_object(bytes);
    keep_beginning(all);
    answer_->shrink();
    return news_;
  }

  bool ended() const override { return answer_->is_over(); }

  bool has_end() const override { return answer_->has_end(); }

  stream_end end_so_far() const override {
    auto seen = answer_->end_so_far();
    auto is_within = object_.is_open() || events_.is_within_event() || (open_arrays_ > 0 && !answer_->has_end());
    return seen == stream_end::likely && is_within ? stream_end::open : seen;
  }

  uint64_t tokens() const override { return answer_->tokens(); }

  std::variant<completion, failure> end(piece_sink& sink) override {
    if ((form_ == form::unknown || form_ == form::text) && !answer_->ended())
      return answer_->fitted(invalid_body(answer_->head(), beginning_));
    auto is_whole = form_ == form::objects ? !object_.is_open() && open_arrays_ == 0 : is_foreign_;
    if (take_last(sink) && is_whole)
      answer_->note_whole_body();
    if (auto line = events_.foreign_line(); !line.empty())
      answer_->note_foreign(line);
    auto is_silent = !met_ && beginning_.starts_with(':'); // of comments there is nothing to tell
    return answer_->end(true, is_silent ? std::string_view{} : beginning_, sink);
  }

private:
  /// What comes now.
  enum class form : uint8_t {
    unknown,
    text,    ///< Nothing that we know.
    lines,   ///< Fields of events.
    objects, ///< Plain objects, and what stands between them.
  };

  /// Takes what the end of the body leaves open. An event may lack the empty line behind it; all else that is not whole
  /// was cut, and with it whatever was to follow. Returns whether nothing was.
  bool take_last(piece_sink& sink) {
    auto is_whole = true;
    auto take_cut = [&](std::string_view object) {
      is_whole = false;
      answer_->take_cut(object);
    };
    if (object_.is_open())
      take_cut(kept_);
    else if (begins_field(events_.open_line()) || (open_arrays_ > 0 && !answer_->has_end()))
      take_cut({});
    events_.finish([&](const sse::event& event) {
      if (answer_->is_whole(event.type, event.data))
        take_event(event, sink);
      else if (answer_->counts(event.type, event.data))
        take_cut({});
      return !answer_->is_over();
    });
    return is_whole;
  }

  /// Whether an event says something: signs of life do not, nor does an end mark alone.
  static bool says_something(const sse::event& event) {
    auto data = ascii::trim(event.data);
    return !says_nothing(data) && !begins_done(data) && !is_sign_of_life(event.type)
           && (data.size() >= 200 || !holds_sign_of_life(data));
  }

  static bool is_unnamed(const sse::event& event) { return event.type.empty() || event.type == "message"; }

  /// Whether an event has neither a name nor data that mean anything.
  static bool is_silent(const sse::event& event) {
    auto data = ascii::trim(event.data);
    return (is_unnamed(event) || is_sign_of_life(event.type)) && (says_nothing(data) || is_sign_of_life(data));
  }

  static bool says_nothing(std::string_view data) {
    static constexpr auto words = std::to_array<std::string_view>({"", "null", "false", "\"\""});
    return std::find(words.begin(), words.end(), data) != words.end();
  }

  static constexpr auto signs_of_life =
    std::to_array<std::string_view>({"ping", "heartbeat", "keepalive", "keep-alive", "keep_alive"});

  static bool is_sign_of_life(std::string_view text) {
    return std::any_of(signs_of_life.begin(), signs_of_life.end(),
                       [&](auto sign) { return ascii::iequals(text, sign); });
  }

  /// Whether such a word stands in a text, as in `{"type":"ping"}`, and not as a part of another word.
  static bool holds_sign_of_life(std::string_view text) {
    return std::any_of(signs_of_life.begin(), signs_of_life.end(), [&](auto sign) {
      auto at = text.find(sign);
      auto behind = at + sign.size();
      return at != text.npos && (at == 0 || !ascii::is_letter(text[at - 1]))
             && (behind == text.size() || !ascii::is_letter(text[behind]));
    });
  }

  /// Whether a line is the beginning of data, up to its colon.
  static bool begins_field(std::string_view line) {
    line = ascii::trim(line);
    return !line.empty() && std::string_view{"data:"}.starts_with(line);
  }

  /// Whether an event holds words in place of JSON, which are no error by the event's name.
  static bool is_text(const sse::event& event) {
    auto data = ascii::trim(event.data);
    return is_unnamed(event) && !data.empty() && !begins_done(data)
           && std::string_view{"{[\""}.find(data.front()) == std::string_view::npos && !is_row(data);
  }

  /// Whether an event holds words that say by their beginning that they are an error: `[ERROR] ...`, `Error: ...`.
  static bool is_error_text(const sse::event& event) {
    auto data = ascii::trim(event.data);
    data.remove_prefix(data.starts_with('['));
    return is_unnamed(event) && ascii::istarts_with(data, "error") && data.size() > 6 && !ascii::is_letter(data[5]);
  }

  /// Returns the bytes from the first one on that says something.
  std::string_view guess_form(std::string_view bytes) {
    constexpr std::string_view silent = " \t\r\n\x1E\xEF\xBB\xBF"; // a byte order mark, a record's beginning
    bytes.remove_prefix(std::min(bytes.find_first_not_of(silent), bytes.size()));
    if (bytes.empty())
      return bytes;
    constexpr std::string_view fields = ":deir"; // comments, data, event, id, retry
    if (auto c = bytes.front(); c == '{' || c == '[') {
      form_ = form::objects;
      events_.refuse_foreign_lines(); // they may be parts of objects
    } else {
      form_ = fields.find(c) != fields.npos ? form::lines : form::text;
    }
    return bytes;
  }

  /// Steps over what stands between plain objects. All else is a line.
  void step_to_object(std::string_view& bytes) {
    constexpr std::string_view between = "[],\x1E";
    auto c = bytes.front();
    if (between.find(c) == between.npos && ascii::spaces.find(c) == ascii::spaces.npos) {
      form_ = form::lines;
      auto is_mark = is_behind_bracket_ && (c == 'D' || c == 'd'); // [DONE]
      open_arrays_ -= is_mark;
      if (is_mark || c == 'D') // no field begins so
        events_.feed(is_mark ? "data: [" : "data: ", [](auto&) { return true; });
    } else {
      if (c == '[')
        ++open_arrays_;
      else if (c == ']' && open_arrays_ > 0)
        --open_arrays_;
      bytes.remove_prefix(1);
    }
    is_behind_bracket_ = c == '[';
  }

  /// Takes a plain object, or as much of it as there is.
  void take_object(std::string_view& bytes, piece_sink& sink) {
    auto object = object_.take(bytes, kept_);
    if (std::max(object.size(), kept_.size()) > limit_)
      return too_large("the provider sent an object of more than " + std::to_string(limit_) + " bytes");
    if (!object.empty()) {
      is_foreign_ = met_ = true;
      news_ += answer_->take_plain(object, sink);
    }
    if (!object_.is_open() && kept_.capacity() > shown_bytes) // room that a large object took
      kept_ = {};
  }

  /// Hands lines to the parser of server-sent events, which keeps what is cut, up to the next plain object.
  void take_lines(std::string_view& bytes, piece_sink& sink) {
    auto state = events_.feed(bytes, [&](const sse::event& event) {
      take_event(event, sink);
      return !answer_->is_over();
    });
    bytes = events_.left();
    if (!bytes.empty())
      form_ = form::objects;
    if (state == sse::parser::state::too_large)
      too_large("the provider sent " + events_.problem());
    else if (state == sse::parser::state::foreign && !answer_->has_end())
      answer_->fail(invalid_answer(answer_->head(), "a line that is no JSON object"));
  }

  void take_event(const sse::event& event, piece_sink& sink) {
    met_ = true;
    if (!event.data.starts_with('{') && is_silent(event))
      return;
    is_foreign_ = is_foreign_ || (!answer_->is_understood() && says_something(event));
    if (is_error_text(event) && !answer_->has_end()) {
      news_ += answer_->take_event("error", event.data, sink);
      return;
    }
    if (!answer_->is_understood() && is_text(event))
      return answer_->note_foreign(event.data);
    if (answer_->has_end() && !is_row(event.data)) // it is of no interest
      return;
    news_ += answer_->take_event(event.type, event.data, sink);
  }

  void too_large(std::string message) {
    if (answer_->ended())
      answer_->note_behind(message);
    else
      answer_->fail_with(errc::response_too_large, std::move(message));
  }

  /// Keeps what a failure is to show, as long as nothing of an answer has come. A body that is nothing we know is given
  /// up once there is enough to show.
  void keep_beginning(std::string_view bytes) {
    if (answer_->has_begun() && form_ != form::text) {
      beginning_ = {};
      return;
    }
    if (beginning_.empty())
      bytes = ascii::trim_front(bytes);
    beginning_ += bytes.substr(0, shown_bytes - beginning_.size());
    if (form_ == form::text && beginning_.size() == shown_bytes)
      answer_->fail(invalid_body(answer_->head(), beginning_));
  }

  std::unique_ptr<object_answer> answer_;
  sse::parser events_;
  object_gatherer object_;
  std::string kept_;      ///< The beginning of an object that is cut.
  std::string beginning_; ///< Of the body.
  std::size_t news_ = 0;  ///< Of the present call of `take`.
  std::size_t limit_;
  uint32_t open_arrays_ = 0; ///< Around the objects.
  form form_ = form::unknown;
  bool is_behind_bracket_ = false;
  bool met_ = false;        ///< An event or an object has come, be it understood or not,
  bool is_foreign_ = false; ///< and one that says something, before anything was understood.
};

} // namespace

std::unique_ptr<stream_reader> read_objects(std::unique_ptr<object_answer> answer, std::size_t limit) {
  limit = std::max(limit, answer->max_bytes());
  return std::make_unique<object_stream>(std::move(answer), limit);
}

} // namespace modelforge::wire
