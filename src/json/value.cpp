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
    auto* opened = place(in, is_object ? value::value_t::object : value::value_t::array);
    if (opened == nullptr)
      return false;
    open_.push_back(opened); // stays valid: what holds it gets no further element before it is closed
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
    auto* target = place(in, is_string ? value::value_t::string : value::value_t::null);
    json::scalar taken;
    if (target == nullptr || !in.take_scalar(taken, is_string ? &target->get_ref<std::string&>() : nullptr))
      return false;
    if (taken.type == json::scalar::kind::number)
      *target = number_of(taken);
    else if (!is_string && taken.type != json::scalar::kind::null_word)
      *target = taken.type == json::scalar::kind::true_word;
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
    auto* slot = slot_ != nullptr ? std::exchange(slot_, nullptr) : &root_;
    if (!open_.empty() && open_.back()->is_array())
      slot = &open_.back()->get_ref<value::array_t&>().emplace_back();
    *slot = type;
    return slot;
  }

  static value number_of(const json::scalar& taken) {
    if (uint64_t count = 0; taken.is_whole && read_whole(taken.text, count))
      return count;
    if (int64_t number = 0; taken.is_whole && read_whole(taken.text, number))
      return number;
    return real_of(taken.text);
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

const value& member(const value& node, std::string_view name) {
  static const value none;
  auto* members = node.get_ptr<const value::object_t*>();
  if (members != nullptr)
    for (auto i = members->rbegin(); i != members->rend(); ++i)
      if (i->first == name)
        return i->second;
  return none;
}

std::string_view string_in(const value& value) {
  auto* text = value.get_ptr<const std::string*>();
  return text != nullptr ? std::string_view{*text} : std::string_view{};
}

std::optional<uint64_t> count_in(const value& value) {
  if (value.is_number_unsigned())
    return value.get<uint64_t>();
  return value.is_number_float() ? whole_of(value.get<double>()) : std::nullopt;
}

std::string to_text(const value& node) {
  return node.dump(-1, ' ', false, value::error_handler_t::replace);
}

} // namespace modelforge::json
