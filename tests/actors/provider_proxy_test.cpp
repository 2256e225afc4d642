#include "actors/provider_proxy.hpp"

#include "actors/provider_control.hpp"
#include "actors/provider_guest.hpp"
#include "actors/support/mail.hpp"

#include "tests/actors/provider_fixture.hpp"

#include <caf/exit_reason.hpp>
#include <caf/typed_event_based_actor.hpp>
#include <caf/typed_response_promise.hpp>

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <chrono>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

namespace modelforge::provider_proxy_test {

using namespace std::chrono_literals;

namespace {

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

provider_actor::behavior_type owner_actor(provider_actor::pointer self, owner_script* script) {
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

stream_subscriber_actor::behavior_type subscriber(stream_subscriber_actor::pointer) {
  return {[](const stream_chunk&) {}, [](const stream_done&) {}, [](const stream_failed&) {}};
}

stream_session_actor::behavior_type session(stream_session_actor::pointer) {
  return {
    [](grant_atom, uint32_t) {},
    [](subscribe_atom, const stream_subscriber_actor&, const subscription&) {},
    [](cancel_atom) {},
    [](status_atom) { return stream_status{}; },
  };
}

caf::error error_of(errc code, std::vector<attempt_record> attempts = {}) {
  auto why = make_failure(code, "no");
  why.attempts = std::move(attempts);
  return caf::make_error(code, why);
}

attempt_record record_of(uint32_t number, errc result) {
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
    proxy.disconnect("cut");
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

} // namespace

TEST_CASE_METHOD(proxy_test, "a call that was lost with its owner tells the next one what is spent", "[node]") {
  begin();
  owner_script first, second, third;
  auto one = connect(first);
  auto answer = chat();
  REQUIRE(first.chats.size() == 1);
  auto& asked = first.chats[0].request;
  CHECK(asked.earlier.spent == 0);
  CHECK(asked.earlier.report);
  advance(2s);
  end(one);
  CHECK(looks == 1);
  advance(3s);
  auto two = connect(second);
  REQUIRE(second.chats.size() == 1);
  auto earlier = second.chats[0].request.earlier;
  CHECK(earlier.spent == 1);
  CHECK(earlier.age == 5s);
  REQUIRE(earlier.records.size() == 1);
  CHECK(earlier.records[0].number == 1);
  CHECK(earlier.records[0].result == errc::node_lost);
  CHECK(earlier.records[0].started == 0s);
  CHECK(earlier.records[0].duration == 2s);
  end(two);
  connect(third);
  REQUIRE(third.chats.size() == 1);
  CHECK(third.chats[0].request.earlier.spent == 2);
  reply_with(third, third.chats[0].reply, completion{});
  CHECK(answer->value);
}

TEST_CASE_METHOD(proxy_test, "attempts that were made before a call came here count", "[node]") {
  begin();
  owner_script first, second;
  auto one = connect(first);
  chat_request asked;
  asked.earlier = {2, 3s, {record_of(1, errc::server_error), record_of(2, errc::server_error)}, false};
  auto answer = ask<completion>(proxy.actor, asked);
  REQUIRE(first.chats.size() == 1);
  CHECK(first.chats[0].request.earlier.spent == 2);
  CHECK(first.chats[0].request.earlier.records.size() == 2);
  end(one); // with the third
  REQUIRE(answer->error);
  CHECK(answer->error->code == errc::node_lost);
  CHECK(answer->error->attempts.size() == 3);
  connect(second);
  CHECK(second.chats.empty());
  asked.earlier.spent = 3;
  CHECK(ask<completion>(proxy.actor, asked)->error);
  CHECK(second.chats.empty());
}

TEST_CASE_METHOD(proxy_test, "attempts that a lost owner reported count, with their records", "[node]") {
  begin();
  owner_script first, second;
  auto one = connect(first);
  auto answer = chat(priority::interactive, {1, 2});
  auto report = [&](const provider_actor& from, uint32_t spent) {
    attempts_made made{spent, 1s, {}, false};
    for (uint32_t i = 1; i <= spent; ++i)
      made.records.push_back(record_of(i, errc::server_error));
    caf::send_as(from, proxy.actor, request_id{1, 2}, made);
    run();
  };
  SECTION("one of them") {
    report(one, 1);
    end(one);
    connect(second);
    REQUIRE(second.chats.size() == 1);
    auto& earlier = second.chats[0].request.earlier;
    CHECK(earlier.spent == 2); // the one under way, too
    REQUIRE(earlier.records.size() == 2);
    CHECK(earlier.records[0] == record_of(1, errc::server_error));
    CHECK(earlier.records[1].result == errc::node_lost);
  }
  SECTION("so that none is left") {
    report(one, 2);
    end(one);
    REQUIRE(answer->error);
    CHECK(answer->error->code == errc::node_lost);
    CHECK(answer->error->attempts.size() == 3);
    CHECK(answer->error->message.find("no attempt is left") != std::string::npos);
    connect(second);
    CHECK(second.chats.empty());
  }
  SECTION("but not those that a stranger reports") {
    report(hold(system().spawn(owner_actor, &second)), 2);
    end(one);
    CHECK(answer->pending());
  }
}

TEST_CASE_METHOD(chain_test, "no break of a link has a provider asked more often than max_attempts", "[node]") {
  begin();
  auto answer = ask<completion>(proxy.actor, question(1));
  SECTION("that is seen on both sides") {
    fail_attempt();
    cut_there();
    cut_here();
    REQUIRE(answer->error);
    link();
  }
  SECTION("that is seen here first") {
    cut_here();
    fail_attempt(); // of which nobody hears
    cut_there();
    link();
    REQUIRE(answer->error);
  }
  SECTION("that is seen there first") {
    fail_attempt();
    CHECK(attempt_header() == "2");
    cut_there();
    REQUIRE(answer->error);
    cut_here();
    link();
  }
  CHECK(answer->error->code == errc::node_lost);
  CHECK(answer->error->attempts.size() == 2);
  CHECK(http->sent_bodies.size() == 2);
  CHECK(http->pending() == 0);
}

TEST_CASE_METHOD(chain_test, "an answer after a break of the link tells the attempts before it", "[node]") {
  begin();
  auto answer = ask<completion>(proxy.actor, question(1));
  CHECK(attempt_header() == "1");
  advance(2s);
  cut_there();
  cut_here();
  advance(1s);
  link();
  REQUIRE(http->pending() == 1);
  CHECK(attempt_header() == "2");
  say(0, "hello");
  REQUIRE(answer->value);
  auto& attempts = answer->value->attempts;
  REQUIRE(attempts.size() == 2);
  CHECK(attempts[0].result == errc::node_lost);
  CHECK(attempts[0].duration == 2s);
  CHECK(attempts[1].started == 3s);
  CHECK(answer->value->timings.total == 3s);
}

TEST_CASE_METHOD(chain_test, "what an owner drains goes to its successor, and is tried once", "[node]") {
  begin();
  auto running = ask<completion>(proxy.actor, question(1));
  auto drained = ask_void(owner, drain_atom_v, caf::timespan{10s});
  auto late = ask<completion>(proxy.actor, question(2));
  CHECK(late->pending());
  say(0, "hello");
  CHECK(running->value);
  CHECK(drained->value);
  kill(caf::actor_cast<caf::actor>(owner));
  owner = spawn();
  link();
  REQUIRE(http->pending() == 1);
  CHECK(attempt_header() == "1");
  say(0, "hello");
  REQUIRE(late->value);
  CHECK(late->value->attempts.size() == 1);
}

TEST_CASE_METHOD(proxy_test, "figures that an owner tells are believed as far as they can be", "[node][told]") {
  begin();
  owner_script far;
  connect(far);
  auto good = chat();
  completion told;
  told.usage = token_usage{UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX};
  told.cost = std::numeric_limits<double>::quiet_NaN();
  told.timings = {std::chrono::nanoseconds::min(), std::chrono::nanoseconds::max(), -1ns};
  told.attempts.resize(1000);
  told.attempts.back().duration = std::chrono::nanoseconds::min();
  reply_with(far, far.chats.at(0).reply, told);
  REQUIRE(good->value);
  CHECK_FALSE(good->value->usage);
  CHECK_FALSE(good->value->cost);
  CHECK(good->value->timings == timings{0ns, 24h * 366, 0ns});
  CHECK(good->value->attempts.size() == 100);
  CHECK(good->value->attempts.back().duration == 0ns);
  CHECK(good->value->warnings.size() == 2);
  auto bad = chat();
  auto why = make_failure(errc::rate_limited, "no");
  why.retry_after = std::chrono::nanoseconds::max();
  why.attempts.resize(1000);
  reply_with(far, far.chats.at(1).reply, caf::make_error(why.code, why));
  REQUIRE(bad->error);
  CHECK(bad->error->retry_after == 24h * 366);
  CHECK(bad->error->attempts.size() == 100);
  far.status.predicted_wait = std::chrono::nanoseconds::min();
  far.status.lanes.resize(1);
  far.status.lanes[0].slots = UINT32_MAX;
  auto status = ask<provider_status>(proxy.actor, status_atom_v);
  REQUIRE(status->value);
  CHECK(status->value->predicted_wait == 0ns);
  CHECK(status->value->lanes[0].slots == 100'000);
}

TEST_CASE_METHOD(proxy_test, "vectors that an owner gives too many, too few or empty are no answer", "[node][told]") {
  node.max_message_bytes = 4096; // so that more than a few texts are split
  begin();
  owner_script far;
  connect(far);
  embedding_request asked;
  asked.dimensions = 4;
  for (auto inputs : {1u, 500u}) {
    asked.inputs.assign(inputs, "text");
    for (auto more : {-1, 1, 5000}) {
      INFO(inputs << " inputs, " << more << " vectors more");
      far.embed = [more](const embedding_request& x) {
        embedding y;
        y.vectors.assign(static_cast<std::size_t>(static_cast<int>(x.inputs.size()) + more), {1, 2, 3, 4});
        return y;
      };
      auto wrong = ask<embedding>(proxy.actor, asked);
      REQUIRE(wrong->error);
      CHECK(wrong->error->code == errc::invalid_response);
    }
    far.embed = [](const embedding_request& x) {
      embedding y;
      y.vectors.assign(x.inputs.size(), {});
      return y;
    };
    CHECK(ask<embedding>(proxy.actor, asked)->error);
    far.embed = [](const embedding_request& x) {
      embedding y;
      y.vectors.assign(x.inputs.size(), {1, 2, 3, 4});
      return y;
    };
    auto good = ask<embedding>(proxy.actor, asked);
    REQUIRE(good->value);
    CHECK(good->value->vectors.size() == inputs);
  }
}

TEST_CASE_METHOD(chain_test, "figures that a guest tells harm nobody", "[node][told]") {
  settings.default_embedding_model = "e";
  begin();
  auto guest =
    hold(spawn_provider_guest(system(), owner, "near", caf::actor_cast<caf::strong_actor_ptr>(peer), 1u << 20));
  for (auto time : {std::chrono::nanoseconds::min(), -1ns, 0ns, 1ns, std::chrono::nanoseconds::max()})
    for (auto count : {0u, 1u, UINT32_MAX}) {
      INFO(time.count() << " ns, " << count);
      auto x = question(1);
      x.deadline = time;
      x.cache_ttl = time;
      x.earlier.spent = count;
      x.earlier.age = time;
      x.earlier.records.resize(1000);
      x.sampling.max_tokens = x.sampling.top_k = x.sampling.reasoning_budget = count;
      x.sampling.temperature = std::numeric_limits<double>::quiet_NaN();
      auto chat = ask<completion>(guest, x);
      CHECK(chat->error); // NaN is no temperature
      x.sampling = {};
      auto again = ask<completion>(guest, x);
      embedding_request vectors;
      vectors.inputs.assign(5000, "text"); // is split
      vectors.deadline = time;
      vectors.dimensions = count;
      vectors.earlier = x.earlier;
      auto embedded = ask<embedding>(guest, vectors);
      stream_request stream;
      stream.chat = x;
      stream.chat.id = {1, 2};
      stream.as.from = 0;
      stream.as.demand = count;
      stream.drain_time = stream.reader_idle = time;
      stream.log_limit = count == UINT32_MAX ? UINT64_MAX : count;
      auto to = hold(system().spawn(subscriber));
      auto opened = ask<stream_session_actor>(guest, stream, to);
      if (opened->value) {
        auto asker = opened->value;
        tell(*asker, grant_atom_v, count);
        CHECK_FALSE(ask_void(*asker, subscribe_atom_v, hold(system().spawn(subscriber)),
                             subscription{slow_policy::wait, UINT64_MAX, count})
                      ->value);
      }
      while (http->pending() > 0) {
        http->answer(0, 400, R"({"error":{"message":"no","type":"invalid_request_error"}})");
        run();
      }
      advance(1s);
      CHECK_FALSE(again->pending());
      CHECK_FALSE(embedded->pending());
      tell(guest, request_id{1, 1}, attempts_made{count, time, {}, true});
      auto late = question(3);
      auto answer = ask<completion>(guest, late);
      REQUIRE(http->pending() == 1);
      http->say(0, "fine");
      run();
      CHECK(answer->value);
    }
}

TEST_CASE_METHOD(chain_test, "a node gets no more of a provider for its many tenants", "[node]") {
  settings.max_concurrent = 1;
  settings.interactive_slots = 0;
  auto of =
    spawn_controlled_provider(system(), {std::get<provider::setup>(provider::prepare(settings, runtime))}, http);
  hold(of.actor);
  peer = hold(system().spawn([](caf::event_based_actor*) -> caf::behavior { return {[](int) {}}; }));
  auto guest_of = [&](const std::string& name) {
    auto guest = spawn_provider_guest(system(), of.actor, name, caf::actor_cast<caf::strong_actor_ptr>(peer), 1u << 20);
    of.control.run([who = caf::actor_cast<caf::strong_actor_ptr>(guest), name](provider_control& control) {
      control.add_guest(who, "node " + name);
    });
    run();
    return guest;
  };
  auto many = guest_of("many");
  auto few = guest_of("few");
  uint64_t n = 0;
  auto offer = [&](const provider_actor& to, const std::string& text, const std::string& tenant) {
    auto x = question(++n, text);
    x.tenant = tenant;
    static_cast<void>(ask<completion>(to, x));
  };
  for (int i = 0; i < 40; ++i)
    offer(many, "of many", "tenant " + std::to_string(i));
  for (int i = 0; i < 20; ++i) {
    offer(few, "of few", {});
    offer(of.actor, "of its own", i % 2 == 0 ? "x" : "y");
  }
  std::map<std::string, int> sent;
  for (int i = 0; i < 31; ++i) {
    REQUIRE(http->pending() == 1);
    for (auto* text : {"of many", "of few", "of its own"})
      sent[text] += http->sent_bodies.back().find(text) != std::string::npos;
    say(0, "hello");
  }
  for (auto& [text, times] : sent) {
    CAPTURE(text);
    CHECK(times >= 10);
    CHECK(times <= 11);
  }
}

TEST_CASE_METHOD(proxy_test, "a drain does not wait for streams whose subscribers died early", "[node][stream]") {
  begin();
  owner_script script;
  connect(script);
  auto reader = system().spawn(subscriber);
  auto taken = ask<stream_session_actor>(proxy.actor, stream_request{}, reader);
  REQUIRE(script.streams.size() == 1);
  kill(caf::actor_cast<caf::actor>(reader)); // before the session is there
  reader = nullptr;
  reply_with(script, script.streams[0].reply, stream_session_actor{hold(system().spawn(session))});
  CHECK_FALSE(taken->pending());
  auto drained = ask_void(proxy.actor, drain_atom_v, caf::timespan{1h});
  CHECK(drained->value);
}

TEST_CASE_METHOD(proxy_test, "a drain waits for a stream that was sent twice", "[node][stream]") {
  begin();
  owner_script first, second;
  auto one = connect(first);
  auto reader = hold(system().spawn(subscriber));
  auto taken = ask<stream_session_actor>(proxy.actor, stream_request{}, reader);
  REQUIRE(first.streams.size() == 1);
  end(one); // the first attempt's relay ends
  connect(second);
  REQUIRE(second.streams.size() == 1);
  CHECK(second.streams[0].request.chat.earlier.spent == 1);
  reply_with(second, second.streams[0].reply, stream_session_actor{hold(system().spawn(session))});
  CHECK(taken->value);
  auto drained = ask_void(proxy.actor, drain_atom_v, caf::timespan{1h});
  CHECK(drained->pending());
  tell(second.streams[0].subscriber, stream_done{});
  CHECK(drained->value);
}

TEST_CASE_METHOD(proxy_test, "what an owner drains is held, and sent to the one that follows", "[node]") {
  begin();
  owner_script first, still, second;
  auto one = connect(first);
  auto under_way = chat();
  auto refused = chat();
  REQUIRE(first.chats.size() == 2);
  first.draining = still.draining = true;
  reply_with(first, first.chats[1].reply, error_of(errc::draining));
  auto late = chat();
  CHECK(first.chats.size() == 2);
  CHECK(refused->pending());
  auto status = ask<provider_status>(proxy.actor, status_atom_v);
  REQUIRE(status->value);
  CHECK(status->value->waiting == 3);
  CHECK(status->value->problem.find("takes nothing new") != std::string::npos);
  advance(200ms);
  CHECK(looks >= 1);
  connect(still); // the same one, seen anew
  CHECK(still.chats.empty());
  auto before = looks;
  advance(5s);
  CHECK(looks > before);
  CHECK(looks < before + 10);
  SECTION("in the same program") {
    auto two = connect(second);
    REQUIRE(second.chats.size() == 2);
    CHECK(second.chats[0].request.earlier.spent == 0);
    reply_with(first, first.chats[0].reply, completion{}); // what the old one has, it answers
    run();
    CHECK(under_way->value);
    end(one);
    CHECK(second.chats.size() == 2);
  }
  SECTION("after its program has ended and begun anew") {
    proxy.disconnect("it is shutting down");
    run();
    advance(60s); // longer than one waits for one that is lost
    CHECK(refused->pending());
    CHECK(late->pending());
    CHECK(under_way->pending());
    connect(second);
    REQUIRE(second.chats.size() == 3);
    CHECK(second.chats[0].request.earlier.spent == 1);
    CHECK(second.chats[1].request.earlier.spent == 0);
  }
  SECTION("but no longer than the deadline") {
    advance(300s);
    REQUIRE(refused->error);
    CHECK(refused->error->code == errc::deadline_exceeded);
  }
}

TEST_CASE_METHOD(proxy_test, "what an owner cuts off at its end is sent again, if that may be", "[node]") {
  for (auto again : {true, false}) {
    provider.retry.retry_uncertain = again;
    begin();
    owner_script first, second;
    connect(first);
    auto queued = chat();
    auto sent = chat();
    REQUIRE(first.chats.size() == 2);
    reply_with(first, first.chats[0].reply, error_of(errc::cancelled));
    reply_with(first, first.chats[1].reply, error_of(errc::cancelled, {record_of(1, errc::cancelled)}));
    connect(second);
    CHECK(second.chats.size() == (again ? 2 : 1));
    CHECK(second.chats[0].request.earlier.spent == 0);
    CHECK(queued->pending());
    if (again) {
      CHECK(second.chats[1].request.earlier.spent == 1);
      CHECK(second.chats[1].request.earlier.records[0].lane == "key");
    } else {
      REQUIRE(sent->error);
      CHECK(sent->error->code == errc::outcome_unknown);
    }
    kill(caf::actor_cast<caf::actor>(proxy.actor));
  }
}

TEST_CASE_METHOD(proxy_test, "an owner that does not run the provider may still answer what it has", "[node]") {
  begin();
  owner_script script;
  connect(script);
  auto answer = chat();
  REQUIRE(script.chats.size() == 1);
  proxy.refuse(make_failure(errc::configuration, "it is gone"));
  run();
  auto refused = chat();
  REQUIRE(refused->error);
  CHECK(refused->error->code == errc::configuration);
  CHECK(answer->pending());
  reply_with(script, script.chats[0].reply, completion{});
  CHECK(answer->value);
}

TEST_CASE_METHOD(proxy_test, "an owner that comes to run the provider is found while its node is there", "[node]") {
  begin();
  proxy.refuse(make_failure(errc::configuration, "node far does not run it"));
  run();
  CHECK(chat()->error);
  auto status = ask<provider_status>(proxy.actor, status_atom_v);
  REQUIRE(status->value);
  CHECK(status->value->problem == "node far does not run it");
  advance(10s); // nobody asks for anything meanwhile
  CHECK(looks >= 10);
  CHECK(looks <= 20);
  owner_script script;
  connect(script);
  auto answer = chat();
  REQUIRE(script.chats.size() == 1);
  auto before = looks;
  advance(60s);
  CHECK(looks == before);
  reply_with(script, script.chats[0].reply, completion{});
  CHECK(answer->value);
}

TEST_CASE_METHOD(proxy_test, "an owner's actor that is dead when it is found keeps nobody busy", "[node]") {
  owner_script script;
  script.actor = hold(system().spawn(owner_actor, &script));
  auto dead = script.actor;
  kill(caf::actor_cast<caf::actor>(dead));
  proxy = spawn_provider_proxy(system(), provider, node, [&] {
    if (++looks < 1000) // it would go on for ever
      proxy.connect(dead);
  });
  hold(proxy.actor);
  proxy.connect(dead);
  run();
  advance(10s);
  CHECK(looks >= 5);
  CHECK(looks <= 20);
  script.actor = nullptr;
}

TEST_CASE_METHOD(proxy_test, "large requests wait for room on the link, small questions do not", "[node]") {
  begin();
  auto gate = std::make_shared<node::shared_gate>(4'000'000);
  owner_script script;
  connect(script, gate);
  std::vector<std::shared_ptr<test::outcome<completion>>> answers;
  for (int i = 0; i < 20; ++i)
    answers.push_back(large_chat(900'000));
  CHECK(script.chats.size() == 4);
  CHECK(gate->on_the_way() <= 4'000'000);
  CHECK(ask<model_list>(proxy.actor, models_atom_v)->value);
  SECTION("until the owner tells what has arrived") {
    acknowledge(script, 1);
    CHECK(script.chats.size() == 5);
    acknowledge(script, 3);
    CHECK(script.chats.size() == 8);
    acknowledge(script, UINT64_MAX); // whatever it says
    CHECK(script.chats.size() == 12);
  }
  SECTION("or answers") {
    reply_with(script, script.chats[2].reply, completion{}); // the first three have arrived
    CHECK(script.chats.size() == 7);
    reply_with(script, script.chats[0].reply, error_of(errc::server_error));
    CHECK(script.chats.size() == 7);
  }
  SECTION("until their deadline") {
    auto late = large_chat(100, 10s);
    advance(10s);
    REQUIRE(late->error);
    CHECK(late->error->code == errc::deadline_exceeded);
    CHECK(late->error->message.find("a link that has more to carry than it can") != std::string::npos);
    CHECK(late->error->attempts.empty());
    CHECK(script.chats.size() == 4);
  }
  SECTION("until the link is lost, which frees it") {
    owner_script second;
    proxy.disconnect("cut");
    run();
    CHECK(gate->on_the_way() == 0);
    connect(second, gate);
    CHECK(second.chats.size() == 4);
    CHECK(second.chats[0].request.earlier.spent == 1);
  }
  SECTION("or the owner's actor is") {
    end(script.actor);
    CHECK(gate->on_the_way() == 0);
  }
  SECTION("and other proxies have their turn") {
    auto other = spawn_provider_proxy(system(), provider, node, [] {});
    hold(other.actor);
    owner_script theirs;
    theirs.actor = hold(system().spawn(owner_actor, &theirs));
    other.connect({theirs.actor, gate});
    run();
    chat_request large;
    large.messages.push_back(text_message(role::user, std::string(900'000, 'y')));
    auto answer = ask<completion>(other.actor, large);
    CHECK(theirs.chats.empty());
    acknowledge(script, 1);
    CHECK(theirs.chats.size() == 1);
    CHECK(script.chats.size() == 4);
    acknowledge(script, 1);
    CHECK(script.chats.size() == 5);
  }
  CHECK(gate->on_the_way() <= 4'000'000);
}

TEST_CASE_METHOD(proxy_test, "a flood waits at its host, not in the mailbox of a provider that takes its time",
                 "[node]") {
  begin();
  auto gate = std::make_shared<node::shared_gate>(4'000'000);
  owner_script script;
  script.actor = hold(system().spawn(owner_actor, &script));
  auto peer = hold(system().spawn([](caf::event_based_actor*) -> caf::behavior { return {[](int) {}}; }));
  proxy.connect(
    {spawn_provider_guest(system(), script.actor, "near", caf::actor_cast<caf::strong_actor_ptr>(peer), 1u << 20),
     gate});
  run();
  for (int i = 0; i < 20; ++i)
    static_cast<void>(large_chat(900'000));
  CHECK(script.chats.size() == 4);
  REQUIRE(script.unread.size() == 4);
  post(script.actor, [&script] {
    script.unread[0].deliver();
    script.unread[1].deliver();
  });
  run();
  CHECK(script.chats.size() == 6);
}

TEST_CASE_METHOD(proxy_test, "a proxy that ends frees the link for others", "[node]") {
  begin();
  auto gate = std::make_shared<node::shared_gate>(4'000'000);
  owner_script script;
  connect(script, gate);
  for (int i = 0; i < 10; ++i)
    static_cast<void>(large_chat(900'000));
  end(proxy.actor);
  CHECK(gate->on_the_way() == 0);
}

TEST_CASE_METHOD(proxy_test, "requests that fill the memory for them are refused at once", "[node]") {
  proxy = spawn_provider_proxy(
    system(), provider, node, [] {}, 10'000'000);
  hold(proxy.actor);
  std::vector<std::shared_ptr<test::outcome<completion>>> answers;
  for (int i = 0; i < 30; ++i)
    answers.push_back(large_chat(900'000));
  CHECK(std::count_if(answers.begin(), answers.end(), [](auto& x) { return x->pending(); }) == 11);
  REQUIRE(answers.back()->error);
  CHECK(answers.back()->error->code == errc::queue_full);
  CHECK(answers.back()->error->message.find("runtime.max_queued_bytes") != std::string::npos);
  owner_script script;
  connect(script);
  REQUIRE(script.chats.size() == 11);
  for (auto& x : std::vector(script.chats))
    reply_with(script, x.reply, completion{});
  auto again = large_chat(900'000);
  CHECK(again->pending());
}

TEST_CASE_METHOD(chain_test, "what arrives is acknowledged on both sides, and answers wait for room, too", "[node]") {
  settings.max_concurrent = 100;
  settings.retry.max_attempts = 2;
  settings.nodes = {"far"};
  owner = spawn();
  proxy = spawn_provider_proxy(system(), settings, node, [] {});
  hold(proxy.actor);
  auto out = std::make_shared<node::shared_gate>(2'000'000);
  auto back = std::make_shared<node::shared_gate>(2'000'000);
  peer = hold(system().spawn([](caf::event_based_actor*) -> caf::behavior { return {[](int) {}}; }));
  proxy.connect(
    {spawn_provider_guest(system(), owner, "near", caf::actor_cast<caf::strong_actor_ptr>(peer), 1u << 20, back), out});
  run();
  std::vector<std::shared_ptr<test::outcome<completion>>> answers;
  for (uint64_t i = 0; i < 40; ++i)
    answers.push_back(ask<completion>(proxy.actor, question(i, std::string(900'000, 'x'))));
  CHECK(http->pending() == 40); // each has made room for the next
  CHECK(out->on_the_way() < node::receipts::enough);
  while (http->pending() > 0)
    say(0, std::string(700'000, 'y'));
  for (auto& x : answers)
    CHECK(x->value);
  CHECK(out->on_the_way() == 0);
  CHECK(back->on_the_way() < node::receipts::enough);
  // Somebody else fills the link back.
  node::shared_gate::user other{back, [] {}};
  REQUIRE(other.take(1'990'000));
  auto first = ask<completion>(proxy.actor, question(100));
  auto second = ask<completion>(proxy.actor, question(101));
  auto third = ask<completion>(proxy.actor, question(102));
  REQUIRE(http->pending() == 3);
  for (int i = 0; i < 3; ++i)
    say(0, std::string(700'000, 'y'));
  CHECK(first->pending());
  caf::anon_send(proxy.actor, cancel_atom_v, request_id{1, 101});
  run();
  REQUIRE(second->error);
  CHECK(second->error->code == errc::cancelled);
  other.give_back(1'990'000);
  run();
  CHECK(first->value);
  CHECK(third->value);
  CHECK(back->on_the_way() < node::receipts::enough);
  auto small = ask<completion>(proxy.actor, question(103));
  say(0, "yes");
  CHECK(small->value);
  CHECK(back->on_the_way() > 0);
  advance(node::receipts::patience); // small ones are told of, too: else they would keep a large one back for good
  CHECK(back->on_the_way() == 0);
  CHECK(out->on_the_way() == 0);
  kill(peer); // and the guest with it
  CHECK(back->on_the_way() == 0);
}

TEST_CASE_METHOD(chain_test, "what waits for a slow link is bounded, and refused beyond that", "[node]") {
  begin();
  auto back = std::make_shared<node::shared_gate>(2'000'000);
  node::shared_gate::user other{back, [] {}};
  REQUIRE(other.take(1'990'000)); // and it reads nothing
  peer = hold(system().spawn([](caf::event_based_actor*) -> caf::behavior { return {[](int) {}}; }));
  proxy.connect(
    {spawn_provider_guest(system(), owner, "near", caf::actor_cast<caf::strong_actor_ptr>(peer), 16u << 20, back), {}});
  run();
  std::vector<std::shared_ptr<test::outcome<completion>>> answers;
  for (uint64_t i = 0; i < 6; ++i) { // 72 MB
    answers.push_back(ask<completion>(proxy.actor, question(i)));
    REQUIRE(http->pending() == 1);
    say(0, std::string(12'000'000, 'y'));
  }
  auto refused = ask<completion>(proxy.actor, question(100));
  CHECK(http->pending() == 0); // nobody pays for what cannot be told
  REQUIRE(refused->error);
  CHECK(refused->error->code == errc::queue_full);
  CHECK(ask<provider_status>(proxy.actor, status_atom_v)->value); // what is small passes
  other.give_back(1'990'000);
  run();
  for (auto& x : answers) {
    advance(node::receipts::patience);
    CHECK(x->value);
  }
  auto after = ask<completion>(proxy.actor, question(101));
  REQUIRE(http->pending() == 1);
  say(0, "yes");
  CHECK(after->value);
}

TEST_CASE_METHOD(proxy_test, "a call that its owner has still, from a link that broke, is sent again later", "[node]") {
  begin();
  owner_script first, second;
  auto one = connect(first);
  auto answer = chat();
  end(one);
  connect(second);
  REQUIRE(second.chats.size() == 1);
  reply_with(second, second.chats[0].reply, error_of(errc::duplicate_request));
  CHECK(answer->pending());
  advance(1s);
  REQUIRE(second.chats.size() == 2);
  reply_with(second, second.chats[1].reply, completion{});
  CHECK(answer->value);
}

TEST_CASE_METHOD(proxy_test, "calls wait out a relink, batch items whatever it takes", "[node]") {
  begin();
  owner_script first, second;
  auto one = connect(first);
  auto sent = chat();
  end(one);
  proxy.disconnect("the link broke");
  run();
  auto item = chat(priority::batch);
  auto fresh = chat();
  advance(11s); // as long as a link needs of which the other side saw the break last
  CHECK(sent->pending());
  CHECK(fresh->pending());
  SECTION("that comes about") {
    connect(second);
    CHECK(second.chats.size() == 3);
  }
  SECTION("that does not") {
    advance(5s);
    CHECK(sent->error);
    CHECK(fresh->error);
    CHECK(chat()->error);
    auto later = chat(priority::batch);
    advance(24h);
    CHECK(item->pending());
    connect(second);
    CHECK(second.chats.size() == 2);
    CHECK(later->pending());
  }
}

} // namespace modelforge::provider_proxy_test
