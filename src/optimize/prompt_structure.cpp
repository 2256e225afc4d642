#include "optimize/extra.hpp"
#include "optimize/markers.hpp"
#include "optimize/prefix.hpp"
#include "optimize/strategies.hpp"

#include <algorithm>
#include <array>
#include <iterator>
#include <string_view>
#include <utility>
#include <variant>

/// `cache_prompt_structure`: providers cache prompts by their beginning, so whatever is the same in many requests has
/// to come first; some want to be told where it ends.

namespace modelforge::optimize {

namespace {

/// Assistants' turns must go back as they were.
bool may_be_structured(const chat_message& message) {
  return (is_instruction(message) || message.role == role::user) && marking_of(message) == marking::good;
}

bool is_space(char c) {
  return is_blank({&c, 1});
}

/// Sees to it that what now follows a text does not run into its last word.
void separate(std::vector<content_part>& parts) {
  auto* text = parts.empty() ? nullptr : std::get_if<text_part>(&parts.back());
  if (text != nullptr && !text->text.empty() && !is_space(text->text.back()))
    text->text += '\n';
}

void append(std::vector<content_part>& parts, std::vector<content_part> more) {
  std::move(more.begin(), more.end(), std::back_inserter(parts));
}

bool is_text(const content_part& part) {
  return std::holds_alternative<text_part>(part);
}

/// Joins the texts that one was cut into: some servers take one text alone.
void join_texts(std::vector<content_part>& parts) {
  text_part all;
  for (auto& part : parts) {
    auto& text = std::get<text_part>(part);
    all.text += text.text;
    all.cache = all.cache || text.cache;
  }
  parts.assign(1, std::move(all));
}

/// Puts what is static first. `keep_apart`: as a part of its own. Returns how many parts are static.
std::size_t rearrange(chat_message& message, bool keep_apart) {
  auto was_text = message.content.size() == 1 && is_text(message.content[0]);
  auto parts = sections_of(message);
  if (!parts.ahead.empty()) { // something moves
    separate(parts.stable);
    separate(parts.ahead);
  }
  auto count = parts.stable.size();
  append(parts.stable, std::move(parts.ahead));
  append(parts.stable, std::move(parts.varying));
  message.content = std::move(parts.stable);
  if (!keep_apart && was_text)
    join_texts(message.content);
  return count;
}

bool has_something_ahead(const chat_message& message) {
  auto parts = sections_of(message);
  return !parts.ahead.empty() && !parts.stable.empty();
}

/// For providers that find equal prefixes themselves: it is enough that what is static comes first.
class plain_structure_optimizer : public optimizer {
public:
  std::string_view name() const override { return "cache_prompt_structure"; }

  std::optional<std::string> apply(chat_request& request) const override {
    std::string moved;
    for (std::size_t i = 0; i < request.messages.size(); ++i)
      if (auto& message = request.messages[i]; may_be_structured(message) && has_something_ahead(message)) {
        rearrange(message, false);
        moved += (moved.empty() ? "messages[" : ", messages[") + std::to_string(i) + "]";
      }
    if (moved.empty())
      return {};
    return "static part first in " + moved;
  }
};

/// The least prefix that Anthropic caches, by model; below it a mark does nothing. First match counts.
struct cache_minimum {
  std::string_view part; ///< Of the model's name.
  uint32_t tokens;
};

constexpr auto cache_minimums = std::to_array<cache_minimum>({{"opus-5", 512},
                                                              {"fable-5", 512},
                                                              {"mythos-5", 512},
                                                              {"opus-4-7", 2048},
                                                              {"opus-4-6", 4096},
                                                              {"opus-4-5", 4096},
                                                              {"haiku-4-5", 4096},
                                                              {"3-5-haiku", 2048},
                                                              {"3-haiku", 2048}});
constexpr uint32_t usual_minimum = 1024; ///< Of all other models, as far as is known.

uint32_t cache_minimum_of(std::string_view model) {
  for (auto& minimum : cache_minimums)
    if (model.find(minimum.part) != model.npos)
      return minimum.tokens;
  return usual_minimum;
}

/// What `cache` of a part is, for those that can be marked.
bool* mark_of(content_part& part) {
  struct visitor {
    bool* operator()(text_part& x) const { return is_blank(x.text) ? nullptr : &x.cache; }
    bool* operator()(image_part& x) const { return &x.cache; }
    bool* operator()(tool_result& x) const { return &x.cache; }
    bool* operator()(tool_call&) const { return nullptr; }
    bool* operator()(reasoning_part&) const { return nullptr; }
  };
  return std::visit(visitor{}, part);
}

bool is_marked(const content_part& part) {
  return std::visit(
    [](auto& content) {
      if constexpr (requires { content.cache; })
        return content.cache;
      else
        return false;
    },
    part);
}

/// For Anthropic, which caches up to a mark and takes four of them: moves static parts to the front and places marks
/// behind what will come again.
class marked_structure_optimizer : public optimizer {
public:
  marked_structure_optimizer(uint32_t min_length, uint32_t min_tokens)
    : min_length_(min_length), min_tokens_(min_tokens) {}

