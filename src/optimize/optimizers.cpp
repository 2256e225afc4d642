#include "optimize/optimizers.hpp"

#include "optimize/markers.hpp"
#include "optimize/strategies.hpp"

#include <utility>

namespace modelforge::optimize {

namespace {

/// Lets one try. Returns whether it threw, and then why.
std::optional<std::string> attempt(const optimizer& by, chat_request& x, std::optional<std::string>& what) {
  try {
    what = by.apply(x);
    return {};
  } catch (const std::exception& why) {
    return why.what();
  } catch (...) {
    return "something that is no std::exception";
  }
}

} // namespace

list make_optimizers(const wire::optimizable& is, const options& x) {
  list result;
  if (is.cache_key && x.prompt_cache_key) // before the structure: it wants to see the markers
    result.push_back(prompt_cache_key(x.min_cache_length, x.min_cache_tokens));
  if (x.cache_prompt_structure)
    result.push_back(is.cache_marks ? marked_structure(x.min_cache_length, x.min_cache_tokens) : plain_structure());
  if (is.json_object && x.json_mode_auto)
    result.push_back(json_mode(is.json_word_in_input));
  if (is.seed && x.enable_seed)
    result.push_back(fixed_seed(x.seed));
  if (is.keep_alive && x.keep_alive.count() > 0)
    result.push_back(keep_alive(x.keep_alive));
  return result;
}

outcome apply(const list& all, chat_request& x) {
  outcome result;
  std::optional<chat_request> good; // the last state that is worth going back to
  if (!all.empty())
    good = x;
  for (auto& by : all) {
    std::optional<std::string> what;
    if (auto why = attempt(*by, x, what)) {
      x = *good;
      result.failed.push_back(std::string{by->name()} + ": " + *why);
      result.warnings.push_back("optimizer " + result.failed.back() + "; it changed nothing");
    } else if (what) {
      x.id = good->id;
      if (!result.original)
        result.original = std::move(good);
      good = x;
      result.changes.push_back(std::string{by->name()} + ": " + *what);
    }
  }
  for (auto& warning : remove_markers(x))
    result.warnings.push_back(std::move(warning));
  return result;
}

} // namespace modelforge::optimize
