#pragma once

#include <modelforge/actors/provider.hpp>

#include "tests/support/deterministic.hpp"
#include "tests/support/fake_client.hpp"
#include "tests/support/settings.hpp"

#include <memory>
#include <string>
#include <utility>

namespace modelforge::test {

using namespace std::chrono_literals;

/// A provider actor before an HTTP server that is the test, in virtual time.
struct provider_test : deterministic {
  std::shared_ptr<fake_client> http = std::make_shared<fake_client>();
  provider_settings settings = acme();
  runtime_settings runtime;

  provider_actor spawn() { return hold(std::get<provider_actor>(spawn_provider(system(), settings, runtime, http))); }

  static chat_request question(uint64_t n, std::string text = "hi") {
    chat_request x;
    x.id = {1, n};
    x.messages.push_back(text_message(role::user, std::move(text)));
    return x;
  }

  auto ask_chat(const provider_actor& to, chat_request x) { return ask<completion>(to, std::move(x)); }

  provider_status status(const provider_actor& of) { return *ask<provider_status>(of, status_atom_v)->value; }

  /// Answers the i-th pending exchange, and lets the actor take it in.
  void say(std::size_t i, const std::string& text) {
    http->say(i, text);
    run();
  }
};

} // namespace modelforge::test
