#pragma once

#include "tools/simulator/exchange.hpp"
#include "tools/simulator/generation.hpp"

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>

/// What the providers' APIs have in common: a reader of requests and a writer of answers around one shared exchange.
namespace modelforge::simulator {

/// An error, before it has a provider's form. What a provider has no place for is left out, and what is empty gets the
/// provider's own value for the status, if it has one.
struct api_error {
  int status = 400;
  std::string message;
  std::string param = {}; ///< The field at fault.
  std::string code = {};
  std::string type = {};
};

/// How one provider reports everything but its answers: errors, refusals, faults and the headers around them. Has no
/// state; each provider's namespace gives its only instance by `speech()`.
class language {
public:
  virtual ~language() = default;

  /// Returns an empty 200 with the headers of every answer.
  virtual reply new_reply(const exchange& incoming) const = 0;

  /// Returns the body of an answer to `incoming` that is this error.
  virtual std::string error_text(const exchange& incoming, const api_error& error) const = 0;

  /// Returns what is wrong with the key of `incoming`, where one is demanded.
  virtual std::optional<api_error> check_key(const exchange& incoming) const = 0;

  /// Returns the answer to a request for `model` that a limit refused.
  virtual reply limit_reply(const exchange& incoming, std::string_view model, const ruling& refusal) const = 0;

  /// Returns the answer that `injected`, an error with a status of its own, gives to a request for `model`.
  virtual reply fault_reply(const exchange& incoming, std::string_view model, fault injected) const = 0;

  /// Returns a 200 whose body is not JSON, or a stream with an event that is not.
  virtual reply garbage_reply(const exchange& incoming, bool is_stream) const = 0;

  /// Whether what is read from the cache is left out of the limits.
  virtual bool is_cached_free() const { return false; }

  /// Adds the headers that report the state of the limits that are set.
  virtual void append_limit_headers(const exchange&, reply&) const {}
};

/// Returns `error` as an answer in that provider's form.
reply error_reply(const language& dialect, const exchange& incoming, const api_error& error);

/// Returns an empty 200 that will say these choices, and takes the time that their tokens take.
reply paced_reply(const language& dialect, const exchange& incoming, const generation& request,
                  std::span<const choice> choices);

/// Appends "name: value" and the end of the line; neither may hold a line break.
void append_header(std::string& out, std::string_view name, std::string_view value);

/// Returns what follows "Bearer " in the header `authorization`; nothing without that word.
std::optional<std::string_view> bearer_key(const exchange& incoming);

/// Returns a number that no other exchange of the same server has, and another run has again.
uint64_t unique_number(const exchange& incoming);

/// What the gatekeeper must know of a valid request.
struct demand {
  std::string_view model;
  uint32_t prompt_tokens = 0;
  std::optional<uint32_t> max_tokens;
  bool is_stream = false;
};

/// Decides about a valid request, and answers it or not.
reply serve(const exchange& incoming, const language& dialect, const demand& wanted,
            const std::function<reply()>& answer);

/// Adds the headers of the limits, unless they are switched off or no API would send them.
void add_limit_headers(const exchange& incoming, const language& dialect, reply& answer);

/// Returns `answer` with what the cache had of its prompt, and will have.
reply remembering(reply answer, prompt_cache::finding found);

/// Answers whatever the gatekeeper judges: checks the key, reads the request by `read`, which returns it or an
/// api_error, and answers it by `answer` if it may be answered.
template <class Read, class Answer>
reply judge(const exchange& incoming, const language& dialect, Read read, Answer answer) {
  auto check_and_serve = [&] {
    if (auto error = dialect.check_key(incoming))
      return error_reply(dialect, incoming, *error);
    auto read_result = read();
    if (auto error = std::get_if<api_error>(&read_result))
      return error_reply(dialect, incoming, *error);
    auto& request = std::get<0>(read_result);
    demand wanted{request.model, request.prompt_tokens, request.max_tokens, request.is_stream};
    if constexpr (std::is_base_of_v<generation, std::remove_cvref_t<decltype(request)>>) {
      auto found = incoming.cache.look_up(request.cacheable, incoming.arrived);
      request.cached = found.use;
      wanted.prompt_tokens -= dialect.is_cached_free() ? found.use.read : 0;
      return serve(incoming, dialect, wanted, [&] { return remembering(answer(request), std::move(found)); });
    } else {
      return serve(incoming, dialect, wanted, [&] { return answer(request); });
    }
  };
  auto result = check_and_serve();
  add_limit_headers(incoming, dialect, result);
  return result;
}

} // namespace modelforge::simulator
