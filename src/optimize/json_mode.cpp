#include "optimize/extra.hpp"
#include "optimize/json_wish.hpp"
#include "optimize/prefix.hpp"
#include "optimize/strategies.hpp"

#include <algorithm>
#include <variant>

/// `json_mode_auto`: where a prompt asks for nothing but JSON (see `json_wish.hpp`), the provider is told so, and
/// cannot answer with prose around it.

namespace modelforge::optimize {

namespace {

constexpr std::string_view demand = "Answer in JSON.";

template <class F>
bool any_text(const chat_message& message, F&& f) {
  return std::any_of(message.content.begin(), message.content.end(), [&](auto& part) {
    auto* text = std::get_if<text_part>(&part);
    return text != nullptr && f(text->text);
  });
}

/// What holds for the answer: the instructions, and the user's last word.
std::vector<const chat_message*> in_force(const chat_request& request) {
  std::vector<const chat_message*> result;
  for (auto& message : request.messages)
    if (is_instruction(message))
      result.push_back(&message);
  if (!request.messages.empty() && request.messages.back().role == role::user)
    result.push_back(&request.messages.back());
  return result;
}

bool wants_object(const chat_request& request) {
  auto messages = in_force(request);
  auto any = [&](auto f) {
    return std::any_of(messages.begin(), messages.end(), [&](auto* message) { return any_text(*message, f); });
  };
  return any(asks_for_json_only) && !any(speaks_of_other_json);
}

/// Adds the demand to the end of a message.
void add_demand(chat_message& message) {
  auto* last = message.content.empty() ? nullptr : std::get_if<text_part>(&message.content.back());
  if (last != nullptr)
    last->text += "\n\n" + std::string{demand};
  else
    message.content.push_back(text_part{std::string{demand}});
}

/// OpenAI refuses to write JSON unless the word is in the prompt; in instructions it may not count. Returns where it
/// was added; empty: it is there.
std::string_view add_word(chat_request& request, bool behind_instructions) {
  auto counts = [&](auto& message) { return !behind_instructions || !is_instruction(message); };
  if (std::any_of(request.messages.begin(), request.messages.end(),
                  [&](auto& message) { return counts(message) && any_text(message, mentions_json); }))
    return {};
  if (behind_instructions) {
    auto last =
      std::find_if(request.messages.rbegin(), request.messages.rend(), [](auto& y) { return y.role == role::user; });
    if (last != request.messages.rend())
      add_demand(*last);
    else
      request.messages.push_back(text_message(role::user, std::string{demand}));
    return "the last question";
  }
  auto instruction = std::find_if(request.messages.begin(), request.messages.end(), is_instruction);
  if (instruction != request.messages.end())
    add_demand(*instruction);
  else
    request.messages.insert(request.messages.begin(), text_message(role::system, std::string{demand}));
  return "the system prompt";
}

class json_mode_optimizer : public optimizer {
public:
  explicit json_mode_optimizer(bool behind_instructions) : behind_instructions_(behind_instructions) {}

  std::string_view name() const override { return "json_mode_auto"; }

  std::optional<std::string> apply(chat_request& request) const override {
    auto& kind = request.response_format.kind;
    if (kind == response_kind::json_schema || has_extra(request, "response_format") || has_extra(request, "text"))
      return {};
    std::string changes;
    if (kind == response_kind::text && request.tools.empty()
        && wants_object(request)) { // with tools, some refuse JSON mode
      kind = response_kind::json_object;
      changes = "a JSON object is asked for, as the prompt does";
    }
    if (kind == response_kind::json_object)
      if (auto where = add_word(request, behind_instructions_); !where.empty())
        changes += (changes.empty() ? "\"" : "; \"") + std::string{demand} + "\" was added to " + std::string{where};
    return changes.empty() ? std::nullopt : std::optional{changes};
  }

private:
  bool behind_instructions_;
};

} // namespace

std::shared_ptr<const optimizer> json_mode(bool behind_instructions) {
  return std::make_shared<json_mode_optimizer>(behind_instructions);
}

} // namespace modelforge::optimize
