#include "node/credentials.hpp"

#include <array>
#include <fstream>
#include <memory>
#include <openssl/err.h>
#include <openssl/ssl.h>

namespace modelforge::node {

namespace {

std::string last_error() {
  auto code = ERR_get_error();
  ERR_clear_error();
  std::array<char, 256> text{};
  ERR_error_string_n(code, text.data(), text.size());
  auto* reason = ERR_reason_error_string(code);
  return reason != nullptr ? reason : text.data();
}

std::optional<std::string> unreadable(const char* which, const std::string& path) {
  if (std::ifstream in{path}; in && in.peek() != std::ifstream::traits_type::eof())
    return {};
  return std::string{"`"} + which + "` in [node.tls]: cannot read " + path;
}

} // namespace

std::optional<std::string> problem_of_credentials(const std::string& certificate, const std::string& key,
                                                  const std::string& ca) {
  if (auto problem = unreadable("certificate", certificate))
    return problem;
  if (auto problem = unreadable("key", key))
    return problem;
  if (auto problem = unreadable("ca", ca))
    return problem;
  std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context{SSL_CTX_new(TLS_method()), SSL_CTX_free};
  if (!context)
    return "OpenSSL cannot be used: " + last_error();
  SSL_CTX_set_default_passwd_cb(context.get(), [](char*, int, int, void*) { return 0; }); // never ask at the terminal
  auto bad = [](const char* which, const std::string& path) {
    return std::string{"`"} + which + "` in [node.tls]: " + path + " is no PEM file that fits: " + last_error();
  };
  if (SSL_CTX_use_certificate_chain_file(context.get(), certificate.c_str()) != 1)
    return bad("certificate", certificate);
  if (SSL_CTX_use_PrivateKey_file(context.get(), key.c_str(), SSL_FILETYPE_PEM) != 1)
    return bad("key", key); // says so, too, when it is not the certificate's
  if (SSL_CTX_load_verify_locations(context.get(), ca.c_str(), nullptr) != 1)
    return bad("ca", ca);
  return {};
}

} // namespace modelforge::node
