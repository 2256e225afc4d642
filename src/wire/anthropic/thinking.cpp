#include "wire/anthropic/thinking.hpp"

#include "wire/conversation_writer.hpp"

#include <algorithm>
#include <array>

namespace modelforge::wire::anthropic {

namespace {

constexpr uint32_t min_budget = 1024;
constexpr uint32_t adaptive_room = 24576;
constexpr double min_top_p = 0.95;

/// Tokens for thinking, for models that know no efforts. With the usual length of an answer, all of them fit into the
/// 32,000 tokens that the first models of the fourth generation write.
struct effort_budget {
  std::string_view effort;
  uint32_t tokens;
};

constexpr auto budgets = std::to_array<effort_budget>({{"low", 1024}, {"medium", 8192}, {"high", 16384}});
constexpr auto efforts = std::to_array<std::string_view>({"low", "medium", "high", "xhigh", "max"});

constexpr std::string_view budget_field = "sampling.reasoning_budget";
constexpr std::string_view effort_field = "sampling.reasoning_effort";

bool is_system(const chat_message& message) {
  return message.role == role::system || message.role == role::developer;
}

/// Whether the conversation ends with results for a turn without thinking that the provider knows as its own, e.g.
/// for another provider's turn.
bool goes_on_without_thinking(const chat_request& request) {
  auto last = std::find_if_not(request.messages.rbegin(), request.messages.rend(), is_system);
  if (last == request.messages.rend() || last->role != role::tool)
    return false;
  auto turn = std::find_if(last, request.messages.rend(), [](auto& y) { return y.role == role::assistant; });
  if (turn == request.messages.rend())
    return false;
  return std::none_of(turn->content.begin(), turn->content.end(), [](auto& part) {
    auto* thought = std::get_if<reasoning_part>(&part);
    return thought != nullptr && !unsealed(thought->signature, "anthropic").empty();
  });
}

/// Decides once for a request how its model is asked to think: off, with a budget of tokens, or by an effort. A budget
/// given by the host wins over an effort. The first problem is kept; what only needs a remark becomes a warning. Called
/// by `plan_thinking` before the body is begun, since `max_tokens` depends on it.
class planner {
public:
  planner(const chat_request& request, const model_family& family) : request_(request), family_(family) {}

  thinking_plan run() {
    auto& s = request_.sampling;
    auto has_budget = s.reasoning_budget.has_value();
    auto field = has_budget ? budget_field : effort_field;
    if (!has_budget && s.reasoning_effort.empty())
      return {};
    if (has_budget && !s.reasoning_effort.empty())
      plan_.warnings.emplace_back("sampling.reasoning_effort: left out, since reasoning_budget says it exactly");
    if (has_budget ? *s.reasoning_budget == 0 : s.reasoning_effort == "none")
      plan_none(field);
    else if (family_.thinks == thinking_kind::none)
      refuse(field, "leave it out, or use a model that thinks");
    else if (has_budget)
      plan_budget(*s.reasoning_budget);
    else
      plan_effort(s.reasoning_effort);
    if (plan_.budget || plan_.is_adaptive)
      check_others();
    plan_.room = plan_.is_adaptive ? adaptive_room : plan_.budget.value_or(0);
    return std::move(plan_);
  }

private:
  void fail(std::string_view field, std::string why) {
    if (!plan_.problem)
      plan_.problem = {field, std::move(why), errc::invalid_request, ""};
  }

  void refuse(std::string_view field, std::string suggestion) {
    plan_.problem = {field, "is nothing that " + request_.model + " takes", errc::unsupported, std::move(suggestion)};
  }

  /// The host wants no thinking.
  void plan_none(std::string_view field) {
    if (family_.thinks == thinking_kind::always)
      plan_.problem = {field, "cannot keep " + request_.model + " from thinking", errc::unsupported,
                       R"(leave it out, or give the reasoning_effort "low")"};
    plan_.is_off = family_.thinks != thinking_kind::none;
  }

  /// The host gives tokens; only families that take a budget can.
  void plan_budget(uint32_t tokens) {
    if (family_.thinks != thinking_kind::budget && family_.thinks != thinking_kind::either)
      return refuse(budget_field, "use reasoning_effort");
    if (tokens < min_budget)
      return fail(budget_field, "is less than the 1024 tokens that anthropic takes");
    plan_.budget = tokens;
  }

  /// The host gives an effort. Families that know no efforts get a budget that stands for it.
  void plan_effort(std::string_view effort) {
    if (family_.thinks != thinking_kind::budget) {
      auto has_xhigh = family_.thinks != thinking_kind::either; // it came with 4.7
      auto is_known = std::find(efforts.begin(), efforts.end(), effort) != efforts.end();
      plan_.is_adaptive = is_known && (effort != "xhigh" || has_xhigh);
      if (!plan_.is_adaptive)
        refuse(effort_field, std::string{R"(use "none", "low", "medium", "high")"} + (has_xhigh ? R"(, "xhigh")" : "")
                               + R"( or "max")");
      return;
    }
    for (auto& each : budgets)
      if (each.effort == effort)
        plan_.budget = each.tokens;
    if (!plan_.budget)
      refuse(effort_field, R"(use "none", "low", "medium" or "high", or give reasoning_budget)");
  }

  /// What stands beside thinking.
  void check_others() {
    if (plan_.budget && goes_on_without_thinking(request_)) {
      plan_.warnings.push_back("messages: the last turn has no thinking of anthropic's own, and " + request_.model
                               + " cannot begin to think behind its calls; it was not asked to");
      plan_.budget.reset();
      return;
    }
    auto& s = request_.sampling;
    if (s.temperature && *s.temperature != 1)
      fail("sampling.temperature", "must be left out while the model thinks");
    if (s.top_p && *s.top_p < min_top_p)
      fail("sampling.top_p", "must be at least 0.95 while the model thinks");
    if (s.top_k)
      fail("sampling.top_k", "must be left out while the model thinks");
    auto mode = request_.tool_choice.mode;
    if (mode == tool_mode::required || mode == tool_mode::named)
      fail("tool_choice.mode", "must leave the choice to the model while it thinks");
  }

  const chat_request& request_;
  const model_family& family_;
  thinking_plan plan_;
};

} // namespace

thinking_plan plan_thinking(const chat_request& request, const model_family& family) {
  return planner{request, family}.run();
}

} // namespace modelforge::wire::anthropic
