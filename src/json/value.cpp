#include "json/value.hpp"

#include "json/reader.hpp"

#include <utility>
#include <vector>

namespace modelforge::json {

namespace {

/// Builds the library's tree. Ours, because the library's own parser takes ten times as long for long strings (it goes
/// byte by byte), and minutes for an object of a million names (it looks for each before it appends).
class tree_builder {
public:
  bool open(lexer& in, bool is_object) {
    auto* x = place(in, is_object ? value::value_t::object : value::value_t::array);
    if (x == nullptr)
      return false;
    open_.push_back(x); // stays valid: what holds it gets no further element before it is closed
    return true;
  }

  void close() { open_.pop_back(); }

  bool name(lexer& in) {
    std::string name;
    if (!in.take_string(&name))
      return false;
    slot_ = &open_.back()->get_ref<value::object_t&>().emplace_back(std::move(name), nullptr).second;
    return true;
  }

  bool scalar(lexer& in) {
    auto is_string = in.peek() == '"';
    auto* x = place(in, is_string ? value::value_t::string : value::value_t::null);
    json::scalar taken;
    if (x == nullptr || !in.take_scalar(taken, is_string ? &x->get_ref<std::string&>() : nullptr))
      return false;
    if (taken.type == json::scalar::kind::number)
      *x = number_of(taken);
    else if (!is_string && taken.type != json::scalar::kind::null_word)
      *x = taken.type == json::scalar::kind::true_word;
    return true;
  }

  value take() { return std::move(root_); }

private:
  /// Makes a value where the next one belongs; null when there are too many.
  value* place(lexer& in, value::value_t type) {
    if (++values_ > max_values) {
      in.fail("more than " + std::to_string(max_values) + " values");
      return nullptr;
    }
    auto* x = slot_ != nullptr ? std::exchange(slot_, nullptr) : &root_;
    if (!open_.empty() && open_.back()->is_array())
      x = &open_.back()->get_ref<value::array_t&>().emplace_back();
    *x = type;
    return x;
  }

  static value number_of(const json::scalar& x) {
    if (uint64_t count = 0; x.is_whole && read_whole(x.text, count))
      return count;
    if (int64_t number = 0; x.is_whole && read_whole(x.text, number))
      return number;
    return real_of(x.text);
  }

  value root_;
  std::vector<value*> open_; ///< The objects and arrays around the next value.
  value* slot_ = nullptr;    ///< Where the value goes whose name was read last.
  std::size_t values_ = 0;
};

} // namespace

std::variant<value, std::string> parse(std::string_view text) {
  reader in{text};
  tree_builder tree;
  in.walk(tree);
  if (in.finish())
    return std::variant<value, std::string>{std::in_place_index<0>, tree.take()};
  return std::variant<value, std::string>{std::in_place_index<1>, in.problem()};
}

const value& member(const value& x, std::string_view name) {
  static const value none;
  auto* members = x.get_ptr<const value::object_t*>();
  if (members != nullptr)
    for (auto i = members->rbegin(); i != members->rend(); ++i)
      if (i->first == name)
        return i->second;
  return none;
}

std::string_view string_in(const value& x) {
  auto* text = x.get_ptr<const std::string*>();
  return text != nullptr ? std::string_view{*text} : std::string_view{};
}

std::optional<uint64_t> count_in(const value& x) {
  if (x.is_number_unsigned())
    return x.get<uint64_t>();
  return x.is_number_float() ? whole_of(x.get<double>()) : std::nullopt;
}

std::string to_text(const value& x) {
  return x.dump(-1, ' ', false, value::error_handler_t::replace);
}

} // namespace modelforge::json
