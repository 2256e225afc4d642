#pragma once

#include "tools/doctor/facts.hpp"
#include "tools/doctor/finding.hpp"

#include <modelforge/config/load.hpp>

#include <cstdint>
#include <string>
#include <vector>

/// The checks of `modelforge doctor`: each judges facts that somebody else has gathered, and looks at nothing itself.
/// Where nothing is said there is nothing worth saying.

namespace modelforge::doctor {

// -- of the configuration ----------------------------------------------------------------

/// What reading the configuration has brought to light. Messages in `told_elsewhere` are left out: other checks tell
/// them with their remedies.
std::vector<finding> judge_configuration(const load_result& loaded, const std::vector<std::string>& told_elsewhere);

/// Settings that are right one by one, and make no sense together.
std::vector<finding> judge_settings(const settings& all);

/// A key: that it is there, and that others cannot read its file. `user`: whose process this is.
std::vector<finding> judge_key(const key_facts& key, uint32_t user);

// -- of the network ------------------------------------------------------------------------

finding judge_host(const host_facts& host);

std::vector<finding> judge_proxy(const proxy_facts& proxy);

finding judge_trust(const trust_facts& trust);

/// Whether a provider answers, takes the key, and has the models that the settings name.
std::vector<finding> judge_answer(const answer_facts& answer);

// -- of the machine --------------------------------------------------------------------------

/// A clock that is wrong by more than this may be told so.
inline constexpr auto clock_tolerance = std::chrono::minutes{2};

/// By this much certificates and the use of limits are judged wrongly.
inline constexpr auto clock_bound = std::chrono::hours{24};

std::vector<finding> judge_clock(const clock_facts& clock);

std::vector<finding> judge_folder(const folder_facts& folder, uint32_t user);

std::vector<finding> judge_limits_file(const limits_file_facts& file, uint32_t user);

std::vector<finding> judge_ledger(const ledger_facts& ledger, uint32_t user);

finding judge_descriptors(const descriptor_facts& descriptors);

finding judge_port(const port_facts& port);

std::vector<finding> judge_certificate(const certificate_facts& certificate, uint32_t user);

/// A file or folder of secrets: warns where others than its owner may look into it, or where it is somebody else's.
std::vector<finding> judge_privacy(const place& place, uint32_t user, const std::string& check);

} // namespace modelforge::doctor
