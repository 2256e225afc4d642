#pragma once

#include "config/secret_mask.hpp"
#include "dispatch/dispatcher.hpp"
#include "dispatch/journal.hpp"
#include "http/client.hpp"
#include "limits/accounting.hpp"
#include "optimize/optimizers.hpp"
#include "wire/dialect.hpp"

#include <modelforge/config/secret.hpp>
#include <modelforge/config/settings.hpp>
#include <modelforge/messages/completion.hpp>
#include <modelforge/messages/error.hpp>

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace modelforge {

/// A credential, ready to be sent.
struct provider_key {
  std::string name;                  ///< For status and errors.
  secret is;                         ///< Empty: none.
  std::vector<http::header> headers; ///< Secret.
};

/// What a provider's actor has used of its limits when it ends, for the one that takes its place. Of any thread.
class limits_legacy {
public:
  struct content {
    limits::time_point left; ///< When.
    std::vector<journal::lane> lanes;
  };

  void leave(content x) {
    std::lock_guard lock{mutex_};
    content_ = std::move(x);
  }

  /// Only once; empty: none has ended since.
  std::optional<content> take() {
    std::lock_guard lock{mutex_};
    return std::exchange(content_, {});
  }

private:
  std::mutex mutex_;
  std::optional<content> content_;
};

/// What a provider actor is made of, checked and ready.
struct provider_parts {
  provider_settings settings;
  runtime_settings runtime;
  std::vector<const wire::dialect*> dialects; ///< By group of models.
  std::string base_url;
  std::vector<provider_key> keys;             ///< At least one; without a credential it has no headers.
  std::vector<http::header> headers;          ///< The configured ones; secret.
  std::shared_ptr<const secret_mask> secrets; ///< All of these; never null.
  std::vector<limits::accounting> accounting; ///< By group of models.
  dispatcher_settings dispatch;
  std::vector<optimize::list> optimizers; ///< By group of models; empty where the settings want none.
  std::optional<journal> limits_journal;  ///< Where what is used of the limits is kept.
  std::shared_ptr<limits_legacy> legacy;  ///< Null: no other actor will take its place.
  std::string problem;                    ///< What does not work, though requests do.
  std::shared_ptr<http::client> transport;
};

/// Gets what the settings name: keys, header values, the dialects. A failure says what is missing. The file that keeps
/// what is used of the limits is left to `open_journal`.
std::variant<provider_parts, failure> prepare_provider(const provider_settings& x, const runtime_settings& runtime);

/// Opens that file, where the settings want one. A failure: it was named, and cannot be had.
std::optional<failure> open_journal(provider_parts& x);

/// Whether a provider with the settings `from` can take over `to` as it runs: where what waits can be sent still,
/// because the same kind of server is asked, or the same one by the same keys.
bool can_become(const provider_settings& from, const provider_settings& to);

/// Whether both have the same lanes, so that limits and the like are all that may differ.
bool same_lanes(const provider_parts& x, const provider_parts& y);

/// What a provider made of `to` has of one made of `from`. `known`: its credentials so far, by number; new ones are
/// added.
dispatcher::heritage heritage_of(const provider_parts& from, const provider_parts& to, std::vector<secret>& known);

/// The group of models whose settings are `model`'s: 0 for the provider's own, i for the i-th of `models`.
uint32_t group_of(const provider_settings& x, std::string_view model);

/// The group whose limits are this one's: its own, where it sets any, else the provider's.
uint32_t limited_as(const provider_settings& x, uint32_t group);

/// What the models of that group cost.
const price_settings& price_of(const provider_settings& x, uint32_t group);

/// What an answer of a model of that group cost; empty where no price is set.
std::optional<double> cost_of(const provider_settings& x, uint32_t group, const token_usage& usage);

/// Returns whether `name` matches `pattern`, in which `*` stands for any text and `?` for any one character.
bool matches(std::string_view pattern, std::string_view name);

/// Name of a lane for status and errors: the key's, and behind a "/" the pattern of a group with limits of its own.
std::string lane_name(const provider_parts& x, uint32_t group, uint32_t key);

} // namespace modelforge
