#pragma once

#include <string>
#include <string_view>
#include <vector>

struct x509_st; // OpenSSL's

namespace modelforge::node {

/// The names that a certificate gives its owner: the subject's common name and the DNS names. Those that could be no
/// node's name (letters, digits, `-`, `_` and `.`) are left out.
std::vector<std::string> names_of(const x509_st& certificate);

/// Whether somebody whose certificate has these names may be called `node`: that is one of them, or one with `.` and
/// digits behind it, as short-lived programs beside a node are called. (No node's own name has a `.`.)
bool may_be_called(const std::vector<std::string>& names, std::string_view node);

/// For people: `"a" and "b"`; nothing: `nobody`.
std::string list_of(const std::vector<std::string>& names);

} // namespace modelforge::node
