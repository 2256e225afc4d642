#include "base/ascii.hpp"
#include "sse/parser.hpp"
#include "wire/object_answer.hpp"
#include "wire/provider_error.hpp"
#include "json/lexer.hpp"

#include <algorithm>
#include <utility>

namespace modelforge::wire {

namespace {

constexpr std::size_t shown_bytes = 512; ///< Of a body that is nothing we know.

/// Gathers one JSON object, or array, from bytes that are cut anywhere, by its brackets alone: whether it is JSON is
/// found out by who reads it. Nothing is copied of an object that lies whole within the bytes.
class object_gatherer {
public:
  bool is_open() const { return nesting_ > 0; }

  /// Takes bytes up to the object's end; the beginning of one that is cut goes into `kept`. Returns the object once it
  /// is whole, as a view of `bytes` where it lay whole in them, else of `kept`. What was taken is removed from `bytes`.
  std::string_view take(std::string_view& bytes, std::string& kept) {
    if (nesting_ == 0)
      kept.clear();
    auto* begin = bytes.data();
    auto* end = begin + bytes.size();
    auto* p = begin;
    do
      p = step(p, end);
    while (p != end && nesting_ > 0);
    std::string_view taken{begin, static_cast<std::size_t>(p - begin)};
    bytes.remove_prefix(taken.size());
    if (nesting_ == 0 && kept.empty())
      return taken;
    kept += taken;
    return nesting_ == 0 ? std::string_view{kept} : std::string_view{};
  }

private:
  /// Takes one byte, or a run of plain ones inside a string. Brackets in strings do not count; an escape hides the byte
  /// behind it.
  const char* step(const char* p, const char* end) {
    auto c = *p;
    if (is_escaped_) {
      is_escaped_ = false;
    } else if (in_string_) {
      p = json::skip_plain(p, end);
      if (p == end)
        return p;
      is_escaped_ = *p == '\\';
      in_string_ = *p != '"';
    } else if (c == '"') {
      in_string_ = true;
    } else if (c == '{' || c == '[') {
      ++nesting_;
    } else if (c == '}' || c == ']') {
      --nesting_;
    }
    return p + 1;
  }

  std::size_t nesting_ = 0;
  bool in_string_ = false, is_escaped_ = false;
};

/// Cuts a body into the objects of an answer and hands these to it. What the body is, is sniffed from its first byte,
/// since servers and proxies name the wrong type. Of a body that is nothing we know only the beginning is kept, for the
/// failure that quotes it. Called by the session of a stream, with bytes as the transport brings them.
class object_stream : public stream_reader {
public:
  object_stream(std::unique_ptr<object_answer> answer, framing form)
    : answer_(std::move(answer)), events_(answer_->max_bytes()), framing_(form) {}

  std::size_t take(std::string_view bytes, piece_sink& sink) override {
    news_ = 0;
    if (form_ == form::unknown)
      bytes = guess_form(bytes);
    while (!bytes.empty() && !answer_->ended())
      if (form_ == form::text)
        take_text(bytes);
      else if (form_ == form::events)
        take_events(std::exchange(bytes, {}), sink);
      else if (object_.is_open() || (is_between_ && begins_object(bytes.front())))
        take_object(bytes, sink);
      else if (is_between_ && is_separator(bytes.front()))
        bytes.remove_prefix(1);
      else
        take_lines(bytes, sink);
    answer_->shrink();
    return news_;
  }

  bool ended() const override { return answer_->ended(); }

  uint64_t tokens() const override { return answer_->tokens(); }

  std::variant<completion, failure> end() override {
    if ((form_ == form::unknown || form_ == form::text) && !answer_->ended())
      return answer_->fitted(invalid_answer(answer_->head(), describe_body(kept_)));
    if (object_.is_open())
      answer_->take_cut(kept_);
    events_.finish([&](const sse::event& event) {
      answer_->take_late(event.type, event.data);
      return !answer_->ended();
    });
    return answer_->end(true);
  }

private:
  /// What the body turned out to be.
  enum class form : uint8_t { unknown, events, objects, text };

