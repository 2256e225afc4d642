#include "tests/cli/cli_fixture.hpp"

#include <catch2/catch_test_macros.hpp>

#include <chrono>
#include <filesystem>
#include <sys/stat.h>
#include <unistd.h>

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

TEST_CASE_METHOD(chat_output_test, "a batch waits for the reader of a named pipe, says so, and can be stopped",
                 "[cli][batch]") {
  REQUIRE(mkfifo(folder.path("fifo").c_str(), 0600) == 0);
  auto alone = command(asking("batch", "fifo"));
  alone.interrupt_after_line = 1; // never comes where nothing is said
  alone.most = std::chrono::seconds{20};
  auto stopped = run_process(alone);
  INFO(stopped.err);
  CHECK(stopped.exit_code == 130);
  CHECK(contains(stopped.err, "nobody reads fifo yet"));
  CHECK(server.connections == 0);
  std::string line{program()};
  for (auto& word : asking("batch", "fifo"))
    line += " " + word;
  auto late = command({});
  late.arguments = {"/bin/bash", "-c", "exec 3< <(" + line + " 2>&1); read -r told <&3; echo \"$told\"; cat fifo"};
  auto read = run_process(late);
  INFO(read.out << read.err);
  CHECK(read.out.starts_with("modelforge: nobody reads fifo yet"));
  CHECK(contains(read.out, "\"content\":\"fine\""));
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

TEST_CASE_METHOD(chat_output_test, "an output that names an open descriptor is written where that stands", "[cli]") {
  fs::create_symlink("/dev/stdout", folder.path("link"));
  for (std::string name : {"chat", "batch"})
    for (std::string output : {"/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "/proc/thread-self/fd/1", "link",
                               "/dev/stderr", "/dev/fd/7"}) {
      INFO(name << " " << output);
      folder.write("log", "before\n");
      std::string line = program();
      for (auto& word : asking(name, output))
        line += " '" + word + "'";
      auto options = command({});
      auto redirected = output == "/dev/stderr" ? "2>> log" : output == "/dev/fd/7" ? "7>> log" : ">> log";
      options.arguments = {"/bin/bash", "-c",
                           "exec 9>> log; " + line + " " + redirected + " || exit; echo behind >&9; ls /dev/*.ledger"};
      auto x = run_process(options);
      INFO(x.err);
      auto log = folder.read("log");
      CHECK(log.starts_with("before\n"));
      CHECK(contains(log, "fine"));
      CHECK(log.ends_with("behind\n"));
      CHECK(x.out.empty()); // no ledger beside the device
      for (auto& file : fs::directory_iterator{folder.path("")}) {
        auto left = file.path().filename().string();
        CHECK((left == "log" || left == "link" || left == "in.txt" || left == "test.toml"));
      }
    }
  auto closed = ask("chat", "/dev/fd/77");
  CHECK(closed.exit_code == 2);
  CHECK(contains(closed.err, "/dev/fd/77: Bad file descriptor"));
}

TEST_CASE_METHOD(chat_output_test, "an output that is a circle of links is refused, and stays one", "[cli]") {
  fs::create_symlink("two", folder.path("one"));
  fs::create_symlink("one", folder.path("two"));
  for (std::string name : {"chat", "batch"}) {
    auto x = ask(name, "one");
    INFO(name << " " << x.err);
    CHECK(x.exit_code == 2);
    CHECK(contains(x.err, "one: Too many levels of symbolic links"));
    CHECK(fs::is_symlink(folder.path("one")));
  }
  CHECK(server.connections == 0);
}

TEST_CASE_METHOD(chat_output_test, "an output that would replace what cannot be had again is refused", "[cli]") {
  auto other = folder.write("other.txt", "another prompt\n");
  auto prompts = folder.write("prompts.jsonl", "{\"id\":\"a\",\"prompt\":\"hello\"}\n");
  auto lines = folder.write("lines.jsonl", "{\"custom_id\":\"a\",\"body\":{\"messages\":[]}}\n");
  auto config = configure(server.url(""));
  REQUIRE(run({"batch", "-q", "-c", config, "-o", "old.jsonl", other}).exit_code == 0);
  folder.write("old.jsonl.part", "");
  auto settings = folder.write("my.toml", "[providers.mine]\nkind = \"openai\"\n");
  REQUIRE(run({"chat", "-c", config, "--name", "kept", "hello"}).exit_code == 0);
  struct {
    std::string output, told;
  } table[] = {{"old.jsonl.ledger", "is the ledger of a batch"},
               {"my.toml", "is a configuration"},
               {".local/state/modelforge/conversations/kept.md", "is a conversation of `modelforge chat`"},
               {"test.toml", "is a configuration"},
               {"old.jsonl.part", "in old.jsonl.part the results for old.jsonl gather"},
               {"prompts.jsonl", "holds prompts of a batch"},
               {"lines.jsonl", "holds prompts of a batch"},
               {"other.txt", "is the input of the batch whose ledger is "}};
  folder.write("answer.md", "Write:\n```toml\n[providers.mine]\n```\n"); // which says how one would look
  CHECK(ask("chat", "answer.md").exit_code == 0);
  auto asked = server.connections.load();
  for (auto& row : table)
    for (std::string name : {"chat", "batch"}) {
      auto command_line = asking(name, row.output);
      auto before = folder.read(row.output);
      auto x = run(command_line);
      INFO(name << " " << row.output << " " << x.err);
      CHECK(x.exit_code == 2);
      CHECK(contains(x.err, row.told));
      CHECK(folder.read(row.output) == before);
      CHECK_FALSE(fs::exists(folder.path(row.output + ".ledger")));
    }
  auto own = folder.write("new.jsonl.ledger", "a prompt\n");
  auto x = run({"batch", "-c", config, "-o", "new.jsonl", own});
  CHECK(x.exit_code == 2);
  CHECK(contains(x.err, "which would be the ledger of new.jsonl"));
  CHECK(folder.read("new.jsonl.ledger") == "a prompt\n");
  CHECK(server.connections == asked);
}

TEST_CASE_METHOD(chat_output_test, "a batch never reads what it writes, whatever its names are", "[cli][batch]") {
  auto config = configure(server.url(""));
  for (std::string way : {"in.txt -o - >> in.txt", "in.txt -o /dev/stdout >> in.txt", "- -o in.txt < in.txt",
                          "/dev/stdin -o in.txt < in.txt", "in.txt -o ./in.txt", "in.txt -o /dev/fd/7 7>> in.txt"}) {
    folder.write("in.txt", "hello\n");
    auto options = command({});
    options.arguments = {"/bin/bash", "-c", std::string{program()} + " batch -q -c " + config + " " + way};
    auto x = run_process(options);
    INFO(way << " " << x.err);
    CHECK(x.exit_code == 2);
    CHECK(contains(x.err, "are the same file"));
    CHECK(folder.read("in.txt") == "hello\n");
  }
  CHECK(server.connections == 0);
}

TEST_CASE_METHOD(chat_output_test, "a chat never writes over what it asks about", "[cli]") {
  auto config = configure(server.url(""));
  for (std::string way :
       {"--file in.json -o in.json hello", "--file ./in.json -o in.json hello", "-o in.json < in.json",
        "--file - -o in.json hello < in.json", "--schema in.json -o in.json hello", "--image in.json -o in.json hello",
        "--file in.json -o link hello"}) {
    folder.write("in.json", "{\"type\":\"object\"}");
    if (!fs::is_symlink(folder.path("link")))
      fs::create_symlink("in.json", folder.path("link"));
    auto options = command({});
    options.arguments = {"/bin/bash", "-c", std::string{program()} + " chat -c " + config + " " + way};
    auto x = run_process(options);
    INFO(way << " " << x.err);
    CHECK(x.exit_code == 2);
    CHECK(contains(x.err, "are the same file"));
    CHECK(folder.read("in.json") == "{\"type\":\"object\"}");
  }
  CHECK(server.connections == 0);
}

TEST_CASE_METHOD(chat_output_test, "what has the name of an output's part is left alone", "[cli]") {
  misbehaving_server breaking{[](peer& x) {
    if (x.read_request()) // and then the connection breaks
      x.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
             "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"half\"}}]}\n\n");
  }};
  folder.write("real", "precious");
  fs::create_symlink("real", folder.path("b.txt.partial"));
  folder.write("a.txt.partial", "mine");
  folder.write("c.jsonl.part", "mine");
  for (auto output : {"a.txt", "b.txt"}) {
    auto x = run(
      {"chat", "-c", configure(breaking.url(""), "[providers.test.retry]\nmax_attempts = 1\n"), "-o", output, "hello"});
    INFO(x.err);
    CHECK(x.exit_code == 1);
    CHECK(contains(x.err, std::string{output} + ".partial.2"));
    CHECK(folder.read(std::string{output} + ".partial.2") == "half");
    CHECK(ask("chat", output).exit_code == 0);
    CHECK(folder.read(output) == "fine");
    CHECK(folder.read(std::string{output} + ".partial.2") == "half"); // it has been paid for
  }
  CHECK(ask("batch", "c.jsonl").exit_code == 0);
  CHECK(folder.read("a.txt.partial") == "mine");
  CHECK(folder.read("real") == "precious");
  CHECK(folder.read("c.jsonl.part") == "mine");
  CHECK_FALSE(fs::exists(folder.path("c.jsonl.part.2")));
}

