#include "batch/job.hpp"

#include "wire/anthropic/anthropic.hpp"
#include "wire/openai/openai.hpp"

#include <catch2/catch_test_macros.hpp>

#include <deque>
#include <functional>
#include <map>

namespace modelforge::job_test {

// What is sent for a job, and when, in virtual time: the provider's answers are written here.

using namespace std::chrono_literals;
using batch::time_point;

namespace {

struct answer {
  int status = 200; ///< 0: the connection is cut when the request has been sent; -1: before; 1: behind the body.
  std::string body;
  std::vector<http::header> headers{};
};

std::string openai_job(const std::string& status, const std::string& more = {}) {
  return R"({"id":"batch_1","object":"batch","status":")" + status + R"(","created_at":1000,"request_counts":)"
         + R"({"total":2,"completed":1,"failed":0},"metadata":{"modelforge_job":"n1"})" + more + "}";
}

std::string list_of(const std::string& jobs, bool more = false) {
  return R"({"object":"list","data":[)" + jobs + R"(],"has_more":)" + (more ? "true" : "false") + "}";
}

std::string openai_line(int number, const std::string& text) {
  return R"({"id":"r","custom_id":"n1-)" + std::to_string(number)
         + R"(","response":{"status_code":200,"request_id":"q","body":{"id":"c","model":"m","choices":[{"index":0,)"
         + R"("message":{"role":"assistant","content":")" + text + R"("},"finish_reason":"stop"}]}},"error":null})"
         + "\n";
}

std::string expired_line(int number) {
  return R"({"id":"r","custom_id":"n1-)" + std::to_string(number)
         + R"(","response":null,"error":{"code":"batch_expired","message":"too late"}})" + "\n";
}

const std::string file_answer = R"({"id":"file-1","object":"file"})";
const std::string done = openai_job("completed", R"(,"output_file_id":"out","error_file_id":"err")");

/// One job against answers that are written beforehand, by the path they are for.
struct play {
  std::map<std::string, std::deque<answer>> answers; ///< By the path's beginning; the last one is given for ever.
  std::vector<std::string> calls{};                  ///< "METHOD path", as they were made.
  std::vector<std::chrono::seconds> at{};            ///< When, since the start.
  std::map<uint64_t, std::string> results{};
  uint64_t not_run = 0;

