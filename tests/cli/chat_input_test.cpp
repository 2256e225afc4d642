#include "tests/cli/cli_fixture.hpp"
#include "tests/support/shared_list.hpp"

#include <catch2/catch_test_macros.hpp>

#include <nlohmann/json.hpp>

#include <sys/stat.h>

namespace modelforge::chat_input_test {

// What `modelforge chat` sends: its argument, what is piped in, and files; and what it says where one is of no use.

using namespace modelforge::test;

namespace {

using strings = std::vector<std::string>;

constexpr auto fine =
  R"({"choices":[{"index":0,"message":{"role":"assistant","content":"fine"},"finish_reason":"stop"}]})";
const std::string png = std::string{"\x89PNG\r\n\x1a\n"} + std::string(8, '\0') + "\n";

struct chat_input_test : test::cli_test {
  chat_input_test() : server{[this](peer& x) { serve(x); }} {}

  void serve(peer& x) {
    while (auto request = x.read_request()) {
      bodies.add(request->substr(request->find("\r\n\r\n") + 4));
      x.send(whole_answer(200, fine));
    }
  }

  process_result ask(const strings& arguments, const std::string& input = {}) {
    strings all{"chat", "-c", configure(server.url(""))};
    all.insert(all.end(), arguments.begin(), arguments.end());
    auto options = command(all);
    options.input = input;
    return run_process(options);
  }

  /// Runs a line of a shell, in which MODELFORGE stands for the program with its chat command and configuration.
  process_result shell(std::string line) {
    auto words = program() + " chat -c " + configure(server.url(""));
    for (std::size_t at; (at = line.find("MODELFORGE")) != line.npos;)
      line.replace(at, 10, words);
    auto options = command({});
    options.arguments = {"/bin/bash", "-c", line};
    return run_process(options);
  }

  /// The content of the only message of the last request; empty: there was none.
  nlohmann::json sent() {
    auto all = bodies.all();
    return all.empty() ? nlohmann::json{} : nlohmann::json::parse(all.back())["messages"][0]["content"];
  }

