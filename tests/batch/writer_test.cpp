#include "batch/writer.hpp"

#include "batch/output_check.hpp"
#include "tests/support/temporary_folder.hpp"
#include "wire/json.hpp"

#include <catch2/catch_test_macros.hpp>

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <sstream>
#include <thread>

namespace modelforge::writer_test {

using namespace modelforge::batch;
using test::temporary_folder;
using json = modelforge::json::value;

namespace {

using result = std::variant<completion, failure>;

result answered(std::string text) {
  completion x;
  x.text = std::move(text);
  x.finish_reason = finish_reason::stop;
  x.provider_request_id = "req_1";
  return x;
}

result failed(errc code, uint16_t status) {
  failure x;
  x.code = code;
  x.message = "it \"failed\"";
  x.http_status = status;
  x.provider_request_id = "req_2";
  return x;
}

std::string line(const std::string& custom_id, const result& x, uint64_t item = 0) {
  return result_line(item, custom_id, x);
}

std::unique_ptr<sink> open(const std::string& path) {
  auto opened = open_sink(path);
  if (auto* problem = std::get_if<failure>(&opened))
    FAIL(problem->message);
  return std::move(std::get<0>(opened));
}

std::vector<json> lines_of(const std::string& text) {
  std::vector<json> lines;
  std::istringstream in{text};
  for (std::string line; std::getline(in, line);)
    lines.push_back(json::parse(line));
  return lines;
}

/// Puts another file in the place of standard output while it lives.
class standard_output {
public:
  explicit standard_output(int fd) : kept_(::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 100)) {
    fd < 0 ? ::close(STDOUT_FILENO) : ::dup2(fd, STDOUT_FILENO);
  }
  ~standard_output() {
    ::dup2(kept_, STDOUT_FILENO);
    ::close(kept_);
  }

private:
  int kept_;
};

} // namespace

TEST_CASE("writer writes OpenAI's result lines", "[batch][writer]") {
  temporary_folder folder;
  auto path = folder.path("out.jsonl");
  auto to = open(path);
  CHECK_FALSE(to->write(line("row-1", answered("Hé\n"))));
  CHECK_FALSE(to->write(line("row \"2\"", failed(errc::rate_limited, 429), 1)));
  CHECK_FALSE(to->write(line("row-3", failed(errc::deadline_exceeded, 0), 2)));
  CHECK_FALSE(to->write(line("row-4", failed(errc::invalid_response, 200), 3))); // must not look like a success
  auto wrong = failed(errc::wrong_format, 200);
  std::get<failure>(wrong).text = "{\"a\"";
  CHECK_FALSE(to->write(line("row-5", wrong, 4)));
  auto warned = answered("{}");
  std::get<completion>(warned).warnings = {"a fence"};
  CHECK_FALSE(to->write(line("row-6", warned, 5)));
  CHECK_FALSE(to->finish(true));
  auto lines = lines_of(folder.read(path));
  REQUIRE(lines.size() == 6);
  CHECK(lines[5]["warnings"] == json{"a fence"});
  CHECK(lines[0]["id"] == "batch_req_1");
  CHECK(lines[0]["custom_id"] == "row-1");
  CHECK(lines[0]["response"]["status_code"] == 200);
  CHECK(lines[0]["response"]["request_id"] == "req_1");
  CHECK(lines[0]["response"]["body"]["choices"][0]["message"]["content"] == "Hé\n");
  CHECK(lines[0]["error"].is_null());
  CHECK_FALSE(lines[0].contains("warnings"));
  CHECK(lines[1] == json::parse(R"({"id":"batch_req_2","custom_id":"row \"2\"","response":{"status_code":429,
    "request_id":"req_2","body":{"error":{"message":"it \"failed\"","type":"rate_limited","param":null,
    "code":"rate_limited"}}},"error":{"code":"rate_limited","message":"it \"failed\""}})"));
  CHECK(lines[2] == json::parse(R"({"id":"batch_req_3","custom_id":"row-3","response":null,
    "error":{"code":"deadline_exceeded","message":"it \"failed\""}})"));
  CHECK(lines[3]["response"].is_null());
  CHECK(lines[3]["error"]["code"] == "invalid_response");
  CHECK(lines[4] == json::parse(R"({"id":"batch_req_5","custom_id":"row-5","response":null,
    "error":{"code":"wrong_format","message":"it \"failed\"","text":"{\"a\""}})"));
}

