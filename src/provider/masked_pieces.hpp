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
  masked_pieces(wire::piece_sink& to, std::shared_ptr<const secret_mask> by) : to_(to), by_(std::move(by)) {}

  /// Where a reader's pieces are to go: here, or past this where there is nothing to mask.
  wire::piece_sink& entrance() { return by_ != nullptr && !by_->empty() ? *this : to_; }

  void text(std::string_view x) override { to_.text(masked(x, 0)); }
  void reasoning(std::string_view x) override { to_.reasoning(masked(x, 0)); }
  void seal(std::string_view signature) override { to_.seal(masked(signature, 0)); }
  void refusal(std::string_view x) override { to_.refusal(masked(x, 0)); }

  void tool_call(uint32_t call, std::string_view id, std::string_view name, std::string_view signature) override {
    to_.tool_call(call, masked(id, 0), masked(name, 1), masked(signature, 2));
  }

  void tool_arguments(uint32_t call, std::string_view fragment) override {
    to_.tool_arguments(call, masked(fragment, 0));
  }

private:
  std::string_view masked(std::string_view x, std::size_t which) {
    if (x.size() < 8) // shorter ones are not masked in answers
      return x;
    auto& text = scratch_[which];
    text = x;
    by_->mask(text, secret_mask::extent::whole);
    return text;
  }

  wire::piece_sink& to_;
  std::shared_ptr<const secret_mask> by_;
  std::array<std::string, 3> scratch_;
};

} // namespace modelforge::provider
