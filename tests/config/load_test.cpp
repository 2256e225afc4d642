#include "config/schema.hpp"
#include "support.hpp"

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <locale>
#include <string>

namespace modelforge::load_test {

using namespace modelforge::test;
using namespace std::chrono_literals;
using Catch::Matchers::ContainsSubstring;

namespace {

const auto with_key = variables({{"KEY", "sk-a-key-of-the-test"}});

load_result load(std::string_view text) {
  return parse(text, "f.toml", with_key);
}

/// A folder of the test's own, which goes with it.
struct folder {
  std::filesystem::path path;

  folder() {
    auto name = (std::filesystem::temp_directory_path() / "modelforge-XXXXXX").string();
    REQUIRE(mkdtemp(name.data()));
    path = name;
  }
  folder(const folder&) = delete;
  folder& operator=(const folder&) = delete;
  ~folder() { std::filesystem::remove_all(path); }

  std::string write(const std::string& name, std::string_view text) const {
    std::filesystem::create_directories((path / name).parent_path());
    std::ofstream{path / name, std::ios::binary} << text;
    return (path / name).string();
  }
};

struct fault {
  std::string_view text;
  uint32_t line;
  uint32_t column;
  std::string_view message;
  std::string_view hint = "";
};

} // namespace

TEST_CASE("loader reads every type of value", "[config]") {
  auto result = load(R"(
[runtime]
threads = 4
grace_period = 0.05
[providers.b-1]
kind = "anthropic"
base_url = "https://example.org/api//"
nodes = ["one", "two"]
adaptive = true
api_key_env = "KEY"
[providers.b-1.retry]
backoff_factor = 1.5
base_wait = 1
[providers.b-1.rate_limit]
requests_per_minute = 60
[providers.b-1.optimizations]
seed = -9223372036854775808
[providers.b-1.headers]
"X-Title" = "a title"
X-Org = { env = "KEY" }
[providers.b-1.models."z*"]
rate_limit.burst = 3
[providers.b-1.models."a*"]
[providers.a]
kind = "openai"
[[providers.a.keys]]
api_key_env = "KEY"
[[providers.a.keys]]
name = "second"
api_key_file = "/dev/null"
[node]
name = "one"
)");
  INFO(text_of(result));
  REQUIRE(result.value);
  CHECK(result.origin == "f.toml");
  settings expected;
  expected.runtime.threads = 4;
  expected.runtime.grace_period = 50ms;
  expected.node.name = "one";
  auto& b = expected.providers.emplace_back();
  b.name = "b-1";
  b.kind = provider_kind::anthropic;
  b.base_url = "https://example.org/api";
  b.nodes = {"one", "two"};
  b.adaptive = true;
  b.keys = {{"key1", "KEY", ""}};
  b.retry.backoff_factor = 1.5;
  b.retry.base_wait = 1s;
  b.rate_limit.requests_per_minute = 60;
  b.optimizations.seed = std::numeric_limits<int64_t>::min();
  b.headers = {{"X-Title", "a title", ""}, {"X-Org", "", "KEY"}};
  b.models = {{"z*", {}}, {"a*", {}}};
  b.models[0].rate_limit.burst = 3;
  auto& a = expected.providers.emplace_back();
  a.name = "a";
  a.keys = {{"key1", "KEY", ""}, {"second", "", "/dev/null"}};
  CHECK(*result.value == expected);
}

TEST_CASE("loader says where a fault is and what would be right", "[config]") {
  const fault faults[] = {
    // Names.
    {"[provider.x]\n", 1, 2, "unknown key `provider` at the top of the file", "did you mean `providers`?"},
    {"[providers.x.retry]\nmax_attemps = 3\n", 2, 1, "unknown key `max_attemps` in [providers.x.retry]",
     "did you mean `max_attempts`?"},
    {"[providers.x.retry]\n\"max_atempts\" = 3\n", 2, 2, "unknown key", "did you mean `max_attempts`?"},
    {"[providers.x.rety]\nmax_attempts = 3\n", 1, 14, "unknown key `rety`", "did you mean `retry`?"},
    {"[providers.x]\n  max_attempts = 3\n", 2, 3, "unknown key `max_attempts` in [providers.x]",
     "`max_attempts` belongs in [providers.x.retry]"},
    {"[providers.x]\nretry = { base_wiat = 3 }\n", 2, 11, "unknown key `base_wiat`", "did you mean `base_wait`?"},
    {"[providers.x]\nretry.base_wiat = 3\n", 2, 7, "unknown key `base_wiat`", "did you mean `base_wait`?"},
    {"[providers.x]\nbase_wiat = 3\n", 2, 1, "unknown key", "did you mean `base_wait` in [providers.x.retry]?"},
    {"max_attempts = 3\n", 1, 1, "unknown key", "belongs in [providers.NAME.retry]"},
    {"[node]\nlog = 1\n", 2, 1, "unknown key", "belongs at the top of the file"},
    {"[[providers.x.keys]]\napi_key_evn = \"A\"\n", 2, 1, "unknown key", "did you mean `api_key_env`?"},
    {"[[providers.x.keys]]\nenv = \"KEY\"\n", 2, 1, "unknown key `env`", "did you mean `api_key_env`?"},
    {"[[providers.x.keys]]\nfile = \"/f\"\n", 2, 1, "unknown key `file`", "did you mean `api_key_file`?"},
    {"[providers.x]\nenv = \"KEY\"\n", 2, 1, "unknown key `env`", "did you mean `api_key_env`?"},
    {"[providers.\"a b\"]\n", 1, 13, "a provider cannot have this name", "letters, digits"},
    {"[providers.1a]\n", 1, 12, "a provider cannot have this name"},
    {"[providers]\nmax_concurrent = 3\n", 2, 1, "`max_concurrent` is an integer, not a table", "[providers."},
    {"[providers.anthropic]\napi_key_env = \"KEY\"\n", 1, 12, "without `kind` is of kind `openai`",
     "kind = \"anthropic\""},
    // Types.
    {"providers = 3\n", 1, 13, "`providers` is an integer", "allowed: a table"},
    {"[[providers]]\nname = \"x\"\n", 1, 1, "`providers` is an array of tables", "allowed: a table"},
    {"[providers.x]\nadaptive = \"yes\"\n", 2, 12, "`adaptive` is a string", "allowed: true or false"},
    {"[providers.x]\nmax_concurrent = 1.5\n", 2, 18, "`max_concurrent` is a float",
     "allowed: an integer from 1 to 100000. Requests in flight at a time, for each key, whatever the model."},
    {"[providers.x]\nnodes = \"a\"\n", 2, 9, "`nodes` is a string", "allowed: an array of strings"},
    {"[providers.x]\nnodes = [\"a\",\n  3]\n", 2, 9, "`nodes` is an array"},
    {"[providers.x]\nretry = 3\n", 2, 9, "`retry` is an integer", "allowed: a table"},
    {"[providers.x]\ndeadline = 2026-01-01\n", 2, 12, "`deadline` is a date or time", "allowed: seconds from 0 to"},
    {"[providers.x]\nkeys = [1]\n", 2, 8, "`keys` is an array", "allowed: an array of tables"},
    {"[providers.x]\nheaders = [1]\n", 2, 11, "`headers` is an array", "allowed: a table"},
    {"[providers.x.headers]\nA = 3\n", 2, 5, "header `A` is an integer", "{ env = \"NAME\" }"},
    {"[providers.x.headers]\nA = { evn = \"B\" }\n", 2, 5, "header `A` is a table", "{ env = \"NAME\" }"},
    {"[providers.x.models]\nburst = 3\n", 2, 1, "`burst` is an integer, not a table"},
    {"[log]\nlevel = 3\n", 2, 9, "`level` is an integer", "one of `error`, `warning`, `info`, `debug`, `automatic`"},
    // Ranges.
    {"[providers.x.retry]\nmax_attempts = 0\n", 2, 16, "`max_attempts` is out of range",
     "allowed: an integer from 1 to 100. All attempts"},
    {"[providers.x]\nmax_concurrent = -1\n", 2, 18, "`max_concurrent` is out of range"},
    {"[providers.x]\nmax_concurrent = 4294967297\n", 2, 18, "`max_concurrent` is out of range"},
    {"[providers.x]\ndeadline = nan\n", 2, 12, "`deadline` is out of range", "allowed: seconds from 0 to 604800"},
    {"[providers.x]\ndeadline = inf\n", 2, 12, "`deadline` is out of range"},
    {"[providers.x]\ndeadline = -0.001\n", 2, 12, "`deadline` is out of range"},
    {"[providers.x.circuit_breaker]\nfailure_share = 1.01\n", 2, 17, "`failure_share` is out of range",
     "a number from 0 to 1"},
    {"[providers.x.rate_limit]\nrequests_per_minute = 0\n", 2, 23, "`requests_per_minute` is out of range"},
    {"[log]\nlevel = \"warn\"\n", 2, 9, "`level` has no value `warn`", "allowed: one of"},
    {"[log]\nlevel = \"waring\"\n", 2, 9, "`level` has no value `waring`", "did you mean \"warning\"?"},
    {"[providers.x]\nkind = \"opanai\"\n", 2, 8, "`kind` has no value `opanai`", "did you mean \"openai\"?"},
    // Keys.
    {"[providers.x]\napi_key_env = \"KEY\"\napi_key_file = \"/f\"\n", 3, 1, "a provider has either"},
    {"[providers.x]\napi_key_env = \"KEY\"\n[[providers.x.keys]]\napi_key_env = \"B\"\n", 3, 15,
     "a provider has either"},
    {"[[providers.x.keys]]\nname = \"a\"\n", 1, 1, "a key comes from either a variable or a file"},
    // Syntax.
    {"[log]\nlevel = \n", 2, 9, "unknown value appeared"},
    {"[log]\nlevel = \"info\n", 2, 14, "invalid string format", "expected \""},
    {"[log]\nlevel = \"info\"\nlevel = \"info\"\n", 3, 1, "value already exists", "the first one is in line 2"},
    {"[log]\n[log]\n", 2, 1, "table already defined", "the first one is in line 1"},
    {"[log\n", 1, 5, "invalid table key", "expected ]"},
    {"log\n", 1, 4, "invalid key value separator", "expected ="},
    {"[log]\r\nlevel = x\r\n", 2, 9, "unknown value appeared"},
    {"[runtime]\nthreads = 99999999999999999999\n", 2, 31, "the number is too large"},
    {"[providers.x]\ndeadline = 1e999\n", 2, 17, "the number is too large"},
    // Bytes.
    {"[log]\n# \xff\xfe\n", 2, 3, "the file is not UTF-8"},
    {"# \xc3", 1, 3, "the file is not UTF-8"},
    {"[log]\n# a \x01\n", 2, 5, "there is a control character"}, // would never end in toml11 4.4
    {{"# \0", 3}, 1, 3, "there is a control character"},
    {"[log]\rlevel = 1\n", 1, 6, "there is a control character"},
    {"\xef\xbb\xbf[log]\nlevel = 1\n", 2, 9, "`level` is an integer"},
  };
  for (const auto& [text, line, column, message, hint] : faults) {
    CAPTURE(text);
    auto result = load(text);
    INFO(text_of(result));
    CHECK_FALSE(result.value);
    std::vector<diagnostic> errors;
    for (const auto& x : result.diagnostics)
      if (x.level == severity::error)
        errors.push_back(x);
    REQUIRE(errors.size() == 1);
    CHECK(errors[0].file == "f.toml");
    CHECK(errors[0].line == line);
    CHECK(errors[0].column == column);
    CHECK_THAT(errors[0].message, ContainsSubstring(std::string{message}));
    CHECK_THAT(errors[0].hint, ContainsSubstring(std::string{hint}));
  }
}

TEST_CASE("nothing from the file steers the terminal that shows its faults", "[config]") {
  const std::pair<std::string_view, std::string_view> cases[] = {
    {R"("\u001b[31mx\nfoo" = 1)", R"(unknown key `\u001B[31mx\u000Afoo`)"},
    {R"("a\u0000b" = 1)", R"(unknown key `a\u0000b`)"},
    {R"("a\u007f\u009b" = 1)", R"(unknown key `a\u007F\u009B`)"},
    {"'a\xc2\x9b' = 1", R"(unknown key `a\u009B`)"},
    {R"([runtime."\u001b"])", R"(unknown key `\u001B`)"},
    {R"(providers."\u001b" = 1)", R"(or `\u001B` inside such a table)"},
    {R"(providers."\u001b".x = 1)", R"(in [providers."\u001B"])"},
    {R"(providers.x.headers."\u001b" = 1)", R"(header `\u001B` is an integer)"},
    {R"(providers.x.headers."\u001b" = "a")", R"(a header cannot have this name)"},
    {R"(providers.x.models = { "*" = {}, "\u001b" = {} })", "this pattern is never used"},
    {R"(providers.x.api_key_file = "/no/\u001b")", R"(/no/\u001B)"},
    {R"(log.level = "\u001b")", R"(has no value `\u001B`)"},
    {"\"\\u001b\" = 1\n\"\\u001b\" = 2", "value already exists"},
    {"log.level = 1 # \xc2\x9b", "log.level = 1 # ?\n"},
    {"\"\xc3\xa9\" = 1", "unknown key `\xc3\xa9`"},
  };
  for (const auto& [text, message] : cases) {
    auto shown = text_of(load(text));
    CAPTURE(text, shown);
    CHECK_THAT(shown, ContainsSubstring(std::string{message}));
    CHECK(
      std::none_of(shown.begin(), shown.end(), [](unsigned char c) { return (c < 0x20 && c != '\n') || c == 0x7f; }));
    CHECK(shown.find("\xc2\x9b") == std::string::npos);
  }
}

TEST_CASE("a scheme is taken in any case, and kept in small letters", "[config]") {
  auto result = load("[providers.x]\nbase_url = \"HTTPS://Example.org/V1/\"\napi_key_env = \"KEY\"\n");
  INFO(text_of(result));
  REQUIRE(result.value);
  CHECK(result.diagnostics.empty());
  CHECK(result.value->providers[0].base_url == "https://Example.org/V1");
}

TEST_CASE("interactive_slots gives way to max_concurrent where it is left out", "[config]") {
  const struct {
    std::string_view text;
    uint32_t slots;
  } cases[] = {{"max_concurrent = 1", 0},
               {"max_concurrent = 2", 1},
               {"adaptive = true", 1},
               {"max_concurrent = 1\ninteractive_slots = 0", 0},
               {"max_concurrent = 3\ninteractive_slots = 2", 2}};
  for (std::string name : {"x", "y-1"})
    for (const auto& [text, slots] : cases) {
      auto result = load("[providers." + name + "]\napi_key_env = \"KEY\"\n" + std::string{text} + '\n');
      CAPTURE(text, text_of(result));
      REQUIRE(result.value);
      CHECK(result.diagnostics.empty());
      CHECK(result.value->providers[0].interactive_slots == slots);
      CHECK(load(to_toml(*result.value)).value == result.value);
    }
}

TEST_CASE("loader reports ten faults in one go, in the file's order", "[config]") {
  auto result = load(R"([log]
level = "loud"
format = xml
sink = 3
[runtime]
thread = 4
max_queued = 0
[providers.x]
kind = openai"
max_concurrent = 0
headers = { authorization = "Bearer abc" }
[providers.x.retry]
base_wait = 70
max_wait = 60
max_attempts = = 3
[nodes]
)");
  INFO(text_of(result));
  CHECK_FALSE(result.value);
  std::vector<uint32_t> lines;
  for (const auto& x : result.diagnostics)
    lines.push_back(x.line);
  CHECK(lines == std::vector<uint32_t>{2, 3, 4, 6, 7, 9, 10, 11, 13, 15, 16});
}

TEST_CASE("a fault is shown with its line, a caret and a hint", "[config]") {
  auto result = load("[providers.x.retry]\n\tmax_attempts = 0 # é\n");
  REQUIRE_FALSE(result.diagnostics.empty());
  CHECK(to_string(result.diagnostics.back())
        == "f.toml:2:17: error: `max_attempts` is out of range\n"
           "   max_attempts = 0 # é\n"
           "                  ^\n"
           "  allowed: an integer from 1 to 100. All attempts of a request, the first included.\n");
}

TEST_CASE("the caret counts characters and stays in sight on long lines", "[config]") {
  auto after_umlauts = load("log = { sink = \"äöü\", levl = 1 }\n");
  REQUIRE(after_umlauts.diagnostics.size() == 2);
  CHECK(after_umlauts.diagnostics[1].column == 26);
  CHECK(after_umlauts.diagnostics[1].caret == 23);
  auto result = load("log = { sink = \"" + std::string(1000, 'x') + "\", levl = 1, format = \"text\" }\n");
  REQUIRE(result.diagnostics.size() == 2);
  const auto& x = result.diagnostics[1];
  CHECK(x.column == 1020);
  CHECK(x.source_line.size() <= 160);
  CHECK(x.source_line.substr(x.caret - 1).starts_with("levl"));
}

TEST_CASE("loader survives files that are none", "[config]") {
  folder home;
  auto not_there = load_file((home.path / "none.toml").string(), with_key);
  CHECK_THAT(text_of(not_there), ContainsSubstring("none.toml: error: cannot be read: No such file"));
  auto directory = load_file(home.path.string(), with_key);
  CHECK_THAT(text_of(directory), ContainsSubstring("error: cannot be read: it is a directory"));
  auto huge = load_file(home.write("huge.toml", std::string((1 << 20) + 1, '#')), with_key);
  CHECK_THAT(text_of(huge), ContainsSubstring("it is longer than 1048576 bytes"));
  CHECK_FALSE(not_there.value);
  CHECK_FALSE(directory.value);
  CHECK_FALSE(huge.value);
  for (auto text : {std::string(100'000, '['), "x = " + std::string(4000, '{'), std::string(5000, 'a'),
                    "a = \"\"\"\n" + std::string(100, '\n'), std::string("a\0b = 1", 7)}) {
    auto result = load(text);
    CHECK_FALSE(result.value);
    CHECK_FALSE(result.diagnostics.empty());
  }
}

TEST_CASE("an empty file is settings without a provider, with a warning", "[config]") {
  auto result = load("");
  REQUIRE(result.value);
  CHECK(*result.value == settings{});
  REQUIRE(result.diagnostics.size() == 1);
  CHECK(result.diagnostics[0].level == severity::warning);
}

TEST_CASE("numbers mean the same in every locale", "[config]") {
  struct comma : std::numpunct<char> {
    char do_decimal_point() const override { return ','; }
    char do_thousands_sep() const override { return '.'; }
    std::string do_grouping() const override { return "\3"; }
  };
  auto before = std::locale::global(std::locale{std::locale::classic(), new comma});
  auto result = load("[providers.x]\ndeadline = 1.5\nmax_concurrent = +1000\nretry = { base_wait = 5e-1 }\n");
  auto shown = result.value ? to_toml(*result.value) : "";
  std::locale::global(before);
  INFO(text_of(result));
  REQUIRE(result.value);
  CHECK(result.value->providers[0].deadline == 1500ms);
  CHECK(result.value->providers[0].max_concurrent == 1000);
  CHECK(result.value->providers[0].retry.base_wait == 500ms);
  CHECK_THAT(shown, ContainsSubstring("deadline = 1.5\n") && ContainsSubstring("max_concurrent = 1000\n"));
}

TEST_CASE("paths of keys and certificates lead from the file that names them", "[config]") {
  folder home;
  home.write("conf/key", "k\n");
  const std::string tls = "[node.tls]\ncertificate = \"../node.pem\"\nkey = \"node.key\"\nca = \"/etc/ca.pem\"\n";
  auto text = "[providers.p]\napi_key_file = \"key\"\n" + tls;
  auto result = load_file(home.write("conf/x.toml", text), variables({}));
  INFO(text_of(result));
  REQUIRE(result.value);
  CHECK(result.diagnostics.empty()); // a key that is not found would be a warning
  CHECK(result.value->providers[0].keys[0].api_key_file == home.path / "conf/key");
  CHECK(result.value->node.tls.certificate == home.path / "node.pem");
  CHECK(result.value->node.tls.key == home.path / "conf/node.key");
  CHECK(result.value->node.tls.ca == "/etc/ca.pem");
  auto state_of = [&](const std::string& value) {
    return load_file(home.write("conf/y.toml", "runtime.state_folder = \"" + value + "\"\n"), variables({}))
      .value->runtime.state_folder;
  };
  CHECK(state_of("state") == home.path / "conf/state");
  for (auto* as_it_is : {"/var/lib/x", "none", ""})
    CHECK(state_of(as_it_is) == as_it_is);
  for (auto* name : {"a name", "./modelforge.toml"})
    CHECK(parse(text, name, variables({})).value->providers[0].keys[0].api_key_file == "key");
}

TEST_CASE("discovery takes the first place that has something", "[config]") {
  folder home;
  auto before = std::filesystem::current_path();
  std::filesystem::current_path(home.path);
  auto xdg = (home.path / "xdg").string();
  auto provider = [](const std::string& name) { return "[providers." + name + "]\napi_key_env = \"KEY\"\n"; };
  auto first = [](const load_result& x) { return x.value ? x.value->providers.at(0).name : "none: " + text_of(x); };

  auto nothing = discover("", variables({}));
  CHECK_FALSE(nothing.value);
  CHECK(nothing.diagnostics.empty());
  CHECK(nothing.origin.empty());

  auto env = variables({{"HOME", home.path}, {"KEY", "k"}, {"OPENAI_API_KEY", "k"}, {"OLLAMA_HOST", "gpu"}});
  CHECK(first(discover("", env)) == "openai");
  CHECK(discover("", env).origin == "the environment (OPENAI_API_KEY, OLLAMA_HOST)");

  home.write(".config/modelforge/modelforge.toml", provider("from-home"));
  CHECK(first(discover("", env)) == "from-home");
  home.write("xdg/modelforge/modelforge.toml", provider("from-xdg"));
  CHECK(first(discover("", variables({{"HOME", home.path}, {"XDG_CONFIG_HOME", xdg}, {"KEY", "k"}}))) == "from-xdg");
  // Relative ones lead into the working folder, which may be anybody's.
  CHECK(first(discover("", variables({{"HOME", home.path}, {"XDG_CONFIG_HOME", "xdg"}, {"KEY", "k"}}))) == "from-home");
  for (auto* relative : {".", "xdg/..", ""})
    CHECK_FALSE(discover("", variables({{"HOME", relative}, {"XDG_CONFIG_HOME", "xdg"}, {"KEY", "k"}})).value);
  home.write("modelforge.toml", provider("from-here"));
  CHECK(first(discover("", env)) == "from-here");
  CHECK(discover("", env).origin == "./modelforge.toml");
  CHECK(first(discover(home.write("mine.toml", provider("mine")), env)) == "mine");

  auto missing = discover((home.path / "missing.toml").string(), env);
  CHECK_FALSE(missing.value);
  CHECK_THAT(text_of(missing), ContainsSubstring("No such file"));
  home.write("modelforge.toml", "broken");
  CHECK_FALSE(discover("", env).value);
  std::filesystem::current_path(before);
}

TEST_CASE("keys in the environment make providers", "[config]") {
  CHECK_FALSE(settings_from_environment(variables({{"OPENAI_API_KEY", " "}, {"AZURE_OPENAI_API_KEY", "k"}})));
  auto all = settings_from_environment(variables({
    {"OPENAI_API_KEY", "k"},
    {"OPENAI_BASE_URL", "https://gateway.example/v1/"},
    {"ANTHROPIC_API_KEY", "k"},
    {"GOOGLE_API_KEY", "k"},
    {"GEMINI_API_KEY", "k"},
    {"AZURE_OPENAI_API_KEY", "k"},
    {"AZURE_OPENAI_ENDPOINT", "https://res.openai.azure.com/"},
    {"GROQ_API_KEY", "k"},
    {"MISTRAL_API_KEY", "k"},
    {"DEEPSEEK_API_KEY", "k"},
    {"OPENROUTER_API_KEY", "k"},
    {"OLLAMA_HOST", "0.0.0.0"},
  }));
  REQUIRE(all);
  std::string listing;
  for (const auto& x : all->providers)
    listing +=
      x.name + ' ' + to_string(x.kind) + ' ' + x.base_url + ' ' + (x.keys.empty() ? "" : x.keys[0].api_key_env) + '\n';
  CHECK(listing
        == "openai openai https://gateway.example/v1 OPENAI_API_KEY\n"
           "anthropic anthropic  ANTHROPIC_API_KEY\n"
           "gemini gemini  GOOGLE_API_KEY\n"
           "azure azure https://res.openai.azure.com/openai/v1 AZURE_OPENAI_API_KEY\n"
           "groq openai_compatible https://api.groq.com/openai/v1 GROQ_API_KEY\n"
           "mistral openai_compatible https://api.mistral.ai/v1 MISTRAL_API_KEY\n"
           "deepseek openai_compatible https://api.deepseek.com DEEPSEEK_API_KEY\n"
           "openrouter openai_compatible https://openrouter.ai/api/v1 OPENROUTER_API_KEY\n"
           "ollama ollama http://127.0.0.1:11434 \n");
  auto gemini = settings_from_environment(variables({{"GEMINI_API_KEY", "k"}, {"GOOGLE_API_KEY", ""}}));
  REQUIRE(gemini);
  CHECK(gemini->providers[0].keys == std::vector<key_source>{{"key1", "GEMINI_API_KEY", ""}});
}

TEST_CASE("OLLAMA_HOST may be a host, a port or a URL", "[config]") {
  const std::pair<const char*, const char*> cases[] = {
    {"gpu", "http://gpu:11434"},
    {"gpu:1", "http://gpu:1"},
    {":1", "http://127.0.0.1:1"},
    {"0.0.0.0:1", "http://127.0.0.1:1"},
    {"https://gpu", "https://gpu"},
    {"http://0.0.0.0:1/", "http://127.0.0.1:1"},
    {"https://gpu:1/ollama/", "https://gpu:1/ollama"},
    {"[::]:1", "http://[::1]:1"},
    {"::1", "http://[::1]:11434"},
    {"[::1]", "http://[::1]:11434"},
  };
  for (const auto& [host, url] : cases) {
    CAPTURE(host);
    auto found = settings_from_environment(variables({{"OLLAMA_HOST", host}}));
    REQUIRE(found);
    CHECK(found->providers.at(0).base_url == url);
    CHECK(check(*found, "environment", variables({})).empty());
  }
}

TEST_CASE("a wrong address in the environment is an error that names it", "[config]") {
  auto env = variables({{"OPENAI_API_KEY", "k"}, {"OPENAI_BASE_URL", "api.openai.com/v1"}});
  auto result = discover("", env);
  CHECK_FALSE(result.value);
  CHECK_THAT(text_of(result), ContainsSubstring("environment: error: providers.openai.base_url"));
}

TEST_CASE("suggestions are near misses only", "[config]") {
  const std::pair<std::string_view, std::string_view> cases[] = {
    {"max_atempts", "max_attempts"},
    {"max_attmepts", "max_attempts"},
    {"maxattempts", "max_attempts"},
    {"max_tries", ""},
    {"", ""},
    {"x", ""},
    {"max_wiat", "max_wait"},
    {std::string_view{}, ""},
  };
  const std::string_view names[] = {"max_attempts", "base_wait", "max_wait"};
  for (const auto& [name, best] : cases)
    CHECK(schema::closest(name, names) == best);
}

} // namespace modelforge::load_test
