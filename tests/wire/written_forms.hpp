#pragma once

#include "tests/wire/meaning.hpp"

#include <functional>
#include <random>
#include <span>

namespace modelforge::test::forms {

/// Chooses by a seed, the same on every machine.
class chance {
public:
  explicit chance(unsigned seed) : random_(seed) {}

  std::size_t below(std::size_t n) { return random_() % n; }
  bool one_in(std::size_t n) { return below(n) == 0; }

  template <class T>
  const T& of(const std::vector<T>& list) {
    return list[below(list.size())];
  }

private:
  std::mt19937 random_;
};

/// An answer with some of everything that it may have.
meaning any_answer(chance& pick);

/// JSON strings that make the text when they are joined, some with half a character at their ends.
strings json_pieces(std::string_view text, chance& pick);

/// A part of a call in a chat's stream; what is empty is left out.
std::string chat_part(const std::string& index, const std::string& id, const std::string& name,
                      const std::string& arguments);

/// A form in which answers come, and who writes them in it: in every way that servers have, chosen by `chance`.
struct written_form {
  std::string_view name;
  const dialect& by;
  bool is_stream;
  std::function<std::string(const meaning&, chance&)> write;
};

std::span<const written_form> written_forms();

} // namespace modelforge::test::forms
