#include "optimize/optimizers.hpp"

#include "optimize/markers.hpp"
#include "optimize/strategies.hpp"

#include <utility>

/// Which optimizers a provider has, and what becomes of a request that goes through them.

namespace modelforge::optimize {

namespace {

/// Lets one try. Returns whether it threw, and then why.
std::optional<std::string> attempt(const optimizer& optimizer, chat_request& request,
                                   std::optional<std::string>& change) {
  try {
    change = optimizer.apply(request);
    return {};
  } catch (const std::exception& error) {
    return error.what();
  } catch (...) {
    return "something that is not a std::exception";
  }
}

} // namespace

// The order matters, since each sees what the ones before it have made of the request.
list make_optimizers(const wire::optimizable& target, const options& options) {
  list result;
  if (target.cache_key && options.prompt_cache_key) // before the structure: it wants to see the markers
    result.push_back(prompt_cache_key(options.min_cache_length, options.min_cache_tokens));
  if (options.cache_prompt_structure)
    result.push_back(target.cache_marks ? marked_structure(options.min_cache_length, options.min_cache_tokens)
                                        : plain_structure());
  if (target.json_object && options.json_mode_auto)
    result.push_back(json_mode(target.json_word_in_input));
  if (target.seed && options.enable_seed)
    result.push_back(fixed_seed(options.seed));
  if (target.keep_alive && options.keep_alive.count() > 0)
    result.push_back(keep_alive(options.keep_alive));
  return result;
}

// One that throws has changed nothing: the request goes back to its last good state, and on without it, since an answer
// that costs more is better than none. Nobody but the caller names a request, so its id is put back, too.
outcome apply(const pipeline& all, chat_request& request) {
  outcome result;
  if (!all)
    return result;
  std::optional<chat_request> good; // the last state that is worth going back to
  if (!all->empty())
    good = request;
  for (auto& optimizer : *all) {
    std::optional<std::string> change;
    if (auto problem = attempt(*optimizer, request, change)) {
      request = *good;
      result.failed.push_back(std::string{optimizer->name()} + ": " + *problem);
      result.warnings.push_back("optimizer " + result.failed.back() + "; it changed nothing");
    } else if (change) {
      request.id = good->id;
      if (!result.original)
        result.original = std::move(good);
      good = request;
      result.changes.push_back(std::string{optimizer->name()} + ": " + *change);
    }
  }
  for (auto& warning : remove_markers(request))
    result.warnings.push_back(std::move(warning));
  return result;
}

} // namespace modelforge::optimize
