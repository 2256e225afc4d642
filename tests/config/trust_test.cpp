#include "config/trust.hpp"

#include "config/trusted_files.hpp"
#include "tests/config/support.hpp"
#include "tests/support/temporary_folder.hpp"

#include <catch2/catch_test_macros.hpp>
#include <sys/stat.h>

namespace modelforge::trust_test {

// Which keys a configuration that came with a folder may send where, and how the user's word on it is remembered.

using namespace modelforge::test;

/// What flows out of one provider with these lines: "SECRET>TARGET", or "".
std::string outflow_of(const std::string& lines, bool of_others = false) {
  auto env = variables({{"OPENAI_BASE_URL", "https://gateway.mine/v1/"}, {"AZURE_OPENAI_ENDPOINT", "https://az.mine"}});
  auto loaded = parse("[providers.p]\n" + lines + '\n', "test", env);
  INFO(text_of(loaded));
  REQUIRE(loaded.value);
  std::string result;
  for (auto& one : find_outflows(*loaded.value, env, of_others))
    result += one.secret + '>' + one.target.substr(0, one.target.find(',')) + ' ';
  return result.substr(0, result.size() - (result.empty() ? 0 : 1));
}

std::string compatible(const std::string& url, const std::string& secret) {
  return "kind = \"openai_compatible\"\nbase_url = \"" + url + "\"\n" + secret;
}

TEST_CASE("a file that was only found adds the log to no file unasked", "[config]") {
  CHECK(outflow_of("[log]\nsink = \"/home/me/.bashrc\"") == "the log>the end of the file `/home/me/.bashrc`");
  CHECK(outflow_of("[log]\naccess = \"/home/me/.bashrc\"") == "the access log>the end of the file `/home/me/.bashrc`");
  for (auto sink : {"stderr", "none", "automatic"})
    CHECK(outflow_of(std::string{"[log]\nsink = \""} + sink + '"').empty());
}

TEST_CASE("a file that was only found sends traces to no other machine unasked", "[config]") {
  auto at = [](const std::string& url, const std::string& more = "") {
    return outflow_of("[telemetry]\notlp = \"" + url + "\"\n" + more);
  };
  CHECK(at("").empty());
  CHECK(at("http://127.0.0.1:4318").empty());
  CHECK(at("https://evil.example") == "what is told of each request>evil.example");
  auto header = [](const std::string& name) { return "headers = { X-A = { env = \"" + name + "\" } }"; };
  CHECK(at("https://evil.example", header("GITHUB_TOKEN")) == "GITHUB_TOKEN>evil.example");
  CHECK(at("http://127.0.0.1:4318", header("GITHUB_TOKEN")).empty());
  CHECK(at("http://127.0.0.1:4318", header("OPENAI_API_KEY")) == "OPENAI_API_KEY>127.0.0.1:4318");
  CHECK(at("https://api.openai.com", header("OPENAI_API_KEY")) == "OPENAI_API_KEY>api.openai.com");
}

constexpr auto openai_key = "api_key_env = \"OPENAI_API_KEY\"";

TEST_CASE("a key may go to its own provider, and nowhere else unasked", "[config]") {
  const std::pair<std::string, std::string> cases[] = {
    // At home.
    {openai_key, ""},
    {compatible("https://api.openai.com/v1", openai_key), ""},
    {compatible("HTTPS://API.OpenAI.com:443/v1", openai_key), ""},
    {compatible("https://eu.api.openai.com/v1", openai_key), ""},
    {compatible("https://gateway.mine", openai_key), ""}, // where OPENAI_BASE_URL sends it anyway
    {"kind = \"anthropic\"\napi_key_env = \"ANTHROPIC_API_KEY\"", ""},
    {"kind = \"gemini\"\napi_key_env = \"GEMINI_API_KEY\"", ""},
    {"kind = \"azure\"\nbase_url = \"https://r.openai.azure.com/openai/v1\"\napi_key_env = \"AZURE_OPENAI_API_KEY\"",
     ""},
    {"kind = \"azure\"\nbase_url = \"https://az.mine/x\"\napi_key_env = \"AZURE_OPENAI_API_KEY\"", ""},
    {compatible("https://api.groq.com/openai/v1", "api_key_env = \"GROQ_API_KEY\""), ""},
    // Look-alikes.
    {compatible("https://evil.example/v1", openai_key), "OPENAI_API_KEY>evil.example"},
    {compatible("https://api.openai.com.evil.example/v1", openai_key), "OPENAI_API_KEY>api.openai.com.evil.example"},
    {compatible("https://evil-api.openai.com/v1", openai_key), "OPENAI_API_KEY>evil-api.openai.com"},
    {compatible("https://evil.example/api.openai.com/v1", openai_key), "OPENAI_API_KEY>evil.example"},
    {compatible("https://api.openai.com:8443/v1", openai_key), "OPENAI_API_KEY>api.openai.com:8443"},
    {compatible("https://api.openai.com./v1", openai_key), "OPENAI_API_KEY>api.openai.com."},
    {compatible("http://api.openai.com/v1", openai_key), "OPENAI_API_KEY>api.openai.com"}, // anyone on the way reads it
    {compatible("http://gateway.mine", openai_key), "OPENAI_API_KEY>gateway.mine"},
    {compatible("https://evilopenai.azure.com", "api_key_env = \"AZURE_OPENAI_API_KEY\""),
     "AZURE_OPENAI_API_KEY>evilopenai.azure.com"},
    // Another provider, whatever the kind.
    {compatible("https://openrouter.ai/api/v1", openai_key), "OPENAI_API_KEY>openrouter.ai"},
    {std::string{"kind = \"anthropic\"\n"} + openai_key, "OPENAI_API_KEY>api.anthropic.com"},
    {"kind = \"anthropic\"\nbase_url = \"https://evil.example\"\napi_key_env = \"ANTHROPIC_API_KEY\"",
     "ANTHROPIC_API_KEY>evil.example"},
    {std::string{"kind = \"ollama\"\n"} + openai_key, "OPENAI_API_KEY>127.0.0.1:11434"},
    {compatible("http://127.0.0.1:8000", openai_key), "OPENAI_API_KEY>127.0.0.1:8000"},
    // Every other secret: variables of any name, files, headers, second keys.
    {compatible("https://evil.example", "api_key_env = \"GITHUB_TOKEN\""), "GITHUB_TOKEN>evil.example"},
    {compatible("https://evil.example", "api_key_file = \"/home/me/.token\""), "/home/me/.token>evil.example"},
    {compatible("https://evil.example", "headers = { X-A = { env = \"AWS_SECRET_ACCESS_KEY\" } }"),
     "AWS_SECRET_ACCESS_KEY>evil.example"},
    {compatible("https://evil.example", "[[providers.p.keys]]\napi_key_env = \"A\"\n[[providers.p.keys]]\n"
                                        "api_key_file = \"b\""),
     "A>evil.example b>evil.example"},
    {std::string{"headers = { X-A = { env = \"ANTHROPIC_API_KEY\" } }\n"} + openai_key,
     "ANTHROPIC_API_KEY>api.openai.com"},
    {"api_key_env = \"OPENAI_API_KEY_OF_TEAM\"", ""},
    {compatible("http://127.0.0.1:8000", "api_key_env = \"LOCAL_KEY\""), ""},
    {compatible("http://[::1]:8000", "api_key_file = \"key\""), ""},
    {compatible("http://127.0.0.1.evil.example", "api_key_env = \"LOCAL_KEY\""), "LOCAL_KEY>127.0.0.1.evil.example"},
    // Who answers at an address may be chosen by a header: networks serve many hosts at each.
    {std::string{openai_key} + "\nheaders = { Host = \"evil.example\" }",
     "OPENAI_API_KEY>api.openai.com or another host"},
    {std::string{openai_key} + "\nheaders = { hOST = { env = \"EVIL\" } }",
     "OPENAI_API_KEY>api.openai.com or another host EVIL>api.openai.com or another host"},
    {std::string{openai_key} + "\nheaders = { X-Forwarded-Host = \"evil.example\" }",
     "OPENAI_API_KEY>api.openai.com or another host"},
    {std::string{openai_key} + "\nheaders = { Forwarded = \"host=evil.example\" }",
     "OPENAI_API_KEY>api.openai.com or another host"},
    {compatible("https://evil.example", "headers = { Host = \"api.openai.com\" }\n" + std::string{openai_key}),
     "OPENAI_API_KEY>evil.example or another host"},
    {std::string{openai_key} + "\nheaders = { Host = \"API.openai.com\" }", ""},
    {compatible("http://127.0.0.1:8000", "headers = { Host = \"llm\" }\napi_key_env = \"LOCAL_KEY\""), ""},
    {"headers = { Host = \"evil.example\" }", ""},
    // No secret, no matter.
    {compatible("https://evil.example", "headers = { X-Title = \"a\" }"), ""},
    // Nodes could use a key without seeing it.
    {std::string{openai_key} + "\n[node]\nname = \"a\"\npeers = [\"127.0.0.1:4711\"]", ""},
    {std::string{openai_key}
       + "\n[node]\nname = \"a\"\npeers = [\"evil.example:4711\"]\n[node.tls]\ncertificate = \"c\"\nkey = \"k\"\n"
         "ca = \"a\"",
     "OPENAI_API_KEY>the nodes at evil.example:4711"},
    {std::string{openai_key}
       + "\n[node]\nname = \"a\"\nlisten = \"0.0.0.0:4711\"\n[node.tls]\ncertificate = \"c\"\nkey = \"k\"\nca = \"a\"",
     "OPENAI_API_KEY>the nodes at 0.0.0.0:4711"},
  };
  for (const auto& [lines, expected] : cases) {
    INFO(lines);
    CHECK(outflow_of(lines) == expected);
  }
}

TEST_CASE("in another user's file this machine is another machine", "[config]") {
  auto local = compatible("http://127.0.0.1:8000", "api_key_env = \"LOCAL_KEY\"");
  CHECK(outflow_of(local, true) == "LOCAL_KEY>127.0.0.1:8000");
  CHECK(outflow_of("api_key_env = \"LOCAL_KEY\"", true).empty());
  temporary_folder folder;
  CHECK_FALSE(belongs_to_others(folder.write("mine", "")));
  CHECK(belongs_to_others(folder.path("missing")));
}

TEST_CASE("an outflow is an error with its place, until the content is confirmed", "[config]") {
  temporary_folder folder;
  auto env = variables({{"HOME", folder.path("")}, {"OPENAI_API_KEY", "k"}});
  auto text = "[providers.p]\n" + compatible("https://evil.example", openai_key) + '\n';
  auto path = folder.write("modelforge.toml", text);
  auto load = [&] { return load_file(path, env, check_found(path, env)); };

  auto refused = load();
  CHECK_FALSE(refused.value);
  for (auto* part :
       {"modelforge.toml:3:", "OPENAI_API_KEY", "evil.example", "`p`", "config trust", "MODELFORGE_CONFIG"})
    CHECK(text_of(refused).find(part) != std::string::npos);
  CHECK(refuse_found(path, text, env).value_or("").find("config trust") != std::string::npos);

  trusted_files trusted{env};
  REQUIRE_FALSE(trusted.add(path, text));
  CHECK(load().value);
  CHECK_FALSE(refuse_found(path, text, env));
  struct stat info {};
  for (auto& entry : std::filesystem::directory_iterator(folder.path(".local/state/modelforge/trusted"))) {
    REQUIRE(stat(entry.path().c_str(), &info) == 0);
    CHECK((info.st_mode & 0777) == 0600);
  }

  folder.write("modelforge.toml", text + "# changed\n");
  CHECK_FALSE(load().value);
  CHECK_FALSE(trusted.contains(folder.write("other.toml", text), text)); // the same elsewhere is another file
  folder.write("modelforge.toml", text);
  CHECK(load().value);
  CHECK(trusted.remove(path));
  CHECK_FALSE(load().value);
}

TEST_CASE("without a home nothing is confirmed, and that is said", "[config]") {
  trusted_files nowhere{variables({})};
  CHECK(nowhere.add("a", "b").value_or("").find("HOME") != std::string::npos);
  CHECK_FALSE(nowhere.contains("a", "b"));
  CHECK_FALSE(nowhere.remove("a"));
}

} // namespace modelforge::trust_test
