#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace modelforge::http {

/// Finds the end of a body that zstd compressed by the lengths in it: its frames name the length of each block.
class zstd_frames {
public:
  void take(std::string_view bytes);

  /// Whether the bytes so far end behind a whole frame.
  bool is_at_end() const { return at_ == place::magic && kept_ == 0; }

  /// They are no frames that are known.
  bool is_odd() const { return is_odd_; }

private:
  enum class place : uint8_t { magic, skipped_size, descriptor, header, block, content, checksum };

  bool keep(char c, std::size_t wanted);
  void go(place to);
  void take_byte(char c);
  void end_block();

  place at_ = place::magic;
  std::array<unsigned char, 4> bytes_{}; ///< Of what is read,
  std::size_t kept_ = 0;                 ///< so many.
  uint64_t skip_ = 0;                    ///< Bytes that say nothing here, before what is read next.
  bool has_checksum_ = false, is_last_ = false, is_odd_ = false, is_skipped_frame_ = false;
};

/// Tells whether a compressed body has come to its end. libcurl hands on what it could decompress and calls that a
/// whole answer, even where the compressed bytes stop in the middle. But each format has its own end: gzip's last four
/// bytes are the size of what was compressed, zlib's (which HTTP calls deflate) its Adler-32, and zstd tells the length
/// of each of its blocks. Of brotli, and of deflate without zlib's frame, nothing tells but a decoder.
class compressed_end {
public:
  /// Begins with a body of that content coding; one that is not watched says nothing. `is_chunked`: its bytes come in
  /// HTTP/1.1's chunks.
  void begin(std::string_view coding, bool is_chunked);

  /// Whether the bytes of the body are to be shown.
  bool is_watching() const { return format_ != format::unwatched; }

  /// Takes bytes of the body as they came over the connection.
  void take(std::string_view bytes);

  /// Takes bytes of the decompressed body.
  void take_decompressed(std::string_view bytes);

  /// Whether something is missing of the body. No, where nothing tells.
  bool is_cut() const;

  /// Whether gzip has compressed the body in several parts, one behind the other, which the format allows: libcurl
  /// decompresses the first one alone.
  bool has_more_members() const;

private:
  enum class format : uint8_t { unwatched, gzip, zlib, zstd };
  enum class part : uint8_t { size, extension, data, data_end, trailer };

  static constexpr std::size_t max_members = 16;

  void take_chunks(std::string_view bytes);
  void keep(std::string_view bytes);
  void note_member();

  uint64_t last_ = 0;  ///< The last eight bytes, the latest one highest.
  uint64_t count_ = 0; ///< Of the compressed body's bytes.
  uint64_t chunk_ = 0; ///< What is left of the chunk.
  uint64_t decompressed_ = 0;
  uint32_t adler_ = 1;                        ///< Of what was decompressed, for zlib.
  std::array<uint32_t, max_members> sizes_{}; ///< What may be sizes of members, in front of others.
  std::size_t size_count_ = 0;
  zstd_frames frames_;
  format format_ = format::unwatched;
  part part_ = part::size;
  bool is_chunked_ = false;
  bool is_odd_ = false; ///< These are no chunks, or no format, that we understand.
};

} // namespace modelforge::http
