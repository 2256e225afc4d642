#include "node/credentials.hpp"

#include "node/certificate.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>

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

std::string say(const char* which, const std::string& problem) {
  return std::string{"`"} + which + "` in [node.tls]: " + problem;
}

/// A whole file of at most 1 MiB; the text says why not.
std::variant<std::string, std::string> contents_of(const char* which, const std::string& path) {
  constexpr std::size_t max_size = 1u << 20;
  using result = std::variant<std::string, std::string>;
  errno = 0;
  std::ifstream file{path, std::ios::binary};
  std::string text(max_size + 1, '\0');
  if (file)
    file.read(text.data(), static_cast<std::streamsize>(text.size()));
  auto size = static_cast<std::size_t>(file.gcount());
  if (size > max_size)
    return result{std::in_place_index<1>, say(which, path + " is not a PEM file: it is too large")};
  if (size == 0 || file.bad())
    return result{
      std::in_place_index<1>,
      say(which, "cannot read " + path + (errno != 0 ? std::string{": "} + std::strerror(errno) : ": it is empty"))};
  text.resize(size);
  return result{std::in_place_index<0>, std::move(text)};
}

using bio = std::unique_ptr<BIO, decltype(&BIO_free)>;
using x509 = std::unique_ptr<X509, decltype(&X509_free)>;
using pkey = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;

bio reader_of(const std::string& text) {
  return {BIO_new_mem_buf(text.data(), static_cast<int>(text.size())), BIO_free};
}

int no_password(char*, int, int, void*) {
  return 0; // never ask at the terminal
}

std::vector<x509> certificates_in(const std::string& text) {
  std::vector<x509> result;
  auto reader = reader_of(text);
  for (;;) {
    x509 one{PEM_read_bio_X509(reader.get(), nullptr, no_password, nullptr), X509_free};
    if (!one)
      break;
    result.push_back(std::move(one));
  }
  if (!result.empty())
    ERR_clear_error(); // the end of the text
  return result;
}

/// Why `own` would not be believed by a peer that trusts `context`'s authority.
std::optional<std::string> misfit(SSL_CTX* context, X509* own) {
  std::unique_ptr<X509_STORE_CTX, decltype(&X509_STORE_CTX_free)> check{X509_STORE_CTX_new(), X509_STORE_CTX_free};
  STACK_OF(X509)* chain = nullptr;
  SSL_CTX_get0_chain_certs(context, &chain);
  if (!check || X509_STORE_CTX_init(check.get(), SSL_CTX_get_cert_store(context), own, chain) != 1)
    return "OpenSSL cannot be used: " + last_error();
  auto fits = X509_verify_cert(check.get()) == 1;
  ERR_clear_error();
  if (fits)
    return {};
  switch (X509_STORE_CTX_get_error(check.get())) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
      return "it has expired";
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return "it is not valid yet; is the clock right?";
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
      return "the authority in `ca` has not signed it";
    default:
      return X509_verify_cert_error_string(X509_STORE_CTX_get_error(check.get()));
  }
}

/// What is wrong is a whole sentence that names the setting and the file.
using context_or_problem = std::variant<std::shared_ptr<SSL_CTX>, std::string>;

using problem = std::optional<std::string>;

/// Settings of all connections, whatever the files.
std::shared_ptr<SSL_CTX> new_context() {
  std::shared_ptr<SSL_CTX> result{SSL_CTX_new(TLS_method()), SSL_CTX_free};
  if (auto* context = result.get()) {
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_cipher_list(context, "HIGH:!aNULL:!MD5");
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION);
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF); // each link proves itself anew
    SSL_CTX_set_num_tickets(context, 0);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  }
  return result;
}

/// The first certificate is the node's own; others lead from it to the authority.
problem use_certificates(SSL_CTX* context, const std::vector<x509>& own, const std::string& path) {
  if (own.empty() || SSL_CTX_use_certificate(context, own.front().get()) != 1)
    return say("certificate", path + " is not a PEM file with a certificate: " + last_error());
  for (std::size_t i = 1; i < own.size(); ++i)
    SSL_CTX_add1_chain_cert(context, own[i].get());
  return {};
}

problem use_key(SSL_CTX* context, const std::string& text, X509* own, const credential_files& files) {
  auto reader = reader_of(text);
  pkey key{PEM_read_bio_PrivateKey(reader.get(), nullptr, no_password, nullptr), EVP_PKEY_free};
  if (!key)
    return say("key", files.key + " is not a PEM file with a private key without a password: " + last_error());
  if (X509_check_private_key(own, key.get()) == 1 && SSL_CTX_use_PrivateKey(context, key.get()) == 1)
    return {};
  ERR_clear_error();
  return say("key", files.key + " is not the key of the certificate in " + files.certificate);
}

problem use_authorities(SSL_CTX* context, const std::string& text, const std::string& path) {
  auto authorities = certificates_in(text);
  if (authorities.empty())
    return say("ca", path + " is not a PEM file with certificates: " + last_error());
  for (auto& one : authorities) {
    X509_STORE_add_cert(SSL_CTX_get_cert_store(context), one.get());
    SSL_CTX_add_client_CA(context, one.get());
  }
  ERR_clear_error(); // an authority that is there twice does no harm
  return {};
}