TEST_CASE_METHOD(chat_output_test, "an output that its user may not write is not replaced either", "[cli]") {
  chmod(folder.path("").c_str(), 0777);
  chmod(folder.write("kept", "precious").c_str(), 0444);
  for (std::string name : {"chat", "batch"}) {
    auto options = command(asking(name, "kept"));
    if (geteuid() == 0) // who may write everything
      options.arguments.insert(options.arguments.begin(),
                               {"/usr/bin/setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"});
    auto x = run_process(options);
    INFO(name << " " << x.err);
    CHECK(x.exit_code == 2);
    CHECK(contains(x.err, "cannot write to kept: Permission denied"));
    CHECK(folder.read("kept") == "precious");
  }
  CHECK(server.connections == 0);
}

TEST_CASE_METHOD(chat_output_test, "results that no ledger has are not dropped by the next run", "[cli][batch]") {
  std::string results = "{\"id\":\"batch_req_1\",\"custom_id\":\"line-1\"}\n";
  auto from_pipe = [&] {
    auto words = asking("batch", "out.jsonl");
    words.back() = "-";
    auto options = command(words);
    options.input = "hello\n";
    return run_process(options).exit_code;
  };
  folder.write("out.jsonl.part", results);
  CHECK(from_pipe() == 0);
  CHECK(ask("batch", "out.jsonl").exit_code == 0); // its ledger is new
  CHECK(folder.read("out.jsonl.part") == results);
  CHECK(contains(folder.read("out.jsonl"), "fine"));
  CHECK(ask("batch", "out.jsonl").exit_code == 0); // this one has a ledger, whose part it could be
  CHECK_FALSE(fs::exists(folder.path("out.jsonl.part")));
}

