#pragma once

#include "wire/stream.hpp"

#include <cstddef>
#include <memory>
#include <string>

namespace modelforge::wire {

/// Reads a stream by another reader, and keeps its text: for answers that are judged as a whole (`json_demand`). Unlike
/// that of other readers, its completion has the text. Beyond `max_text` bytes it is a failure.
class text_keeper final : public stream_reader, piece_sink {
public:
  static constexpr std::size_t max_text = 64 << 20;

  explicit text_keeper(std::unique_ptr<stream_reader> inner) : inner_(std::move(inner)) {}

  std::size_t take(std::string_view bytes, piece_sink& sink) override;
  bool ended() const override { return inner_->ended(); }
  bool has_end() const override { return inner_->has_end(); }
  stream_end end_so_far() const override { return inner_->end_so_far(); }
  uint64_t tokens() const override { return inner_->tokens(); }
  std::variant<completion, failure> end(piece_sink& sink) override;

private:
  void text(std::string_view more) override;
  void reasoning(std::string_view more) override { sink_->reasoning(more); }
  void seal(std::string_view signature) override { sink_->seal(signature); }
  void refusal(std::string_view more) override { sink_->refusal(more); }
  void tool_call(uint32_t call, std::string_view id, std::string_view name, std::string_view signature) override {
    sink_->tool_call(call, id, name, signature);
  }
  void tool_arguments(uint32_t call, std::string_view fragment) override { sink_->tool_arguments(call, fragment); }

  std::unique_ptr<stream_reader> inner_;
  piece_sink* sink_ = nullptr; ///< Of the call in hand.
  std::string text_;
  bool is_too_long_ = false;
};

} // namespace modelforge::wire
