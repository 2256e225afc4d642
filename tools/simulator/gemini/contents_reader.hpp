#pragma once

#include "tools/simulator/gemini/content_request.hpp"
#include "tools/simulator/gemini/field_reader.hpp"

#include <cstdint>
#include <string>

namespace modelforge::simulator::gemini {

/// Reads the system instruction and the contents: which turn may follow which, and which calls want their responses.
class contents_reader : protected field_reader {
protected:
  contents_reader(const json& body, const options& settings, bool wants_signatures)
    : field_reader(body, settings, result_), wants_signatures_(wants_signatures) {}

  ~contents_reader() = default;

  void read_system();
  void read_contents();

  /// Name of a call of this turn that should have had a signature; empty: there is none.
  const std::string& unsigned_call() const { return unsigned_call_; }

  /// Whether the last content is a user's, and no response.
  bool is_asked() const { return is_asked_; }

  content_request result_;

private:
  /// What one content held.
  struct tally {
    uint32_t calls = 0, responses = 0, others = 0;
    std::string text;
  };

  void read_content(const json& x, const std::string& path, std::size_t index);

  void check_turn(tally& held, bool is_model, std::size_t index);

  void read_part(const json& x, const std::string& path, bool is_model, tally& held);

  void read_text(const json& x, const std::string& path, tally& held);

  void read_media(const json& x, const std::string& path, tally& held);

  void read_call(const json& call, const std::string& path, const std::string* signature, bool is_model, tally& held);

  void read_response(const json& response, const std::string& path, tally& held);

  bool wants_signatures_;
  std::string last_role_;
  std::string unsigned_call_;
  uint32_t open_calls_ = 0; ///< Of the last content, that want their responses.
  bool is_asked_ = false;
};

} // namespace modelforge::simulator::gemini
