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

  /// Read the fields `systemInstruction` and `contents`, in that order.
  void read_system();
  void read_contents();

  /// Name of a call of this turn that should have had a signature; empty: there is none.
  const std::string& unsigned_call() const { return unsigned_call_; }

  /// Whether the last content is a user's, and no response.
  bool is_asked() const { return is_asked_; }

  content_request result_; ///< What was read so far.

private:
  /// What one content held.
  struct tally {
    uint32_t calls = 0, responses = 0, others = 0;
    std::string text;
  };

  /// Reads one content, the `index`th: whose turn it is and its parts.
  void read_content(const json& content, const std::string& path, std::size_t index);

  /// Judges a turn by what it held and what came before it.
  void check_turn(tally& held, bool is_model, std::size_t index);

  /// Reads a part, which has data of exactly one kind.
  void read_part(const json& part, const std::string& path, bool is_model, tally& held);

  /// Reads a text; thoughts that come back do not count.
  void read_text(const json& part, const std::string& path, tally& held);

  /// Reads data of another kind; its content is not looked at.
  void read_media(const json& part, const std::string& path, tally& held);

  /// Reads a call that the model made; `signature` may be nullptr. Checks the signature if there is one.
  void read_call(const json& call, const std::string& path, const std::string* signature, bool is_model, tally& held);

  /// Reads the response to a call.
  void read_response(const json& response, const std::string& path, tally& held);

  bool wants_signatures_; ///< Whether the model demands the signatures of its calls.
  std::string last_role_;
  std::string unsigned_call_;
  uint32_t open_calls_ = 0; ///< Of the last content, that want their responses.
  bool is_asked_ = false;
};

} // namespace modelforge::simulator::gemini
