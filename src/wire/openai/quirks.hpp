#pragma once

#include "limits/charge.hpp"

#include <cstdint>
#include <span>
#include <string_view>

namespace modelforge::wire::openai {

/// What a server does with a field.
enum class support : uint8_t {
  yes,
  ignored, ///< It takes it and does nothing: we leave it out, with a warning.
  no,      ///< It refuses the request: so do we, before it is sent.
};

/// What sets one speaker of OpenAI's format apart from another. The defaults are what most servers take. What they
/// differ in beyond this (words for finish reasons, forms of errors, chunks and usage) is understood from all of them.
struct quirks {
  std::string_view name;                      ///< In TOML (`flavor`), and in messages.
  std::string_view host = {};                 ///< Of its public address; empty: it has none.
  std::string_view base_url = {};             ///< Used where the settings give none.
  std::string_view max_tokens = "max_tokens"; ///< Name of that field of Chat Completions; so are the next two.
  std::string_view seed = "seed";
  std::string_view dimensions = "dimensions"; ///< Of embeddings.
  std::string_view reasoning = {};            ///< Field by which thoughts go back; empty: they do not.
  std::string_view required = "required";     ///< The word for a call of any tool; empty: none can be forced.
  support top_k = support::yes;
  support seeds = support::yes;
  support parallel = support::yes; ///< `parallel_tool_calls`
  bool named_tool = true;          ///< One certain tool can be forced.
  bool json_schema = true;
  bool names = true;             ///< Of participants; else they are left out.
  bool developer = true;         ///< That role; else it is sent as `system`.
  bool stream_options = true;    ///< Else usage comes unasked.
  bool reasoning_object = false; ///< `reasoning` with `effort` and `max_tokens`, in place of `reasoning_effort`.
  bool cache_key = false;        ///< `prompt_cache_key`
  bool embeddings = true;
  bool batches = false;         ///< It runs batch jobs, as far as we are sure.
  bool requests_by_day = false; ///< Its x-ratelimit-limit-requests is for a day.
  bool obfuscation = false;     ///< Its streams are padded, unless asked not to be.
  bool is_strict = false; ///< Keeps to the format as published: streams have a finish reason, and come if asked for.
  limits::output_rule output = limits::output_rule::sum; ///< How max_tokens counts against the token limit.
};

/// Of the servers that are known, each with a name of its own.
std::span<const quirks> known_quirks();

/// Of a server by its name; null where it is not known.
const quirks* quirks_of(std::string_view name);

/// Of the server at a public address; null where it is none of those that are known.
const quirks* quirks_at(std::string_view base_url);

} // namespace modelforge::wire::openai
