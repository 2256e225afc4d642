#pragma once

#include "http/message.hpp"
#include "wire/answer_parts.hpp"
#include "wire/json.hpp"

#include <modelforge/messages/embedding.hpp>
#include <modelforge/messages/error.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

/// Reading answers that hold vectors, whichever the provider.

namespace modelforge::wire {

/// Gathers what an answer with vectors says. A dialect takes a vector, then puts it to its input; the first thing that
/// is wrong is kept, and told at the end. Vectors are read from numbers as they stand, without a tree: they make up
/// nearly all of such an answer.
class vector_answer {
public:
  /// `inputs`: how many vectors there must be.
  explicit vector_answer(std::size_t inputs) : vectors_(inputs) {}

  /// Takes the vector that comes now: an array of numbers, or 32-bit floats, the lowest byte first, in base64.
  void take_vector(json::reader& in);

  /// Puts what was taken to its input; without an index the vectors come in the order of the inputs. An index is a
  /// whole number, or a string that holds one: what is neither leaves open whose vector it is, which is wrong.
  void put(json::raw index);

  bool has_any() const { return put_ > 0; }

  /// Hands out the vectors, or says what is wrong with them.
  std::variant<std::vector<std::vector<float>>, std::string> finish();

  told_usage usage;
  json::raw model, id;

private:
  void fail(std::string why);

  std::vector<std::vector<float>> vectors_; ///< An empty one: not there yet.
  std::vector<float> taken_;
  std::size_t put_ = 0;
  std::string problem_; ///< The first one.
};

/// Reads a member of the answer's object; takes its value, or leaves it.
using vector_member = void (*)(std::string_view name, json::reader& in, vector_answer& answer);

/// Reads a whole answer, whatever its status.
std::variant<embedding, failure> read_vectors(const http::response_head& head, std::string_view body,
                                              std::size_t inputs, vector_member read);

} // namespace modelforge::wire
