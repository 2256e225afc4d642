#include "node/certificate.hpp"

#include <algorithm>
#include <memory>
#include <openssl/x509v3.h>

namespace modelforge::node {

namespace {

void add(std::vector<std::string>& names, const ASN1_STRING* text) {
  if (text == nullptr)
    return;
  std::string name{reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
                   static_cast<std::size_t>(ASN1_STRING_length(text))};
  auto fits = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_'
           || c == '.';
  };
  if (!name.empty() && name.size() <= 64 && std::all_of(name.begin(), name.end(), fits)
      && std::find(names.begin(), names.end(), name) == names.end())
    names.push_back(std::move(name));
}

} // namespace

// Wildcards and names with other characters could be no node's, so they are left out rather than compared.
std::vector<std::string> names_of(const X509& certificate) {
  std::vector<std::string> result;
  auto* subject = X509_get_subject_name(&certificate);
  for (int i = -1; (i = X509_NAME_get_index_by_NID(subject, NID_commonName, i)) >= 0;)
    add(result, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, i)));
  std::unique_ptr<GENERAL_NAMES, decltype(&GENERAL_NAMES_free)> others{
    static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(&certificate, NID_subject_alt_name, nullptr, nullptr)),
    GENERAL_NAMES_free};
  for (int i = 0; others && i < sk_GENERAL_NAME_num(others.get()); ++i)
    if (auto* name = sk_GENERAL_NAME_value(others.get(), i); name->type == GEN_DNS)
      add(result, name->d.dNSName);
  return result;
}

bool may_be_called(const std::vector<std::string>& names, std::string_view node) {
  auto has = [&](std::string_view wanted) { return std::find(names.begin(), names.end(), wanted) != names.end(); };
  if (has(node))
    return true;
  auto dot = node.rfind('.');
  if (dot == node.npos || dot + 1 == node.size())
    return false;
  auto number = node.substr(dot + 1);
  return std::all_of(number.begin(), number.end(), [](char c) { return c >= '0' && c <= '9'; })
         && has(node.substr(0, dot));
}

std::string list_of(const std::vector<std::string>& names) {
  std::string result;
  for (auto& name : names)
    result += (&name == &names.front() ? "\"" : &name == &names.back() ? " and \"" : ", \"") + name + "\"";
  return result.empty() ? "nobody" : result;
}

} // namespace modelforge::node
