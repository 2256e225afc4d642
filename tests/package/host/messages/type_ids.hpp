#pragma once

#include <caf/type_id.hpp>

#include <string>

/// The host's own message, in a block of its own.
struct errand {
  std::string text;
};

template <class Inspector>
bool inspect(Inspector& f, errand& x) {
  return f.object(x).fields(f.field("text", x.text));
}

CAF_BEGIN_TYPE_ID_BLOCK(host, caf::first_custom_type_id)
CAF_ADD_TYPE_ID(host, (errand))
CAF_END_TYPE_ID_BLOCK(host)