  std::string_view name() const override { return "cache_prompt_structure"; }

  std::optional<std::string> apply(chat_request& request) const override {
    plan marks{request, min_length_, min_tokens_ > 0 ? min_tokens_ : cache_minimum_of(request.model)};
    return marks.run();
  }

private:
  static constexpr std::size_t max_marks = 4;

  /// Places the marks in one request.
  ///
  /// Goes through the prompt once, in the order in which the provider reads it (tools, instructions, conversation), and
  /// adds up its size. With markers, marks go behind each static part. Without, behind the tools, the instructions, and
  /// one or two turns (`plan_turns`). A mark is worth nothing where the prefix is smaller than what the provider
  /// caches, and the host's own marks are left alone: it knows better.
  class plan {
    static constexpr std::string_view extra_fields[] = {"cache_control", "tools", "system", "messages"};

  public:
    plan(chat_request& request, uint64_t min_length, uint64_t min_tokens)
      : request_(request), min_length_(min_length), min_tokens_(min_tokens),
        by_host_(has_marks() || has_extra_prompt()) {
      for (auto& tool : request_.tools)
        size_.add(tool);
    }

    std::optional<std::string> run() {
      auto structured = std::any_of(request_.messages.begin(), request_.messages.end(), may_be_structured);
      if (!structured && by_host_)
        return {};
      if (!structured && !request_.tools.empty())
        mark(request_.tools.back().cache, size_, "the tools");
      walk([](auto& message) { return is_instruction(message); });
      if (!structured && last_ != nullptr)
        mark(*last_, size_, "the system prompt");
      if (!structured)
        plan_turns();
      walk([](auto& message) { return !is_instruction(message); });
      if (moved_.empty() && marked_.empty())
        return {};
      return moved_ + (moved_.empty() || marked_.empty() ? "" : "; ") + marked_;
    }

  private:
    bool has_marks() const {
      for (auto& tool : request_.tools)
        if (tool.cache)
          return true;
      for (auto& message : request_.messages)
        for (auto& part : message.content)
          if (is_marked(part))
            return true;
      return false;
    }

    /// A part of the prompt comes by `extra`, perhaps with marks.
    bool has_extra_prompt() const {
      return std::any_of(std::begin(extra_fields), std::end(extra_fields),
                         [&](auto name) { return has_extra(request_, name); });
    }

    /// Goes through the messages of one kind: instructions come first in the prompt, wherever they stand here.
    template <class Is>
    void walk(Is is_chosen) {
      last_ = nullptr;
      for (std::size_t i = 0; i < request_.messages.size(); ++i)
        if (is_chosen(request_.messages[i]))
          visit(i);
    }