  batch_job_end run(const wire::dialect& by, batch_job_request asked,
                    const std::function<void(batch::job&, time_point)>& before = {}) {
    auto api = by.batches();
    std::vector<std::string> lines;
    asked.nonce = "n1";
    if (asked.start == batch_job_start::create)
      for (int i = 0; i < 2; ++i) {
        chat_request x;
        x.model = "m";
        x.messages = {text_message(role::user, "prompt")};
        x.sampling.max_tokens = 9;
        lines.push_back(std::get<wire::batch_line>(api->encode_item("n1-" + std::to_string(i), x)).text);
      }
    batch::job is{*api, asked, lines, {}, 7};
    time_point start{1h};
    auto now = start;
    while (!is.over()) {
      if (before)
        before(is, now);
      if (auto x = is.next(now)) {
        calls.push_back(std::string{x->call.method} + ' ' + x->call.path);
        at.push_back(std::chrono::duration_cast<std::chrono::seconds>(now - start));
        give(is, now, *x);
      } else {
        REQUIRE(is.due() > now); // else it would never end
        now = is.due();
      }
      REQUIRE(now - start < 48h);
      REQUIRE(calls.size() < 2'000);
      CHECK_FALSE((!is.over() && is.take_kept()));
    }
    while (auto kept = is.take_kept())
      note(*kept);
    return is.end();
  }

  void note(const batch_job_result& result) {
    auto* text = std::get_if<completion>(&result.outcome);
    CHECK(results.emplace(result.number, text != nullptr ? text->text : "failed").second);
    not_run += !result.run;
  }

  void give(batch::job& to, time_point now, const batch::job::exchange& x) {
    auto found = answers.end();
    for (auto i = answers.begin(); i != answers.end(); ++i)
      if (calls.back().starts_with(i->first) && (found == answers.end() || i->first.size() > found->first.size()))
        found = i;
    INFO(calls.back());
    REQUIRE(found != answers.end());
    auto& queue = found->second;
    auto y = queue.front();
    if (queue.size() > 1)
      queue.pop_front();
    if (y.status <= 0)
      return to.take_failure(now, {make_failure(errc::connection_lost, "cut"), y.status == 0});
    if (!x.results || y.status >= 300)
      return to.take_answer(now, {static_cast<uint16_t>(y.status), y.headers}, y.body);
    std::size_t begin = 0;
    for (auto end = y.body.find('\n'); end != y.body.npos; end = y.body.find('\n', begin)) {
      for (auto& result : to.take_line(std::string_view{y.body}.substr(begin, end - begin)))
        note(result);
      begin = end + 1;
    }
    if (y.status == 1)
      to.take_failure(now, {make_failure(errc::connection_lost, "cut"), true});
    else
      to.end_lines(now);
  }

  std::size_t count(const std::string& call) const {
    return static_cast<std::size_t>(
      std::count_if(calls.begin(), calls.end(), [&](auto& x) { return x.starts_with(call); }));
  }
};

batch_job_request creation() {
  return {};
}

batch_job_request search() {
  batch_job_request x;
  x.start = batch_job_start::find;
  x.not_before = 1000;
  return x;
}

batch_job_request attachment() {
  batch_job_request x;
  x.start = batch_job_start::attach;
  x.job = "batch_1";
  return x;
}

/// A provider that does all right.
play good() {
  return {{{"POST /files", {{200, file_answer}}},
           {"POST /batches", {{200, openai_job("validating")}}},
           {"GET /batches/batch_1", {{200, openai_job("in_progress")}, {200, openai_job("finalizing")}, {200, done}}},
           {"GET /files/out", {{200, openai_line(0, "zero")}}},
           {"GET /files/err", {{200, expired_line(1)}}}}};
}

} // namespace

TEST_CASE("a job is uploaded, created, looked at less and less often, and both its files fetched", "[batch][job]") {
  auto x = good();
  auto end = x.run(wire::openai::chat_api(), creation());
  CHECK(end.outcome == batch_job_outcome::finished);
  CHECK(end.job == "batch_1");
  CHECK_FALSE(end.problem);
  CHECK(x.calls
        == std::vector<std::string>{"POST /files", "POST /batches", "GET /batches/batch_1", "GET /batches/batch_1",
                                    "GET /batches/batch_1", "GET /files/out/content", "GET /files/err/content"});
  CHECK(x.results == std::map<uint64_t, std::string>{{0, "zero"}, {1, "failed"}});
  CHECK(x.not_run == 1);
  CHECK((x.at[2] >= 2s && x.at[2] <= 5s));
  CHECK((x.at[3] - x.at[2] >= 3s && x.at[3] - x.at[2] <= 8s));
}

TEST_CASE("a job that takes a day is looked at about once a minute", "[batch][job]") {
  auto x = good();
  x.answers["GET /batches/batch_1"] = std::deque<answer>(1'000, {200, openai_job("in_progress")});
  x.answers["GET /batches/batch_1"].push_back({200, done});
  CHECK(x.run(wire::openai::chat_api(), creation()).outcome == batch_job_outcome::finished);
  auto day = x.at.back();
  CHECK(day > 1'000 * 30s);
  CHECK(day < 1'000 * 60s);
}

TEST_CASE("what a creation's end means", "[batch][job]") {
  auto queue_full = openai_job(
    "failed", R"(,"errors":{"data":[{"code":"token_limit_exceeded","message":"Enqueued token limit reached"}]})");
  auto bad_line = openai_job("failed", R"(,"errors":{"data":[{"code":"invalid","message":"no","line":1}]})");
  struct {
    const char* what;
    answer created;
    batch_job_outcome outcome;
    std::size_t creations;
  } const cases[] = {
    {"refused", {400, R"({"error":{"message":"no batches here"}})"}, batch_job_outcome::refused, 1},
    {"no such path", {404, "<html>"}, batch_job_outcome::refused, 1},
    {"too many requests, for ever", {429, R"({"error":{"message":"slow"}})"}, batch_job_outcome::busy, 8},
    {"its queue is full", {200, queue_full}, batch_job_outcome::busy, 1},
    {"a bad line", {200, bad_line}, batch_job_outcome::refused, 1},
    {"never sent", {-1, ""}, batch_job_outcome::refused, 8},
  };
  for (auto& [what, created, outcome, creations] : cases) {
    INFO(what);
    auto x = good();
    x.answers["POST /batches"] = {created};
    auto end = x.run(wire::openai::chat_api(), creation());
    CHECK(end.outcome == outcome);
    CHECK(end.problem);
    CHECK(x.count("POST /batches") == creations);
    CHECK(x.results.empty());
  }
}

TEST_CASE("a creation that may have arrived is looked for, not repeated", "[batch][job]") {
  for (auto& uncertain : {answer{0, ""}, answer{500, "oops"}, answer{503, "busy"}, answer{200, "<html>"}}) {
    INFO(uncertain.status);
    auto x = good();
    x.answers["POST /batches"] = {uncertain};
    x.answers["GET /batches?"] = {{200, list_of(openai_job("in_progress"))}};
    auto end = x.run(wire::openai::chat_api(), creation());
    CHECK(end.outcome == batch_job_outcome::finished);
    CHECK(x.count("POST /batches") == 1);
    CHECK(x.results.size() == 2);
  }
}

TEST_CASE("a creation that did not arrive is made again, when two looks apart have not found it", "[batch][job]") {
  auto x = good();
  x.answers["POST /batches"] = {{0, ""}, {200, openai_job("validating")}};
  x.answers["GET /batches?"] = {{200, list_of("")}};
  CHECK(x.run(wire::openai::chat_api(), creation()).outcome == batch_job_outcome::finished);
  CHECK(x.count("GET /batches?") == 2);
  CHECK(x.count("POST /batches") == 2);
  REQUIRE(x.calls[2].starts_with("GET /batches?"));
  CHECK(x.at[3] - x.at[2] >= 10s);
}

TEST_CASE("a batch API that loses every creation is given up", "[batch][job]") {
  for (auto& lost : {answer{0, ""}, answer{500, "oops"}, answer{200, "<html>"}}) {
    INFO(lost.status);
    auto x = good();
    x.answers["POST /batches"] = {lost};
    x.answers["GET /batches?"] = {{200, list_of("")}};
    auto end = x.run(wire::openai::chat_api(), creation());
    CHECK(end.outcome == batch_job_outcome::refused);
    CHECK(end.problem);
    CHECK(x.count("POST /batches") == 2);
    CHECK(x.calls.back().starts_with("GET /batches?")); // not given up before it was looked for
  }
}

TEST_CASE("a list that cannot be read to its end proves nothing", "[batch][job]") {
  auto other = R"({"id":"batch_0","status":"completed","created_at":5000,"metadata":{}})";
  SECTION("its second page always fails") {
    auto x = good();
    for (int i = 0; i < 100; ++i) {
      x.answers["GET /batches?"].push_back({200, list_of(other, true)});
      x.answers["GET /batches?"].push_back({500, "oops"});
    }
    CHECK(x.run(wire::openai::chat_api(), search()).outcome == batch_job_outcome::undecided);
    CHECK(x.count("GET /batches?") > 100); // for an hour
    CHECK(x.count("POST") == 0);
  }
  SECTION("it is longer than we look") {
    auto x = good();
    x.answers["GET /batches?"] = {{200, list_of(other, true)}};
    auto end = x.run(wire::openai::chat_api(), search());
    CHECK(end.outcome == batch_job_outcome::undecided);
    CHECK(end.problem);
  }
  SECTION("nor may anything be created after it") {
    auto x = good();
    x.answers["POST /batches"] = {{0, ""}};
    x.answers["GET /batches?"] = {{200, list_of(other, true)}};
    CHECK(x.run(wire::openai::chat_api(), creation()).outcome == batch_job_outcome::undecided);
    CHECK(x.count("POST /batches") == 1);
  }
}

TEST_CASE("a job is found by its nonce, on any page, or is not there", "[batch][job]") {
  auto other = R"({"id":"batch_0","status":"completed","created_at":5000,"metadata":{}})";
  auto old = R"({"id":"batch_00","status":"completed","created_at":10,"metadata":{}})";
  SECTION("on the second page") {
    auto x = good();
    x.answers["GET /batches?"] = {{200, list_of(other, true)}, {200, list_of(openai_job("completed"))}};
    auto end = x.run(wire::openai::chat_api(), search());
    CHECK(end.outcome == batch_job_outcome::finished);
    CHECK(end.job == "batch_1");
    CHECK(x.count("GET /batches?") == 2);
  }
  SECTION("not there: pages behind older jobs are not asked for") {
    auto x = good();
    x.answers["GET /batches?"] = {{200, list_of(other + std::string{","} + old, true)}};
    auto later = search();
    later.not_before = 5000;
    CHECK(x.run(wire::openai::chat_api(), later).outcome == batch_job_outcome::absent);
    CHECK(x.count("GET /batches?") == 2);
    CHECK(x.count("POST") == 0);
  }
  SECTION("the list cannot be had") {
    auto x = good();
    x.answers["GET /batches?"] = {{500, "oops"}};
    CHECK(x.run(wire::openai::chat_api(), search()).outcome == batch_job_outcome::undecided);
    CHECK(x.count("GET /batches?") > 50);
    CHECK(x.count("POST") == 0);
  }
}

TEST_CASE("where no nonce is kept, a job is known by its results", "[batch][job]") {
  auto job = [](const std::string& id, bool ended) {
    return R"({"id":")" + id + R"(","type":"message_batch","processing_status":")" + (ended ? "ended" : "in_progress")
           + R"(","created_at":"1970-01-01T01:00:00Z","request_counts":)"
           + R"({"processing":0,"succeeded":1,"errored":0,"canceled":0,"expired":0},"results_url":)"
           + (ended ? R"("https://api.anthropic.com/x")" : "null") + "}";
  };
  auto line = [](const std::string& nonce) {
    return R"({"custom_id":")" + nonce
           + R"(-0","result":{"type":"succeeded","message":{"id":"m","type":"message","role":"assistant","model":"c",)"
           + R"("content":[{"type":"text","text":"zero"}],"stop_reason":"end_turn",)"
           + R"("usage":{"input_tokens":1,"output_tokens":1}}}})" + "\n";
  };
  auto list = "GET /v1/messages/batches?";
  auto results = [](const std::string& id) { return "GET /v1/messages/batches/" + id + "/results"; };
  play x{{{list, {{200, list_of(job("b1", true) + "," + job("b2", false) + "," + job("b3", true))}}},
          {results("b1"), {{200, line("n2")}}},
          {results("b2"), {{200, line("n1")}}}}};
  auto asked = search();
  asked.others = {"b3"};
  SECTION("it runs, until it can be told") {
    x.answers[list].push_back({200, list_of(job("b1", true) + "," + job("b2", true) + "," + job("b3", true))});
    auto end = x.run(wire::anthropic::messages_api(), asked);
    CHECK(end.outcome == batch_job_outcome::finished);
    CHECK(end.job == "b2");
    CHECK(x.results == std::map<uint64_t, std::string>{{0, "zero"}});
    CHECK(x.count(results("b1")) == 1); // once known to be another's, not asked for again
    CHECK(x.count(results("b3")) == 0);
  }
  SECTION("jobs that others create all the time are not waited for") {
    x.answers[list] = {{200, list_of("")}};
    for (int i = 0; i < 200; ++i)
      x.answers[list].push_back({200, list_of(job("n" + std::to_string(i), false))});
    x.answers[results("n0")] = {{200, line("n2")}};
    CHECK(x.run(wire::anthropic::messages_api(), asked).outcome == batch_job_outcome::absent);
    CHECK(x.count(list) < 10);
  }
  SECTION("none of them is ours") {
    x.answers[list] = {{200, list_of(job("b1", true))}};
    CHECK(x.run(wire::anthropic::messages_api(), asked).outcome == batch_job_outcome::absent);
  }
}

TEST_CASE("what may be repeated is, and each result told once", "[batch][job]") {
  auto x = good();
  x.answers["POST /files"] = {{503, "busy"}, {0, ""}, {200, file_answer}};
  x.answers["GET /batches/batch_1"] = {{0, ""}, {429, "{}", {{"retry-after", "30"}}}, {200, done}};
  x.answers["GET /files/out"] = {{500, "oops"}, {200, openai_line(0, "zero") + openai_line(0, "zero")}};
  auto end = x.run(wire::openai::chat_api(), creation());
  CHECK(end.outcome == batch_job_outcome::finished);
  CHECK_FALSE(end.problem);
  CHECK(x.results.size() == 2);
  CHECK(x.count("POST /batches") == 1);
  auto polled = std::find(x.calls.begin(), x.calls.end(), "GET /batches/batch_1") - x.calls.begin();
  CHECK(x.at[static_cast<std::size_t>(polled) + 2] - x.at[static_cast<std::size_t>(polled) + 1] >= 30s);
}

TEST_CASE("results in a JSON array in place of lines are read", "[batch][job]") {
  auto bare = [](std::string line) {
    line.pop_back();
    return line;
  };
  auto zero = bare(openai_line(0, "zero")), one = bare(openai_line(1, "one"));
  for (auto& body :
       {"[" + zero + "," + one + "]\n", "[\n" + zero + ",\n" + one + "\n]\n", " [" + zero + ",\r\n" + one + "]\r\n",
        zero + ",\n" + one + "\n", "[]\n" + zero + "\n" + one + "\n"}) {
    CAPTURE(body);
    auto x = good();
    x.answers["GET /files/out"] = {{200, body}};
    x.answers["GET /files/err"] = {{200, "[]\n"}};
    auto end = x.run(wire::openai::chat_api(), attachment());
    CHECK(end.outcome == batch_job_outcome::finished);
    CHECK_FALSE(end.problem);
    CHECK(x.results == std::map<uint64_t, std::string>{{0, "zero"}, {1, "one"}});
  }
  auto x = good(); // what is whole of a cut one counts
  x.answers["GET /files/out"] = {{200, "[" + zero + "," + one.substr(0, 90) + "\n"}};
  x.answers["GET /files/err"] = {{200, "\n"}};
  auto end = x.run(wire::openai::chat_api(), attachment());
  CHECK(end.unreadable);
  CHECK(x.results == std::map<uint64_t, std::string>{{0, "zero"}});
}

TEST_CASE("of two results of an item a good one counts, else the first one, and it is told", "[batch][job]") {
  const std::string failed =
    R"({"id":"r","custom_id":"n1-0","response":{"status_code":500,"body":{"error":{"message":"x"}}}})"
    "\n";
  struct {
    std::string lines, rest, counted; ///< Of the two outputs.
    bool is_told;
  } table[] = {
    {openai_line(0, "zero") + openai_line(0, "other"), "", "zero", true},
    {openai_line(0, "zero") + openai_line(0, "other") + openai_line(0, "third"), "", "zero", true},
    {openai_line(0, "zero"), failed, "zero", true},
    {failed + openai_line(0, "zero"), "", "zero", true},
    {failed, openai_line(0, "zero"), "zero", true},
    {failed + openai_line(0, "zero") + openai_line(0, "other"), failed, "zero", true},
    {expired_line(0), openai_line(0, "zero"), "zero", true},
    {openai_line(0, "zero") + expired_line(0), "", "zero", true},
    {failed + expired_line(0), "", "failed", true},
    {failed + failed, failed, "failed", false},
    {openai_line(0, "zero") + openai_line(0, "zero"), openai_line(0, "zero"), "zero", false},
  };
  for (auto& row : table)
    for (auto is_cut : {false, true}) {
      CAPTURE(row.lines, row.rest, is_cut);
      auto x = good();
      x.answers["GET /files/out"] = {{200, row.lines}};
      if (is_cut) // what comes again is no contradiction
        x.answers["GET /files/out"].push_front({1, row.lines});
      auto other =
        row.counted == "failed" ? openai_line(1, "one") : expired_line(1); // the job tells of one good result
      x.answers["GET /files/err"] = {{200, row.rest + other}};
      auto end = x.run(wire::openai::chat_api(), attachment());
      CHECK(end.outcome == batch_job_outcome::finished);
      CHECK_FALSE(end.unreadable);
      CHECK(x.results[0] == row.counted);
      REQUIRE(end.problem.has_value() == row.is_told);
      if (row.is_told)
        CHECK(end.problem->message
              == "for 1 of its items the job has two results that differ; a good one counts, else the first one");
    }
}

TEST_CASE("failures of a job are kept back within bounds, and none is lost beyond them", "[batch][job]") {
  auto api = wire::openai::chat_api().batches();
  batch::job_results results;
  results.begin_output();
  const std::string words(1 << 20, 'x');
  auto failed = [&](int number) {
    return R"({"custom_id":"n1-)" + std::to_string(number) + R"(","response":{"status_code":500,"body":{"error":")"
           + words + "\"}}}";
  };
  auto take = [&](const std::string& line) { return results.take("n1", line, api->decode_result(line)); };
  std::size_t handed_on = 0;
  for (int i = 0; i < 40; ++i)
    handed_on += take(failed(i)).has_value();
  CHECK(handed_on >= 40 - batch::job_results::max_kept_bytes / words.size());
  CHECK(take(openai_line(0, "zero")));        // in place of one that is kept
  CHECK_FALSE(take(openai_line(39, "late"))); // of one that is not
  CHECK_FALSE(take(failed(40)));              // kept in the room that the first one left
  results.end_output();
  std::size_t kept = 0;
  for (auto result = results.take_kept(); result; result = results.take_kept()) {
    CHECK(result->number != 0);
    ++kept;
  }
  CHECK(handed_on + kept == 40);
  CHECK(results.contradicted() == 2);
}

TEST_CASE("results that are broken or no results of ours are told of, and cost none of the others", "[batch][job]") {
  auto x = good();
  x.answers["GET /files/out"] = {{1, "{\"custom_id\":\n"},
                                 {200, "{\"custom_id\":\n" + openai_line(0, "zero") + R"({"custom_id":"other-0",)"
                                         + R"("response":null,"error":{"code":"x"}})" + "\n\n"}};
  auto end = x.run(wire::openai::chat_api(), attachment());
  CHECK(end.outcome == batch_job_outcome::finished);
  REQUIRE(end.problem);
  CHECK(end.problem->message.starts_with("2 lines of the job's results"));
  CHECK(end.unreadable);
  CHECK(x.results.size() == 2);
}

TEST_CASE("an answer that cannot be used is judged by its own line, and says nothing of the others", "[batch][job]") {
  for (auto* broken : {R"("choices":[{)", R"("choices":[],"else":[{)"}) {
    auto x = good();
    auto line = openai_line(0, "zero");
    line.replace(line.find(R"("choices":[{)"), 12, broken);
    x.answers["GET /batches/batch_1"] = {
      {200, openai_job("expired", R"(,"output_file_id":"out","error_file_id":"err")")}};
    x.answers["GET /files/out"] = {{200, line}};
    x.answers["GET /files/err"] = {{200, expired_line(1)}};
    auto end = x.run(wire::openai::chat_api(), attachment());
    CHECK(end.outcome == batch_job_outcome::finished);
    CHECK_FALSE(end.unreadable);
    CHECK_FALSE(end.problem);
    CHECK(x.results.size() == 2);
    CHECK(x.not_run == 1);
  }
}

TEST_CASE("fewer results than the provider counts are no items that were not run", "[batch][job]") {
  for (auto told : {2, 1}) {
    auto x = good();
    auto job = done;
    job.replace(job.find(R"("completed":1)"), 13, R"("completed":2)");
    x.answers["GET /batches/batch_1"] = {{200, job}};
    x.answers["GET /files/out"] = {{200, openai_line(0, "zero") + (told == 2 ? openai_line(1, "one") : "")}};
    x.answers["GET /files/err"] = {{200, ""}};
    auto end = x.run(wire::openai::chat_api(), attachment());
    CHECK(end.outcome == batch_job_outcome::finished);
    CHECK(end.unreadable == (told == 1));
    CHECK(end.problem.has_value() == (told == 1));
  }
}

TEST_CASE("an outage of some minutes costs a running job nothing", "[batch][job]") {
  auto x = good();
  std::deque<answer> polls(20, {0, ""});
  polls.push_back({200, done});
  x.answers["GET /batches/batch_1"] = polls;
  CHECK(x.run(wire::openai::chat_api(), attachment()).outcome == batch_job_outcome::finished);
  CHECK(x.at.back() > 5min);
  CHECK(x.results.size() == 2);
}

TEST_CASE("a wait that the provider names keeps a job from being looked at for a quarter of an hour at most",
          "[batch][job]") {
  for (auto* wait : {"0", "-1", "0.5", "1000000", "31622400", "1e300", "nan", ""}) {
    INFO(wait);
    auto x = good();
    x.answers["GET /batches/batch_1"] = {{429, "{}", {{"retry-after", wait}}}, {200, done}};
    CHECK(x.run(wire::openai::chat_api(), attachment()).outcome == batch_job_outcome::finished);
    CHECK(x.at.back() <= 15min + 1min);
  }
}

TEST_CASE("counts of a job are no more than a job can have", "[batch][job]") {
  struct {
    const char* told;
    uint64_t is;
  } const cases[] = {
    {"7", 7},
    {"0", 0},
    {"7.0", 7},
    {"-1", 0},
    {"0.5", 0},
    {"null", 0},
    {"\"7\"", 7},
    {"1e15", wire::max_job_items},
    {"18446744073709551615", wire::max_job_items},
    {"18446744073709551616", 0},
    {"1e400", 0},
  };
  for (auto& [told, is] : cases) {
    INFO(told);
    auto text = std::string{told};
    auto of_openai = wire::openai::chat_api().batches()->decode_job(
      {200, {}}, R"({"id":"b","status":"in_progress","created_at":)" + text + R"(,"request_counts":{"total":)" + text
                   + R"(,"completed":)" + text + R"(,"failed":)" + text + "}}");
    auto& x = std::get<wire::batch_status>(of_openai);
    CHECK(x.total == is);
    CHECK(x.succeeded == is);
    CHECK(x.failed == is);
    auto of_anthropic = wire::anthropic::messages_api().batches()->decode_job(
      {200, {}}, R"({"id":"b","processing_status":"in_progress","request_counts":{"processing":)" + text
                   + R"(,"succeeded":)" + text + R"(,"errored":)" + text + R"(,"canceled":)" + text + R"(,"expired":)"
                   + text + "}}");
    auto& y = std::get<wire::batch_status>(of_anthropic);
    CHECK(y.total == 5 * is);
    CHECK(y.succeeded == is);
    CHECK(y.failed == 3 * is);
  }
}

TEST_CASE("a job whose provider fails for long, or no longer lets us in, stays undecided", "[batch][job]") {
  for (auto status : {500, 401, 404}) {
    INFO(status);
    auto x = good();
    x.answers["GET /batches/batch_1"] = {{status, "{}"}};
    auto end = x.run(wire::openai::chat_api(), attachment());
    CHECK(end.outcome == batch_job_outcome::undecided);
    CHECK(end.job == "batch_1");
    auto polls = x.count("GET /batches/batch_1");
    CHECK((status == 500 ? polls > 50 && polls < 200 : polls == 1)); // an hour, at most once a minute in the end
  }
}

TEST_CASE("a cancelled job brings what it has done", "[batch][job]") {
  auto cancelled = openai_job("cancelled", R"(,"output_file_id":"out")");
  auto expected = std::map<uint64_t, std::string>{{0, "zero"}};
  SECTION("as soon as it is known") {
    auto x = good();
    x.answers["POST /batches/batch_1/cancel"] = {{200, openai_job("cancelling")}};
    x.answers["GET /batches/batch_1"] = {{200, openai_job("in_progress")}, {200, cancelled}};
    auto asked = attachment();
    asked.cancel = true;
    auto end = x.run(wire::openai::chat_api(), asked);
    CHECK(end.outcome == batch_job_outcome::finished);
    CHECK(x.count("POST /batches/batch_1/cancel") == 1);
    CHECK(x.results == expected);
  }
  SECTION("while it runs; it may have ended meanwhile") {
    auto x = good();
    x.answers["POST /batches/batch_1/cancel"] = {{400, R"({"error":{"message":"it has ended"}})"}};
    x.answers["GET /batches/batch_1"] = {{200, openai_job("in_progress")}, {200, cancelled}};
    auto end = x.run(wire::openai::chat_api(), attachment(), [&](batch::job& is, time_point now) {
      if (x.calls.size() == 1)
        is.cancel(now);
    });
    CHECK(end.outcome == batch_job_outcome::finished);
    CHECK(x.count("POST /batches/batch_1/cancel") == 1);
    CHECK(x.results == expected);
  }
}

TEST_CASE("a job that is over before its results are named is looked at again", "[batch][job]") {
  auto x = good();
  x.answers["POST /batches"] = {{200, openai_job("completed")}};
  x.answers["GET /batches/batch_1"] = {{200, openai_job("completed")}, {200, done}};
  CHECK(x.run(wire::openai::chat_api(), creation()).outcome == batch_job_outcome::finished);
  CHECK(x.results.size() == 2);
}

TEST_CASE("a job that is over without results has none only if it ran nothing", "[batch][job]") {
  for (auto* state : {"completed", "expired", "cancelled"})
    for (auto ran : {true, false}) {
      INFO(state << ' ' << ran);
      auto x = good();
      auto job = openai_job(state);
      if (!ran)
        job.replace(job.find(R"("completed":1)"), 13, R"("completed":0)");
      x.answers["GET /batches/batch_1"] = {{200, job}};
      auto end = x.run(wire::openai::chat_api(), attachment());
      CHECK(end.outcome == (ran ? batch_job_outcome::undecided : batch_job_outcome::finished));
      CHECK(end.problem.has_value() == ran);
      CHECK(x.count("GET /batches/batch_1") == (!ran && std::string{state} == "cancelled" ? 1 : 3));
    }
}

} // namespace modelforge::job_test
