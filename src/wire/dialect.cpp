#include "wire/dialect.hpp"

#include "wire/openai.hpp"

namespace modelforge::wire {

const dialect* find_dialect(std::string_view kind) {
  for (auto* x : {&openai(), &openai_compatible()})
    if (x->name() == kind)
      return x;
  return nullptr;
}

} // namespace modelforge::wire