TEST_CASE("a result has its name only when it is whole", "[batch][writer]") {
  temporary_folder folder;
  auto path = folder.write("out", "old");
  ::chmod(path.c_str(), 0600);
  auto to = open(path);
  CHECK_FALSE(to->write(line("a", answered("b"))));
  CHECK_FALSE(to->flush());
  CHECK(folder.read(path) == "old");
  CHECK(lines_of(folder.read(path + ".part")).size() == 1);
  CHECK_FALSE(to->finish(true));
  CHECK(lines_of(folder.read(path)).size() == 1);
  CHECK_FALSE(std::filesystem::exists(path + ".part"));
  struct stat is {};
  REQUIRE(::stat(path.c_str(), &is) == 0);
  CHECK((is.st_mode & 0777) == 0600);
}

TEST_CASE("without finish the old result stays, and what came is kept beside it", "[batch][writer]") {
  temporary_folder folder;
  auto path = folder.write("out", "old");
  {
    auto to = open(path);
    CHECK_FALSE(to->write(line("a", answered("b"))));
    CHECK_FALSE(to->flush());
  }
  CHECK(folder.read(path) == "old");
  CHECK(lines_of(folder.read(path + ".part")).size() == 1);
}

TEST_CASE("an incomplete result does not take its name", "[batch][writer]") {
  temporary_folder folder;
  for (bool there : {false, true}) {
    auto path = there ? folder.write("out", "old") : folder.path("new");
    auto to = open(path);
    CHECK(to->place() == path + ".part");
    CHECK_FALSE(to->write(line("a", answered("b"))));
    CHECK_FALSE(to->finish(false));
    CAPTURE(path);
    CHECK(to->place() == path + ".part");
    CHECK(std::filesystem::exists(path) == there);
    CHECK(lines_of(folder.read(to->place())).size() == 1);
  }
  CHECK(folder.read(folder.path("out")) == "old");
  auto again = open(folder.path("out")); // starts the part anew
  CHECK_FALSE(again->write(line("c", answered("d"))));
  CHECK_FALSE(again->finish(true));
  CHECK(again->place() == folder.path("out"));
  CHECK(lines_of(folder.read(folder.path("out"))).at(0)["custom_id"] == "c");
}

TEST_CASE("results that go nowhere else are in place from the start", "[batch][writer]") {
  auto device = open("/dev/null");
  CHECK(device->place() == "/dev/null");
  CHECK_FALSE(device->finish(false));
  CHECK(open("-")->place() == "standard output");
}

TEST_CASE("a second run into the same file is refused and spoils nothing", "[batch][writer]") {
  temporary_folder folder;
  auto path = folder.path("out");
  auto refused = [&] {
    auto opened = open_sink(path);
    auto* problem = std::get_if<failure>(&opened);
    return problem != nullptr && problem->code == errc::io_failed
           && problem->message == "another run is writing " + path + ".part";
  };
  {
    auto first = open(path);
    CHECK_FALSE(first->write(line("a", answered("b"))));
    CHECK_FALSE(first->flush());
    CHECK(refused());
    CHECK(lines_of(folder.read(path + ".part")).size() == 1);
    CHECK_FALSE(first->finish(true));
    CHECK(lines_of(folder.read(path)).size() == 1);
    auto next = open(path); // finished is finished, even while the first one lives
    CHECK(refused());
  }
  CHECK_FALSE(refused());
}

