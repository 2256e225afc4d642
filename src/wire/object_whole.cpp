#include "base/ascii.hpp"
#include "base/text_encoding.hpp"
#include "wire/object_answer.hpp"
#include "wire/provider_error.hpp"

#include <utility>

/// Whole answers, whatever form they come in.

namespace modelforge::wire {

namespace {

errc code_of(const std::variant<completion, failure>& result) {
  auto* bad = std::get_if<failure>(&result);
  return bad != nullptr ? bad->code : errc::none;
}

std::variant<completion, failure> read_streamed(std::unique_ptr<object_answer> answer, std::string_view body,
                                                piece_sink& sink) {
  auto reader = read_objects(std::move(answer), body.size());
  reader->take(body, sink);
  return reader->end(sink);
}

/// Nothing was handed on, so an answer that broke off is only one that is no good.
void add_texts(piece_collector& sink, std::variant<completion, failure>& result) {
  if (auto* good = std::get_if<completion>(&result)) {
    good->text = std::move(sink.words);
    good->reasoning = std::move(sink.thoughts);
    good->refusal = std::move(sink.declined);
  } else {
    auto& bad = std::get<failure>(result);
    if (bad.code == errc::stream_interrupted)
      bad.code = errc::invalid_response;
    bad.text = std::move(sink.words);
  }
}

std::variant<completion, failure> read_whole_stream(std::unique_ptr<object_answer> answer, std::string_view text) {
  piece_collector sink;
  auto result = read_streamed(std::move(answer), text, sink);
  add_texts(sink, result);
  return result;
}

/// What begins as JSON and is no answer may be a stream of objects nevertheless, of several or of one.
std::variant<completion, failure> read_whole_objects(std::unique_ptr<object_answer> answer, const answer_maker& make,
                                                     std::string_view text) {
  piece_collector sink;
  answer->take(text, sink);
  auto result = answer->end(false, text, sink);
  if (code_of(result) == errc::invalid_response) {
    piece_collector streamed;
    auto other = read_streamed(make(), text, streamed);
    auto code = code_of(other);
    auto is_other =
      code != errc::invalid_response && (code != errc::stream_interrupted || !json::reader{text}.finish());
    if (is_other) {
      result = std::move(other);
      sink = std::move(streamed);
    }
  }
  add_texts(sink, result);
  return result;
}

} // namespace

// An error status is never read as an answer, whatever its body looks like.
std::variant<completion, failure> read_whole(const answer_maker& make, std::string_view body) {
  auto text = ascii::trim_front(without_mark(ascii::trim_front(body)));
  auto answer = make();
  auto& head = answer->head();
  if (head.status < 200 || head.status >= 300) {
    auto parsed = json::parse(utf8::is_valid(text) ? std::string{text} : utf8::repair(text));
    return answer->fitted(error_answer(head, std::get_if<json::value>(&parsed), text));
  }
  return text.starts_with('{') || text.starts_with('[') ? read_whole_objects(std::move(answer), make, text)
                                                        : read_whole_stream(std::move(answer), text);
}

} // namespace modelforge::wire
