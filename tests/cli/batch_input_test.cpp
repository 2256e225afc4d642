#include "tests/cli/cli_fixture.hpp"
#include "tests/support/shared_list.hpp"

#include <catch2/catch_test_macros.hpp>

#include <nlohmann/json.hpp>

#include <filesystem>
#include <sstream>

namespace modelforge::batch_input_test {

// What a batch takes as its input, beside lines of prompts.

using namespace modelforge::test;

namespace {

using json = nlohmann::json;
using strings = std::vector<std::string>;

/// Answers chats with what they said, in capital words of its own.
struct batch_input_test : test::cli_test {
  shared_list<std::string> asked;
  misbehaving_server server{[this](peer& x) { serve(x); }};

  void serve(peer& x) {
    while (auto request = x.read_request()) {
      auto body = json::parse(request->substr(request->find("\r\n\r\n") + 4));
      asked.add(body["messages"][0]["content"]);
      x.send(whole_answer(200, good_answer));
    }
  }

  process_result batch(const std::string& input, strings more) {
    strings all{"batch", "-c", configure(server.url("")), input, "-o", folder.path("out.jsonl"), "--max-concurrent",
                "1"};
    all.insert(all.end(), more.begin(), more.end());
    return run(all);
  }

  /// The ids in the output.
  strings ids() {
    strings result;
    std::istringstream lines{folder.read("out.jsonl")};
    for (std::string line; std::getline(lines, line);)
      result.push_back(json::parse(line)["custom_id"]);
    return result;
  }
};

} // namespace

TEST_CASE_METHOD(batch_input_test, "a batch asks the same of each row of a table", "[cli][batch]") {
  auto table = folder.write("in.csv", "id,text\na,\"one, two\"\nb,\"three\nfour\"\n");
  auto unasked = batch(table, {});
  CHECK(unasked.exit_code == 2);
  CHECK(contains(unasked.err, table + " looks like a table, by its name"));
  CHECK(contains(unasked.err, "--format csv --prompt"));
  auto x = batch(table, {"--format", "csv", "--prompt", "Summarise {{text}}"});
  INFO(x.err);
  REQUIRE(x.exit_code == 0);
  CHECK(asked.all() == strings{"Summarise one, two", "Summarise three\nfour"});
  CHECK(ids() == strings{"a", "b"});
  auto other = batch(table, {"--prompt", "Translate {{text}}"});
  CHECK(other.exit_code == 2);
  CHECK(contains(other.err, "prompt: Summarise {{text}}, now Translate {{text}}"));
  auto dry = run({"batch", "--simulate", "--dry-run", "--format", "csv", "--prompt", "{{text}}", table});
  CHECK(contains(dry.out, "items: 2\n"));
  folder.write("in.csv", "id,text\na,\"one, two\"\nb,\"three\nfour\"\nc,five\n");
  auto grown = batch(table, {"--format", "csv", "--prompt", "Summarise {{text}}"});
  INFO(grown.err);
  CHECK(grown.exit_code == 0);
  CHECK(asked.all().back() == "Summarise five");
  CHECK(asked.all().size() == 3);
  auto wrong = batch(table, {"--format", "csv", "--prompt", "{{txt}}", "--fresh"});
  CHECK(wrong.exit_code == 2);
  CHECK(contains(wrong.err, "the prompt's {{txt}} is no column"));
  CHECK(contains(wrong.err, "there are: id, text"));
}

TEST_CASE_METHOD(batch_input_test, "a batch asks the same of each text of a folder", "[cli][batch]") {
  auto texts = folder.path("texts");
  std::filesystem::create_directory(texts);
  folder.write("texts/b.txt", "two");
  folder.write("texts/a.txt", "one");
  auto unasked = batch(texts, {});
  CHECK(unasked.exit_code == 2);
  CHECK(contains(unasked.err, "--format folder"));
  strings how{"--format", "folder", "--prompt", "Summarise {{text}}"};
  auto x = batch(texts, how);
  INFO(x.err);
  REQUIRE(x.exit_code == 0);
  CHECK(asked.all() == strings{"Summarise one", "Summarise two"});
  CHECK(ids() == strings{"a.txt", "b.txt"});
  folder.write("texts/c.txt", "three");
  CHECK(batch(texts, how).exit_code == 0);
  CHECK(asked.all().back() == "Summarise three");
  CHECK(asked.all().size() == 3);
  auto inside = run({"batch", "--simulate", "--format", "folder", texts, "-o", texts + "/out.jsonl"});
  CHECK(inside.exit_code == 2);
  CHECK(contains(inside.err, "is in the input folder"));
  CHECK_FALSE(std::filesystem::exists(texts + "/out.jsonl.ledger"));
}

TEST_CASE_METHOD(test::cli_test,
                 "a batch takes lines for chats, responses and embeddings, and answers each in its form",
                 "[cli][batch]") {
  auto input = folder.write(
    "in.jsonl",
    R"({"custom_id":"c","method":"POST","url":"/v1/chat/completions","body":{"messages":[{"role":"user","content":"a"}]}})"
    "\n"
    R"({"custom_id":"r","method":"POST","url":"/v1/responses","body":{"instructions":"Be brief.","input":"b"}})"
    "\n"
    R"({"custom_id":"e","method":"POST","url":"/v1/embeddings","body":{"input":["c","d"]}})"
    "\n"
    R"({"custom_id":"x","method":"POST","url":"/v1/images","body":{"prompt":"a"}})"
    "\n"
    R"({"custom_id":"y","url":"/v1/responses","body":{"input":[]}})"
    "\n");
  auto x = run({"batch", "--simulate", input, "-o", folder.path("out.jsonl")});
  INFO(x.err);
  CHECK(x.exit_code == 1);
  CHECK(contains(x.err, "5 requests: 3 answered, 2 failed"));
  std::vector<json> lines;
  std::istringstream text{folder.read("out.jsonl")};
  for (std::string line; std::getline(text, line);)
    lines.push_back(json::parse(line));
  REQUIRE(lines.size() == 5);
  CHECK(lines[0]["response"]["body"]["object"] == "chat.completion");
  CHECK(lines[1]["response"]["body"]["object"] == "response");
  CHECK(lines[1]["response"]["body"]["output"][0]["content"][0]["text"].get<std::string>().size() > 0);
  auto& vectors = lines[2]["response"]["body"];
  CHECK(vectors["object"] == "list");
  REQUIRE(vectors["data"].size() == 2);
  CHECK(vectors["data"][1]["embedding"].size() > 1);
  CHECK(contains(lines[3]["error"]["message"], "url is none of /v1/chat/completions, /v1/responses, /v1/embeddings"));
  CHECK(contains(lines[4]["error"]["message"], ":5: input is empty"));
  CHECK(contains(run({"batch", "status", folder.path("out.jsonl")}).out, "5 of 5 done: 3 answered, 2 failed"));
}

TEST_CASE_METHOD(batch_input_test, "a dry run knows what earlier runs have done, and changes nothing of it",
                 "[cli][batch]") {
  auto input = folder.write("in.jsonl", "{\"prompt\":\"a\"}\n{\"prompt\":3}\n");
  CHECK(batch(input, {}).exit_code == 1);
  folder.write("in.jsonl", "{\"prompt\":\"a\"}\n{\"prompt\":\"b\"}\n{\"prompt\":\"c\"}\n");
  auto ledger = folder.read("out.jsonl.ledger");
  auto dry = [&](strings more) {
    more.push_back("--dry-run");
    auto x = batch(input, more);
    CHECK(folder.read("out.jsonl.ledger") == ledger);
    return x;
  };
  auto x = dry({});
  INFO(x.out + x.err);
  CHECK(x.exit_code == 0);
  CHECK(contains(x.out, "items: 3\nearlier runs: 1 are done and kept in " + folder.path("out.jsonl.ledger")
                          + "; to be sent: 2\n"));
  CHECK(contains(dry({"--fresh"}).out, "to be sent: 3\n"));
  auto other = dry({"-m", "n"});
  CHECK(other.exit_code == 2);
  CHECK(contains(other.err, "were made with others: model: m, now n"));
  folder.write("in.jsonl", "{\"prompt\":\"A\"}\n{\"prompt\":\"b\"}\n");
  CHECK(dry({}).exit_code == 2);
  CHECK(contains(dry({"--accept-changes"}).out, "to be sent: 2\n"));
  CHECK(asked.all().size() == 1);
}

TEST_CASE_METHOD(test::cli_test, "an input that holds nothing to ask is refused, and leaves nothing behind",
                 "[cli][batch]") {
  closed_port nobody;
  auto config = configure(nobody.url());
  folder.write("empty", "");
  folder.write("header.csv", "text,n\n");
  for (std::string way :
       {"- < empty", "- < <(cat empty)", "empty", "header.csv --format csv --prompt {{text}}",
        "- --format csv --prompt {{text}} < header.csv", "- --format csv --prompt {{text}} < <(cat header.csv)"}) {
    auto options = command({});
    options.arguments = {"/bin/bash", "-c",
                         "exec " + std::string{program()} + " batch -c " + config + " -o out.jsonl " + way};
    auto x = run_process(options);
    INFO(way << " " << x.err);
    CHECK(x.exit_code == 2);
    CHECK(contains(x.err, " is empty"));
    CHECK_FALSE(contains(x.err, ".part"));
    for (auto* ending : {"", ".part", ".ledger"})
      CHECK_FALSE(std::filesystem::exists(folder.path(std::string{"out.jsonl"} + ending)));
  }
}

TEST_CASE_METHOD(batch_input_test, "a batch reads a table from standard input", "[cli][batch]") {
  auto x = command({"batch", "-c", configure(server.url("")), "-", "-o", "-", "--format", "tsv", "--prompt", "{{q}}"});
  x.input = "q\tn\nwhy?\t1\n";
  auto seen = run_process(x);
  INFO(seen.err);
  CHECK(seen.exit_code == 0);
  CHECK(asked.all() == strings{"why?"});
}

} // namespace modelforge::batch_input_test