  shared_list<std::string> bodies;
  misbehaving_server server; ///< Ends before what it writes to.
};

} // namespace

TEST_CASE_METHOD(chat_input_test, "chat sends its argument, what is piped in, and files, in this order", "[cli]") {
  auto notes = folder.write("notes.txt", "\xEF\xBB\xBFone\ntwo");
  auto code = folder.write("a.c", "int x;\n");
  struct sending {
    strings arguments;
    std::string input;
    std::string sent;
  };
  for (auto& [arguments, input, expected] : std::vector<sending>{
         {{"Review this"}, "", "Review this"},
         {{"Review this"}, "diff --git a b\n+new line\n", "Review this\n\ndiff --git a b\n+new line"},
         {{"Review this"}, "\n\n", "Review this"},
         {{"-"}, "from the pipe\n", "from the pipe"},
         {{}, "from the pipe\r\n", "from the pipe"},
         {{"What is it?", "--file", code}, "", "What is it?\n\n<file name=\"" + code + "\">\nint x;\n</file>"},
         {{"-f", notes, "-f", code, "Sum up"},
          "piped",
          "Sum up\n\npiped\n\n<file name=\"" + notes + "\">\none\ntwo\n</file>\n\n<file name=\"" + code
            + "\">\nint x;\n</file>"},
         {{"--file", code}, "", "<file name=\"" + code + "\">\nint x;\n</file>"},
         {{"Look", "--file", "-"}, "piped", "Look\n\npiped"},
       }) {
    auto x = ask(arguments, input);
    INFO(expected << x.err);
    CHECK(x.exit_code == 0);
    CHECK(x.err.empty());
    CHECK(sent() == expected);
  }
}

TEST_CASE_METHOD(chat_input_test, "chat sends images whichever way they come", "[cli]") {
  auto path = folder.write("a.png", png);
  auto text = folder.write("a.txt", "words");
  struct sending {
    strings arguments;
    std::string input;
    strings types;
  };
  for (auto& [arguments, input, types] : std::vector<sending>{
         {{"What is it?"}, png, {"text", "image_url"}},
         {{"What is it?", "--file", path}, "", {"text", "image_url"}},
         {{"What is it?", "--image", path, "--file", path}, png, {"text", "image_url", "image_url", "image_url"}},
         {{"--file", path, "--file", text}, "", {"text", "image_url"}},
         {{"--file", path}, "", {"image_url"}}}) {
    auto x = ask(arguments, input);
    INFO(x.err);
    CHECK(x.exit_code == 0);
    strings got;
    for (auto& part : sent())
      got.push_back(part["type"]);
    CHECK(got == types);
    CHECK(sent().back()["image_url"]["url"] == "data:image/png;base64,iVBORw0KGgoAAAAAAAAAAAo=");
  }
}

TEST_CASE_METHOD(chat_input_test, "chat refuses what cannot be sent before anything is, by its name", "[cli]") {
  std::string large(21u << 20, 'x');
  auto half = folder.write("half", large.substr(0, 19u << 20));
  auto pdf = folder.write("a.pdf", "%PDF-1.7\n");
  struct refused {
    strings arguments;
    std::string input;
    strings told;
  };
  for (auto& [arguments, input, told] : std::vector<refused>{
         {{"x", "--file", folder.path("missing")}, "", {folder.path("missing"), "No such file"}},
         {{"x", "--file", folder.path("")}, "", {folder.path(""), "directory"}},
         {{"x", "--file", pdf}, "", {pdf, "PDF", "pdftotext"}},
         {{"x"}, "%PDF-1.7\n", {"standard input is a PDF"}},
         {{"x", "--file", folder.write("utf16", std::string{"\xFF\xFEh\0i\0", 6})}, "", {"utf16 is UTF-16", "iconv"}},
         {{"x"}, "one\ntwo \xE4\n", {"standard input is not UTF-8 in line 2"}},
         {{"x"},
          std::string{"\x7F"
                      "ELF\0",
                      5},
          {"neither text nor", "NUL (a byte 0) in line 1"}},
         {{"x", "--file", folder.write("nul", std::string{"one\na\0b\n", 8})}, "", {"nul is neither", "in line 2"}},
         {{" "}, "", {"the prompt is empty: write what to ask"}},
         {{"x", "--image", folder.write("a.txt", "words")}, "", {"a.txt is not a PNG"}},
         {{"x", "--file", folder.write("large", large)},
          "",
          {"large cannot be read: it is longer than 20971520 bytes"}},
         {{"x"}, large, {"standard input is larger than 20 MiB"}},
         {{"x", "--file", half, "--file", half}, "", {"larger than 32 MiB"}},
         {{"-"}, "", {"standard input holds no prompt"}},
         {{}, "\n", {"standard input holds no prompt"}},
       }) {
    auto x = ask(arguments, input);
    INFO(x.err);
    CHECK(x.exit_code == 2);
    CHECK(x.out.empty());
    for (auto& part : told)
      CHECK(contains(x.err, part));
  }
  CHECK(bodies.all().empty());
}

TEST_CASE_METHOD(chat_input_test, "chat does not wait for an input to which nobody writes", "[cli]") {
  CHECK(shell("MODELFORGE one < /dev/null").exit_code == 0);
  CHECK(sent() == "one");
  CHECK(shell("MODELFORGE two <&-").exit_code == 0);
  CHECK(sent() == "two");
  CHECK(shell("MODELFORGE three < /dev/zero").exit_code == 0);
  CHECK(sent() == "three");
  REQUIRE(mkfifo(folder.path("fifo").c_str(), 0600) == 0);
  misbehaving_server silent{[](peer& x) { x.wait_for_close(); }};
  auto socket = "/dev/tcp/127.0.0.1/" + std::to_string(silent.port());
  for (auto& from : {std::string{"<> fifo"}, "< " + socket}) { // its only writer is the program itself; a socket
    bodies.clear();
    auto x = shell("exec MODELFORGE four " + from);
    INFO(from << x.err);
    CHECK(x.exit_code == 0);
    CHECK(sent() == "four");
    CHECK(contains(x.err, "warning: standard input is open, but nothing came from it within 3 s: going on without it"));
    CHECK(contains(x.err, "< /dev/null"));
  }
  bodies.clear();
  auto patient = shell("exec MODELFORGE five --file - --timeout 0.2 <> fifo");
  CHECK(patient.exit_code == 2);
  CHECK(contains(patient.err, "did not end within 0.2 s (--timeout)"));
  CHECK(bodies.all().empty());
}

TEST_CASE_METHOD(chat_input_test, "chat waits for a program that takes its time, and says so", "[cli]") {
  auto x =
    shell("{ until grep -q waiting told; do sleep 0.05; done 2> /dev/null; echo late; } | MODELFORGE late 2> told");
  INFO(folder.read("told"));
  CHECK(x.exit_code == 0);
  CHECK(x.out == "fine\n");
  CHECK(sent() == "late\n\nlate");
  CHECK(folder.read("told") == "modelforge: waiting for standard input, to which nothing has been written yet\n");
}

} // namespace modelforge::chat_input_test
