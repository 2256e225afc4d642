#pragma once

#include <modelforge/config/secret.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace modelforge {

/// Finds known secrets in texts of others and masks them with "***": as they are, URL-encoded, escaped as in JSON, and
/// in base64 (also inside of something longer, in both alphabets). It goes by the values themselves, whatever they look
/// like; `redact` goes by what keys of known providers look like.
///
/// Not synchronized; may be read by many threads. The secrets are overwritten when the last copy goes.
class secret_mask {
public:
  enum class extent : uint8_t {
    whole, ///< Only whole secrets of 8 characters and more: for what models say, where a short one may be a word.
    cut,   ///< Also parts of 8 characters and more, and whole secrets of 4 to 7: for what servers say.
  };

  /// Adds what a credential or a secret header holds: each of its words but the name of a scheme ("Bearer"). Words of
  /// less than 4 characters are none to be found. Of many (rotated keys) the latest are kept.
  void add(std::string_view value);

  /// Adds what `older` has and this has not.
  void keep(const secret_mask& older);

  bool empty() const { return words_.empty(); }

  void mask(std::string& text, extent depth) const;

private:
  struct span {
    std::size_t begin, end;
  };

  /// What is looked for: a secret, or how it looks in base64.
  struct form {
    secret text;
    std::size_t min_part; ///< Shorter parts say too little, or may be anything.
  };

  /// A place in a form.
  struct place {
    uint32_t form;
    uint32_t offset;
  };

  void add_word(std::string_view word);
  void index();
  void find(std::string_view text, extent depth, std::vector<span>& spans) const;

  std::vector<secret> words_; ///< The latest last.
  std::vector<form> forms_;
  std::unordered_map<uint32_t, std::vector<place>> places_; ///< By the four bytes that stand there.
  std::vector<uint64_t> filter_;                            ///< A bit for each hash of four bytes that occur.
};

} // namespace modelforge
