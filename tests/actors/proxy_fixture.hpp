#pragma once

#include "actors/provider_control.hpp"
#include "actors/provider_guest.hpp"
#include "actors/provider_proxy.hpp"
#include "actors/support/mail.hpp"

#include "tests/actors/provider_fixture.hpp"

#include <caf/exit_reason.hpp>
#include <caf/typed_event_based_actor.hpp>
#include <caf/typed_response_promise.hpp>

#include <catch2/catch_test_macros.hpp>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

/// A proxy before owners that follow a script, and one before a real owner: all but the link, in virtual time.
namespace modelforge::provider_proxy_test {

using namespace std::chrono_literals;

/// What an owner's actor for this node was asked, and how it answers.
struct owner_script {
  struct asked {
    chat_request request;
    caf::typed_response_promise<completion> reply;
  };
  struct asked_stream {
    stream_request request;
    stream_subscriber_actor subscriber;
    caf::typed_response_promise<stream_session_actor> reply;
  };
  std::vector<asked> chats;
  std::vector<asked_stream> streams;
  std::vector<request_id> cancelled;
  std::vector<caf::typed_response_promise<void>> unread; ///< What asks whether all before it has been taken in.
  bool draining = false;
  provider_status status{};
  std::function<embedding(const embedding_request&)> embed{}; ///< None: it cannot.
  provider_actor actor{};

  /// Promises that are left end inside their actor.
  ~owner_script() {
    if (actor != nullptr)
      post(actor, [left = std::tuple{std::move(chats), std::move(streams), std::move(unread)}] {});
  }
};

inline provider_actor::behavior_type owner_actor(provider_actor::pointer self, owner_script* script) {
  return {
    [=](chat_request& x) -> caf::result<completion> {
      auto reply = self->make_response_promise<completion>();
      script->chats.push_back({std::move(x), reply});
      return reply;
    },
    [=](stream_request& x, const stream_subscriber_actor& to) -> caf::result<stream_session_actor> {
      auto reply = self->make_response_promise<stream_session_actor>();
      script->streams.push_back({std::move(x), to, reply});
      return reply;
    },
    [=](const embedding_request& x) -> caf::result<embedding> {
      if (!script->embed)
        return caf::make_error(errc::unsupported);
      return script->embed(x);
    },
    [](const batch_job_request&, const batch_job_listener_actor&) -> caf::result<batch_job_actor> {
      return caf::make_error(errc::unsupported);
    },
    [](models_atom) { return model_list{}; },
    [=](cancel_atom, request_id id) { script->cancelled.push_back(id); },
    [=](status_atom) {
      auto x = script->status;
      x.draining = script->draining;
      return x;
    },
    [](drain_atom, caf::timespan) {},
    [](const request_id&, const attempts_made&) {},
    [=](received_atom, uint64_t) -> caf::result<void> {
      auto reply = self->make_response_promise<void>();
      script->unread.push_back(reply);
      return reply;
    },
  };
}

inline stream_subscriber_actor::behavior_type subscriber(stream_subscriber_actor::pointer) {
  return {[](const stream_chunk&) {}, [](const stream_done&) {}, [](const stream_failed&) {}};
}

inline stream_session_actor::behavior_type session(stream_session_actor::pointer) {
  return {
    [](grant_atom, uint32_t) {},
    [](subscribe_atom, const stream_subscriber_actor&, const subscription&) {},
    [](cancel_atom) {},
    [](status_atom) { return stream_status{}; },
  };
}

inline caf::error error_of(errc code, std::vector<attempt_record> attempts = {}) {
  auto why = make_failure(code, "no");
  why.attempts = std::move(attempts);
  return caf::make_error(code, why);
}

inline attempt_record record_of(uint32_t number, errc result) {
  attempt_record x;
  x.number = number;
  x.lane = "key";
  x.result = result;
  return x;
}

/// A proxy, its owner's actor for this node, and the owner with its HTTP server: all but the link.
struct chain_test : test::provider_test {
  void begin() {
    settings.retry.max_attempts = 2;
    settings.nodes = {"far"};
    owner = spawn();
    proxy = spawn_provider_proxy(system(), settings, node, [] {});
    hold(proxy.actor);
    link();
  }

  /// What the owner sees of this node is new with each link.
  void link() {
    peer = hold(system().spawn([](caf::event_based_actor*) -> caf::behavior { return {[](int) {}}; }));
    proxy.connect(
      spawn_provider_guest(system(), owner, "near", caf::actor_cast<caf::strong_actor_ptr>(peer), 1u << 20));
    run();
  }

  void cut_here() {
    proxy.disconnect({"cut"});
    run();
  }

  void cut_there() { kill(peer); }

  /// The pending attempt fails, and the next one goes out.
  void fail_attempt() {
    REQUIRE(http->pending() == 1);
    http->answer(0, 500, R"({"error":{"message":"no","type":"server_error"}})");
    run();
    advance(1s);
  }

  std::string attempt_header() {
    for (auto& x : http->at(0).request.headers)
      if (x.name == "x-modelforge-attempt")
        return x.value;
    return {};
  }

  provider_actor owner;
  node_settings node;
  provider_proxy proxy;
  caf::actor peer;
};

struct proxy_test : test::deterministic {
  proxy_test() {
    provider.name = "p";
    provider.nodes = {"far"};
    provider.retry.max_attempts = 3;
  }

  void begin() {
    proxy = spawn_provider_proxy(system(), provider, node, [this] { ++looks; });
    hold(proxy.actor);
  }

  provider_actor connect(owner_script& script, std::shared_ptr<node::shared_gate> gate = {}) {
    auto made = hold(system().spawn(owner_actor, &script));
    script.actor = made;
    proxy.connect({made, std::move(gate)});
    run();
    return made;
  }

  void end(const provider_actor& owner) { kill(caf::actor_cast<caf::actor>(owner)); }

  /// Answers inside the owner, as actors do.
  template <class Reply, class Answer>
  void reply_with(owner_script& script, Reply reply, Answer x) {
    post(script.actor, [reply, x = std::move(x)]() mutable { reply.deliver(std::move(x)); });
    run();
  }

  /// The owner says that so many more have arrived.
  void acknowledge(owner_script& script, uint64_t more) {
    caf::send_as(script.actor, proxy.actor, received_atom_v, more);
    run();
  }

  /// A request of about so many bytes.
  auto large_chat(std::size_t bytes, std::optional<std::chrono::nanoseconds> deadline = {}) {
    chat_request x;
    x.deadline = deadline;
    x.messages.push_back(text_message(role::user, std::string(bytes, 'x')));
    return ask<completion>(proxy.actor, x);
  }

  auto chat(priority rank = priority::interactive, request_id id = {}) {
    chat_request x;
    x.id = id;
    x.priority = rank;
    return ask<completion>(proxy.actor, x);
  }

  provider_settings provider;
  node_settings node;
  provider_proxy proxy;
  int looks = 0;
};

} // namespace modelforge::provider_proxy_test
