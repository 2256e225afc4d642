#include "tests/cli/cli_fixture.hpp"

#include <catch2/catch_test_macros.hpp>

#include <filesystem>
#include <sys/stat.h>

namespace modelforge::chat_output_test {

// What becomes of files that answers are written over: with `chat -o` as with `batch -o`.

using namespace modelforge::test;

namespace {

using strings = std::vector<std::string>;
namespace fs = std::filesystem;

constexpr auto answer =
  R"({"choices":[{"index":0,"message":{"role":"assistant","content":"fine"},"finish_reason":"stop"}]})";

struct chat_output_test : test::cli_test {
  /// The command with `-o output`, in the folder.
  strings asking(const std::string& command_name, const std::string& output) {
    auto config = configure(server.url(""));
    if (command_name == "chat")
      return {"chat", "-c", config, "-o", output, "hello"};
    return {"batch", "-q", "-c", config, "-o", output, folder.write("in.txt", "hello\n")};
  }

  process_result ask(const std::string& command_name, const std::string& output) {
    return run(asking(command_name, output));
  }

  mode_t mode_of(const std::string& name) {
    struct stat is {};
    return stat(folder.path(name).c_str(), &is) == 0 ? is.st_mode & 07777 : 0;
  }

  misbehaving_server server{always(whole_answer(200, answer))};
};

} // namespace

TEST_CASE_METHOD(chat_output_test, "an output that replaces a file keeps its mode, and a link stays one", "[cli]") {
  for (std::string name : {"chat", "batch"}) {
    INFO(name);
    auto file = [&](const char* what) { return name + "-" + what; };
    chmod(folder.write(file("private"), "old").c_str(), 0600);
    folder.write(file("real"), "old");
    fs::create_symlink(file("real"), folder.path(file("link")));
    fs::create_symlink(file("later"), folder.path(file("dangling")));
    for (auto what : {"private", "link", "dangling", "new"}) {
      INFO(what);
      auto x = ask(name, file(what));
      INFO(x.err);
      CHECK(x.exit_code == 0);
      CHECK(contains(folder.read(file(what)), "fine"));
    }
    CHECK(mode_of(file("private")) == 0600);
    CHECK(fs::is_symlink(folder.path(file("link"))));
    CHECK(contains(folder.read(file("real")), "fine"));
    CHECK(fs::is_symlink(folder.path(file("dangling"))));
    CHECK(contains(folder.read(file("later")), "fine"));
  }
  for (auto& left : fs::directory_iterator{folder.path("")})
    CHECK_FALSE(contains(left.path().filename().string(), ".part"));
}

TEST_CASE_METHOD(chat_output_test, "an output that is a device or a pipe is written in place", "[cli]") {
  fs::create_symlink("/dev/full", folder.path("full")); // were it replaced, it would be this link
  REQUIRE(mkfifo(folder.path("fifo").c_str(), 0600) == 0);
  for (std::string name : {"chat", "batch"}) {
    INFO(name);
    auto full = ask(name, "full");
    INFO(full.err);
    CHECK(full.exit_code == 1);
    CHECK(contains(full.err, "No space left"));
    CHECK_FALSE(contains(full.err, ".part"));
    CHECK(fs::is_symlink(folder.path("full")));
    auto words = asking(name, "fifo");
    std::string line = program();
    for (auto& word : words)
      line += " '" + word + "'";
    auto options = command({});
    options.arguments = {"/bin/bash", "-c", "cat fifo & " + line + " && wait"};
    auto piped = run_process(options);
    INFO(piped.err);
    CHECK(piped.exit_code == 0);
    CHECK(contains(piped.out, "fine"));
    CHECK(fs::is_fifo(folder.path("fifo")));
    auto standard = ask(name, "-");
    CHECK(standard.exit_code == 0);
    CHECK(contains(standard.out, "fine"));
  }
}

TEST_CASE_METHOD(chat_output_test, "an output that cannot be opened ends a command before anything is sent", "[cli]") {
  fs::create_directory(folder.path("folder"));
  for (std::string name : {"chat", "batch"})
    for (std::string output : {"folder", "no/such", "/proc/nothing"}) {
      auto x = ask(name, output);
      INFO(name << " " << output << " " << x.err);
      CHECK(x.exit_code == 2);
      CHECK(contains(x.err, output));
    }
  CHECK(server.connections == 0);
}

TEST_CASE_METHOD(chat_output_test, "a failed chat leaves the file that was there, and nothing beside it", "[cli]") {
  misbehaving_server refusing{always(whole_answer(401, R"({"error":{"message":"No such key"}})"))};
  folder.write("answer.txt", "old");
  auto x = run({"chat", "-c", configure(refusing.url("")), "-o", "answer.txt", "hello"});
  CHECK(x.exit_code == 1);
  CHECK(contains(x.err, "No such key"));
  CHECK(folder.read("answer.txt") == "old");
  CHECK_FALSE(fs::exists(folder.path("answer.txt.partial")));
}

} // namespace modelforge::chat_output_test
