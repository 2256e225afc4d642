#include "batch/reader.hpp"

#include "tests/support/temporary_folder.hpp"

#include <catch2/catch_test_macros.hpp>

#include <fcntl.h>
#include <malloc.h>
#include <sys/stat.h>
#include <unistd.h>

#include <thread>
#include <vector>

namespace modelforge::reader_test {

using namespace modelforge::batch;
using test::temporary_folder;

namespace {

std::vector<item> read_all(const std::string& path) {
  auto opened = open_source(path);
  if (auto* problem = std::get_if<failure>(&opened))
    FAIL(problem->message);
  std::vector<item> items;
  for (;;) {
    auto next = std::get<0>(opened)->next();
    if (auto* problem = std::get_if<failure>(&next))
      FAIL(problem->message);
    auto& x = std::get<std::optional<item>>(next);
    if (!x)
      return items;
    items.push_back(std::move(*x));
  }
}

std::vector<item> read_text(const std::string& content) {
  temporary_folder folder;
  return read_all(folder.write("in", content));
}

const failure* problem_of(const item& x) {
  return std::get_if<failure>(&x.request);
}

/// The text of an item's last message, or what is wrong with it.
std::string prompt_of(const item& x) {
  if (auto* problem = problem_of(x))
    return problem->message;
  return std::get<text_part>(std::get<chat_request>(x.request).messages.back().content.at(0)).text;
}

std::string batch_line(const std::string& id, const std::string& prompt) {
  return R"({"custom_id":")" + id + R"(","method":"POST","url":"/v1/chat/completions","body":{"messages":[)"
         + R"({"role":"user","content":")" + prompt + R"("}]}})" + "\n";
}

} // namespace

TEST_CASE("reader takes plain text line by line, whatever ends the lines", "[batch][reader]") {
  for (auto* content : {"a b\n\n  \nc\n", "a b\r\n\r\n\t\r\nc",
                        "\xEF\xBB\xBF"
                        "a b\n\n\nc",
                        "a b\n\n\nc\n\n\n"}) {
    auto items = read_text(content);
    REQUIRE(items.size() == 2);
    CHECK(prompt_of(items[0]) == "a b");
    CHECK(prompt_of(items[1]) == "c");
    CHECK(items[0].custom_id == "line-1");
    CHECK(items[1].custom_id == "line-4");
    CHECK(items[1].line == 4);
    CHECK(items[0].index == 0);
    CHECK(items[1].index == 1);
  }
}

TEST_CASE("reader tells the form by the first line that is not blank", "[batch][reader]") {
  CHECK(prompt_of(read_text("\n  {\"prompt\":\"a\"}\n")[0]) == "a");
  CHECK(prompt_of(read_text("\xEF\xBB\xBF{\"prompt\":\"a\"}")[0]) == "a");
  CHECK(prompt_of(read_text("what is {\n")[0]) == "what is {");
}

TEST_CASE("a JSON line among plain text is told, other braces are text", "[batch][reader]") {
  for (auto* line : {R"({"prompt":"a"})", R"(  {"body":{}})", R"({"custom_id":"x","n":1})"}) {
    auto items = read_text(std::string{"# prompts\n"} + line + "\nlast\n");
    CAPTURE(line);
    REQUIRE(items.size() == 3);
    REQUIRE(problem_of(items[1]) != nullptr);
    CHECK(problem_of(items[1])->code == errc::invalid_request);
    CHECK(prompt_of(items[1]).ends_with(":2: this looks like JSON, but the file began as plain text"));
    CHECK(items[1].custom_id == "line-2");
    CHECK(prompt_of(items[2]) == "last");
  }
  for (std::string line : {R"({"a":1})", R"({"prompt":)", R"({"prompt"} is a set)", R"([{"prompt":"a"}])", "{}"}) {
    auto items = read_text("text\n" + line + "\n");
    CHECK(problem_of(items[1]) == nullptr);
    CHECK(prompt_of(items[1]) == line);
  }
}

TEST_CASE("a JSON array is refused as a whole, with the way to lines", "[batch][reader]") {
  temporary_folder folder;
  for (std::string content : {"[\n{\"prompt\":\"a\"}\n]\n", "\n  [{\"prompt\":\"a\"}]", "\xEF\xBB\xBF[]"})
    for (auto* name : {"in.json", "it's one.json"}) {
      auto path = folder.write(name, content);
      auto opened = open_source(path);
      CAPTURE(content, path);
      REQUIRE(std::holds_alternative<failure>(opened));
      auto& problem = std::get<failure>(opened);
      CHECK(problem.code == errc::invalid_request);
      CHECK(problem.message == path + " is a JSON array; a batch needs one JSON object a line");
      auto word = name == std::string{"in.json"} ? path : "'" + folder.path("it'\\''s one.json") + "'";
      CHECK(problem.suggestion == "turn it into lines with: jq -c '.[]' " + word);
    }
  auto long_one = open_source(folder.write("long", "[" + std::string(17u << 20, ' ') + "]"));
  CHECK(std::holds_alternative<failure>(long_one));
}

TEST_CASE("a file in UTF-16 or UTF-32 is refused as a whole, by name", "[batch][reader]") {
  struct variant {
    std::string encoding;
    std::string mark;
    std::size_t width;
    bool is_big; ///< Big endian.
  };
  for (auto& [encoding, mark, width, is_big] :
       {variant{"UTF-16", "\xFF\xFE", 2, false}, variant{"UTF-16", "\xFE\xFF", 2, true},
        variant{"UTF-32", std::string{"\xFF\xFE\0\0", 4}, 4, false},
        variant{"UTF-32", std::string{"\0\0\xFE\xFF", 4}, 4, true}})
    for (auto& marked : {mark, std::string{}})
      for (std::string text : {"{\"prompt\":\"a\"}\r\n", "hello\r\nworld\r\n", "\r\n[1]\n", "\n\nx"}) {
        auto content = marked;
        for (auto c : text) {
          std::string zeros(width - 1, '\0');
          content += is_big ? zeros + c : c + zeros;
        }
        temporary_folder folder;
        auto path = folder.write("in", content);
        auto opened = open_source(path);
        REQUIRE(std::holds_alternative<failure>(opened));
        CHECK(std::get<failure>(opened).code == errc::invalid_request);
        CHECK(std::get<failure>(opened).message == path + " is " + encoding + "; save it as UTF-8");
      }
  CHECK(read_text("\xEF\xBB\xBFhello\n").size() == 1);
}

TEST_CASE("a file that is packed is refused as a whole, by its form", "[batch][reader]") {
  using namespace std::string_literals;
  for (auto& [content, form] : {std::pair{"\x1F\x8B\x08\0\0"s, "gzip"s},
                                {"PK\x03\x04xxxx\nabc"s, "a ZIP archive"s},
                                {"\x28\xB5\x2F\xFDx"s, "zstd"s},
                                {"%PDF-1.7\n"s, "a PDF"s}}) {
    temporary_folder folder;
    auto opened = open_source(folder.write("in", content));
    REQUIRE(std::holds_alternative<failure>(opened));
    CHECK(std::get<failure>(opened).message.find(" is " + form) != std::string::npos);
  }
}

TEST_CASE("a NUL is told by its line, and is no sign of UTF-16", "[batch][reader]") {
  using namespace std::string_literals;
  auto items = read_text("a\0b\nc\n"s);
  REQUIRE(items.size() == 2);
  CHECK(prompt_of(items[0]).ends_with(":1: the line holds a NUL (a byte 0): take it out"));
  CHECK(prompt_of(items[1]) == "c");
  items = read_text("{\"prompt\":\"a\"}\n{\"prompt\":\"a\0b\"}\n{\"prompt\":\"a\\u0000b\"}\n"s);
  REQUIRE(items.size() == 3);
  CHECK(prompt_of(items[1]).ends_with(":2: the line holds a NUL (a byte 0): take it out"));
  CHECK(problem_of(items[2]) == nullptr); // written as JSON has it
}

TEST_CASE("a line that asks nothing is refused, with its place and what to do", "[batch][reader]") {
  auto body = [](const std::string& messages) {
    return R"({"custom_id":"x","url":"/v1/chat/completions","body":{"messages":[)" + messages + "]}}";
  };
  for (auto& line :
       {std::string{R"({"prompt":""})"}, std::string{R"({"prompt":" \n\t"})"},
        std::string{R"({"prompt":"","system":"You are a poet."})"}, body(R"({"role":"user","content":""})"),
        body(R"({"role":"user","content":[{"type":"text","text":" "}]})"),
        body(R"({"role":"system","content":""},{"role":"user","content":"\n"})")}) {
    auto items = read_text(line + "\n");
    CAPTURE(line);
    REQUIRE(items.size() == 1);
    REQUIRE(problem_of(items[0]) != nullptr);
    CHECK(problem_of(items[0])->code == errc::invalid_request);
    CHECK(prompt_of(items[0]).find(":1: the prompt is empty: write what to ask, or take ") != std::string::npos);
  }
  for (
    auto& line :
    {body(R"({"role":"system","content":"Tell a joke."},{"role":"user","content":""})"),
     body(
       R"({"role":"user","content":[{"type":"text","text":""},{"type":"image_url","image_url":{"url":"https://x.org/a.png"}}]})"),
     std::string{R"({"url":"/v1/embeddings","body":{"input":"a"}})"}}) {
    CAPTURE(line);
    CHECK(problem_of(read_text(line + "\n").at(0)) == nullptr);
  }
}

TEST_CASE("a first line of nothing but very many blanks is told like any long one", "[batch][reader]") {
  auto items = read_text(std::string(17u << 20, ' ') + "\nb\n");
  REQUIRE(items.size() == 2);
  REQUIRE(problem_of(items[0]) != nullptr);
  CHECK(problem_of(items[0])->code == errc::too_large);
  CHECK(prompt_of(items[1]) == "b");
}

TEST_CASE("reader takes short lines", "[batch][reader]") {
  auto items =
    read_text(R"({"id":7,"prompt":"Hi","system":"Be brief.","model":"demo","max_tokens":5,"temperature":0.5})"
              "\n"
              R"({"prompt":"Ho","id":"x","system":null})"
              "\n"
              R"({"prompt":""})");
  REQUIRE(items.size() == 3);
  chat_request expected;
  expected.model = "demo";
  expected.messages = {text_message(role::system, "Be brief."), text_message(role::user, "Hi")};
  expected.sampling.max_tokens = 5;
  expected.sampling.temperature = 0.5;
  CHECK(std::get<chat_request>(items[0].request) == expected);
  CHECK(items[0].custom_id == "7");
  CHECK(items[1].custom_id == "x");
  CHECK(items[2].custom_id == "line-3");
  CHECK(std::get<chat_request>(items[1].request).messages.size() == 1);
}

TEST_CASE("reader takes OpenAI batch lines", "[batch][reader]") {
  auto items =
    read_text(R"({"custom_id":"row-1","method":"POST","url":"/v1/chat/completions","body":{"model":"demo",)"
              R"("messages":[{"role":"user","content":"Hi"}],"max_completion_tokens":50,"user":"u"}})"
              "\n"
              R"({"custom_id":2,"body":{"messages":[{"role":"user","content":"Ho"}]}})"
              "\n"
              R"({"custom_id":3,"url":"/chat/completions","body":{"messages":[{"role":"user","content":"A"}]}})");
  REQUIRE(items.size() == 3);
  CHECK(std::holds_alternative<chat_request>(items[2].request)); // Azure's path
  chat_request expected;
  expected.model = "demo";
  expected.messages = {text_message(role::user, "Hi")};
  expected.sampling.max_tokens = 50;
  expected.extra = R"({"user":"u"})";
  CHECK(std::get<chat_request>(items[0].request) == expected);
  CHECK(items[0].custom_id == "row-1");
  CHECK(items[1].custom_id == "2");
}

TEST_CASE("a line that cannot be read is one item's failure that names the place", "[batch][reader]") {
  struct {
    std::string line;
    std::string why;
    std::string custom_id = "line-2";
  } table[] = {
    {"plain", "the line is not JSON: "},
    {R"({"prompt":"a")", "the line is not JSON: "},
    {"[1]", "the line is not a JSON object"},
    {"{\"prompt\":\"a\xFF\"}", "the line is not UTF-8"},
    {"{}", "the line has neither body nor prompt"},
    {R"({"id":"x"})", "the line has neither body nor prompt", "x"},
    {R"({"id":[1],"prompt":"a"})", "the id is neither"},
    {R"({"id":1.5,"prompt":"a"})", "the id is neither"},
    {R"({"id":"x","prompt":7})", "prompt is not a string", "x"},
    {R"({"id":"x","prompt":null})", "prompt is null", "x"},
    {R"({"id":"x","prompt":"a","temprature":1})", "the field temprature is not known", "x"},
    {R"({"prompt":"a","max_tokens":-1})", "max_tokens is not a whole number"},
    {R"({"prompt":"a","max_tokens":4294967296})", "max_tokens is not a whole number"},
    {R"({"prompt":"a","temperature":"hot"})", "temperature is not a number"},
    {R"({"custom_id":"x","body":{}})", "messages is missing", "x"},
    {R"({"custom_id":"x","body":7})", "the request is no JSON object", "x"},
    {R"({"custom_id":"x","method":"GET","body":{}})", "method is not POST", "x"},
    {R"({"custom_id":"x","url":"/v1/images","body":{}})",
     "url is none of /v1/chat/completions, /v1/responses, /v1/embeddings", "x"},
    {R"({"custom_id":"first","body":{"messages":[{"role":"user","content":"a"}]}})",
     "the custom_id first has been used", "first"},
  };
  for (auto& [line, why, custom_id] : table) {
    temporary_folder folder;
    auto path = folder.write("in.jsonl", batch_line("first", "a") + line + "\n" + batch_line("last", "z"));
    auto items = read_all(path);
    REQUIRE(items.size() == 3);
    CAPTURE(line, prompt_of(items[1]));
    REQUIRE(problem_of(items[1]) != nullptr);
    CHECK(problem_of(items[1])->code == errc::invalid_request);
    CHECK(prompt_of(items[1]).starts_with(path + ":2: " + why));
    CHECK(items[1].custom_id == custom_id);
    CHECK(prompt_of(items[2]) == "z");
  }
}

TEST_CASE("a line of 16 MiB is read, a longer one is skipped and told", "[batch][reader]") {
  constexpr std::size_t limit = 16u << 20;
  auto items = read_text("a\n" + std::string(limit, 'x') + "\n" + std::string(limit + 1, 'y') + "\nb\n"
                         + std::string(2 * limit, 'z'));
  REQUIRE(items.size() == 5);
  CHECK(prompt_of(items[1]).size() == limit);
  for (std::size_t i : {2, 4}) {
    REQUIRE(problem_of(items[i]) != nullptr);
    CHECK(problem_of(items[i])->code == errc::too_large);
  }
  CHECK(prompt_of(items[3]) == "b");
}

TEST_CASE("every repeated id is found among very many", "[batch][reader]") {
  temporary_folder folder;
  std::string content;
  for (int i = 0; i < 30'000; ++i)
    content += R"({"prompt":"p","id":)" + std::to_string(i % 20'000) + "}\n";
  auto items = read_all(folder.write("in", content));
  REQUIRE(items.size() == 30'000);
  for (std::size_t i = 0; i < items.size(); ++i)
    REQUIRE((problem_of(items[i]) != nullptr) == (i >= 20'000));
}

TEST_CASE("a given id cannot take the place of a later line's", "[batch][reader]") {
  auto items = read_text("{\"id\":\"line-2\",\"prompt\":\"a\"}\n{\"prompt\":\"b\"}\n");
  CHECK(problem_of(items[0]) == nullptr);
  CHECK(problem_of(items[1]) != nullptr);
}

TEST_CASE("what cannot be read at all is a failure at once", "[batch][reader]") {
  temporary_folder folder;
  struct {
    std::string path;
    std::string why;
    errc code;
  } table[] = {
    {folder.path("missing"), "cannot open " + folder.path("missing") + ": No such file", errc::io_failed},
    {folder.path(""), "cannot read " + folder.path("") + ": Is a directory", errc::io_failed},
    {folder.write("empty", ""), folder.path("empty") + " is empty", errc::invalid_request},
    {folder.write("blank", "\n \r\n\t\n"), folder.path("blank") + " is empty", errc::invalid_request},
    {folder.write("mark", "\xEF\xBB\xBF\n"), folder.path("mark") + " is empty", errc::invalid_request},
  };
  for (auto& [path, why, code] : table) {
    auto opened = open_source(path);
    CAPTURE(path);
    REQUIRE(std::holds_alternative<failure>(opened));
    CHECK(std::get<failure>(opened).code == code);
    CHECK(std::get<failure>(opened).message.starts_with(why));
  }
}

TEST_CASE("reader takes what comes through a pipe in pieces, also one that does not block", "[batch][reader]") {
  temporary_folder folder;
  auto path = folder.path("pipe");
  REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
  std::thread feeder{[&] {
    auto fd = ::open(path.c_str(), O_WRONLY);
    for (char c : std::string{"a\r\n\nb"})
      (void)!::write(fd, &c, 1);
    ::close(fd);
  }};
  auto items = read_all(path);
  feeder.join();
  REQUIRE(items.size() == 2);
  CHECK(prompt_of(items[1]) == "b");

  int ends[2];
  REQUIRE(::pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0);
  auto kept = ::dup(STDIN_FILENO);
  ::dup2(ends[0], STDIN_FILENO);
  std::thread late{[&] {
    (void)!::write(ends[1], "c", 1);
    ::close(ends[1]);
  }};
  items = read_all("-");
  late.join();
  ::dup2(kept, STDIN_FILENO);
  ::close(kept);
  ::close(ends[0]);
  REQUIRE(items.size() == 1);
  CHECK(prompt_of(items[0]) == "c");
}

TEST_CASE("reader holds one line, and at most 32 bytes for each that it has read", "[batch][reader]") {
  auto heap = [] {
    auto use = ::mallinfo2();
    return use.uordblks + use.hblkhd;
  };
  temporary_folder folder;
  auto opened = open_source(folder.write("in", [] {
    std::string content;
    for (int i = 0; i < 20'000; ++i)
      content += std::string(1'000, 'x') + "\n";
    return content;
  }()));
  auto& source = *std::get<0>(opened);
  (void)source.next();
  auto before = heap();
  for (int i = 1; i < 20'000; ++i)
    REQUIRE(prompt_of(*std::get<0>(source.next())).size() == 1'000);
  CHECK(heap() <= before + 20'000 * 32);
}

} // namespace modelforge::reader_test
