#include "sse/parser.hpp"
#include "wire/object_answer.hpp"
#include "wire/provider_error.hpp"
#include "json/lexer.hpp"

#include <algorithm>
#include <utility>

namespace modelforge::wire {

namespace {

constexpr std::size_t shown_bytes = 512; ///< Of a body that is nothing we know.
constexpr std::string_view space = " \t\r\n";

/// Gathers one JSON object from bytes that are cut anywhere, by its brackets alone.
class object_gatherer {
public:
  bool is_open() const { return nesting_ > 0; }

  std::size_t size() const { return kept_.size(); }

  /// Takes bytes up to the object's end. Returns the object once it is whole, as a view of `bytes` where it lay whole
  /// in them; it lives until the next call. What was taken is removed from `bytes`.
  std::string_view take(std::string_view& bytes) {
    if (nesting_ == 0)
      kept_.clear();
    auto* begin = bytes.data();
    auto* end = begin + bytes.size();
    auto* p = begin;
    do
      p = step(p, end);
    while (p != end && nesting_ > 0);
    std::string_view taken{begin, static_cast<std::size_t>(p - begin)};
    bytes.remove_prefix(taken.size());
    if (nesting_ == 0 && kept_.empty())
      return taken;
    kept_ += taken;
    return nesting_ == 0 ? std::string_view{kept_} : std::string_view{};
  }

  /// Gives room back that a large object took.
  void shrink() {
    if (nesting_ == 0 && kept_.capacity() > shown_bytes)
      kept_ = {};
  }

private:
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

  std::string kept_; ///< The beginning of an object that is cut.
  std::size_t nesting_ = 0;
  bool in_string_ = false, is_escaped_ = false;
};

class object_stream : public stream_reader {
public:
  object_stream(std::unique_ptr<object_answer> x, framing form)
    : answer_(std::move(x)), events_(answer_->most_bytes()), framing_(form) {}

  std::size_t take(std::string_view bytes, piece_sink& to) override {
    news_ = 0;
    if (form_ == form::unknown)
      bytes = guess_form(bytes);
    while (!bytes.empty() && !answer_->ended())
      if (form_ == form::text)
        take_text(bytes);
      else if (object_.is_open() || (is_between_ && bytes.front() == '{'))
        take_object(bytes, to);
      else if (is_between_ && is_separator(bytes.front()))
        bytes.remove_prefix(1);
      else
        take_lines(bytes, to);
    return news_;
  }

  bool ended() const override { return answer_->ended(); }

  uint64_t tokens() const override { return answer_->tokens(); }

  std::variant<completion, failure> end() override {
    if (form_ != form::objects && !answer_->ended())
      return answer_->fitted(invalid_answer(answer_->head(), describe_body(body_)));
    events_.finish([&](const sse::event& x) {
      if (is_ours(x))
        answer_->take_late(x.data);
      return !answer_->ended();
    });
    return answer_->end(true);
  }

private:
  /// What the body is. Sniffed, since servers and proxies name the wrong type.
  enum class form : uint8_t { unknown, objects, text };

  std::string_view guess_form(std::string_view bytes) {
    bytes.remove_prefix(std::min(bytes.find_first_not_of(space), bytes.size()));
    if (bytes.empty())
      return bytes;
    // of events: comments, data, event, id, retry; a byte order mark
    std::string_view known = framing_ != framing::lines ? "{[:deir\xEF" : "{";
    form_ = known.find(bytes.front()) == known.npos ? form::text : form::objects;
    return bytes;
  }

  /// Whether a byte between two plain objects says nothing. Ends of lines do, to events.
  bool is_separator(char c) const {
    return framing_ != framing::lines ? c == '[' || c == ',' || c == ']' || c == ' ' : space.find(c) != space.npos;
  }

  void take_text(std::string_view& bytes) {
    body_ += bytes.substr(0, shown_bytes - body_.size());
    bytes = {};
    if (body_.size() == shown_bytes)
      answer_->fail(invalid_answer(answer_->head(), describe_body(body_)));
  }

  void take_object(std::string_view& bytes, piece_sink& to) {
    auto object = object_.take(bytes);
    is_between_ = !object_.is_open();
    if (auto most = answer_->most_bytes(); std::max(object.size(), object_.size()) > most)
      return too_large("an object of more than " + std::to_string(most) + " bytes");
    if (!object.empty())
      news_ += answer_->take(object, to);
    object_.shrink();
  }

  /// Takes the lines of events, up to the next plain object.
  void take_lines(std::string_view& bytes, piece_sink& to) {
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
    auto state = events_.feed(lines, [&](const sse::event& x) {
      if (is_ours(x))
        news_ += answer_->take(x.data, to);
      return !answer_->ended();
    });
    if (state == sse::parser::state::too_large)
      too_large(events_.problem());
  }

  bool is_ours(const sse::event& x) const {
    return answer_->knows(x.type) && x.data.find_first_not_of(space) != x.data.npos && !x.data.starts_with("[DONE]");
  }

  void too_large(const std::string& what) { answer_->fail_with(errc::response_too_large, "the provider sent " + what); }

  std::unique_ptr<object_answer> answer_;
  sse::parser events_;
  object_gatherer object_;
  std::string body_; ///< The beginning of a body that is nothing we know.
  std::size_t news_ = 0;
  framing framing_;
  form form_ = form::unknown;
  bool is_between_ = true; ///< A plain object may begin here.
};

} // namespace

std::unique_ptr<stream_reader> read_objects(std::unique_ptr<object_answer> x, framing form) {
  return std::make_unique<object_stream>(std::move(x), form);
}

} // namespace modelforge::wire
