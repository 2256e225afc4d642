#pragma once

#include "config/secret_mask.hpp"

#include <modelforge/messages/batch_job.hpp>
#include <modelforge/messages/completion.hpp>
#include <modelforge/messages/embedding.hpp>
#include <modelforge/messages/error.hpp>

#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

/// Keeping secrets out of what leaves the actor that holds them: to callers, ledgers and other nodes.

namespace modelforge {

/// Calls a function for every text in a message, also of those that are added some day: it goes by `inspect`, as what
/// sends the message does.
template <class F>
class text_visitor {
public:
  static constexpr bool is_loading = false;

  explicit text_visitor(F f) : f_(std::move(f)) {}

  static constexpr bool has_human_readable_format() { return false; }

  struct object_fields {
    template <class... Ts>
    bool fields(Ts...) const {
      return true;
    }
  };

  template <class T>
  object_fields object(T&) {
    return {};
  }

  template <class T>
  bool field(std::string_view, T& x) {
    visit(x);
    return true;
  }

  template <class T>
  void visit(T& x) {
    if constexpr (std::is_same_v<T, std::string>)
      f_(x);
    else if constexpr (is_list<T>::value)
      for (auto& y : x)
        visit(y);
    else if constexpr (is_optional<T>::value) {
      if (x)
        visit(*x);
    } else if constexpr (!holds_no_text<T>)
      inspect(*this, x);
  }

private:
  template <class T>
  struct is_list : std::false_type {};
  template <class T>
  struct is_list<std::vector<T>> : std::bool_constant<!std::is_arithmetic_v<T>> {};
  template <class T>
  struct is_optional : std::false_type {};
  template <class T>
  struct is_optional<std::optional<T>> : std::true_type {};
  template <class T>
  struct is_numbers : std::false_type {};
  template <class T>
  struct is_numbers<std::vector<T>> : std::is_arithmetic<T> {};

  template <class T>
  static constexpr bool holds_no_text =
    std::is_arithmetic_v<T> || std::is_enum_v<T> || is_numbers<T>::value || requires {
    typename T::period;
  };

  F f_;
};

template <class Message>
void mask_whole(const secret_mask& by, Message& x) {
  if (by.empty())
    return;
  text_visitor to{[&](std::string& text) { by.mask(text, secret_mask::extent::whole); }};
  to.visit(x);
}

/// For a text that tells of a server, not of a model: masks parts of secrets, too, and what looks like a key of any
/// known provider.
inline void mask_words(const secret_mask& by, std::string& text) {
  by.mask(text, secret_mask::extent::cut);
  text = redact(std::move(text));
}

inline void mask(const secret_mask& by, failure& x) {
  mask_whole(by, x);
  for (auto* text : {&x.message, &x.provider_code, &x.provider_message, &x.provider_request_id, &x.suggestion})
    mask_words(by, *text);
}

inline void mask(const secret_mask& by, completion& x) {
  mask_whole(by, x);
  mask_words(by, x.provider_request_id);
  mask_words(by, x.raw_finish_reason);
  for (auto& text : x.warnings)
    mask_words(by, text);
}

inline void mask(const secret_mask& by, embedding& x) {
  mask_whole(by, x);
  mask_words(by, x.provider_request_id);
  for (auto& text : x.warnings)
    mask_words(by, text);
}

} // namespace modelforge
