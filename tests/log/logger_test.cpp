#include "log/logger.hpp"

#include "config/secret_mask.hpp"
#include "log/backlog.hpp"
#include "log/scribe.hpp"
#include "log/target.hpp"
#include "tests/support/eventually.hpp"
#include "tests/support/places.hpp"
#include "tests/support/temporary_folder.hpp"

#include <catch2/catch_test_macros.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <future>
#include <mutex>
#include <sstream>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

namespace modelforge::logger_test {

namespace {

using namespace log;
using namespace test;
using namespace std::chrono_literals;

std::string content(const std::filesystem::path& path) {
  std::ifstream in{path};
  std::stringstream out;
  out << in.rdbuf();
  return out.str();
}

std::vector<std::string> lines_of(const std::filesystem::path& path) {
  std::istringstream in{content(path)};
  std::vector<std::string> result;
  for (std::string line; std::getline(in, line);)
    result.push_back(line);
  return result;
}

log_handle start(log_settings settings, log_options options = {}) {
  auto started = start_log(settings, options);
  if (auto* why = std::get_if<failure>(&started))
    FAIL(to_string(*why));
  return std::get<log_handle>(std::move(started));
}

log_settings to_file(const std::string& path, log_level level = log_level::info) {
  log_settings result;
  result.level = level;
  result.sink = path;
  return result;
}

void tell(const log_handle& log, event what, std::string_view provider, std::string_view reason = "") {
  tell_log(log, what,
           [&](entry x) { return std::move(x).with(field::provider, provider).with(field::reason, reason); });
}

/// A host's sink that keeps the events' names with their first fields.
struct kept {
  std::mutex mutex;
  std::vector<std::string> events;