TEST_CASE("of runs that start and finish at the same time each result is whole", "[batch][writer]") {
  temporary_folder folder;
  auto path = folder.path("out");
  std::vector<std::thread> runs;
  for (int i = 0; i < 4; ++i)
    runs.emplace_back([&] {
      for (int j = 0; j < 200; ++j)
        if (auto opened = open_sink(path); auto* to = std::get_if<0>(&opened)) {
          (void)(*to)->write(line("a", answered("b")));
          (void)(*to)->finish(true);
        }
    });
  std::vector<std::size_t> seen;
  for (int i = 0; i < 200; ++i)
    if (auto text = folder.read(path); std::filesystem::exists(path) && !text.empty())
      seen.push_back(lines_of(text).size());
  for (auto& run : runs)
    run.join();
  CHECK(std::all_of(seen.begin(), seen.end(), [](auto n) { return n == 1; }));
  CHECK(lines_of(folder.read(path)).size() == 1);
}

TEST_CASE("results are never written over the input", "[batch][writer]") {
  temporary_folder folder;
  auto in = folder.write("in", "x");
  auto other = folder.write("other", "y");
  std::filesystem::create_symlink(in, folder.path("link"));
  std::filesystem::create_hard_link(in, folder.path("twin"));
  for (auto& out : {in, folder.path("./in"), folder.path("link"), folder.path("twin")}) {
    auto problem = refuse_same_file(in, out);
    CAPTURE(out);
    REQUIRE(problem);
    CHECK(problem->code == errc::io_failed);
    CHECK(problem->message == "the input " + in + " and the output " + out + " are the same file");
  }
  auto part = folder.write("other.part", "z");
  std::filesystem::create_symlink(other, folder.path("to-other"));
  for (auto& out : {other, folder.path("to-other")}) {
    auto problem = refuse_same_file(part, out);
    REQUIRE(problem);
    CHECK(problem->message
          == "the input " + part + " is the file " + part + ", in which the results for " + out + " gather");
  }
  CHECK_FALSE(refuse_same_file(in, other));
  CHECK_FALSE(refuse_same_file(in, folder.path("new")));
  CHECK_FALSE(refuse_same_file(folder.path("missing"), folder.path("missing")));
  CHECK_FALSE(refuse_same_file("-", "-"));
  CHECK_FALSE(refuse_same_file("-", in));
  CHECK_FALSE(refuse_same_file(in, "-"));
  CHECK_FALSE(refuse_same_file("/dev/null", "/dev/null"));
}

TEST_CASE("a link to a result stays a link", "[batch][writer]") {
  temporary_folder folder;
  auto path = folder.write("real", "old");
  std::filesystem::create_symlink(path, folder.path("link"));
  auto to = open(folder.path("link"));
  CHECK_FALSE(to->write(line("a", answered("b"))));
  CHECK_FALSE(to->finish(true));
  CHECK(std::filesystem::is_symlink(folder.path("link")));
  CHECK(lines_of(folder.read(path)).size() == 1);
  auto named = open(folder.path("./real")); // any other path is told as it was given
  CHECK_FALSE(named->finish(true));
  CHECK(named->place() == folder.path("./real"));
}

TEST_CASE("what cannot be opened for writing is a failure at once", "[batch][writer]") {
  temporary_folder folder;
  for (auto& path : {folder.path(""), folder.path("missing/out")}) {
    auto opened = open_sink(path);
    REQUIRE(std::holds_alternative<failure>(opened));
    CHECK(std::get<failure>(opened).code == errc::io_failed);
    CHECK(std::get<failure>(opened).message.find(path) != std::string::npos);
  }
}

