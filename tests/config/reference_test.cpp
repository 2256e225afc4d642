#include "config/schema.hpp"
#include "support.hpp"
#include "tests/support/places.hpp"

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>

#include <fstream>
#include <sstream>

namespace modelforge::reference_test {

using namespace modelforge::test;

namespace {

constexpr std::string_view begin_mark = "<!-- begin: modelforge config reference -->\n\n";
constexpr std::string_view end_mark = "\n<!-- end -->\n";

std::string read(const std::string& path) {
  std::ifstream file{path, std::ios::binary};
  std::ostringstream content;
  content << file.rdbuf();
  return content.str();
}

/// What docs/configuration.md has between its marks.
std::string documented() {
  auto text = read(source_path("docs/configuration.md"));
  auto begin = text.find(begin_mark);
  auto end = text.find(end_mark);
  REQUIRE(begin != std::string::npos);
  REQUIRE(end != std::string::npos);
  begin += begin_mark.size();
  return text.substr(begin, end - begin);
}

/// A row of the document, by the names of its columns.
using row = std::map<std::string, std::string>;

std::string without_ticks(std::string text) {
  return text.size() > 1 && text.front() == '`' && text.back() == '`' ? text.substr(1, text.size() - 2) : text;
}

std::vector<std::string> cells(const std::string& line) {
  std::vector<std::string> result;
  for (std::size_t pos = 1; pos < line.size();) {
    auto end = line.find('|', pos);
    auto cell = line.substr(pos, end - pos);
    cell.erase(0, cell.find_first_not_of(' '));
    cell.erase(cell.find_last_not_of(' ') + 1);
    result.push_back(cell);
    pos = end + 1;
  }
  return result;
}

/// All rows by "TABLE/KEY", with TABLE as in the schema.
std::map<std::string, row> rows() {
  std::map<std::string, row> result;
  std::string table;
  std::vector<std::string> columns;
  std::istringstream in{documented()};
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("### ")) {
      table = without_ticks(line.substr(4));
      table = table.starts_with('[') ? table.substr(1, table.size() - 2) : "";
      columns.clear();
    } else if (line.starts_with("|--")) {
      continue;
    } else if (line.starts_with('|') && columns.empty()) {
      columns = cells(line);
    } else if (line.starts_with('|')) {
      auto values = cells(line);
      CAPTURE(line);
      REQUIRE(values.size() == columns.size());
      row x;
      for (std::size_t i = 0; i < columns.size(); ++i)
        x[columns[i]] = values[i];
      auto name = table + '/' + without_ticks(x["key"]);
      CAPTURE(name);
      CHECK(result.emplace(name, x).second);
    }
  }
  return result;
}

/// A header of the schema with names in place of capitals.
std::string with_names(std::string path) {
  if (auto pos = path.find("NAME"); pos != std::string::npos)
    path.replace(pos, 4, "main");
  if (auto pos = path.find("PATTERN"); pos != std::string::npos)
    path.replace(pos, 7, "*");
  return path;
}

} // namespace

TEST_CASE("docs/configuration.md is what the program prints", "[config]") {
  // differs? script/reference writes it anew
  CHECK(documented() == reference_markdown());
}

TEST_CASE("docs/configuration.md has every key, in the words of the schema", "[config]") {
  auto found = rows();
  std::size_t keys = 0;
  for (const auto* table : schema::tables())
    for (const auto& key : table->keys) {
      auto name = std::string{table->path} + '/' + std::string{key.name};
      CAPTURE(name);
      REQUIRE(found.count(name) == 1);
      ++keys;
      CHECK(found[name]["meaning"] == key.doc);
      CHECK_FALSE(found[name]["type"].empty());
      for (auto [bound, end] : {std::pair{key.min, "from"}, std::pair{key.max, "to"}}) {
        CAPTURE(end, found[name]["allowed"]);
        if (bound > -1e300 && bound < 1e300) { // as text, whatever stands around it
          std::ostringstream text;
          text.precision(17);
          text << bound;
          auto all = found[name]["allowed"];
          auto to = all.find(" to ");
          REQUIRE(to != std::string::npos);
          auto number = end == std::string{"from"} ? all.substr(0, to) : all.substr(to + 4);
          CHECK(std::stod(number) == bound);
        }
      }
    }
  CHECK(found.size() == keys); // and none that is not there
}

TEST_CASE("the defaults in docs/configuration.md are those of a file that leaves the key out", "[config]") {
  const auto env = variables({{"OPENAI_API_KEY", "a-key-of-the-test"}});
  constexpr auto shortest = "[providers.main]\n[providers.main.models.\"*\"]\n";
  auto expected = parse(shortest, "shortest.toml", env);
  INFO(text_of(expected));
  REQUIRE(expected.value);

  auto found = rows();
  std::string all; // every documented default, written out
  std::size_t written = 0;
  for (const auto* table : schema::tables()) {
    if (table == &schema::root() || table == &schema::key_entry())
      continue;
    all += '[' + with_names(std::string{table->path}) + "]\n";
    for (const auto& key : table->keys) {
      auto is = found[std::string{table->path} + '/' + std::string{key.name}]["default"];
      if (is.starts_with('`')) {
        all += std::string{key.name} + " = " + without_ticks(is) + '\n';
        ++written;
        // each by itself: no other key makes up for it
        auto one =
          '[' + with_names(std::string{table->path}) + "]\n" + std::string{key.name} + " = " + without_ticks(is) + '\n';
        auto text = one.starts_with("[providers.main]")       ? one + "[providers.main.models.\"*\"]\n"
                    : one.find("models") != std::string::npos ? "[providers.main]\n" + one
                                                              : std::string{shortest} + one;
        auto loaded = parse(text, "one.toml", env);
        INFO(text << text_of(loaded));
        REQUIRE(loaded.value);
        CHECK(*loaded.value == *expected.value);
      }
    }
  }
  CHECK(written > 80);
  auto loaded = parse(all, "all.toml", env);
  INFO(all << text_of(loaded));
  REQUIRE(loaded.value);
  CHECK(*loaded.value == *expected.value);

  // what is said to be not set is not
  auto printed = to_toml(*expected.value);
  for (const auto* table : schema::tables()) {
    auto begin = printed.find("[" + with_names(std::string{table->path}) + "]\n");
    auto section = begin == printed.npos ? "" : printed.substr(begin, printed.find("\n[", begin) - begin);
    for (const auto& key : table->keys) {
      auto is = found[std::string{table->path} + '/' + std::string{key.name}]["default"];
      if (is == "not set" || is.empty())
        CHECK_THAT(section, !Catch::Matchers::ContainsSubstring('\n' + std::string{key.name} + " = "));
    }
  }
}

TEST_CASE("links in docs/configuration.md lead to its headings", "[config]") {
  auto text = documented();
  std::size_t links = 0;
  for (auto pos = text.find("](#"); pos != std::string::npos; pos = text.find("](#", pos + 1)) {
    auto end = text.find(')', pos);
    auto anchor = text.substr(pos + 3, end - pos - 3);
    auto heading = text.substr(text.rfind("[`", pos) + 2, pos - text.rfind("[`", pos) - 3);
    CAPTURE(anchor, heading);
    CHECK_THAT(text, Catch::Matchers::ContainsSubstring("### `" + heading + "`\n"));
    ++links;
  }
  CHECK(links > 10);
}

} // namespace modelforge::reference_test