TEST_CASE_METHOD(chat_output_test, "an answer that is no good one takes no earlier file's place", "[cli][flaw]") {
  for (std::string reason : {"length", "content_filter", "brand_new"}) {
    INFO(reason);
    misbehaving_server cutting{always(whole_answer(
      200, R"({"choices":[{"index":0,"message":{"content":"half"},"finish_reason":")" + reason + "\"}]}"))};
    auto config = configure(cutting.url(""));
    auto output = reason + ".txt";
    folder.write(output, "a whole one");
    auto x = run({"chat", "-c", config, "-o", output, "hello"});
    INFO(x.err);
    CHECK(x.exit_code >= 3);
    CHECK(contains(x.err, output + " is left as it was; the text is in " + output + ".partial"));
    CHECK(folder.read(output) == "a whole one");
    CHECK(folder.read(output + ".partial") == "half");
    auto fresh = run({"chat", "-c", config, "-o", "new-" + output, "hello"}); // nothing is lost there
    CHECK(fresh.exit_code == x.exit_code);
    CHECK(folder.read("new-" + output) == "half");
  }
  misbehaving_server empty{
    always(whole_answer(200, R"({"choices":[{"message":{"content":""},"finish_reason":"stop"}]})"))};
  folder.write("kept.txt", "a whole one");
  auto x = run({"chat", "-c", configure(empty.url("")), "-o", "kept.txt", "hello"});
  CHECK(x.exit_code == 3);
  CHECK(contains(x.err, "kept.txt is left as it was"));
  CHECK(folder.read("kept.txt") == "a whole one");
  CHECK_FALSE(fs::exists(folder.path("kept.txt.partial")));
}

} // namespace modelforge::chat_output_test
