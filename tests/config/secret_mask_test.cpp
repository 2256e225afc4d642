#include "config/secret_mask.hpp"

#include <catch2/catch_test_macros.hpp>

#include <cctype>
#include <cstdio>
#include <random>
#include <string>
#include <vector>

namespace modelforge::secret_mask_test {

namespace {

using extent = secret_mask::extent;

std::string masked(const secret_mask& by, std::string text, extent how = extent::cut) {
  by.mask(text, how);
  return text;
}

const std::string azure_key = "3f9a0c77d1e84b52a6b0e1f2c3d4958a";

std::string base64(std::string_view text, bool for_urls = false) {
  std::string alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
  alphabet += for_urls ? "-_" : "+/";
  std::string result;
  for (std::size_t i = 0; i < text.size(); i += 3) {
    unsigned bits = 0;
    for (std::size_t k = 0; k < 3; ++k)
      bits = bits << 8 | (i + k < text.size() ? static_cast<unsigned char>(text[i + k]) : 0u);
    for (std::size_t k = 0; k < 4; ++k)
      result += i + k <= text.size() ? alphabet[bits >> (18 - 6 * k) & 63] : '=';
  }
  return result;
}

std::string url_encoded(std::string_view text, bool all) {
  std::string result;
  for (unsigned char c : text)
    if (!all && std::isalnum(c) != 0) {
      result += static_cast<char>(c);
    } else {
      char hex[4];
      std::snprintf(hex, sizeof hex, c % 2 == 0 ? "%%%02X" : "%%%02x", c);
      result += hex;
    }
  return result;
}

} // namespace

TEST_CASE("a known secret is masked wherever it stands", "[config][secret]") {
  secret_mask x;
  CHECK(x.empty());
  CHECK(masked(x, azure_key) == azure_key);
  x.add(azure_key);
  CHECK_FALSE(x.empty());
  for (auto how : {extent::whole, extent::cut}) {
    CHECK(masked(x, azure_key, how) == "***");
    CHECK(masked(x, "key " + azure_key + " is wrong", how) == "key *** is wrong");
    CHECK(masked(x, "\"" + azure_key + "\"" + azure_key, how) == "\"***\"***");
    CHECK(masked(x, azure_key + azure_key, how) == "***");
    CHECK(masked(x, "prefix" + azure_key + "suffix", how) == "prefix***suffix");
    for (std::size_t at = 0; at < 12; ++at)
      CHECK(masked(x, std::string(at, '.') + azure_key, how) == std::string(at, '.') + "***");
    CHECK(masked(x, "nothing here", how) == "nothing here");
    CHECK(masked(x, "", how).empty());
  }
}

TEST_CASE("a secret is known in every usual encoding", "[config][secret]") {
  for (auto& key : {azure_key, std::string{"ab/c+d=e&f\"g\\hij1"}, std::string{"sk-Proj_1~2.3!4"}}) {
    secret_mask x;
    x.add(key);
    auto word = key.find('=') == key.npos ? key : key.substr(key.find('=') + 1); // NAME=VALUE
    for (auto how : {extent::whole, extent::cut}) {
      CAPTURE(key);
      for (auto all : {false, true})
        CHECK(masked(x, "x: " + url_encoded(word, all) + " y", how) == "x: *** y");
      for (auto for_urls : {false, true})
        for (auto* before : {"", "u", "us", "user:", "Bearer "})
          for (auto* behind : {"", "z", "zz", "zzz"}) {
            auto text = base64(before + word + behind, for_urls);
            auto out = masked(x, "Basic " + text, how);
            CAPTURE(text, out);
            CHECK(out.find("***") != out.npos);
            CHECK(out.size() <= text.size() + 12 - word.size()); // what is left tells of a character at either end
          }
      std::string json;
      for (auto c : word)
        json += c == '"' || c == '\\' || c == '/' ? std::string{'\\', c} : std::string{c};
      CHECK(masked(x, "{\"a\":\"" + json + "\"}", how) == R"({"a":"***"})");
      std::string unicode;
      for (auto c : word) {
        char hex[8];
        std::snprintf(hex, sizeof hex, "\\u%04x", static_cast<unsigned>(c));
        unicode += hex;
      }
      CHECK(masked(x, unicode, how) == "***");
    }
  }
}

TEST_CASE("parts of a secret are masked in what servers say, not in what models do", "[config][secret]") {
  secret_mask x;
  x.add(azure_key);
  for (std::size_t size = 1; size < azure_key.size(); ++size)
    for (std::size_t at = 0; at + size <= azure_key.size(); ++at) {
      auto part = azure_key.substr(at, size);
      CAPTURE(part);
      CHECK(masked(x, "the key \"" + part + "...", extent::whole) == "the key \"" + part + "...");
      CHECK(masked(x, "the key \"" + part + "...") == (size < 8 ? "the key \"" + part + "..." : "the key \"***..."));
    }
  CHECK(masked(x, azure_key.substr(0, 9) + "*****" + azure_key.substr(28)) == "********" + azure_key.substr(28));
}

TEST_CASE("short values are masked as words, and only in what servers say", "[config][secret]") {
  secret_mask x;
  x.add("hello");
  x.add("abc");
  CHECK(masked(x, "hello, othello! (hello) abc") == "***, othello! (***) abc");
  CHECK(masked(x, "hello", extent::whole) == "hello");
}

TEST_CASE("of a header's value its secret words count", "[config][secret]") {
  secret_mask x;
  x.add("Bearer 11112222333344445555");
  x.add("session=aaaabbbbccccdddd; theme=dark; other=eeeeffffgggg==");
  CHECK(masked(x, "Bearer of bad news: 11112222333344445555") == "Bearer of bad news: ***");
  CHECK(masked(x, "session aaaabbbbccccdddd, eeeeffffgggg==") == "session ***, ***");
}

TEST_CASE("older secrets stay known, and many of them cost no memory for ever", "[config][secret]") {
  secret_mask x;
  x.add("new-secret-000");
  secret_mask old;
  old.add("old-secret-999");
  x.keep(old);
  CHECK(masked(x, "new-secret-000 old-secret-999", extent::whole) == "*** ***");
  for (auto i = 0; i < 200; ++i) {
    secret_mask next;
    next.add("rotated-key-" + std::to_string(100'000 + 7'919 * i));
    next.keep(x);
    x = next;
  }
  CHECK(masked(x, "rotated-key-" + std::to_string(100'000 + 7'919 * 199), extent::whole) == "***");
  CHECK(masked(x, "rotated-key-" + std::to_string(100'000 + 7'919 * 180), extent::whole) == "***");
  CHECK(masked(x, "rotated-key-100000", extent::whole) == "rotated-key-100000");
}

TEST_CASE("masking changes nothing else, and masking twice changes nothing", "[config][secret]") {
  secret_mask x;
  x.add(azure_key);
  x.add("Zz9-\\\"/+=%41kk");
  for (unsigned seed = 0; seed < 2'000; ++seed) {
    std::mt19937 random{seed};
    std::string text, expected;
    for (auto i = random() % 12; i > 0; --i)
      if (random() % 4 == 0 && (expected.size() < 3 || expected.substr(expected.size() - 3) != "***")) {
        text += azure_key;
        expected += "***";
      } else {
        auto c = "xyz %\\\"u0041"[random() % 12];
        text += c;
        expected += c;
      }
    auto once = masked(x, text, extent::whole);
    if (once != expected || masked(x, once, extent::whole) != once)
      FAIL(seed << ": " << text << " -> " << once);
  }
}

} // namespace modelforge::secret_mask_test
