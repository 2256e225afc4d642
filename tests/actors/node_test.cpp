#include "tests/actors/node_fixture.hpp"

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <optional>
#include <string>

namespace modelforge::node_test {

TEST_CASE("a program that cannot be the node it is to be says why", "[node]") {
  simulator::server server{simulator::options{}};
  runtime owner{owner_of(server.url())};
  auto text_of = [](const settings& x) -> std::string {
    try {
      runtime one{x};
      return {};
    } catch (const std::invalid_argument& problem) {
      return problem.what();
    }
  };
  auto taken = text_of(owner_of(server.url(), owner.node().listening));
  CHECK(taken.find("cannot listen on " + owner.node().listening) == 0);
  auto certified = owner_of(server.url());
  certified.node.tls = {"/none/cert.pem", "/none/key.pem", "/none/ca.pem"};
  CHECK(text_of(certified).find("`certificate` in [node.tls]: cannot read /none/cert.pem") == 0);
}

TEST_CASE("a certificate that is missing for a while ends no node and costs no link", "[node]") {
  simulator::server server{simulator::options{}};
  certified certs;
  auto owners = certs.with(owner_of(server.url()));
  std::optional<runtime> owner{owners};
  owners.node.listen = owner->node().listening;
  auto guests = certs.with(guest_of(owners.node.listen));
  runtime guest{guests};
  REQUIRE(guest.chat("What is 1 + 1?"));
  for (auto* name : {"owner.pem", "guest.key", "ca.pem"})
    std::filesystem::rename(certs.folder.path(name), certs.folder.path(std::string{"old-"} + name));
  for (int i = 0; i < 20; ++i)
    bare_connection{owners.node.listen};
  CHECK(guest.chat("What is 1 + 1?"));
  auto problem = owner->reload(owners); // told, and nothing has changed
  REQUIRE_FALSE(problem);
  CHECK(problem.error().message.find("`certificate` in [node.tls]: cannot read") == 0);
  {
    auto others = guests; // a node that begins now cannot
    others.node.name = "other";
    try {
      runtime none{others};
      FAIL();
    } catch (const std::invalid_argument& why) {
      CHECK(std::string{why.what()}.find("`key` in [node.tls]: cannot read") != std::string::npos);
    }
  }
  std::filesystem::rename(certs.folder.path("old-owner.pem"), certs.folder.path("owner.pem"));
  std::filesystem::rename(certs.folder.path("old-ca.pem"), certs.folder.path("ca.pem"));
  CHECK(owner->reload(owners));
  owner.reset();
  owner.emplace(owners);
  CHECK(test::eventually([&] { return bool{guest.chat("What is 1 + 1?")}; })); // with the key as it was
  certs.renew("guest");
  owner.reset();
  owner.emplace(owners);
  CHECK(test::eventually([&] { return bool{guest.chat("What is 1 + 1?")}; }));
}

TEST_CASE("a name that is taken is refused, and the first owner stays the only one", "[node]") {
  simulator::server first_server{simulator::options{}};
  simulator::server second_server{simulator::options{}};
  runtime first{owner_of(first_server.url())};
  auto second_settings = owner_of(second_server.url());
  auto settings = guest_of(first.node().listening);
  std::optional<runtime> second{second_settings};
  runtime guest{settings};
  REQUIRE(guest.chat("What is 1 + 1?"));
  settings.node.name = "other";
  settings.node.peers.push_back(second->node().listening);
  // one that is linked with both, and one to whom the second comes by itself
  runtime both{settings};
  CHECK(test::eventually([&] {
    auto peers = both.node().peers;
    return std::any_of(peers.begin(), peers.end(),
                       [](auto& x) { return x.problem.find("\"owner\" is taken") != x.problem.npos; });
  }));
  for (int i = 0; i < 20; ++i)
    CHECK(both.chat("What is 1 + 1?"));
  CHECK((first_server.snapshot().requests == 1 || second_server.snapshot().requests == 0));
  auto& served = first_server.snapshot().requests > 1 ? first_server : second_server;
  CHECK(served.snapshot().requests >= 20);
  auto peers = both.node().peers;
  CHECK(std::count_if(peers.begin(), peers.end(), [](auto& x) { return x.up; }) == 1);
  // a second guest of one name
  auto twin = guest_of(first.node().listening);
  runtime double_guest{twin};
  CHECK(problem_of(double_guest).find("the name \"guest\" is taken") != std::string::npos);
  CHECK_FALSE(double_guest.chat("What is 1 + 1?"));
  CHECK(guest.chat("What is 1 + 1?"));
}

TEST_CASE("a name is free again when its program has gone", "[node]") {
  simulator::server server{simulator::options{}};
  runtime owner{owner_of(server.url())};
  std::optional<runtime> one{guest_of(owner.node().listening)};
  REQUIRE(one->chat("What is 1 + 1?"));
  runtime other{guest_of(owner.node().listening)};
  CHECK(problem_of(other).find("is taken") != std::string::npos);
  one.reset();
  CHECK(test::eventually([&] { return bool{other.chat("What is 1 + 1?")}; }));
}

TEST_CASE("with certificates a node is called as its certificate says", "[node]") {
  simulator::server server{simulator::options{}};
  certified certs;
  runtime owner{certs.with(owner_of(server.url()))};
  auto at = owner.node().listening;
  auto liar = certs.with(guest_of(at, "guest"), "somebody");
  try { // told by the program itself
    runtime none{liar};
    FAIL();
  } catch (const std::invalid_argument& why) {
    CHECK(std::string{why.what()}.find("is that of \"somebody\", and this node is called \"guest\"")
          != std::string::npos);
  }
  liar.node.tls.verify_names = false; // and by its peer, if it does not care
  runtime unbelieved{liar};
  CHECK(problem_of(unbelieved)
          .find("node \"owner\" refuses a node that calls itself \"guest\": its certificate is that of "
                "\"somebody\"")
        != std::string::npos);
  CHECK_FALSE(unbelieved.chat("Hi"));
  runtime guest{certs.with(guest_of(at))}; // the true one finds the name free
  CHECK(guest.chat("What is 1 + 1?"));
  runtime command{certs.with(guest_of(at, "guest.4711"), "guest")};
  CHECK(command.chat("What is 1 + 1?"));
  // An owner that only calls itself so gets nobody's requests.
  auto false_owner = owner_of(server.url());
  false_owner.node.tls.verify_names = false;
  runtime imposing{certs.with(false_owner, "somebody")};
  runtime careful{certs.with(guest_of(imposing.node().listening, "careful"))};
  CHECK(problem_of(careful).find("\"owner\": its certificate is that of \"somebody\"") != std::string::npos);
  CHECK_FALSE(careful.chat("Hi"));
  CHECK(server.snapshot().requests == 2);
  // Where names are not verified, certificates of any name will do.
  auto lax = owner_of(server.url());
  lax.node.tls.verify_names = false;
  runtime trusting{certs.with(lax)};
  liar.node.peers = {trusting.node().listening};
  runtime believed{liar};
  CHECK(believed.chat("What is 1 + 1?"));
}

} // namespace modelforge::node_test