  log_sink sink() {
    return [this](const log_record& x) {
      std::lock_guard lock{mutex};
      std::string first;
      if (!x.fields.empty()) {
        if (auto* text = std::get_if<std::string>(&x.fields[0].value))
          first = ' ' + *text;
        else if (auto* number = std::get_if<int64_t>(&x.fields[0].value))
          first = ' ' + std::to_string(*number);
      }
      events.push_back(std::string{x.event} + first);
    };
  }
};

/// Standard error leads into a file while this lives.
class captured_stderr {
public:
  explicit captured_stderr(const std::string& path) : before_(dup(STDERR_FILENO)) {
    auto to = open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    dup2(to, STDERR_FILENO);
    close(to);
  }
  ~captured_stderr() {
    dup2(before_, STDERR_FILENO);
    close(before_);
  }

private:
  int before_;
};

} // namespace

TEST_CASE("a log writes what its level wants, in order, and all of it before it ends", "[log]") {
  temporary_folder folder;
  auto path = folder.path("log");
  {
    auto log = start(to_file(path));
    CHECK(log->wants(log_level::info));
    CHECK_FALSE(log->wants(log_level::debug));
    for (int i = 0; i < 100; ++i)
      tell(log, event::provider_started, "p" + std::to_string(i));
    tell(log, event::request_admitted, "debug");
  }
  auto lines = lines_of(path);
  REQUIRE(lines.size() == 100);
  CHECK(lines[0].find("provider.started") != lines[0].npos);
  CHECK(lines[99].find("provider=p99") != lines[99].npos);
}

TEST_CASE("JSON lines are whole objects", "[log]") {
  temporary_folder folder;
  auto settings = to_file(folder.path("log"));
  settings.format = log_format::json;
  tell(start(settings), event::breaker_opened, "main", "bad\nanswer");
  auto lines = lines_of(folder.path("log"));
  REQUIRE(lines.size() == 1);
  CHECK(nlohmann::json::parse(lines[0])["reason"] == "bad\nanswer");
}

TEST_CASE("a file that was moved away is opened again, and none is lost", "[log]") {
  temporary_folder folder;
  auto path = folder.path("log");
  auto log = start(to_file(path));
  tell(log, event::provider_started, "before");
  CHECK(eventually([&] { return lines_of(path).size() == 1; }));
  std::filesystem::rename(path, folder.path("log.1"));
  tell(log, event::provider_started, "between");
  CHECK(eventually([&] { return lines_of(folder.path("log.1")).size() == 2; }));
  reopen(log);
  tell(log, event::provider_started, "after");
  log.reset();
  CHECK(lines_of(folder.path("log.1")).size() == 2);
  REQUIRE(lines_of(path).size() == 1);
  CHECK(lines_of(path)[0].find("provider=after") != std::string::npos);
}

TEST_CASE("other settings move a log that is being written", "[log]") {
  temporary_folder folder;
  auto log = start(to_file(folder.path("one"), log_level::warning));
  tell(log, event::provider_started, "quiet");
  tell(log, event::breaker_opened, "main");
  auto settings = to_file(folder.path("two"), log_level::debug);
  settings.format = log_format::json;
  CHECK_FALSE(log->check(settings));
  log->reconfigure(settings);
  CHECK(log->wants(log_level::debug));
  tell(log, event::request_admitted, "main");
  auto bad = to_file(folder.path("no/such/folder/log"));
  auto why = log->check(bad);
  REQUIRE(why);
  CHECK(why->code == errc::configuration);
  CHECK(why->message.find("no/such/folder/log: No such file") != std::string::npos);
  log.reset();
  auto both = content(folder.path("one")) + content(folder.path("two"));
  CHECK(both.find("breaker.opened") != both.npos);
  CHECK(both.find("quiet") == both.npos);
  CHECK(lines_of(folder.path("two")).back().find("\"event\":\"request.admitted\"") != std::string::npos);
}

TEST_CASE("a log that cannot be opened says so at the start", "[log]") {
  auto started = start_log(to_file("/no/such/folder/log"));
  auto* why = std::get_if<failure>(&started);
  REQUIRE(why != nullptr);
  CHECK(why->message == "log.sink: cannot open /no/such/folder/log: No such file or directory");
  CHECK_FALSE(why->suggestion.empty());
}

TEST_CASE("automatic settings are what the program says", "[log]") {
  auto wants = [](log_level level, std::string sink, log_options options, log_level asked) {
    log_settings settings;
    settings.level = level;
    settings.sink = std::move(sink);
    return start(settings, options)->wants(asked);
  };
  log_options node{{}, log_level::info, "stderr"}, command{{}, log_level::warning, "none"};
  CHECK(wants(log_level::automatic, "automatic", node, log_level::info));
  CHECK_FALSE(wants(log_level::automatic, "automatic", {}, log_level::info));
  CHECK(wants(log_level::automatic, "automatic", {}, log_level::warning));
  CHECK_FALSE(wants(log_level::automatic, "automatic", command, log_level::error));
  CHECK(wants(log_level::debug, "automatic", command, log_level::debug)); // asked for by name
  CHECK(wants(log_level::automatic, "stderr", command, log_level::warning));
  CHECK_FALSE(wants(log_level::debug, "none", node, log_level::error));
}

TEST_CASE("that prompts stand in a log is told where they do, also when other settings bring them", "[log]") {
  kept got;
  log_settings settings;
  settings.content = true;
  auto warnings_of = [&](log_level first, std::optional<log_level> second = {}) {
    got.events.clear();
    settings.level = first;
    {
      auto log = start(settings, {got.sink()});
      if (second) {
        settings.level = *second;
        log->reconfigure(settings);
      }
      CHECK(log->wants_content() == (settings.level == log_level::debug));
    }
    return std::count(got.events.begin(), got.events.end(), "log.content");
  };
  CHECK(warnings_of(log_level::debug) == 1);
  CHECK(warnings_of(log_level::info) == 0);
  CHECK(warnings_of(log_level::info, log_level::debug) == 1);
  CHECK(warnings_of(log_level::debug, log_level::info) == 1);
}

TEST_CASE("no secret that a program knows stands in its log", "[log]") {
  temporary_folder folder;
  auto log = start(to_file(folder.path("log")));
  auto mask = std::make_shared<secret_mask>();
  mask->add("sk-0123456789abcdef");
  log->mask(mask);
  tell(log, event::breaker_opened, "main", "the key sk-0123456789abcdef is not known");
  log.reset();
  auto all = content(folder.path("log"));
  CHECK(all.find("0123456789") == all.npos);
  CHECK(all.find("the key *** is not known") != all.npos);
}

TEST_CASE("lines on the way to the journal say their level", "[log]") {
  temporary_folder folder;
  auto path = folder.write("journal", "");
  struct stat here {};
  REQUIRE(stat(path.c_str(), &here) == 0);
  for (auto inode : {here.st_ino, here.st_ino + 1}) {
    captured_stderr into{path};
    setenv("JOURNAL_STREAM", (std::to_string(here.st_dev) + ':' + std::to_string(inode)).c_str(), 1);
    auto log = start(to_file("stderr"));
    tell(log, event::breaker_opened, "main");
    log.reset();
    unsetenv("JOURNAL_STREAM");
  }
  auto lines = lines_of(path);
  REQUIRE(lines.size() == 2);
  CHECK(lines[0].substr(0, 4) == "<4>2");
  CHECK(lines[1].substr(0, 2) == "20"); // the descriptor is another one
}

TEST_CASE("a host's sink gets the events one at a time; what it throws is counted", "[log]") {
  kept got;
  std::atomic<int> inside{0};
  {
    auto take = got.sink();
    auto log = start(to_file("/no/such/folder/log"), {[&](const log_record& x) {
                       CHECK(++inside == 1);
                       take(x);
                       --inside;
                       throw std::runtime_error{"no"};
                     }});
    std::vector<std::thread> all;
    for (int i = 0; i < 4; ++i)
      all.emplace_back([&] {
        for (int j = 0; j < 100; ++j)
          tell(log, event::breaker_opened, "p" + std::to_string(j));
      });
    for (auto& each : all)
      each.join();
    CHECK(eventually([&] { return log->sink_failures() >= 1; }));
  }
  // each provider was told once, and its three repetitions once more, or, beyond 64, together with others'
  CHECK(got.events.size() >= 65);
  CHECK(got.events.size() <= 130);
}

TEST_CASE("a host's sink gets whole characters, and no more bytes than it is promised", "[log]") {
  std::vector<std::string> texts;
  {
    auto log = start(to_file("none"), {[&](const log_record& x) {
                       for (auto& each : x.fields)
                         if (auto* text = std::get_if<std::string>(&each.value))
                           texts.push_back(*text);
                     }});
    std::string umlauts;
    while (umlauts.size() < 3'000)
      umlauts += "\xC3\xA4";
    tell(log, event::breaker_opened, "a\xFFz", "b" + umlauts);
  }
  REQUIRE(texts.size() == 2);
  CHECK(texts[0] == "a\xEF\xBF\xBDz");
  CHECK(texts[1].size() == 1023); // the first letter, and what is whole behind it
  CHECK(texts[1].ends_with("\xC3\xA4"));
}

TEST_CASE("a sink that hangs makes nobody wait: what has no room is counted and told when there is some", "[log]") {
  kept got;
  std::promise<void> go;
  auto may_go = go.get_future().share();
  auto take = got.sink();
  log_settings settings;
  settings.level = log_level::debug;
  auto log = start(settings, {[&](const log_record& x) {
                     may_go.wait();
                     take(x);
                   }});
  auto before = std::chrono::steady_clock::now();
  constexpr std::size_t count = 3 * logger::max_waiting;
  for (std::size_t i = 0; i < count; ++i)
    tell(log, event::request_admitted, "main");
  CHECK(std::chrono::steady_clock::now() - before < 5s);
  auto dropped = log->dropped();
  CHECK(dropped >= logger::max_waiting);
  go.set_value();
  log.reset();
  std::size_t told = 0, times = 0; // twice, if the thread had begun before all were there
  for (auto& each : got.events)
    if (each.starts_with("log.dropped ")) {
      told += std::stoul(each.substr(12));
      ++times;
    }
  CHECK(got.events.size() == count - dropped + times);
  CHECK(told == dropped);
}

TEST_CASE("the queue is bounded in bytes, too", "[log]") {
  backlog<int> x{100, 1000};
  CHECK(x.push(1, 600));
  CHECK_FALSE(x.push(2, 600));
  CHECK(x.push(3, 400));
  auto all = x.take();
  CHECK(all.waiting == std::vector<int>{1, 3});
  CHECK(all.dropped == 1);
  CHECK(x.empty());
}

TEST_CASE("a sink that hangs for ever holds the end up for two seconds at most", "[log]") {
  auto go = std::make_shared<std::promise<void>>();
  auto may_go = go->get_future().share();
  auto log = start(to_file("none"), {[may_go](const log_record&) { may_go.wait(); }});
  tell(log, event::breaker_opened, "main");
  auto before = std::chrono::steady_clock::now();
  log.reset();
  auto took = std::chrono::steady_clock::now() - before;
  CHECK(took >= logger::max_flush);
  CHECK(took < logger::max_flush + 5s);
  go->set_value();
}

TEST_CASE("an access log that hangs takes nothing of the time that the log has at the end", "[log]") {
  temporary_folder folder;
  auto pipe = folder.path("pipe");
  REQUIRE(mkfifo(pipe.c_str(), 0600) == 0);
  auto reader = open(pipe.c_str(), O_RDONLY | O_NONBLOCK); // and reads nothing
  auto settings = to_file(folder.path("log"));
  settings.access = pipe;
  auto log = start(settings);
  for (int i = 0; i < 10'000; ++i) // more than a pipe takes
    log->write(request_record{});
  for (int i = 0; i < 3; ++i)
    tell(log, event::breaker_opened, "main");
  log.reset();
  auto lines = lines_of(folder.path("log"));
  close(reader);
  REQUIRE(lines.size() == 2); // those that repeat the first one are told at the end
  CHECK(lines[1].find("repeated=2") != std::string::npos);
}

TEST_CASE("a full disk is told once on standard error, and how much is missing when there is room again", "[log]") {
  temporary_folder folder;
  auto path = folder.path("log");
  std::filesystem::create_symlink("/dev/full", path);
  {
    captured_stderr aside{folder.path("aside")};
    auto log = start(to_file(path));
    for (uint64_t i = 1; i <= 5; ++i) {
      tell(log, event::provider_started, "lost");
      CHECK(eventually([&] { return log->dropped() == i; }));
    }
    std::filesystem::remove(path);
    reopen(log);
    tell(log, event::provider_started, "kept");
    CHECK(eventually([&] { return lines_of(path).size() == 2; }));
    CHECK(log->dropped() == 5);
  }
  auto aside = content(folder.path("aside"));
  CHECK(aside
        == "modelforge: the log: cannot write " + path + ": No space left on device; what is not written is counted\n");
  auto lines = lines_of(path);
  REQUIRE(lines.size() == 2);
  auto all = lines[0] + lines[1];
  CHECK(all.find("provider=kept") != all.npos);
  CHECK(all.find("log.dropped") != all.npos);
  CHECK(all.find("count=5 duration_seconds=") != all.npos);
  CHECK(all.find(" reason=\"cannot write ") != all.npos);
}

TEST_CASE("what is missing is told with the time since the first one", "[log]") {
  temporary_folder folder;
  auto path = folder.path("log");
  std::filesystem::create_symlink("/dev/full", path);
  captured_stderr aside{folder.path("aside")};
  auto opened = target::open(path);
  REQUIRE(std::holds_alternative<target>(opened));
  scribe x{std::get<target>(std::move(opened)), log_format::text, {}};
  auto write_at = [&](std::chrono::seconds when) {
    throttle::timed happened{entry{event::provider_started}.with(field::provider, "main"), {}};
    x.write(happened);
    x.flush(scribe::time_point{} + when);
  };
  write_at(100s);
  write_at(103s);
  std::filesystem::remove(path);
  x.reopen();
  write_at(104s);
  REQUIRE(lines_of(path).size() == 2);
  CHECK(lines_of(path)[1].find("count=2 duration_seconds=4 reason=") != std::string::npos);
  std::filesystem::remove(path);
  std::filesystem::create_symlink("/dev/full", path);
  x.reopen();
  write_at(200s); // another time
  std::filesystem::remove(path);
  x.reopen();
  write_at(201s);
  CHECK(lines_of(path).back().find("count=1 duration_seconds=1 reason=") != std::string::npos);
}

TEST_CASE("a line that was torn by a full disk spoils no other", "[log]") {
  temporary_folder folder;
  auto path = folder.path("log");
  // in a process of its own, since a limit on files' sizes stays
  auto child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    signal(SIGXFSZ, SIG_IGN);
    rlimit limit{10, RLIM_INFINITY};
    setrlimit(RLIMIT_FSIZE, &limit);
    auto opened = target::open(path);
    auto* to = std::get_if<target>(&opened);
    auto failed = to != nullptr && to->write("0123456789abc\n").has_value();
    limit.rlim_cur = RLIM_INFINITY;
    setrlimit(RLIMIT_FSIZE, &limit);
    _exit(failed && !to->write("next\n") ? 0 : 1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  CHECK(status == 0);
  CHECK(content(path) == "0123456789\nnext\n");
}

TEST_CASE("a pipe that nobody reads is given up, not waited for", "[log]") {
  temporary_folder folder;
  auto path = folder.path("pipe");
  REQUIRE(mkfifo(path.c_str(), 0600) == 0);
  auto no_reader = target::open(path);
  CHECK(std::holds_alternative<std::string>(no_reader));
  auto reader = open(path.c_str(), O_RDONLY | O_NONBLOCK);
  auto opened = target::open(path);
  REQUIRE(std::holds_alternative<target>(opened));
  auto why = std::get<target>(opened).write(std::string(1u << 20, 'x'));
  REQUIRE(why);
  CHECK(why->find("timed out") != why->npos);
  close(reader);
}

TEST_CASE("a process that was forked off writes nothing, and ends", "[log]") {
  temporary_folder folder;
  auto path = folder.path("log");
  auto log = start(to_file(path));
  tell(log, event::provider_started, "parent");
  auto child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    tell(log, event::provider_started, "child");
    log.reset();
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  CHECK(status == 0);
  log.reset();
  CHECK(lines_of(path).size() == 1);
}

} // namespace modelforge::logger_test
