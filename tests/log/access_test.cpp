#include "config/secret_mask.hpp"
#include "log/access_line.hpp"
#include "log/logger.hpp"
#include "tests/support/eventually.hpp"
#include "tests/support/places.hpp"
#include "tests/support/temporary_folder.hpp"

#include <catch2/catch_test_macros.hpp>
#include <nlohmann/json.hpp>

#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <sys/stat.h>
#include <unistd.h>

namespace modelforge::access_log_test {

namespace {

using namespace log;
using namespace test;
using namespace std::chrono_literals;
using nlohmann::json;

const std::chrono::system_clock::time_point some_time{1'790'000'000'123ms};

attempt_record attempt(uint16_t status, errc result = errc::none) {
  attempt_record made;
  made.http_status = status;
  made.result = result;
  return made;
}

/// With a value in each member.
request_record whole() {
  request_record x;
  x.id = {1, 2};
  x.part_of = {3, 4};
  x.kind = request_kind::stream;
  x.rank = priority::batch;
  x.tenant = "team";
  x.labels = {{"job", "7"}, {"stage", ""}};
  x.more_labels = 3;
  x.node = "east";
  x.provider = "main";
  x.model = "m";
  x.answered_by = "m-2026";
  x.outcome = request_outcome::cut;
  x.code = errc::stream_interrupted;
  x.attempts = {attempt(503, errc::overloaded), attempt(200)};
  x.more_attempts = 100;
  x.waits[static_cast<std::size_t>(wait_reason::nothing)] = 1ms;
  x.waits[static_cast<std::size_t>(wait_reason::backoff)] = 1500ms;
  x.first_token = 2s;
  x.duration = 2500ms;
  x.usage = token_usage{100, 20, 30, 40, 5};
  x.cost = 0.01250000125;
  x.finish = finish_reason::length;
  x.flaw = answer_flaw::cut;
  return x;
}

std::string line_of(const request_record& x) {
  std::string result;
  append_access(result, x, some_time);
  return result;
}

std::vector<std::string> lines_of(const std::string& path) {
  std::ifstream in{path};
  std::vector<std::string> result;
  for (std::string line; std::getline(in, line);)
    result.push_back(line);
  return result;
}

log_handle start(const log_settings& settings) {
  auto started = start_log(settings);
  if (auto* why = std::get_if<failure>(&started))
    FAIL(to_string(*why));
  return std::get<log_handle>(std::move(started));
}

log_settings access_to(const std::string& path) {
  log_settings result;
  result.sink = "none";
  result.access = path;
  return result;
}

request_record numbered(uint64_t number) {
  request_record x;
  x.id = {0, number};
  x.provider = "main";
  return x;
}

std::string id_in(const std::string& line) {
  return json::parse(line)["request"];
}

} // namespace

TEST_CASE("a request is one line of JSON, whose members docs/logs.md has, and no others", "[log]") {
  CHECK(
    line_of(whole())
    == R"({"time":"2026-09-21T14:13:20.123Z","request":"00000000000000010000000000000002",)"
       R"("part_of":"00000000000000030000000000000004","kind":"stream","priority":"batch","tenant":"team",)"
       R"("labels":{"job":"7","stage":""},"more_labels":3,"node":"east","provider":"main","model":"m",)"
       R"("answered_by":"m-2026","outcome":"cut","code":"stream_interrupted","flaw":"cut","finish_reason":"length",)"
       R"("attempts":102,"status":200,"duration_seconds":2.5,"first_token_seconds":2,)"
       R"("waits":{"queue":0.001,"backoff":1.5},"input_tokens":100,"output_tokens":20,"cached_tokens":30,)"
       R"("cache_written_tokens":40,"reasoning_tokens":5,"cost":0.01250000125})"
       "\n");
  std::ifstream in{source_path("docs/logs.md")};
  std::stringstream page;
  page << in.rdbuf();
  auto text = page.str();
  CHECK(text.find("<!-- begin: modelforge config events --access -->\n\n" + access_markdown() + "\n<!-- end -->\n")
        != text.npos);
  auto read = json::parse(line_of(whole()));
  for (auto& [name, value] : read.items()) {
    CAPTURE(name);
    CHECK(access_markdown().find("| `" + name + "` | ") != std::string::npos);
  }
  auto members = access_markdown();
  CHECK(static_cast<std::size_t>(std::count(members.begin(), members.end(), '\n')) == read.size() + 2);
}

TEST_CASE("every name of a kind, an outcome, a flaw and a cause is in the docs", "[log]") {
  auto page = access_markdown();
  auto has = [&](std::string_view name) { return page.find('`' + std::string{name} + '`') != page.npos; };
  auto all_named = [&](auto names, std::size_t from = 0) {
    for (auto i = from; i < names.size(); ++i) {
      CAPTURE(names[i]);
      CHECK(has(names[i]));
    }
  };
  all_named(enum_names<request_kind>);
  all_named(enum_names<request_outcome>);
  all_named(enum_names<answer_flaw>, 1);
  all_named(enum_names<finish_reason>);
  all_named(enum_names<wait_reason>, 1);
  all_named(enum_names<priority>);
}

TEST_CASE("what has no value is left out of a request's line", "[log]") {
  CHECK(line_of(numbered(1))
        == R"({"time":"2026-09-21T14:13:20.123Z","request":"00000000000000000000000000000001","kind":"chat",)"
           R"("priority":"interactive","provider":"main","outcome":"answered","attempts":0,"duration_seconds":0})"
           "\n");
}

TEST_CASE("whatever texts hold, a request stays one line that says nothing to a terminal", "[log]") {
  auto x = whole();
  x.tenant = "a\nb\x1b[31m\xff\"\\";
  x.labels = {{"k\n\x07", "v\xe2\x80\xae"}, {"\"", "\\"}};
  x.answered_by = std::string(5'000, 'x');
  auto line = line_of(x);
  CHECK(std::count(line.begin(), line.end(), '\n') == 1);
  CHECK(std::none_of(line.begin(), line.end() - 1, [](unsigned char c) { return c < 0x20; }));
  CHECK(line.find("\xe2\x80\xae") == line.npos);
  auto read = json::parse(line);
  CHECK(read["tenant"] == "a\nb\x1b[31m\xef\xbf\xbd\"\\");
  CHECK(read["labels"]["k\n\x07"] == "v\xe2\x80\xae");
  CHECK(read["labels"]["\""] == "\\");
  CHECK(read["answered_by"].get<std::string>().size() < 1'100);
}

TEST_CASE("the access log has each request, in order, and is opened again by its name", "[log]") {
  temporary_folder folder;
  auto path = folder.path("access");
  auto log = start(access_to(path));
  REQUIRE(log->wants_access());
  for (uint64_t i = 1; i <= 3; ++i)
    log->write(numbered(i));
  CHECK(eventually([&] { return lines_of(path).size() == 3; }));
  struct stat file {};
  REQUIRE(stat(path.c_str(), &file) == 0);
  CHECK((file.st_mode & 0137) == 0); // nobody but the owner writes, nobody but the group reads
  std::filesystem::rename(path, folder.path("access.1"));
  reopen(log);
  log->write(numbered(4));
  log.reset();
  REQUIRE(lines_of(folder.path("access.1")).size() == 3);
  REQUIRE(lines_of(path).size() == 1);
  CHECK(id_in(lines_of(folder.path("access.1"))[0]) == to_string(request_id{0, 1}));
  CHECK(id_in(lines_of(path)[0]) == to_string(request_id{0, 4}));
}

TEST_CASE("other settings begin, move and end the access log", "[log]") {
  temporary_folder folder;
  auto log = start(access_to("none"));
  auto mask = std::make_shared<secret_mask>();
  mask->add("sk-0123456789abcdef");
  log->mask(mask); // before there is an access log
  CHECK_FALSE(log->wants_access());
  log->write(numbered(1));
  auto bad = log->check(access_to("/no/such/folder/access"));
  REQUIRE(bad);
  CHECK(bad->message == "log.access: cannot open /no/such/folder/access: No such file or directory");
  for (uint64_t i = 2; i <= 3; ++i) {
    auto next = access_to(folder.path(std::to_string(i)));
    CHECK_FALSE(log->check(next));
    log->reconfigure(next);
    CHECK(log->wants_access());
    auto record = numbered(i);
    record.tenant = "sk-0123456789abcdef";
    record.labels = {{"sk-0123456789abcdef", "sk-0123456789abcdef"}};
    log->write(record);
  }
  log->reconfigure(access_to("none"));
  CHECK_FALSE(log->wants_access());
  log->write(numbered(4));
  log.reset();
  for (auto number : {"2", "3"}) {
    auto lines = lines_of(folder.path(number));
    REQUIRE(lines.size() == 1);
    CHECK(id_in(lines[0]).ends_with(number));
    CHECK(lines[0].find("0123456789abcdef\"") == lines[0].npos);
    CHECK(json::parse(lines[0])["labels"]["***"] == "***");
  }
}

TEST_CASE("a full disk costs the access log lines, which it counts and tells", "[log]") {
  temporary_folder folder;
  auto path = folder.path("access");
  std::filesystem::create_symlink("/dev/full", path);
  auto log = start(access_to(path));
  for (uint64_t i = 1; i <= 5; ++i) {
    log->write(numbered(i));
    CHECK(eventually([&] { return dropped_requests(log) == i; }));
  }
  std::filesystem::remove(path);
  reopen(log);
  log->write(numbered(6));
  log.reset();
  auto lines = lines_of(path);
  REQUIRE(lines.size() == 2);
  std::set<std::string> told;
  for (auto& line : lines) {
    auto read = json::parse(line);
    if (read.contains("missing")) {
      CHECK(read["missing"] == 5);
      CHECK(read["duration_seconds"] > 0);
      CHECK(read["reason"] == "cannot write " + path + ": No space left on device");
      told.insert("missing");
    } else {
      CHECK(read["request"] == to_string(request_id{0, 6}));
      told.insert("request");
    }
  }
  CHECK(told.size() == 2);
}

TEST_CASE("an access log that is not taken makes nobody wait: what has no room is counted", "[log]") {
  temporary_folder folder;
  auto path = folder.path("pipe");
  REQUIRE(mkfifo(path.c_str(), 0600) == 0);
  auto reader = open(path.c_str(), O_RDONLY | O_NONBLOCK);
  auto log = start(access_to(path));
  auto before = std::chrono::steady_clock::now();
  constexpr std::size_t count = 3 * logger::max_waiting_records;
  for (std::size_t i = 0; i < count; ++i)
    log->write(numbered(i + 1));
  CHECK(std::chrono::steady_clock::now() - before < 20s);
  CHECK(eventually([&] { return dropped_requests(log) >= logger::max_waiting_records; }));
  close(reader);
}

TEST_CASE("an access log that cannot be opened says so at the start", "[log]") {
  auto started = start_log(access_to("/no/such/folder/access"));
  auto* why = std::get_if<failure>(&started);
  REQUIRE(why != nullptr);
  CHECK(why->code == errc::configuration);
  CHECK(why->message == "log.access: cannot open /no/such/folder/access: No such file or directory");
}

} // namespace modelforge::access_log_test
