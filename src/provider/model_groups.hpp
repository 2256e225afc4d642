#pragma once

#include <modelforge/config/settings.hpp>
#include <modelforge/messages/completion.hpp>

#include <cstdint>
#include <optional>
#include <string_view>

/// Models with settings of their own. Group 0 is the provider's own, group i that of the i-th of
/// `provider_settings::models`; a group without limits of its own shares those of group 0.

namespace modelforge::provider {

/// Returns whether `name` matches `pattern`, in which `*` stands for any text and `?` for any one character.
bool matches(std::string_view pattern, std::string_view name);

/// The group of the first pattern that matches `model`.
uint32_t group_of(const provider_settings& settings, std::string_view model);

/// The group whose limits are this one's: its own, where it sets any, else the provider's.
uint32_t limited_as(const provider_settings& settings, uint32_t group);

/// What the models of that group cost.
const price_settings& price_of(const provider_settings& settings, uint32_t group);

/// What an answer of a model of that group cost; empty where no price is set.
std::optional<double> cost_of(const provider_settings& settings, uint32_t group, const token_usage& usage);

} // namespace modelforge::provider
