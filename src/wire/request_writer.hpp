#pragma once

#include "wire/dialect.hpp"
#include "wire/json.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace modelforge::wire {

/// What writing a body has in common, whichever the provider and whatever is asked: values that are checked, problems
/// that name their field, and `extra`.
///
/// The body is written once, front to back, without a tree. A field of the request is begun by `begin`, which leaves it
/// out where `extra` has one of that name: so what a host gives for a provider always wins, with a warning. The first
/// thing that cannot be sent is kept; writing goes on, and what is written after it is no use.
class body_writer {
protected:
  /// `provider`: the dialect's name, for messages. `request`: a request; it outlives this.
  template <class Request>
  body_writer(std::string_view provider, const Request& request)
    : out_(result_.body), provider_(provider), model_(request.model), given_extra_(request.extra),
      trace_(request.trace), trace_state_(request.trace_state) {}

  ~body_writer() = default;

  /// Reserves `size` bytes, sets the headers and opens the body. `stream_type`: of the answer, where it is a stream.
  /// `merged`: objects of the body to which the members of the same objects in `extra` are added, where they would
  /// else replace them.
  void start(std::size_t size, std::string_view stream_type = {}, std::initializer_list<std::string_view> merged = {});

  /// What `extra` has of that name, as JSON text; of an object that is merged, what it has inside. Empty: nothing.
  std::string_view extra(std::string_view name) const { return value_in(extra_, name); }
  std::string_view extra(std::string_view merged, std::string_view name) const;

  /// Writes the field that names the model.
  void write_model();

  /// Adds what `extra` brings.
  void write_extra() { write_fields(extra_); }

  /// Closes the body and hands out the result.
  std::variant<encoded_request, failure> hand_out();

  /// Adds what `extra` brings, closes the body and hands out the result.
  std::variant<encoded_request, failure> finish() {
    write_extra();
    return hand_out();
  }

  // -- problems ----------------------------------------------------------------------

  static constexpr std::size_t none = static_cast<std::size_t>(-1);

  /// Where we are, as the beginning of a field's name.
  std::string place() const;

  /// Keeps the first problem; later ones are dropped. `field` is appended to `place()`, `why` is the rest of the
  /// sentence.
  void fail(std::string_view field, std::string_view why, errc code = errc::invalid_request,
            std::string suggestion = {});

  /// The provider has not got that field.
  void unsupported(std::string_view field, std::string suggestion);

  /// Whether something cannot be sent. Walks over large requests stop then.
  bool failed() const { return problem_.has_value(); }

  /// Tells something once.
  void warn(std::string text);

  // -- values ------------------------------------------------------------------------

  /// Begins a field of the request itself, or of the present merged object; false where `extra` has that field.
  bool begin(std::string_view name);

  /// Writes a text as a JSON string; text that is not UTF-8 is a problem, never repaired: it is the host's.
  void text(std::string_view value, std::string_view field) {
    if (!out_.string(value))
      fail(field, "is not UTF-8");
  }

  /// Writes a field that holds a text.
  void member_text(std::string_view name, std::string_view value, std::string_view field) {
    out_.key(name);
    text(value, field);
  }

  /// Writes a field that holds a number, where it is set.
  void number(std::string_view name, const auto& value, std::string_view field) {
    if (!value)
      return;
    if constexpr (std::is_same_v<decltype(*value), const double&>)
      if (!std::isfinite(*value))
        return fail(field, "is no finite number");
    if (begin(name))
      out_.number(*value);
  }

  /// Writes a field that holds a word without escapes, JSON text, true or false.
  void member_word(std::string_view name, std::string_view word) {
    out_.key(name);
    out_.word(word);
  }
  void member_raw(std::string_view name, std::string_view json_text) {
    out_.key(name);
    out_.raw(json_text);
  }
  void member_flag(std::string_view name, bool value) {
    out_.key(name);
    out_.boolean(value);
  }

  /// Writes an object, or a list, by `f`; the next two as a field.
  template <class F>
  void object(F&& f) {
    out_.open('{');
    f();
    out_.close('}');
  }
  template <class F>
  void list(F&& f) {
    out_.open('[');
    f();
    out_.close(']');
  }
  template <class F>
  void member_object(std::string_view name, F&& f) {
    out_.key(name);
    object(f);
  }
  template <class F>
  void member_list(std::string_view name, F&& f) {
    out_.key(name);
    list(f);
  }

  /// Writes a list of texts, if there are any.
  void texts(std::string_view name, const std::vector<std::string>& values, std::string_view field);

  /// Embeds a JSON object that came as text.
  void embed(std::string_view value, std::string_view field);

  /// Writes a merged object by `f`, with what `extra` adds to it; nothing where both have nothing.
  template <class F>
  void merge(std::string_view name, F&& f) {
    auto before = result_.body.size();
    if (!begin(name))
      return;
    out_.open('{');
    auto opened = result_.body.size();
    inside_ = &std::find_if(merged_.begin(), merged_.end(), [&](auto& x) { return x.first == name; })->second;
    f();
    write_fields(*std::exchange(inside_, nullptr));
    auto is_empty = result_.body.size() == opened;
    out_.close('}');
    if (is_empty)
      out_.back_to(before);
  }

  encoded_request result_;
  json::writer out_;
  const char* list_ = nullptr; ///< The list that is being written, for the names of fields,
  std::size_t item_ = 0;       ///< the item in it,
  std::size_t part_ = none;    ///< and the part of the item's content.

private:
  using fields = std::vector<std::pair<std::string, std::string>>; ///< Names and values, as JSON text.

  void read_extra();
  void write_trace();
  static std::string_view value_in(const fields& fields, std::string_view name);
  void write_fields(const fields& fields);

  std::string_view provider_;
  const std::string& model_;
  const std::string& given_extra_;
  const std::string& trace_;
  const std::string& trace_state_;
  fields extra_;
  std::vector<std::pair<std::string_view, fields>> merged_; ///< What `extra` adds to each of these objects.
  const fields* inside_ = nullptr;                          ///< Of the merged object that is being written.
  std::optional<failure> problem_;
};

/// What writing a request for an answer has in common.
class request_writer : protected body_writer {
protected:
  request_writer(std::string_view provider, const chat_request& request, bool stream)
    : body_writer(provider, request), request_(request), stream_(stream) {}

  ~request_writer() = default;

  /// The fields of `extra` by which the provider is asked for several answers, and for log probabilities; with a dot
  /// where the field stands in a merged object. Empty: it has no such thing. To be set before `start`.
  std::string_view choices_field_, logprobs_field_;

  void start(std::string_view stream_type, std::initializer_list<std::string_view> merged = {});

  const chat_request& request_;
  bool stream_;

private:
  std::string_view told(std::string_view field) const;
  void check_choices();
  void check_logprobs();
};

/// Escapes what may not stand in one segment of a path.
std::string path_segment(std::string_view text);

} // namespace modelforge::wire
