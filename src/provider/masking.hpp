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

  /// What `inspect` calls with its fields, which have been visited by then.
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
  bool field(std::string_view, T& value) {
    visit(value);
    return true;
  }

  /// Visits a value: texts are changed in place, lists and optionals entered, numbers and times passed over.
  template <class T>
  void visit(T& value) {
    if constexpr (std::is_same_v<T, std::string>)
      f_(value);
    else if constexpr (is_list<T>::value)
      for (auto& y : value)
        visit(y);
    else if constexpr (is_optional<T>::value) {
      if (value)
        visit(*value);
    } else if constexpr (!holds_no_text<T>)
      inspect(*this, value);
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

/// Masks every whole secret in any text of a message, a model's words included. Parts of secrets stay there: what looks
/// like one in a model's answer is most likely chance.
template <class Message>
void mask_whole(const secret_mask& secrets, Message& answer) {
  if (secrets.empty())
    return;
  text_visitor visit{[&](std::string& text) { secrets.mask(text, secret_mask::extent::whole); }};
  visit.visit(answer);
}

/// For a text that tells of a server, not of a model: masks parts of secrets, too, and what looks like a key of any
/// known provider.
inline void mask_words(const secret_mask& secrets, std::string& text) {
  secrets.mask(text, secret_mask::extent::cut);
  text = redact(std::move(text));
}

/// Masks a failure: the texts that quote a server get the stricter treatment.
inline void mask(const secret_mask& secrets, failure& failed) {
  mask_whole(secrets, failed);
  for (auto* text : {&failed.message, &failed.provider_code, &failed.provider_message, &failed.provider_request_id,
                     &failed.suggestion})
    mask_words(secrets, *text);
}

/// Masks an answer, whose warnings and reason may quote the server.
inline void mask(const secret_mask& secrets, completion& answer) {
  mask_whole(secrets, answer);
  mask_words(secrets, answer.provider_request_id);
  mask_words(secrets, answer.raw_finish_reason);
  for (auto& text : answer.warnings)
    mask_words(secrets, text);
}

/// Masks an answer without words of a model.
inline void mask(const secret_mask& secrets, embedding& answer) {
  mask_whole(secrets, answer);
  mask_words(secrets, answer.provider_request_id);
  for (auto& text : answer.warnings)
    mask_words(secrets, text);
}

} // namespace modelforge
