#pragma once

#include "wire/openai/chunk.hpp"
#include "wire/stream.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace modelforge::wire::openai {

/// Joins the tool calls of a streamed answer from their parts, and hands these on.
///
/// A part says which call it belongs to by an index, by an id, or, where a server gives neither, by bringing a name or
/// not. The sink is told of a call once something is known of it but its id, and of all calls before it first, so that
/// it counts them from 0 without gaps; the arguments of a call follow that. Used by Chat Completions and by Responses.
class call_joiner {
public:
  /// Takes a part; `answer_id` helps to name calls that have no id, `scratch` is for texts with escapes. Returns how
  /// many pieces were handed on.
  std::size_t add(const call_fragment& part, std::string_view answer_id, std::string& scratch, piece_sink& sink);

  /// Bytes that are kept.
  std::size_t size() const { return size_; }

  /// Hands out the calls that the sink was told of.
  std::vector<called_tool> finish();

private:
  struct open_call : called_tool {
    std::optional<uint64_t> index; ///< As the server counts.
    bool is_told = false;          ///< The sink knows of it.
  };

  std::size_t place_of(const call_fragment& part, std::string& scratch);
  std::size_t tell(std::size_t last, std::string_view answer_id, piece_sink& sink);

  std::vector<open_call> calls_;
  std::size_t size_ = 0;
};

} // namespace modelforge::wire::openai
