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

void extent::add(const tool_definition& x) {
  add(x.name);
  add(x.description);
  add(x.parameters);
}

void extent::add(const content_part& part) {
  struct visitor {
    extent& to;
    void operator()(const text_part& x) const { to.add(x.text); }
    void operator()(const image_part&) const { to.tokens += image_tokens; }
    void operator()(const tool_call& x) const {
      to.add(x.name);
      to.add(x.arguments);
    }
    void operator()(const tool_result& x) const { to.add(x.content); }
    void operator()(const reasoning_part& x) const { to.add(x.text); }
  };
  std::visit(visitor{*this}, part);
}

} // namespace modelforge::optimize
