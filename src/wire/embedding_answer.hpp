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

/// Gathers the vectors of an answer, in the forms of all known servers: OpenAI's objects with an index, lists of lists
/// (Ollama, Hugging Face, Cohere), Google's `values`, one vector alone; below names of their own, or in a bare list.
/// The first thing that is wrong is kept, and told at the end. Vectors are read from numbers as they stand, without a
/// tree: they make up nearly all of such an answer.
class vector_answer {
public:
  /// `inputs`: how many vectors there must be.
  explicit vector_answer(std::size_t inputs) : vectors_(inputs) {}

  /// Takes the whole answer. What it is if it is broken JSON only the reader can say.
  void take(json::reader& in);

  /// Whether there was anything in the place of a vector.
  bool has_any() const { return put_ > 0 || !problem_.empty(); }

  /// Whether there was a number in one.
  bool has_numbers() const { return has_numbers_; }

  /// Hands out the vectors, or says what is wrong with them.
  std::variant<std::vector<std::vector<float>>, std::string> finish();

  told_usage usage;
  json::raw model, id, error;

private:
  /// One of a list, or what stands around all.
  struct entry {
    json::raw index, error;
    bool has_vector = false; ///< It is in `taken_`.
  };

  bool take_object(json::reader& in, entry& found, bool is_entry, std::size_t depth);
  void take_account(std::string_view name, json::reader& in);
  void take_vectors(json::reader& in, entry& found, bool is_entry, bool is_sure, std::size_t depth);
  bool take_list(json::reader& in, entry& found, bool is_sure, std::size_t depth);
  bool take_entry(json::reader& in, json::raw name, std::size_t depth);
  bool take_numbers(json::reader& in, entry& found);
  void take_base64(json::raw value, entry& found);

  /// Puts what was taken to its input; without an index the vectors come in the order of the inputs. An index is a
  /// whole number, or a string that holds one: what is neither leaves open whose vector it is, which is wrong.
  void put(json::raw index);

  void fail(std::string why);

  std::vector<std::vector<float>> vectors_; ///< An empty one: not there yet.
  std::vector<float> taken_;
  std::size_t length_ = 0; ///< Of the vector before.
  std::size_t put_ = 0;
  bool has_numbers_ = false;
  std::string problem_; ///< The first one.
};

/// Reads a whole answer, whatever its status.
std::variant<embedding, failure> read_vectors(const http::response_head& head, std::string_view body,
                                              std::size_t inputs);

} // namespace modelforge::wire