/// A certificate that peers would refuse is found here, where the files can be mended, rather than at each of them.
problem check_own(SSL_CTX* context, X509* own, const std::vector<std::string>& names, const std::string& path) {
  if (auto why = misfit(context, own))
    return say("certificate", path + " cannot be used: " + *why);
  auto has = names_of(*own);
  auto is_ours = [&](auto& name) { return may_be_called(has, name); };
  if (names.empty() || std::any_of(names.begin(), names.end(), is_ours))
    return {};
  return say("certificate", path + " is that of " + list_of(has) + ", and this node is called " + list_of(names)
                              + "; name it so, or set `verify_names = false` on all nodes");
}

/// Reads all three files before anything is made of them: what is wrong first is what the text says.
context_or_problem read_all(const credential_files& files, const std::vector<std::string>& names) {
  std::array<std::string, 3> texts;
  const std::array<std::pair<const char*, const std::string*>, 3> all{
    {{"certificate", &files.certificate}, {"key", &files.key}, {"ca", &files.ca}}};
  for (std::size_t i = 0; i < all.size(); ++i) {
    auto text = contents_of(all[i].first, *all[i].second);
    if (text.index() == 1)
      return std::get<1>(std::move(text));
    texts[i] = std::get<0>(std::move(text));
  }
  ERR_clear_error();
  auto made = new_context();
  if (!made)
    return "OpenSSL cannot be used: " + last_error();
  auto* context = made.get();
  auto own = certificates_in(texts[0]);
  if (auto why = use_certificates(context, own, files.certificate))
    return *std::move(why);
  if (auto why = use_key(context, texts[1], own.front().get(), files))
    return *std::move(why);
  if (auto why = use_authorities(context, texts[2], files.ca))
    return *std::move(why);
  if (auto why = check_own(context, own.front().get(), names, files.certificate))
    return *std::move(why);
  return made;
}

} // namespace

std::variant<std::shared_ptr<credentials>, std::string> credentials::load(const credential_files& files,
                                                                          std::vector<std::string> names) {
  std::shared_ptr<credentials> result{new credentials{files, std::move(names)}};
  if (auto problem = result->read(result->look()))
    return std::move(*problem);
  return result;
}

// Called for each connection. Files that have changed are read then; if they cannot be used, what was read before stays
// in use, and `problem` says why.
std::shared_ptr<ssl_ctx_st> credentials::context(time_point now) {
  std::lock_guard guard{mutex_};
  if (now >= looked_ + look_interval) {
    looked_ = now;
    if (auto found = look(); found != read_)
      read(std::move(found));
    else
      problem_.clear();
  }
  return context_;
}

std::optional<std::string> credentials::reload() {
  std::lock_guard guard{mutex_};
  return read(look());
}

std::chrono::seconds credentials::valid_for() const {
  std::lock_guard guard{mutex_};
  int days = 0, seconds = 0;
  auto* end = X509_get0_notAfter(SSL_CTX_get0_certificate(context_.get()));
  if (ASN1_TIME_diff(&days, &seconds, nullptr, end) != 1)
    return {};
  return std::max<std::chrono::seconds>(std::chrono::hours{24 * days} + std::chrono::seconds{seconds}, {});
}

std::string credentials::fingerprint() const {
  std::lock_guard guard{mutex_};
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  if (X509_digest(SSL_CTX_get0_certificate(context_.get()), EVP_sha256(), digest.data(), &size) != 1)
    return {}; // no memory
  return {digest.begin(), digest.begin() + size};
}

std::string credentials::problem() const {
  std::lock_guard guard{mutex_};
  return problem_;
}

/// The signature is taken before the files are read: one that is written meanwhile is read again.
credentials::signature credentials::look() const {
  signature result;
  for (auto* path : {&files_.certificate, &files_.key, &files_.ca}) {
    struct stat info {};
    if (stat(path->c_str(), &info) != 0)
      info = {};
    for (long long part : {static_cast<long long>(info.st_dev), static_cast<long long>(info.st_ino),
                           static_cast<long long>(info.st_size), static_cast<long long>(info.st_mtim.tv_sec),
                           static_cast<long long>(info.st_mtim.tv_nsec), static_cast<long long>(info.st_ctim.tv_sec),
                           static_cast<long long>(info.st_ctim.tv_nsec)})
      result.push_back(part);
  }
  return result;
}

// All or nothing: the new context replaces the old one when everything fits.
std::optional<std::string> credentials::read(signature now) {
  auto made = read_all(files_, names_);
  if (auto* problem = std::get_if<std::string>(&made)) {
    problem_ = *problem;
    return std::move(*problem);
  }
  context_ = std::get<0>(std::move(made));
  read_ = std::move(now);
  problem_.clear();
  return {};
}

} // namespace modelforge::node
