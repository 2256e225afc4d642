#pragma once

#include "wire/request_writer.hpp"

#include <modelforge/messages/embedding.hpp>

#include <cstddef>

namespace modelforge::wire {

/// What writing a request for embeddings has in common.
class embedding_writer : protected body_writer {
protected:
  embedding_writer(std::string_view provider, const embedding_request& request)
    : body_writer(provider, request), request_(request) {}

  ~embedding_writer() = default;

  /// Opens the body, with room for all inputs and `each` bytes more for each of them.
  void start(std::size_t each = 8) {
    auto size = 256 + request_.extra.size();
    for (auto& input : request_.inputs)
      size += input.size() + input.size() / 16 + each;
    body_writer::start(size);
  }

  /// Calls `write(text)` for each input.
  template <class F>
  void write_inputs(F write) {
    out_.open('[');
    list_ = "inputs";
    for (item_ = 0; item_ < request_.inputs.size() && !failed(); ++item_)
      write(request_.inputs[item_]);
    list_ = nullptr;
    out_.close(']');
  }

  const embedding_request& request_;
};

} // namespace modelforge::wire
