#include "actors/node.hpp"

#include "actors/peer_screen.hpp"
#include "actors/support/mail.hpp"

#include "tests/support/eventually.hpp"

#include <modelforge/actors/system.hpp>

#include <caf/actor_registry.hpp>
#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/binary_serializer.hpp>
#include <caf/io/basp_broker.hpp>
#include <caf/io/middleman.hpp>
#include <caf/scoped_actor.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace modelforge::node_peer_test {

using namespace std::chrono_literals;

// A node, and programs on bare CAF that are linked with it and say what no node says.

namespace {

node_settings settings_of(const std::string& name) {
  node_settings x;
  x.name = name;
  x.listen = "127.0.0.1:0";
  return x;
}

provider_actor::behavior_type provider(provider_actor::pointer) {
  return {
    [](const chat_request&) { return completion{}; },
    [](const stream_request&, const stream_subscriber_actor&) -> caf::result<stream_session_actor> {
      return caf::make_error(errc::unsupported);
    },
    [](const embedding_request&) { return embedding{}; },
    [](const batch_job_request&, const batch_job_listener_actor&) -> caf::result<batch_job_actor> {
      return caf::make_error(errc::unsupported);
    },
    [](models_atom) { return model_list{}; },
    [](cancel_atom, request_id) {},
    [](status_atom) { return provider_status{}; },
    [](drain_atom, caf::timespan) {},
    [](const request_id&, const attempts_made&) {},
    [](received_atom, uint64_t) {},
  };
}

struct types {
  types() { init_types(); }
};

/// An actor system that can be linked with others.
struct program {
  program() {
    settings x;
    x.node.listen = "127.0.0.1:0";
    x.runtime.threads = 2;
    apply(x, config);
    system = std::make_unique<caf::actor_system>(config);
  }

  /// Ends one of its actors, and waits for that: what its callbacks use goes next.
  void end(const node_actor& x) {
    caf::scoped_actor self{*system};
    caf::anon_send_exit(x, caf::exit_reason::user_shutdown);
    self->wait_for(x);
  }

  types known; // before the configuration object
  caf::actor_system_config config;
  std::unique_ptr<caf::actor_system> system;
};

/// A node that runs the provider "p".
struct node_program : program {
  node_program()
    : is(system->spawn(provider)), node(std::get<node_control>(spawn_node(*system, settings_of("owner")))) {
    node.set_owned({{"p", is}});
  }

  ~node_program() {
    caf::anon_send_exit(node.actor, caf::exit_reason::user_shutdown);
    caf::anon_send_exit(is, caf::exit_reason::user_shutdown);
  }

  uint16_t port() const {
    return static_cast<uint16_t>(std::stoi(node.listening.substr(node.listening.rfind(':') + 1)));
  }

  provider_actor is;
  node_control node;
};

/// A linked program on bare CAF.
struct bare_peer : program {
  explicit bare_peer(const node_program& to) : self(*system), name("bare") {
    auto found = system->middleman().remote_actor<node_actor>("127.0.0.1", to.port());
    REQUIRE(found);
    root = std::move(*found);
  }

  node_hello hello() const {
    node_hello x;
    x.cluster = node_settings{}.cluster;
    x.node = name;
    return x;
  }

  template <class T, class Handle, class... Ts>
  std::optional<T> ask(const Handle& to, Ts... xs) {
    std::optional<T> result;
    self->request(to, caf::timespan{test::patience}, xs...)
      .receive([&](T& x) { result = std::move(x); }, [](const caf::error&) {});
    return result;
  }

  provider_actor find(const std::string& provider = "p") {
    return ask<provider_actor>(root, caf::get_atom_v, hello(), provider).value_or(provider_actor{});
  }

  /// The actor of that number at the other program, if it has one.
  caf::actor actor_at(caf::actor_id id) {
    auto carrier = system->middleman().named_broker<caf::io::basp_broker>("BASP");
    auto* broker = static_cast<caf::io::basp_broker*>(caf::actor_cast<caf::abstract_actor*>(carrier));
    return caf::actor_cast<caf::actor>(broker->proxies().get_or_put(root->node(), id));
  }