    void visit(std::size_t i) {
      auto& message = request_.messages[i];
      if (may_be_structured(message))
        return visit_structured(i);
      for (auto& part : message.content) {
        size_.add(part);
        if (auto* markable = mark_of(part))
          last_ = markable;
      }
      if (last_ != nullptr && std::find(turns_.begin(), turns_.end(), i + 1) != turns_.end())
        mark(*last_, size_, "the conversation up to messages[" + std::to_string(i) + "]");
    }

    /// What is neither to be moved nor to be marked is left as it is: its markers go in the end.
    void visit_structured(std::size_t i) {
      auto changed = request_.messages[i];
      auto place = "messages[" + std::to_string(i) + "]";
      auto moves = has_something_ahead(changed);
      auto count = rearrange(changed, true);
      auto before = size_.characters;
      auto is_marked = false;
      for (std::size_t k = 0; k < changed.content.size(); ++k) {
        size_.add(changed.content[k]);
        if (auto* where = mark_of(changed.content[k]);
            where != nullptr && k + 1 == count && !by_host_ && size_.characters - before >= min_length_)
          is_marked = mark(*where, size_, "the static part of " + place);
      }
      if (moves)
        moved_ += (moved_.empty() ? "static part first in " : ", ") + place;
      if (moves || is_marked)
        request_.messages[i] = std::move(changed);
    }

    /// Finds up to two ends of what will come again: where the next request of this conversation begins to differ, and
    /// where this one began to differ from the one before, whose mark was there. (The provider looks back for earlier
    /// marks over a few parts only.)
    void plan_turns() {
      auto end = stable_end(request_.messages.size());
      if (end == 0)
        return;
      turns_.push_back(end);
      auto previous = end; // of the request before this one
      while (previous > 0 && is_asking(request_.messages[previous - 1]))
        --previous;
      while (previous > 0 && !is_asking(request_.messages[previous - 1]))
        --previous;
      if (auto earlier = stable_end(previous); earlier > 0 && earlier < end)
        turns_.push_back(earlier);
    }

    static bool is_asking(const chat_message& message) {
      return message.role == role::user || message.role == role::tool;
    }

    /// How many of the first `size` messages will be sent again, if these are a request. A new question may be the
    /// last one; what a tool answered goes back with the next call.
    std::size_t stable_end(std::size_t size) const {
      auto is_new = [](auto& x) { return x.role == role::user || is_instruction(x); };
      while (size > 0 && is_instruction(request_.messages[size - 1]))
        --size;
      if (size == 0 || !is_new(request_.messages[size - 1]))
        return size;
      --size;
      while (size > 0 && is_instruction(request_.messages[size - 1]))
        --size;
      return size;
    }

    bool mark(bool& where, const extent& size, std::string_view name) {
      if (where || marks_ == max_marks || size.characters < min_length_ || likely(size.tokens) < min_tokens_)
        return false;
      where = true;
      ++marks_;
      marked_ += (marked_.empty() ? "marked for the cache: " : ", ") + std::string{name} + " (about "
                 + std::to_string(likely(size.tokens)) + " tokens)";
      return true;
    }

    /// Claude's tokens are smaller than those that the estimate was fitted to, by 15 % or more.
    static uint64_t likely(uint64_t tokens) { return tokens + tokens * 15 / 100; }

    chat_request& request_;
    uint64_t min_length_;
    uint64_t min_tokens_;
    bool by_host_; ///< It has placed marks itself, and knows better.
    extent size_;  ///< Of the prompt so far.
    bool* last_ = nullptr;
    std::vector<std::size_t> turns_; ///< Messages up to these (exclusive) end in a mark.
    std::size_t marks_ = 0;
    std::string moved_;  ///< What was, in words.
    std::string marked_; ///< The same.
  };

  uint64_t min_length_;
  uint64_t min_tokens_;
};

} // namespace

std::shared_ptr<const optimizer> plain_structure() {
  return std::make_shared<plain_structure_optimizer>();
}

std::shared_ptr<const optimizer> marked_structure(uint32_t min_length, uint32_t min_tokens) {
  return std::make_shared<marked_structure_optimizer>(min_length, min_tokens);
}

} // namespace modelforge::optimize
