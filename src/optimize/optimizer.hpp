#pragma once

#include <modelforge/messages/chat_request.hpp>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace modelforge {

/// Changes requests on their way to a provider, so that they cost less or fail less. One object serves all requests
/// and threads, so it must be stateless or synchronized.
class optimizer {
public:
  virtual ~optimizer() = default;

  /// For people: what it changes is listed as "NAME: what" in `completion.optimizations`.
  virtual std::string_view name() const = 0;

  /// Changes the request, whose model is set, and says in a few words what it changed; nothing: it must be as it was.
  /// It must not block: the provider's actor waits. If it throws, the request goes on as it was before, the failure is
  /// counted, and a warning in the answer says so. The id cannot be changed.
  virtual std::optional<std::string> apply(chat_request& request) const = 0;
};

using optimizer_factory = std::function<std::shared_ptr<const optimizer>()>;

/// Makes an optimizer of the host's known under `name`, in place of an earlier one of that name. A provider whose
/// setting `optimizations.custom` lists the name gets one of its own when it is spawned, so register before. From any
/// thread.
void register_optimizer(std::string name, optimizer_factory make);

} // namespace modelforge