  caf::scoped_actor self; ///< What it is answered with lives as long.
  std::string name;
  node_actor root;
};

/// A BASP header.
std::vector<unsigned char> header_of(uint8_t operation, uint8_t flags, std::size_t payload, uint64_t id) {
  std::vector<unsigned char> x(32);
  x[0] = operation;
  x[3] = flags;
  for (int i = 0; i < 4; ++i)
    x[4 + i] = static_cast<unsigned char>(payload >> (24 - 8 * i));
  for (int i = 0; i < 8; ++i)
    x[8 + i] = static_cast<unsigned char>(id >> (56 - 8 * i));
  return x;
}

template <class... Ts>
caf::byte_buffer written_by(program& by, const Ts&... xs) {
  caf::byte_buffer result;
  caf::binary_serializer out{*by.system, result};
  REQUIRE((out.apply(xs) && ...));
  return result;
}

} // namespace

TEST_CASE("a program that asks for a provider again gets the same actor", "[node]") {
  node_program owner;
  bare_peer one{owner};
  auto guest = one.find();
  REQUIRE(guest != nullptr);
  CHECK(one.find() == guest);
  {
    bare_peer two{owner};
    two.name = "other";
    auto other = two.find();
    REQUIRE(other != nullptr);
    CHECK(other->id() != guest->id());
  }
  auto next = owner.system->spawn(provider);
  owner.node.set_owned({{"p", next}});
  auto after = one.find();
  REQUIRE(after != nullptr);
  CHECK(after != guest);
  CHECK(one.ask<provider_status>(guest, status_atom_v)); // the one before has calls still
  CHECK(one.ask<provider_status>(after, status_atom_v));
  caf::anon_send_exit(next, caf::exit_reason::user_shutdown);
  CHECK(test::eventually([&] { // one that has ended is not handed out again
    auto found = one.find();
    return found != nullptr && found != after;
  }));
}

TEST_CASE("whoever asks for a provider that is being started again is answered when it is there", "[node]") {
  node_program owner;
  bare_peer one{owner};
  owner.node.set_owned({{"p", {}}});
  auto pending = one.self->request(one.root, caf::timespan{test::patience}, caf::get_atom_v, one.hello(), "p");
  REQUIRE(one.ask<node_hello>(one.root, one.hello())); // behind it on the same link
  CHECK(one.self->mailbox().empty());
  owner.node.set_owned({{"p", owner.is}});
  provider_actor found;
  pending.receive([&](provider_actor& x) { found = std::move(x); }, [](const caf::error&) {});
  REQUIRE(found != nullptr);
  CHECK(one.ask<provider_status>(found, status_atom_v));
}

TEST_CASE("an owner that names no actor, or another program's, as its provider is refused", "[node]") {
  auto names_nobody = GENERATE(true, false);
  CAPTURE(names_nobody);
  program impostor;
  auto hello = [] {
    node_hello x;
    x.cluster = node_settings{}.cluster;
    x.node = "owner";
    return x;
  };
  auto root = impostor.system->spawn([=](node_actor::pointer self) -> node_actor::behavior_type {
    return {
      [=](const node_hello&) { return hello(); },
      [=](const node_hello&, const caf::actor&) { return hello(); },
      [=](caf::get_atom, const node_hello&, const std::string&) {
        return names_nobody ? provider_actor{} : caf::actor_cast<provider_actor>(self->current_sender());
      },
      [](status_atom) { return node_status{}; },
    };
  });
  auto port = impostor.system->middleman().publish(root, 0, "127.0.0.1");
  REQUIRE(port);
  program asking;
  auto settings = settings_of("asking");
  settings.peers = {"127.0.0.1:" + std::to_string(*port)};
  auto node = std::get<node_control>(spawn_node(*asking.system, settings));
  std::mutex mutex;
  std::optional<failure> refused;
  std::atomic<int> connected{0};
  remote_provider remote{"p", "owner", {}};
  remote.proxy.connect = [&](const found_owner&) { ++connected; };
  remote.proxy.disconnect = [](const owner_loss&) {};
  remote.proxy.refuse = [&](failure why) {
    std::lock_guard lock{mutex};
    refused = std::move(why);
  };
  node.add_remote(remote);
  CHECK(test::eventually([&] {
    std::lock_guard lock{mutex};
    return refused && refused->code == errc::invalid_response;
  }));
  CHECK(connected == 0);
  asking.end(node.actor);
  caf::anon_send_exit(root, caf::exit_reason::user_shutdown);
}

