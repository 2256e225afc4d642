#include "support.hpp"

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>
#include <type_traits>

namespace modelforge::secret_test {

using namespace modelforge::test;
using Catch::Matchers::ContainsSubstring;

namespace {

template <class T>
concept printable = requires(std::ostream& out, const T& x) {
  out << x;
};

template <class T>
concept has_text = requires(const T& x) {
  to_string(x);
};

struct inspector {};

template <class T>
concept inspectable = requires(inspector& f, T& x) {
  inspect(f, x);
};

static_assert(printable<std::string>);
static_assert(!printable<secret>);
static_assert(!has_text<secret>);
static_assert(!inspectable<secret>);
static_assert(!std::is_convertible_v<secret, std::string> && !std::is_convertible_v<secret, std::string_view>);
static_assert(!std::is_convertible_v<std::string, secret>);

const std::string key = "sk-proj-A1b2C3d4E5f6G7h8J9k0_-xyz";

/// The key that a source gives, or the reason why it gives none.
std::string outcome(const key_source& source, const environment& env) {
  auto result = resolve(source, env);
  auto* found = std::get_if<secret>(&result);
  return found ? "key " + std::string{found->reveal()} : std::get<std::string>(result);
}

} // namespace

TEST_CASE("a secret compares by its text", "[config][secret]") {
  CHECK(secret{"abc"} == secret{"abc"});
  CHECK(secret{"abc"} != secret{"abd"});
  CHECK(secret{"abc"} != secret{"ab"});
  CHECK(secret{} == secret{""});
  CHECK(secret{}.empty());
  secret copy;
  {
    secret original{"abc"};
    copy = original;
  }
  CHECK(copy.reveal() == "abc");
}

TEST_CASE("wiping leaves nothing behind, in long texts as in short ones", "[config][secret]") {
  for (std::size_t size : {3u, 100u}) {
    std::string text(size, 'k');
    const auto* data = text.data();
    auto capacity = text.capacity();
    wipe(text);
    CHECK(text.empty());
    CHECK(text.data() == data);
    CHECK(std::all_of(data, data + capacity, [](char c) { return c == '\0'; }));
  }
}

TEST_CASE("a key is trimmed, and refused with a reason that does not quote it", "[config][secret]") {
  struct {
    const char* value;
    const char* outcome;
  } const cases[] = {
    {"k1", "key k1"},
    {" \t k1\r\n", "key k1"},
    {"", "environment variable K is empty"},
    {" \n", "environment variable K is empty"},
    {"k1\nk2", "environment variable K holds more than a key"},
    {"k1 k2", "environment variable K holds more than a key"},
    {"k1\x01", "environment variable K holds more than a key"},
    {"k\xc3\xa9", "environment variable K holds more than a key"},
  };
  for (const auto& x : cases) {
    auto result = outcome({"main", "K", ""}, variables({{"K", x.value}}));
    CHECK_THAT(result, Catch::Matchers::StartsWith(x.outcome));
    CHECK((result.starts_with("key ") || result.find("k1") == std::string::npos));
  }
  CHECK(outcome({"main", "K", ""}, variables({})) == "environment variable K is not set");
  CHECK(outcome({"main", "", ""}, variables({})) == "key `main` names neither a variable nor a file");
}

TEST_CASE("a key file holds a key and nothing else", "[config][secret]") {
  auto name = (std::filesystem::temp_directory_path() / "modelforge-XXXXXX").string();
  REQUIRE(mkdtemp(name.data()));
  auto read = [&](std::string_view content) {
    std::ofstream{name + "/key", std::ios::binary} << content;
    return outcome({"main", "", name + "/key"}, variables({}));
  };
  CHECK(read("k1\n") == "key k1");
  CHECK(read("k1\r") == "key k1");
  CHECK(read("\xEF\xBB\xBFk1\r\n") == "key k1");
  for (auto utf16 : {std::string_view{"\xFF\xFEk\0001\0", 6}, std::string_view{"\xFE\xFF\0k\0001", 6},
                     std::string_view{"k\0001\0", 4}})
    CHECK(read(utf16) == "key file " + name + "/key is UTF-16; save it as UTF-8");
  CHECK(read("\n") == "key file " + name + "/key is empty");
  CHECK_THAT(read("k1\nk2\n"), ContainsSubstring("holds more than a key"));
  CHECK_THAT(read(std::string(100'000, 'k')), ContainsSubstring("it is longer than"));
  CHECK_THAT(outcome({"main", "", name}, variables({})), ContainsSubstring("cannot be read: it is a directory"));
  CHECK_THAT(outcome({"main", "", name + "/none"}, variables({})), ContainsSubstring("No such file"));
  std::filesystem::remove_all(name);
}

TEST_CASE("the process's environment is read", "[config][secret]") {
  auto env = process_environment();
  CHECK(env("PATH"));
  CHECK_FALSE(env("MODELFORGE_NO_SUCH_VARIABLE"));
}

TEST_CASE("what looks like a credential is masked, and nothing else", "[config][secret]") {
  const std::pair<std::string, std::string> cases[] = {
    {"Incorrect API key provided: " + key + ". See", "Incorrect API key provided: sk-proj-***. See"},
    {"sk-12****************3456", "sk-***"},
    {"sk-ant-api03-abcdef sk-or-v1-abcdef", "sk-ant-*** sk-or-***"},
    {"gsk_abcdef AIzaSyabcdef ghp_abcdef gho_abcdef github_pat_abcdef hf_abcdef",
     "gsk_*** AIza*** ghp_*** gho_*** github_pat_*** hf_***"},
    {"\\n" + key, "\\nsk-proj-***"},
    {"Authorization: Bearer abc.def\r\nHost: x", "Authorization: Bearer ***\r\nHost: x"},
    {"authorization: Basic dXNlcjpwYXNz", "authorization: Basic ***"},
    {R"({"x-api-key": "abc", "a": "b"})", R"({"x-api-key": "***", "a": "b"})"},
    {R"({\"Api-Key\": \"abc\"})", R"({\"Api-Key\": \"***\"})"},
    {"{'X-Goog-Api-Key': 'abc'}", "{'X-Goog-Api-Key': '***'}"},
    {"Set-Cookie: a=b; c=d\nnext", "Set-Cookie: ***\nnext"},
    {"GET /v1/models?alt=sse&key=abc&x=1 HTTP/1.1", "GET /v1/models?alt=sse&key=***&x=1 HTTP/1.1"},
    {"https://user:pass@host/path@v1", "https://***@host/path@v1"},
    // Nothing to hide.
    {"the task-force is risk-averse; sk- is a prefix; whisker-ski",
     "the task-force is risk-averse; sk- is a prefix; whisker-ski"},
    {"tokens_per_minute = 100, monkey=3, key=4", "tokens_per_minute = 100, monkey=3, key=4"},
    {"https://api.openai.com/v1?api-version=2024", "https://api.openai.com/v1?api-version=2024"},
    {"authorization failed: no such model", "authorization failed: no such model"},
    {"", ""},
  };
  for (const auto& [text, masked] : cases) {
    CHECK(redact(text) == masked);
    CHECK(redact(masked) == masked);
  }
}

TEST_CASE("masking is complete and stable in any surroundings", "[config][secret]") {
  std::mt19937 random{3};
  const std::string_view pieces[] = {"authorization", ":",     " ", "\"",  "bearer ",  "sk-", "abcd",
                                     "***",           "?key=", "&", "://", "@",        "\n",  "\\",
                                     "cookie: ",      "hf_",   "é", "=",   "x-api-key"};
  for (int round = 0; round < 20'000; ++round) {
    std::string text;
    for (int i = 0; i < 8; ++i)
      text += pieces[random() % std::size(pieces)];
    auto once = redact(text);
    if (redact(once) != once)
      FAIL(text << " -> " << once << " -> " << redact(once));
    if (auto with_key = redact(text + key + text); with_key.find("G7h8J9k0") != std::string::npos)
      FAIL("not masked: " << text << " -> " << with_key);
  }
}

} // namespace modelforge::secret_test
