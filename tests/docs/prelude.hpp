#pragma once

// What the fragments of C++ in the documents take for granted.

#include <modelforge/actors/provider.hpp>
#include <modelforge/actors/registry.hpp>
#include <modelforge/actors/runtime.hpp>
#include <modelforge/actors/system.hpp>
#include <modelforge/actors/text_stream.hpp>

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/init_global_meta_objects.hpp>

#include <chrono>
#include <iostream>

struct ticket {};

template <class Inspector>
bool inspect(Inspector& f, ticket& x) {
  return f.object(x).fields();
}

CAF_BEGIN_TYPE_ID_BLOCK(help_desk, caf::first_custom_type_id)
CAF_ADD_TYPE_ID(help_desk, (ticket))
CAF_END_TYPE_ID_BLOCK(help_desk)

namespace docs {

using namespace modelforge;
using namespace std::chrono_literals;

extern modelforge::settings settings;
extern caf::actor_system& system;
extern provider_actor provider;
extern chat_request request;

} // namespace docs