TEST_CASE("a node looks no more for a provider that is no other node's any more", "[node]") {
  node_program owner;
  program asking;
  auto settings = settings_of("asking");
  settings.peers = {owner.node.listening};
  auto node = std::get<node_control>(spawn_node(*asking.system, settings));
  std::atomic<int> connected{0}, disconnected{0};
  remote_provider remote{"p", "owner", {}};
  remote.proxy.connect = [&](const found_owner&) { ++connected; };
  remote.proxy.disconnect = [&](const owner_loss&) { ++disconnected; };
  remote.proxy.refuse = [](const failure&) {};
  node.add_remote(remote);
  REQUIRE(test::eventually([&] { return connected == 1; }));
  auto before = disconnected.load();
  node.remove_remote("p");
  node.find_again("p");
  caf::anon_send_exit(owner.node.actor, caf::exit_reason::user_shutdown);
  CHECK(test::eventually([&] { // the link's end is seen, and told to nobody
    caf::scoped_actor self{*asking.system};
    auto is_down = false;
    self->request(node.actor, caf::timespan{test::patience}, status_atom_v)
      .receive([&](const node_status& x) { is_down = x.peers.size() == 1 && !x.peers[0].up; },
               [](const caf::error&) {});
    return is_down;
  }));
  CHECK(connected == 1);
  CHECK(disconnected == before);
  asking.end(node.actor);
}

TEST_CASE("a linked program ends no actor of a node", "[node]") {
  node_program owner;
  bare_peer honest{owner};
  auto guest = honest.find();
  REQUIRE(guest != nullptr);
  bare_peer hostile{owner};
  hostile.name = "hostile";
  REQUIRE(hostile.find() != nullptr);
  auto dying = hostile.system->spawn([](caf::event_based_actor*) -> caf::behavior { return {[](int) {}}; });
  auto honest_root = caf::actor_cast<caf::actor_addr>(honest.root);
  for (caf::actor_id id = 1; id < guest->id() + 50; ++id) {
    auto to = hostile.actor_at(id);
    for (auto reason : {caf::exit_reason::kill, caf::exit_reason::user_shutdown}) {
      caf::anon_send_exit(to, reason);
      caf::anon_send(to, caf::exit_msg{to->address(), reason}); // in its own name
      caf::anon_send(to, caf::exit_msg{honest_root, reason});
      caf::anon_send(to, caf::down_msg{honest_root, reason});
    }
    caf::anon_send(to, caf::make_error(caf::sec::runtime_error));
    caf::anon_send(to, caf::node_down_msg{honest.system->node(), caf::error{}});
    caf::anon_send(to, caf::link_atom_v, caf::actor_cast<caf::strong_actor_ptr>(dying));
  }
  caf::anon_send_exit(dying, caf::exit_reason::kill); // and those that were linked with it
  for (int i = 0; i < 3; ++i) {
    CHECK(hostile.ask<node_hello>(hostile.root, hostile.hello())); // all that was said before has arrived
    CHECK(honest.ask<node_hello>(honest.root, honest.hello()));
    CHECK(honest.ask<completion>(guest, chat_request{}));
  }
  CHECK(honest.find() == guest);
  caf::scoped_actor self{*owner.system};
  auto lives = false;
  self->request(owner.is, caf::timespan{test::patience}, status_atom_v)
    .receive([&](const provider_status&) { lives = true; }, [](const caf::error&) {});
  CHECK(lives);
}

TEST_CASE("a node outlives what is thrown inside it", "[node]") {
  node_program owner;
  bare_peer peer{owner};
  provider_proxy throwing;
  throwing.connect = [](const found_owner&) { throw std::runtime_error("no"); };
  throwing.disconnect = [](const owner_loss&) { throw std::runtime_error("no"); };
  throwing.refuse = [](const failure&) { throw std::runtime_error("no"); };
  owner.node.add_remote({"p", "nobody", throwing});
  owner.node.find_again("p");
  CHECK(peer.ask<node_hello>(peer.root, peer.hello()));
  CHECK(peer.find() != nullptr);
}

