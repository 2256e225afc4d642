#include "tests/support/authority.hpp"

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

namespace modelforge::test {

struct authority::parts {
  EVP_PKEY* key = EVP_EC_gen("P-256");
  X509* certificate = nullptr;
  long serial = 1;

  ~parts() {
    X509_free(certificate);
    EVP_PKEY_free(key);
  }
};

namespace {

template <class Write>
std::string text_by(Write write) {
  auto* memory = BIO_new(BIO_s_mem());
  write(memory);
  char* text = nullptr;
  auto size = BIO_get_mem_data(memory, &text);
  std::string result{text, static_cast<std::size_t>(size)};
  BIO_free(memory);
  return result;
}

X509* make(const std::string& name, long serial, int begins, int ends, EVP_PKEY* key) {
  auto* x = X509_new();
  X509_set_version(x, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(x), serial);
  X509_gmtime_adj(X509_getm_notBefore(x), begins * 3600L);
  X509_gmtime_adj(X509_getm_notAfter(x), ends * 3600L);
  X509_set_pubkey(x, key);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
  return x;
}

void extend(X509* x, int id, const std::string& value) {
  auto* extension = X509V3_EXT_conf_nid(nullptr, nullptr, id, value.c_str());
  X509_add_ext(x, extension, -1);
  X509_EXTENSION_free(extension);
}

} // namespace

authority::authority() : parts_(std::make_unique<parts>()) {
  auto* x = make("authority of a test", 1, -1000, 1000, parts_->key);
  X509_set_issuer_name(x, X509_get_subject_name(x));
  extend(x, NID_basic_constraints, "critical,CA:TRUE");
  X509_sign(x, parts_->key, EVP_sha256());
  parts_->certificate = x;
}

authority::~authority() = default;

authority::pair authority::certify(const std::string& name, int begins, int ends, const std::string& dns) {
  auto* key = EVP_EC_gen("P-256");
  auto* x = make(name, ++parts_->serial, begins, ends, key);
  X509_set_issuer_name(x, X509_get_subject_name(parts_->certificate));
  if (!dns.empty())
    extend(x, NID_subject_alt_name, "DNS:" + dns);
  X509_sign(x, parts_->key, EVP_sha256());
  pair result{text_by([&](BIO* to) { PEM_write_bio_X509(to, x); }),
              text_by([&](BIO* to) { PEM_write_bio_PrivateKey(to, key, nullptr, nullptr, 0, nullptr, nullptr); })};
  X509_free(x);
  EVP_PKEY_free(key);
  return result;
}

std::string authority::certificate() const {
  return text_by([&](BIO* to) { PEM_write_bio_X509(to, parts_->certificate); });
}

} // namespace modelforge::test
