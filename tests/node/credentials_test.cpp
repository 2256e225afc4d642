#include "node/certificate.hpp"
#include "node/credentials.hpp"
#include "tests/support/authority.hpp"
#include "tests/support/temporary_folder.hpp"

#include <catch2/catch_test_macros.hpp>

#include <filesystem>
#include <openssl/ssl.h>

namespace modelforge::credentials_test {

using namespace modelforge::node;
using namespace modelforge::test;
using namespace std::chrono_literals;

namespace {

struct fixture {
  void write(const authority::pair& x) {
    folder.write("node.pem", x.certificate);
    folder.write("node.key", x.key);
  }

  credential_files files() const { return {folder.path("node.pem"), folder.path("node.key"), folder.path("ca.pem")}; }

  /// Why they cannot be used; empty: they can.
  std::string problem(std::vector<std::string> names = {"a"}) const {
    auto result = credentials::load(files(), std::move(names));
    return result.index() == 1 ? std::get<1>(result) : "";
  }

  authority ca;
  temporary_folder folder;
};

std::string serial_of(const std::shared_ptr<SSL_CTX>& x) {
  return std::to_string(ASN1_INTEGER_get(X509_get0_serialNumber(SSL_CTX_get0_certificate(x.get()))));
}

bool has(const std::string& text, const std::string& part) {
  INFO(text);
  return text.find(part) != text.npos;
}

} // namespace

TEST_CASE_METHOD(fixture, "credentials that do not fit are told, with the file and the reason", "[node]") {
  auto good = ca.certify("a");
  folder.write("ca.pem", ca.certificate());
  write(good);
  REQUIRE(problem().empty());
  for (auto* name : {"node.pem", "node.key", "ca.pem"}) {
    auto text = folder.read(name);
    auto key = std::string{name} == "node.pem" ? "certificate" : std::string{name} == "node.key" ? "key" : "ca";
    auto begin = std::string{"`"} + key + "` in [node.tls]: ";
    std::filesystem::remove(folder.path(name));
    CHECK(has(problem(), begin + "cannot read " + folder.path(name) + ": No such file or directory"));
    folder.write(name, "");
    CHECK(has(problem(), begin + "cannot read " + folder.path(name) + ": it is empty"));
    folder.write(name, "rubbish\n");
    CHECK(has(problem(), begin + folder.path(name) + " is not a PEM file"));
    folder.write(name, text.substr(0, text.size() / 2));
    CHECK(has(problem(), begin + folder.path(name) + " is not a PEM file"));
    folder.write(name, std::string(2u << 20, 'x'));
    CHECK(has(problem(), begin + folder.path(name) + " is not a PEM file: it is too large"));
    std::filesystem::remove(folder.path(name));
    std::filesystem::create_directory(folder.path(name));
    CHECK(has(problem(), begin + "cannot read " + folder.path(name)));
    std::filesystem::remove(folder.path(name));
    folder.write(name, text);
  }
  folder.write("node.key", ca.certify("a").key);
  CHECK(has(problem(), "`key` in [node.tls]: " + folder.path("node.key") + " is not the key of the certificate"));
  authority other;
  write(other.certify("a"));
  CHECK(has(problem(), "the authority in `ca` has not signed it"));
  write(ca.certify("a", -48, -1));
  CHECK(has(problem(), "it has expired"));
  write(ca.certify("a", 24, 48));
  CHECK(has(problem(), "it is not valid yet"));
  write(ca.certify("b", -1, 24, "c"));
  CHECK(has(problem(), "is that of \"b\" and \"c\", and this node is called \"a\""));
  CHECK(problem({}).empty());
  CHECK(problem({"c"}).empty());
  CHECK(problem({"b.4711"}).empty()); // a command beside the node
  CHECK_FALSE(problem({"b.x"}).empty());
  CHECK_FALSE(problem({"b."}).empty());
  CHECK_FALSE(problem({"b-1"}).empty());
}

TEST_CASE_METHOD(fixture, "a renewed certificate is taken up, one in the making changes nothing", "[node]") {
  folder.write("ca.pem", ca.certificate());
  write(ca.certify("a"));
  auto made = credentials::load(files(), {"a"});
  REQUIRE(made.index() == 0);
  auto& x = *std::get<0>(made);
  auto now = std::chrono::steady_clock::time_point{1h};
  auto first = serial_of(x.context(now));
  std::filesystem::rename(folder.path("node.pem"), folder.path("old.pem")); // the moment in which there is none
  CHECK(serial_of(x.context(now += 5s)) == first);
  CHECK(has(x.problem(), "cannot read " + folder.path("node.pem")));
  CHECK(x.reload());
  auto next = ca.certify("a");
  folder.write("node.pem", next.certificate); // with the old key
  CHECK(serial_of(x.context(now += 5s)) == first);
  CHECK(has(x.problem(), "is not the key"));
  folder.write("node.key", next.key);
  CHECK(serial_of(x.context(now + 500ms)) == first); // it looks once a second
  auto second = serial_of(x.context(now += 1s));
  CHECK(second != first);
  CHECK(x.problem().empty());
  write(ca.certify("a"));
  CHECK_FALSE(x.reload()); // at once
  CHECK(serial_of(x.context(now)) != second);
  auto third = serial_of(x.context(now));
  write(ca.certify("b")); // somebody else's
  CHECK(serial_of(x.context(now += 5s)) == third);
  CHECK(has(x.problem(), "is that of \"b\""));
}

} // namespace modelforge::credentials_test
