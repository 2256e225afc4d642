#include <modelforge/actors/system.hpp>

#include <caf/init_global_meta_objects.hpp>
#include <caf/io/middleman.hpp>

namespace modelforge {

// Alone in its file: how each message is saved, loaded and printed takes 15 s to compile.
void init_types() {
  // CAF itself tolerates a block that is registered twice; the lock is for hosts that start two threads with it.
  static const bool once = [] {
    caf::core::init_global_meta_objects();
    caf::io::middleman::init_global_meta_objects();
    caf::init_global_meta_objects<caf::id_block::modelforge>();
    caf::init_global_meta_objects<caf::id_block::modelforge_handles>();
    return true;
  }();
  static_cast<void>(once);
}

} // namespace modelforge
