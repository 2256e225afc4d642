#include "tools/cli/sampling_options.hpp"

#include "base/ascii.hpp"
#include "wire/extra_field.hpp"

#include <cstdint>
#include <limits>
#include <utility>
#include <variant>

namespace modelforge::cli {

namespace {

/// Takes NAME=VALUE; the last one of a name counts. Returns what is wrong with it, or "".
std::string take_option(const std::string& text, std::map<std::string, std::string>& options) {
  auto read = wire::read_extra_field(text);
  if (auto* problem = std::get_if<std::string>(&read))
    return *problem;
  auto& field = std::get<wire::extra_field>(read);
  if (field.name == "stream")
    return "stream cannot be given here: `chat` streams unless --no-stream is given, and batches do not";
  options[field.name] = field.value;
  return {};
}

} // namespace

void sampling_options::apply(chat_request& request) const {
  request.sampling = sampling;
  std::string fields;
  for (auto& [name, value] : options)
    fields += (fields.empty() ? "\"" : ",\"") + name + "\":" + value;
  if (!fields.empty())
    request.extra = "{" + fields + "}";
}

// `extra` is what hosts call it.
std::string sampling_options::in_words_of_user(std::string text) const {
  auto is_of_name = [](char c) { return ascii::is_alnum(c) || c == '_' || c == '-'; };
  auto replace = [&](std::string_view what, auto words) {
    for (auto at = text.find(what); at != text.npos; at = text.find(what, at + 1)) {
      auto begin = at + what.size();
      auto end = begin;
      while (end < text.size() && is_of_name(text[end]))
        ++end;
      if (at == 0 || !is_of_name(text[at - 1]))
        text.replace(at, end - at, words(text.substr(begin, end - begin)));
    }
  };
  auto source = [this](const std::string& name) {
    return options.count(name) > 0 ? "--option " + name : name + " in `options` of the configuration";
  };
  replace("extra replaces the request's own ", [&](auto name) { return source(name) + " replaces the request's own"; });
  replace("extra.", source);
  for (auto at = text.find("use "); at != text.npos; at = text.find("use ", at + 1))
    if (auto end = text.find(" in extra", at); end != text.npos && text.find(' ', at + 4) == end)
      text.replace(at, end + 9 - at, "use --option " + text.substr(at + 4, end - at - 4));
  return text;
}

failure sampling_options::in_words_of_user(failure why) const {
  why.message = in_words_of_user(std::move(why.message));
  why.suggestion = in_words_of_user(std::move(why.suggestion));
  return why;
}

void add_sampling(command& command, sampling_options& given) {
  auto& sampling = given.sampling;
  command.number("--max-tokens", sampling.max_tokens, "Maximum tokens of the answer, thinking included", "N", 1u,
                 std::numeric_limits<uint32_t>::max());
  command.number("--temperature", sampling.temperature, "How freely words are chosen; most providers take 0 to 2", "X",
                 0.0, 100.0);
  command
    .number("--top-p", sampling.top_p, "Share of the most probable words that are considered, 0 to 1", "X", 0.0, 1.0)
    .above_zero("--temperature 0 takes the most probable word each time");
  command.number("--seed", sampling.seed, "The same seed makes the same answer likely", "N");
  command.texts("--stop", sampling.stop, "Text that ends the answer; may be repeated", "TEXT");
  command.text("--effort", sampling.reasoning_effort, "How hard the model thinks: none, low, medium, high, ...",
               "LEVEL");
  command.repeated(
    "--option", [&given](const std::string& text) { return take_option(text, given.options); },
    "Further field of the provider's request; VALUE is JSON, or else a text; may be repeated", "NAME=VALUE");
}

} // namespace modelforge::cli
