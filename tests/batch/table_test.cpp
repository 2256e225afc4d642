#include "batch/prompt_template.hpp"
#include "batch/reader.hpp"
#include "batch/table_row.hpp"
#include "tests/support/temporary_folder.hpp"

#include <catch2/catch_test_macros.hpp>

#include <filesystem>
#include <sstream>
#include <vector>

namespace modelforge::table_test {

// Tables and folders as a batch's input.

using namespace modelforge::batch;
using test::temporary_folder;
using fields = std::vector<std::string>;

namespace {

/// The rows of a table; one that is broken or open is {"?"}.
std::vector<fields> rows_of(const std::string& text, bool by_tabs = false) {
  table_row row{by_tabs ? '\t' : ','};
  std::vector<fields> rows;
  std::istringstream in{text};
  auto how = table_row::result::whole;
  for (std::string line; std::getline(in, line);) {
    how = row.add(line);
    if (how != table_row::result::open)
      rows.push_back(how == table_row::result::whole ? row.fields() : fields{"?"});
  }
  if (how == table_row::result::open)
    rows.push_back({"?"});
  return rows;
}

struct input {
  temporary_folder folder;

  /// "ID: PROMPT" of each item, or "ID! PROBLEM"; or what is wrong with all of it.
  std::vector<std::string> read(const std::string& path, const input_form& form) {
    auto opened = open_source(path, form);
    if (auto* problem = std::get_if<failure>(&opened))
      return {problem->message + " | " + problem->suggestion};
    std::vector<std::string> result;
    for (;;) {
      auto next = std::get<0>(opened)->next();
      if (auto* problem = std::get_if<failure>(&next)) {
        result.push_back(problem->message);
        return result;
      }
      auto& x = std::get<std::optional<item>>(next);
      if (!x)
        return result;
      CHECK(x->index == result.size());
      if (auto* problem = std::get_if<failure>(&x->request))
        result.push_back(x->custom_id + "! " + problem->message);
      else
        result.push_back(x->custom_id + ": "
                         + std::get<text_part>(std::get<chat_request>(x->request).messages.back().content.at(0)).text);
    }
  }

