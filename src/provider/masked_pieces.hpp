#pragma once

#include "config/secret_mask.hpp"
#include "wire/stream.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace modelforge::provider {

/// Masks secrets in what a stream says, before anybody has it. (One that is spread over several pieces was cut by a
/// model, which was told it by a prompt.)
class masked_pieces final : public wire::piece_sink {
public:
  masked_pieces(wire::piece_sink& sink, std::shared_ptr<const secret_mask> secrets)
    : sink_(sink), secrets_(std::move(secrets)) {}

  /// Where a reader's pieces are to go: here, or past this where there is nothing to mask.
  wire::piece_sink& entrance() { return secrets_ != nullptr && !secrets_->empty() ? *this : sink_; }

  void text(std::string_view piece) override { sink_.text(masked(piece, 0)); }
  void reasoning(std::string_view piece) override { sink_.reasoning(masked(piece, 0)); }
  void seal(std::string_view signature) override { sink_.seal(masked(signature, 0)); }
  void refusal(std::string_view piece) override { sink_.refusal(masked(piece, 0)); }

  void tool_call(uint32_t call, std::string_view id, std::string_view name, std::string_view signature) override {
    sink_.tool_call(call, masked(id, 0), masked(name, 1), masked(signature, 2));
  }

  void tool_arguments(uint32_t call, std::string_view fragment) override {
    sink_.tool_arguments(call, masked(fragment, 0));
  }

private:
  /// `which`: one of three buffers, since a call hands on three texts at once. The view is valid until the same buffer
  /// is used again.
  std::string_view masked(std::string_view piece, std::size_t which) {
    if (piece.size() < 8) // shorter ones are not masked in answers
      return piece;
    auto& text = scratch_[which];
    text = piece;
    secrets_->mask(text, secret_mask::extent::whole);
    return text;
  }

  wire::piece_sink& sink_;
  std::shared_ptr<const secret_mask> secrets_;
  std::array<std::string, 3> scratch_;
};

} // namespace modelforge::provider