TEST_CASE("what ends actors, and what is said in another's name, does not get in", "[node]") {
  program here;
  program there;
  program third;
  auto us = here.system->node();
  auto peer = there.system->node();
  peer_screen x{us, 1000};
  auto written = [&](const auto&... xs) { return written_by(there, xs...); };
  auto judge = [&](uint8_t operation, const caf::byte_buffer& payload, uint64_t id = 0, uint8_t flags = 0) {
    auto header = header_of(operation, flags, payload.size(), id);
    REQUIRE(x.allows_header(header.data()));
    return x.judge(header.data(), payload.data(), payload.size());
  };
  auto may_begin = [&](uint8_t operation, std::size_t payload) {
    return x.allows_header(header_of(operation, 0, payload, 0).data());
  };
  using verdict = peer_screen::verdict;
  auto dead = there.system->spawn([](caf::event_based_actor*) {})->address();
  CHECK(judge(1, written(peer)) == verdict::passes);
  std::vector<caf::strong_actor_ptr> nobody;
  auto message = [&](auto... xs) { return written(nobody, caf::make_message(xs...)); };
  auto answer = caf::make_message_id(7).response_id().integer_value();
  REQUIRE(caf::make_message_id(answer).is_response());
  CHECK(judge(2, message(status_atom_v)) == verdict::passes);
  CHECK(judge(2, message(caf::get_atom_v, node_hello{}, std::string{"p"})) == verdict::passes);
  CHECK(judge(2, message(caf::make_error(errc::draining)), answer) == verdict::passes);
  CHECK(judge(2, message(), answer) == verdict::passes);
  CHECK(judge(2, message(caf::make_error(errc::draining))) == verdict::is_dropped);
  CHECK(judge(2, message(caf::exit_msg{dead, caf::exit_reason::kill})) == verdict::is_dropped);
  CHECK(judge(2, message(caf::exit_msg{dead, caf::exit_reason::kill}), answer) == verdict::is_dropped);
  CHECK(judge(2, message(caf::down_msg{dead, caf::exit_reason::kill})) == verdict::is_dropped);
  CHECK(judge(2, message(caf::node_down_msg{us, {}})) == verdict::is_dropped);
  CHECK(judge(2, message(caf::link_atom_v, caf::strong_actor_ptr{})) == verdict::is_dropped);
  CHECK(judge(2, message(caf::unlink_atom_v, caf::strong_actor_ptr{})) == verdict::is_dropped);
  CHECK(judge(2, message(caf::spawn_atom_v, std::string{"x"}, caf::message{})) == verdict::is_dropped);
  CHECK(judge(2, message(caf::put_atom_v, std::string{"x"}, caf::message{})) == verdict::is_dropped);
  CHECK(judge(2, message()) == verdict::is_dropped);
  CHECK(judge(2, caf::byte_buffer(1)) == verdict::is_dropped); // cut off
  auto named = caf::io::basp::header::named_receiver_flag;
  CHECK(judge(2, message(caf::sys_atom_v, caf::get_atom_v, std::string{"info"}), 0, named) == verdict::passes);
  CHECK(judge(2, message(caf::get_atom_v, std::string{"*"}), 0, named) == verdict::is_dropped);
  CHECK(judge(4, written(peer, us)) == verdict::passes);
  CHECK(judge(4, written(peer, third.system->node())) == verdict::is_dropped);
  CHECK(judge(5, written(peer, us, caf::error{})) == verdict::passes);
  CHECK(judge(5, written(third.system->node(), us, caf::error{})) == verdict::is_dropped);
  CHECK(judge(5, caf::byte_buffer{}) == verdict::is_dropped);
  CHECK_FALSE(may_begin(0, 10)); // once more a handshake
  CHECK_FALSE(may_begin(1, 10));
  CHECK_FALSE(may_begin(3, 10)); // in another's name
  CHECK_FALSE(may_begin(2, 1001));
  CHECK(may_begin(2, 1000));
}

} // namespace modelforge::node_peer_test