  /// Returns the bytes from the first one on that says something.
  std::string_view guess_form(std::string_view bytes) {
    bytes = ascii::trim_front(bytes);
    if (bytes.empty())
      return bytes;
    constexpr std::string_view beginnings = ":deir\xEF"; // comments, data, event, id, retry; a byte order mark
    auto c = bytes.front();
    if (c == '{' || (c == '[' && framing_ != framing::lines))
      form_ = form::objects;
    else if (framing_ == framing::lines || beginnings.find(c) == beginnings.npos)
      form_ = form::text;
    else
      form_ = framing_ == framing::mixed ? form::objects : form::events;
    return bytes;
  }

  bool begins_object(char c) const { return c == '{' || (c == '[' && framing_ == framing::events); }

  /// Whether a byte between two plain objects says nothing. Ends of lines do, to events.
  bool is_separator(char c) const {
    return framing_ != framing::lines ? c == '[' || c == ',' || c == ']' || c == ' '
                                      : ascii::spaces.find(c) != ascii::spaces.npos;
  }

  /// Keeps the beginning of what is no answer, and gives up once there is enough to show.
  void take_text(std::string_view& bytes) {
    kept_ += bytes.substr(0, shown_bytes - kept_.size());
    bytes = {};
    if (kept_.size() == shown_bytes)
      answer_->fail(invalid_answer(answer_->head(), describe_body(kept_)));
  }

  /// Takes a plain object, or as much of it as there is. Bounded by the answer's `max_bytes`.
  void take_object(std::string_view& bytes, piece_sink& sink) {
    auto object = object_.take(bytes, kept_);
    is_between_ = !object_.is_open();
    if (auto max = answer_->max_bytes(); std::max(object.size(), kept_.size()) > max)
      return too_large(framing_ == framing::events ? "the answer is no stream and exceeds "
                                                   : "the provider sent an object of more than ",
                       std::to_string(max) + " bytes");
    if (!object.empty())
      news_ += answer_->take_plain(object, sink);
    if (!object_.is_open() && kept_.capacity() > shown_bytes) // room that a large object took
      kept_ = {};
  }

  /// Takes the lines of events, up to the next plain object.
  void take_lines(std::string_view& bytes, piece_sink& sink) {
    if (framing_ == framing::lines)
      return answer_->fail(invalid_answer(answer_->head(), "a line that is no JSON object"));
    std::size_t end = 0;
    do {
      end = bytes.find('\n', end);
      end = end == bytes.npos ? bytes.size() : end + 1;
    } while (end < bytes.size() && bytes[end] != '{' && !is_separator(bytes[end]));
    auto lines = bytes.substr(0, end);
    bytes.remove_prefix(end);
    is_between_ = lines.ends_with('\n');
    take_events(lines, sink);
  }

  /// Hands bytes to the parser of server-sent events, which keeps what is cut.
  void take_events(std::string_view bytes, piece_sink& sink) {
    auto state = events_.feed(bytes, [&](const sse::event& event) {
      news_ += answer_->take_event(event.type, event.data, sink);
      return !answer_->ended();
    });
    if (state == sse::parser::state::too_large)
      too_large("the provider sent ", events_.problem());
  }

  void too_large(std::string subject, std::string_view hint) {
    answer_->fail_with(errc::response_too_large, subject.append(hint));
  }

  std::unique_ptr<object_answer> answer_;
  sse::parser events_;
  object_gatherer object_;
  std::string kept_;     ///< The beginning of an object that is cut, or of a body that is nothing we know.
  std::size_t news_ = 0; ///< Of the present call of `take`.
  framing framing_;
  form form_ = form::unknown;
  bool is_between_ = true; ///< A plain object may begin here.
};

} // namespace

std::unique_ptr<stream_reader> read_objects(std::unique_ptr<object_answer> answer, framing form) {
  return std::make_unique<object_stream>(std::move(answer), form);
}

} // namespace modelforge::wire
