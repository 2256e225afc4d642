#include "optimize/prefix.hpp"

#include "limits/token_estimator.hpp"

#include <algorithm>
#include <variant>

namespace modelforge::optimize {

namespace {

constexpr uint64_t image_tokens = 1'100; ///< Of a photo or a screen; providers differ.

} // namespace

void extent::add(std::string_view text) {
  auto is_first = [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; };
  characters += static_cast<uint64_t>(std::count_if(text.begin(), text.end(), is_first));
  tokens += limits::token_estimator::raw(text);
}

void extent::add(const tool_definition& tool) {
  add(tool.name);
  add(tool.description);
  add(tool.parameters);
}

// Images cost tokens, but have no characters that could be compared with a limit of them.
void extent::add(const content_part& part) {
  struct visitor {
    extent& total;
    void operator()(const text_part& text) const { total.add(text.text); }
    void operator()(const image_part&) const { total.tokens += image_tokens; }
    void operator()(const tool_call& call) const {
      total.add(call.name);
      total.add(call.arguments);
    }
    void operator()(const tool_result& result) const { total.add(result.content); }
    void operator()(const reasoning_part& reasoning) const { total.add(reasoning.text); }
  };
  std::visit(visitor{*this}, part);
}

} // namespace modelforge::optimize
