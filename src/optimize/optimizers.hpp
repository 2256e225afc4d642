#pragma once

#include "wire/optimizable.hpp"

#include <modelforge/messages/chat_request.hpp>
#include <modelforge/optimize/optimizer.hpp>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace modelforge::optimize {

/// Which of our own optimizers are wanted, and how.
struct options {
  bool enable_seed = true;
  int64_t seed = 42;
  bool json_mode_auto = true;
  bool prompt_cache_key = true;
  bool cache_prompt_structure = true;
  uint32_t min_cache_length = 1024; ///< Characters.
  uint32_t min_cache_tokens = 0;    ///< 0: as it is known of the model.
  std::chrono::seconds keep_alive{0};
};

using list = std::vector<std::shared_ptr<const optimizer>>;

/// What a provider's requests go through; nothing where optimizations are off: then markers are text as any other.
using pipeline = std::optional<list>;

/// Makes those of our own that fit a provider, in the order in which they are to be applied.
list make_optimizers(const wire::optimizable& target, const options& options);

/// Makes the one that a host has registered under that name, or says why there is none.
std::variant<std::shared_ptr<const optimizer>, std::string> make_registered(std::string_view name);

struct outcome {
  std::vector<std::string> changes;     ///< "NAME: what", for the answer.
  std::vector<std::string> warnings;    ///< For the answer.
  std::vector<std::string> failed;      ///< "NAME: why", for each that threw; these are among the warnings too.
  std::optional<chat_request> original; ///< What the request was, if anything changed.
};

/// Applies them one after the other; what one that throws has done is undone. Then takes the markers out that are left,
/// also where the list is empty, but not where there is none.
outcome apply(const pipeline& all, chat_request& request);

} // namespace modelforge::optimize
