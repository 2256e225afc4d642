#include "wire/text_keeper.hpp"

#include <utility>

namespace modelforge::wire {

std::size_t text_keeper::take(std::string_view bytes, piece_sink& sink) {
  sink_ = &sink;
  return inner_->take(bytes, *this);
}

void text_keeper::text(std::string_view more) {
  is_too_long_ = is_too_long_ || text_.size() + more.size() > max_text;
  if (!is_too_long_)
    text_ += more;
  sink_->text(more);
}

std::variant<completion, failure> text_keeper::end(piece_sink& sink) {
  sink_ = &sink;
  auto result = inner_->end(*this);
  auto* good = std::get_if<completion>(&result);
  if (good == nullptr)
    return result;
  if (is_too_long_)
    return make_failure(errc::response_too_large, "the answer is longer than 64 MiB, too long to be checked as JSON",
                        "ask for less, or leave it unchecked (check_json = \"off\")");
  good->text = std::move(text_);
  return result;
}

} // namespace modelforge::wire