  std::vector<std::string> read_csv(const std::string& content, const std::string& prompt,
                                    batch_format format = batch_format::csv) {
    return read(folder.write("in", content), {format, prompt});
  }
};

using lines = std::vector<std::string>;

} // namespace

TEST_CASE("rows are read as RFC 4180 has them", "[batch][table]") {
  struct row {
    std::string text;
    std::vector<fields> rows;
  };
  for (auto& x : std::vector<row>{
         {"a,b,c\n", {{"a", "b", "c"}}},
         {"a,,\n", {{"a", "", ""}}},
         {"\"a\",\"b,c\"\n", {{"a", "b,c"}}},
         {"\"say \"\"hi\"\"\",x\n", {{"say \"hi\"", "x"}}},
         {"\"one\ntwo\n\nthree\",x\nnext,y\n", {{"one\ntwo\n\nthree", "x"}, {"next", "y"}}},
         {"\"\",\"\"\n", {{"", ""}}},
         {"\"\"\"\"\n", {{"\""}}},
         {"5\" disk,x\n", {{"5\" disk", "x"}}},
         {" \"a\" ,b\n", {{" \"a\" ", "b"}}},
         {"\"a\"b,c\nd,e\n", {{"?"}, {"d", "e"}}},
         {"\"\"x\n", {{"?"}}},
         {"a,\"open\nb,c\n", {{"?"}}},
       }) {
    INFO(x.text);
    CHECK(rows_of(x.text) == x.rows);
  }
  CHECK(rows_of("a\tb,c\t\"d\n", true) == std::vector<fields>{{"a", "b,c", "\"d"}});
}

TEST_CASE("a prompt's places are columns, and all else is text", "[batch][table]") {
  auto fill = [](const std::string& text, const fields& columns, const fields& row) {
    auto made = prompt_template::make(text, columns);
    auto* problem = std::get_if<failure>(&made);
    return problem != nullptr ? "! " + problem->message + " | " + problem->suggestion
                              : std::get<prompt_template>(made).fill(row);
  };
  CHECK(fill("{{a}}", {"a"}, {"x"}) == "x");
  CHECK(fill("In {{ lang }}: {{text}}, {{text}}!", {"text", "lang"}, {"T", "L"}) == "In L: T, T!");
  CHECK(fill("{a} {{a}} }} {{", {"a"}, {"x"}) == "{a} x }} {{");
  CHECK(fill("{{a}}", {"a"}, {"{{a}}"}) == "{{a}}"); // what a row says is never a place
  CHECK(fill("{{b}}", {"a", "c"}, {}) == "! the prompt's {{b}} is no column | there are: a, c");
  CHECK(fill("{{a}}", {"a", "a"}, {}) == "! the prompt's {{a}} is the name of several columns | there are: a, a");
  CHECK(fill("same for all", {"a"}, {}).starts_with("! the prompt names no column"));
}

TEST_CASE_METHOD(input, "each row of a table is an item", "[batch][table]") {
  CHECK(read_csv("id,text\n1,one\n2,\"two\nlines\"\n", "Say {{text}}") == lines{"1: Say one", "2: Say two\nlines"});
  CHECK(read_csv("\xEF\xBB\xBFtext,n\r\none,1\r\n\r\ntwo,2\r\n", "{{n}} {{text}}")
        == lines{"line-2: 1 one", "line-4: 2 two"});
  CHECK(read_csv(" text , custom_id \na,x\nb,\n", "{{text}}") == lines{"x: a", "line-3: b"});
  CHECK(read_csv("text\tn\na \"b\", c\t1\n", "{{text}}", batch_format::tsv) == lines{"line-2: a \"b\", c"});
  CHECK(read_csv("prompt\nWhy?\n", "") == lines{"line-2: Why?"});
  CHECK(read_csv("id;text\n1;\"a; b, c\"\n", "{{text}}") == lines{"1: a; b, c"});
}

TEST_CASE_METHOD(input, "a row that cannot be read fails alone, by its line", "[batch][table]") {
  auto in = folder.path("in");
  CHECK(read_csv("id,text\n1,a\n2\n3,c,d\n\"4\"x,y\n5,e\n5,f\n6,\xFF\n7,g\n", "{{text}}")
        == lines{"1: a", "line-3! " + in + ":3: the row has 1 field, and the header 2",
                 "line-4! " + in + ":4: the row has 3 fields, and the header 2",
                 "line-5! " + in
                   + ":5: something follows the closing quote of a field; a quote inside quotes "
                     "is written twice",
                 "5: e", "5! " + in + ":7: the custom_id 5 has been used by an earlier line",
                 "line-8! " + in + ":8: the row is not UTF-8", "7: g"});
  CHECK(read_csv("id,text\n1,\"a\n2,b\n", "{{text}}")
        == lines{"line-2! " + in + ":2: a field that begins with a quote is not closed"});
  auto longest = read_csv("id,text\n1,\"a\n" + std::string(17 << 20, 'x') + "\n2,b\n", "{{text}}");
  REQUIRE(longest.size() == 2);
  CHECK(longest[0] == "line-2! " + in + ":2: the row is longer than 16 MiB; is a quote left open?");
}

TEST_CASE_METHOD(input, "tables that cannot be used are refused, with what to do", "[batch][table]") {
  auto in = folder.path("in");
  CHECK(read_csv("text,n\na,1\n", "{{txt}}") == lines{in + ": the prompt's {{txt}} is no column | there are: text, n"});
  CHECK(read_csv("text,n\na,1\n", "")
          .at(0)
          .starts_with(in + ": a table needs a prompt | add --prompt 'Summarise {{text}}'"));
  CHECK(read_csv(std::string("\xFF\xFE\x61\0", 4), "{{a}}").at(0).starts_with(in + " is UTF-16"));
  CHECK(read_csv("", "{{a}}") == lines{in + " is empty: it has no header | "});
  CHECK(read_csv("a,b\n\n", "{{a}}") == lines{in + " is empty: it has no row below the header | "});
  auto table = folder.write("in.CSV", "text\na\n");
  CHECK(read(table, {}).at(0).starts_with(table + " looks like a table, by its name | say --format csv --prompt"));
  CHECK(read(table, {batch_format::lines, ""}) == lines{"line-1: text", "line-2: a"});
  CHECK(read(table, {batch_format::automatic, "{{text}}"}) == lines{"line-2: a"});
  CHECK(read(folder.write("in.txt", "a\n"), {batch_format::automatic, "{{text}}"})
          .at(0)
          .starts_with("a prompt is for tables and folders"));
}

TEST_CASE_METHOD(input, "each file of a folder is an item, in the order of their names", "[batch][table]") {
  auto texts = folder.path("texts");
  std::filesystem::create_directories(texts + "/sub");
  std::filesystem::create_directories(texts + "/.git");
  folder.write("texts/b.txt", "two\nlines\n");
  folder.write("texts/a.txt", "\xEF\xBB\xBFone");
  folder.write("texts/.hidden", "no");
  folder.write("texts/.git/x", "no");
  folder.write("texts/sub/c.txt", "three");
  folder.write("texts/z.bin", "\xFF");
  lines expected{"a.txt: Sum: one (a.txt)", "b.txt: Sum: two\nlines\n (b.txt)", "sub/c.txt: Sum: three (sub/c.txt)",
                 "z.bin! " + texts + "/z.bin: the file is not UTF-8"};
  CHECK(read(texts, {batch_format::folder, "Sum: {{text}} ({{name}})"}) == expected);
  CHECK(read(texts, {batch_format::automatic, "Sum: {{text}} ({{name}})"}) == expected);
  CHECK(read(texts, {batch_format::folder, ""}).at(0) == "a.txt: one");
  CHECK(read(texts, {}).at(0).starts_with("cannot read " + texts + ": Is a directory | --format folder"));
  std::filesystem::create_directory(folder.path("none"));
  CHECK(read(folder.path("none"), {batch_format::folder, ""}) == lines{folder.path("none") + " holds no files | "});
}

TEST_CASE("rows and files that ask nothing, or hold a NUL, are refused by their place", "[batch][table]") {
  using namespace std::string_literals;
  input x;
  auto read = x.read_csv("a,b\n1,\n ,2\n3,x\0y\n"s, "{{b}}");
  auto in = x.folder.path("in");
  CHECK(read
        == lines{"line-2! " + in + ":2: the prompt is empty: write what to ask, or take it out", "line-3: 2",
                 "line-4! " + in + ":4: the row holds a NUL (a byte 0): take it out"});
  CHECK(x.read_csv("a,b\n1,\n", "Is it {{b}}?") == lines{"line-2: Is it ?"});
  temporary_folder texts;
  texts.write("blank", " \n");
  texts.write("nul", "a\n\0b"s);
  CHECK(x.read(texts.path(""), {batch_format::folder, "{{text}}"})
        == lines{"blank! " + texts.path("") + "/blank" + ": the prompt is empty: write what to ask, or take it out",
                 "nul! " + texts.path("") + "/nul" + ": the file holds a NUL (a byte 0) in its line 2: take it out"});
}

} // namespace modelforge::table_test
