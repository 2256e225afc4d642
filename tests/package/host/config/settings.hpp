#pragma once

/// The host's own settings: the name is ModelForge's, too.
struct host_settings {
  const char* greeting = "Say hello.";
};
