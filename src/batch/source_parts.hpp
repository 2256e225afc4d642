#pragma once

#include "base/ascii.hpp"
#include "base/text_encoding.hpp"
#include "base/utf8.hpp"
#include "batch/id_set.hpp"
#include "batch/reader.hpp"

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

/// What the sources of a batch's items share.

namespace modelforge::batch {

/// FNV-1a, folded; never 0.
inline uint32_t sum_of(std::string_view line) {
  uint64_t hash = 0xcbf29ce484222325;
  for (unsigned char c : line)
    hash = (hash ^ c) * 0x100000001b3;
  return std::max<uint32_t>(1, static_cast<uint32_t>(hash ^ (hash >> 32)));
}

inline failure refuse(std::string message) {
  failure x;
  x.code = errc::invalid_request;
  x.message = std::move(message);
  return x;
}

/// Why a text cannot be sent as it is; empty: it can. `what`: "line" or "file".
inline std::string text_problem(std::string_view text, const std::string& what) {
  if (!utf8::is_valid(text))
    return "the " + what + " is not UTF-8";
  if (auto line = line_of_nul(text); line > 0)
    return "the " + what + " holds a NUL (a byte 0)" + (line > 1 ? " in its line " + std::to_string(line) : "")
           + ": take it out";
  return {};
}

/// Whether nothing is asked: there is neither a text, but for spaces, nor anything else.
inline bool is_blank(const chat_request& request) {
  auto says_nothing = [](const content_part& part) {
    auto* text = std::get_if<text_part>(&part);
    return text != nullptr && ascii::trim(text->text).empty();
  };
  return std::all_of(request.messages.begin(), request.messages.end(), [&](auto& message) {
    return std::all_of(message.content.begin(), message.content.end(), says_nothing);
  });
}

/// Completes an item: refuses one that asks nothing, or with an id that was used before, and has a failure name the
/// item's `place`, e.g. "in.csv:7".
inline void complete(item& x, id_set& used, const std::string& place) {
  if (!used.insert(x.custom_id) && !std::holds_alternative<failure>(x.request))
    x.request = refuse("the custom_id " + x.custom_id + " has been used by an earlier line");
  if (auto* request = std::get_if<chat_request>(&x.request); request != nullptr && !x.vectors && is_blank(*request))
    x.request = refuse("the prompt is empty: write what to ask, or take it out");
  if (auto* problem = std::get_if<failure>(&x.request))
    problem->message = place + ": " + problem->message;
}

} // namespace modelforge::batch