TEST_CASE("a full disk is reported, by small writes at the end and by large ones at once", "[batch][writer]") {
  auto small = open("/dev/full");
  CHECK_FALSE(small->write(line("a", answered("b"))));
  auto problem = small->finish(true);
  REQUIRE(problem);
  CHECK(problem->code == errc::io_failed);
  CHECK(problem->message == "cannot write to /dev/full: No space left on device");
  auto large = open("/dev/full");
  CHECK(large->write(line("a", answered(std::string(100'000, 'x')))));
  CHECK(large->write(line("b", answered("y")))); // and stays reported
  CHECK(large->finish(true));
  CHECK(std::filesystem::is_character_file("/dev/full"));
}

TEST_CASE("a rename that fails is reported", "[batch][writer]") {
  temporary_folder folder;
  auto path = folder.path("out");
  auto to = open(path);
  CHECK_FALSE(to->write(line("a", answered("b"))));
  std::filesystem::create_directory(path);
  auto problem = to->finish(true);
  REQUIRE(problem);
  CHECK(problem->message.starts_with("cannot rename " + path + ".part to " + path));
}

TEST_CASE("a pipe that nobody reads any more is reported, and ends no process", "[batch][writer]") {
  int ends[2];
  REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
  ::close(ends[0]);
  std::optional<failure> problem;
  {
    standard_output replaced{ends[1]};
    auto to = open("-");
    CHECK_FALSE(to->write(line("a", answered("b"))));
    problem = to->flush();
  }
  ::close(ends[1]);
  REQUIRE(problem);
  CHECK(problem->message == "cannot write to standard output: nobody reads it any more");
  sigset_t pending;
  sigpending(&pending);
  CHECK(sigismember(&pending, SIGPIPE) == 0);
}

TEST_CASE("a standard output that is closed, or only for reading, is a failure at once", "[batch][writer]") {
  temporary_folder folder;
  auto read_only = ::open(folder.write("in", "").c_str(), O_RDONLY | O_CLOEXEC);
  for (int fd : {-1, read_only}) {
    std::variant<std::unique_ptr<sink>, failure> opened;
    {
      standard_output replaced{fd};
      opened = open_sink("-");
    }
    REQUIRE(std::holds_alternative<failure>(opened));
    CHECK(std::get<failure>(opened).message == "cannot open standard output: Bad file descriptor");
  }
  ::close(read_only);
}

TEST_CASE("a slow pipe that does not block gets every byte", "[batch][writer]") {
  int ends[2];
  REQUIRE(::pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0);
  ::fcntl(ends[0], F_SETFL, 0);
  std::string got;
  std::thread reader{[&] {
    char block[1000]; // much smaller than the pipe, so that writes are cut short
    for (ssize_t n; (n = ::read(ends[0], block, sizeof block)) > 0;)
      got.append(block, static_cast<std::size_t>(n));
  }};
  bool fine = true;
  {
    standard_output replaced{ends[1]};
    ::close(ends[1]);
    auto to = std::get<0>(open_sink("-"));
    for (int i = 0; i < 100; ++i)
      fine = fine && !to->write(line(std::to_string(i), answered(std::string(10'000, 'x'))));
    fine = fine && !to->finish(true);
  }
  reader.join();
  CHECK(fine);
  auto lines = lines_of(got);
  REQUIRE(lines.size() == 100);
  CHECK(lines[99]["custom_id"] == "99");
}

TEST_CASE("writer holds back no more than 64 KiB", "[batch][writer]") {
  temporary_folder folder;
  auto to = open(folder.path("out"));
  std::vector<std::size_t> written;
  for (int i = 0; i < 1'000; ++i) {
    REQUIRE_FALSE(to->write(line("a", answered("b"))));
    written.push_back(std::filesystem::file_size(folder.path("out.part")));
  }
  CHECK_FALSE(to->finish(true));
  auto line = std::filesystem::file_size(folder.path("out")) / written.size();
  for (std::size_t i = 0; i < written.size(); ++i)
    REQUIRE(line * (i + 1) <= written[i] + 66'000);
}

} // namespace modelforge::writer_test
