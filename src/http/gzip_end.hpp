#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace modelforge::http {

/// Tells whether a body that gzip compressed has come to its end. libcurl hands on what it could decompress and calls
/// that a whole answer, even where the compressed bytes stop in the middle; but gzip's last four bytes are the size of
/// what was compressed.
class gzip_end {
public:
  /// Begins with a body. `is_chunked`: its bytes come in HTTP/1.1's chunks.
  void begin(bool is_chunked);

  bool has_begun() const { return has_begun_; }

  /// Takes bytes of the body as they came over the connection.
  void take(std::string_view bytes);

  /// Whether something is missing of a body of which so many bytes were decompressed. No, where nothing tells.
  bool is_cut(uint64_t decompressed) const;

private:
  enum class part : uint8_t { size, extension, data, data_end, trailer };

  void take_chunks(std::string_view bytes);
  void keep(std::string_view bytes);

  uint64_t last_ = 0;  ///< The last eight bytes, the latest one highest.
  uint64_t count_ = 0; ///< Of the compressed body's bytes.
  uint64_t chunk_ = 0; ///< What is left of the chunk.
  part part_ = part::size;
  bool has_begun_ = false;
  bool is_chunked_ = false;
  bool is_odd_ = false; ///< These are no chunks that we understand.
};

} // namespace modelforge::http
