#include "tests/simulator/client.hpp"

#include <catch2/catch_test_macros.hpp>

#include <set>
#include <sstream>

namespace modelforge::batch_test {

using namespace modelforge::test;
using namespace std::chrono_literals;
namespace simulator = modelforge::simulator;

// The batch APIs, over a socket.

namespace {

constexpr auto chat_path = "/v1/chat/completions";

std::string prompt_of(int i) {
  return "What is " + std::to_string(i) + " * 3?";
}

std::string line_of(const std::string& custom_id, std::string_view body, std::string_view url = chat_path,
                    std::string_view method = "POST") {
  return json{{"custom_id", custom_id}, {"method", method}, {"url", url}, {"body", json::parse(body)}}.dump() + "\n";
}

std::string lines(int count) {
  std::string all;
  for (int i = 0; i < count; ++i)
    all += line_of("row-" + std::to_string(i), ask(prompt_of(i)));
  return all;
}

http_answer upload(uint16_t port, std::string_view content, std::string_view purpose = "batch",
                   std::string_view name = "in.jsonl") {
  std::ostringstream body;
  body << "--edge\r\ncontent-disposition: form-data; name=\"purpose\"\r\n\r\n"
       << purpose << "\r\n--edge\r\ncontent-disposition: form-data; name=\"file\"; filename=\"" << name
       << "\"\r\ncontent-type: application/jsonl\r\n\r\n"
       << content << "\r\n--edge--\r\n";
  return fetch(port, "POST", "/v1/files", body.str(), "content-type: multipart/form-data; boundary=edge\r\n");
}

std::string creation(uint16_t port, std::string_view content, std::string_view more = "{}") {
  auto file = upload(port, content).parsed();
  json body = {{"input_file_id", file["id"]}, {"endpoint", chat_path}, {"completion_window", "24h"}};
  return merged(body.dump(), more);
}

http_answer create(uint16_t port, std::string_view content, std::string_view more = "{}") {
  return fetch(port, "POST", "/v1/batches", creation(port, content, more));
}

json show(uint16_t port, const json& job) {
  return fetch(port, "GET", "/v1/batches/" + job["id"].get<std::string>()).parsed();
}

bool is_over(const json& job) {
  return std::set<std::string>{"completed", "failed", "expired", "cancelled"}.contains(job["status"]);
}

/// Waits for the end of a job.
json finish(uint16_t port, json job) {
  REQUIRE(eventually([&] { return is_over(job = show(port, job)); }));
  return job;
}

std::map<std::string, json> by_id(std::string_view text) {
  std::map<std::string, json> all;
  std::istringstream in{std::string(text)};
  for (std::string line; std::getline(in, line);) {
    auto x = json::parse(line);
    CHECK(all.emplace(x["custom_id"], x).second);
  }
  return all;
}

/// What a job left in that file, by custom id; nothing when there is no file.
std::map<std::string, json> left(uint16_t port, const json& job, const char* name) {
  if (job[name].is_null())
    return {};
  auto answer = fetch(port, "GET", "/v1/files/" + job[name].get<std::string>() + "/content");
  CHECK(answer.status == 200);
  return by_id(answer.body);
}

simulator::options taking(std::chrono::milliseconds time) {
  simulator::options x;
  x.batch_time = time;
  return x;
}

} // namespace

TEST_CASE("a batch says what the live calls say, in any order", "[simulator][batch]") {
  auto settings = taking(0ms);
  settings.faults["500"] = 1; // of live calls only
  settings.requests_per_minute = 1;
  simulator::server server(settings);
  auto job = create(server.port(), lines(40), R"({"metadata": {"nonce": "n1"}})").parsed();
  CHECK(job["object"] == "batch");
  job = finish(server.port(), job);
  CHECK(job["status"] == "completed");
  CHECK(job["metadata"] == json{{"nonce", "n1"}});
  CHECK(job["request_counts"] == json{{"total", 40}, {"completed", 40}, {"failed", 0}});
  CHECK(job["error_file_id"].is_null());
  auto output = fetch(server.port(), "GET", "/v1/files/" + job["output_file_id"].get<std::string>() + "/content").body;
  CHECK(output.find("\"row-0\"") > output.find("\"row-39\"")); // by this seed
  auto results = by_id(output);
  CHECK(results.size() == 40);
  server.configure(taking(0ms));
  for (int i = 0; i < 40; i += 13) {
    auto& response = results["row-" + std::to_string(i)]["response"];
    CHECK(response["status_code"] == 200);
    auto live = chat(server.port(), ask(prompt_of(i))).parsed();
    CHECK(content_of(response["body"]) == content_of(live));
    CHECK(response["body"]["usage"] == live["usage"]);
  }
  auto stats = fetch(server.port(), "GET", "/__simulator/stats").parsed();
  CHECK(stats["batch_jobs"] == 1);
  CHECK(stats["batch_asked"] == 40);
  CHECK(stats["batch_items"] == 40);
  CHECK(stats["files"] == 1);
}

TEST_CASE("a batch item that the provider refuses is in the error file", "[simulator][batch]") {
  simulator::server server(taking(0ms));
  auto bad = ask("Hi", R"({"temperature": 9})"), streamed = ask("Hi", R"({"stream": true})");
  auto job = finish(
    server.port(),
    create(server.port(), line_of("good", ask("Hi")) + line_of("bad", bad) + line_of("streamed", streamed)).parsed());
  CHECK(job["status"] == "completed");
  CHECK(job["request_counts"] == json{{"total", 3}, {"completed", 1}, {"failed", 2}});
  CHECK(left(server.port(), job, "output_file_id").contains("good"));
  auto errors = left(server.port(), job, "error_file_id");
  for (auto id : {"bad", "streamed"}) {
    CHECK(errors[id]["error"].is_null());
    CHECK(errors[id]["response"]["status_code"] == 400);
  }
  CHECK(errors["bad"]["response"]["body"] == chat(server.port(), bad).parsed());
}

TEST_CASE("batch items fail in both shapes", "[simulator][batch]") {
  auto settings = taking(0ms);
  settings.batch_errors = 0.5;
  simulator::server server(settings);
  auto job = finish(server.port(), create(server.port(), lines(200)).parsed());
  auto good = left(server.port(), job, "output_file_id"), bad = left(server.port(), job, "error_file_id");
  CHECK(good.size() + bad.size() == 200);
  CHECK((good.size() > 60 && good.size() < 140));
  int answered = 0;
  for (auto& [id, x] : bad) {
    CHECK(x["response"].is_null() != x["error"].is_null());
    answered += x["error"].is_null() && x["response"]["status_code"] == 500;
  }
  CHECK(answered > 0);
  CHECK(answered < static_cast<int>(bad.size()));
  CHECK(job["request_counts"] == json{{"total", 200}, {"completed", good.size()}, {"failed", bad.size()}});
}

TEST_CASE("a file that is wrong fails its batch, line by line", "[simulator][batch]") {
  auto settings = taking(0ms);
  settings.batch_items = 3;
  settings.batch_queue_tokens = 100;
  simulator::server server(settings);
  auto good = line_of("a", ask("Hi"));
  struct row {
    std::string content, code;
    json line;
  };
  for (const auto& [content, code, line] :
       {row{"", "empty_file", nullptr}, row{good + "{\"custom_id\": ", "invalid_json_line", 2},
        row{good + "\n" + line_of("b", ask("Hi"), "/v1/responses"), "invalid_url", 3},
        row{line_of("b", ask("Hi"), chat_path, "GET"), "invalid_method", 1}, row{good + good, "duplicate_custom_id", 2},
        row{good + line_of("b", ask("Hi", R"({"model": "other"})")), "mismatched_model", 2},
        row{line_of("b", ask("Hi", R"({"model": "missing-1"})")), "model_not_found", 1},
        row{line_of("", ask("Hi")), "missing_required_parameter", 1},
        row{good + line_of("b", ask("Hi")) + line_of("c", ask("Hi")) + line_of("d", ask("Hi")), "too_many_requests",
            nullptr},
        row{line_of("a", ask(std::string(4'000, 'x'))), "token_limit_exceeded", nullptr}}) {
    INFO(content);
    auto job = finish(server.port(), create(server.port(), content).parsed());
    CHECK(job["status"] == "failed");
    REQUIRE(job["errors"]["data"].size() == 1);
    CHECK(job["errors"]["data"][0]["code"] == code);
    CHECK(job["errors"]["data"][0]["line"] == line);
    CHECK(job["output_file_id"].is_null());
    CHECK(job["error_file_id"].is_null());
  }
  CHECK(finish(server.port(), create(server.port(), good).parsed())["status"] == "completed"); // none of them waits
  CHECK(server.snapshot().batch_items == 1);
}

TEST_CASE("tokens of jobs that are under way count against the queue", "[simulator][batch]") {
  auto settings = taking(1h);
  settings.batch_queue_tokens = 40;
  simulator::server server(settings);
  auto first = create(server.port(), lines(1)).parsed();
  settings.batch_time = 0ms;
  server.configure(settings);
  auto second = finish(server.port(), create(server.port(), lines(1)).parsed());
  CHECK(second["status"] == "failed");
  CHECK(second["errors"]["data"][0]["code"] == "token_limit_exceeded");
  settings.batch_queue_tokens = 80;
  server.configure(settings);
  CHECK(finish(server.port(), create(server.port(), lines(1)).parsed())["status"] == "completed");
  CHECK(show(server.port(), first)["status"] == "validating");
}

TEST_CASE("an expired batch keeps what was run", "[simulator][batch]") {
  auto settings = taking(200ms);
  settings.batch_window = 100ms; // half of the items' time
  simulator::server server(settings);
  auto job = finish(server.port(), create(server.port(), lines(20)).parsed());
  CHECK(job["status"] == "expired");
  CHECK(job["request_counts"] == json{{"total", 20}, {"completed", 10}, {"failed", 10}});
  CHECK(left(server.port(), job, "output_file_id").size() == 10);
  auto rest = left(server.port(), job, "error_file_id");
  CHECK(rest.size() == 10);
  for (auto& [id, x] : rest) {
    CHECK(x["response"].is_null());
    CHECK(x["error"]["code"] == "batch_expired");
  }
  CHECK(server.snapshot().batch_items == 10);
}

TEST_CASE("a cancelled batch keeps what was run", "[simulator][batch]") {
  simulator::server server(taking(2s));
  auto job = create(server.port(), lines(100)).parsed();
  REQUIRE(eventually([&] { return (job = show(server.port(), job))["request_counts"]["completed"] > 3; }));
  CHECK(job["status"] == "in_progress");
  CHECK(job["output_file_id"].is_null());
  auto path = "/v1/batches/" + job["id"].get<std::string>() + "/cancel";
  CHECK(fetch(server.port(), "POST", path).parsed()["status"] == "cancelling");
  CHECK(fetch(server.port(), "POST", path).status == 200);
  job = finish(server.port(), job);
  CHECK(job["status"] == "cancelled");
  CHECK(fetch(server.port(), "POST", path).status == 409);
  auto done = left(server.port(), job, "output_file_id"), rest = left(server.port(), job, "error_file_id");
  CHECK(done.size() >= 4);
  CHECK(done.size() + rest.size() == 100);
  CHECK(rest.begin()->second["error"]["code"] == "batch_cancelled");
  CHECK(server.snapshot().batch_items == done.size());
}

TEST_CASE("a batch exists although its creation was never told", "[simulator][batch]") {
  for (auto is_cut : {true, false}) {
    INFO(is_cut);
    auto settings = taking(1h);
    (is_cut ? settings.batch_cut : settings.batch_silence) = 1;
    simulator::server server(settings);
    auto body = creation(server.port(), lines(2), R"({"metadata": {"nonce": "n7"}})");
    connection client(server.port());
    client.send(http_request("POST", "/v1/batches", body));
    if (is_cut) {
      CHECK(client.receive().status == 0);
      CHECK(client.was_reset());
    } else {
      CHECK(eventually([&] { return server.snapshot().batch_jobs == 1; }));
      client.close();
      CHECK(eventually([&] { return server.snapshot().aborted == 1; }));
    }
    CHECK(server.snapshot().batch_jobs == 1);
    auto found = fetch(server.port(), "GET", "/v1/batches?limit=1").parsed();
    CHECK(found["data"][0]["metadata"]["nonce"] == "n7");
    CHECK_FALSE(found["has_more"]);
  }
}

TEST_CASE("batches are listed newest first, page by page", "[simulator][batch]") {
  simulator::server server(taking(0ms));
  std::vector<std::string> ids;
  for (int i = 0; i < 5; ++i)
    ids.insert(ids.begin(), create(server.port(), lines(1)).parsed()["id"]);
  std::vector<std::string> found;
  for (std::string after; found.size() < 5;) {
    auto page = fetch(server.port(), "GET", "/v1/batches?limit=2" + after).parsed();
    REQUIRE(!page["data"].empty());
    for (auto& x : page["data"])
      found.push_back(x["id"]);
    CHECK(page["last_id"] == found.back());
    CHECK(page["has_more"] == (found.size() < 5));
    after = "&after=" + found.back();
  }
  CHECK(found == ids);
  CHECK(fetch(server.port(), "GET", "/v1/batches?limit=0").status == 400);
}

TEST_CASE("files are stored, shown and deleted", "[simulator][batch]") {
  simulator::server server({});
  auto content = lines(1) + "\r\n--edg\r\n";
  auto file = upload(server.port(), content).parsed();
  auto path = "/v1/files/" + file["id"].get<std::string>();
  CHECK(file["bytes"] == content.size());
  CHECK(file["purpose"] == "batch");
  CHECK(fetch(server.port(), "GET", path).parsed() == file);
  CHECK(fetch(server.port(), "GET", path + "/content").body == content);
  CHECK(fetch(server.port(), "DELETE", path).parsed()["deleted"] == true);
  CHECK(fetch(server.port(), "GET", path).status == 404);
  CHECK(fetch(server.port(), "GET", path + "/content").status == 404);
  CHECK(fetch(server.port(), "DELETE", path).status == 404);
  CHECK(upload(server.port(), content, "fun").status == 400);
  CHECK(upload(server.port(), content, "batch", "in.txt").status == 400);
  CHECK(fetch(server.port(), "POST", "/v1/files", "{}", "content-type: application/json\r\n").status == 400);
}

TEST_CASE("a batch that makes no sense is not created", "[simulator][batch]") {
  auto settings = taking(0ms);
  settings.api_key = "k";
  simulator::server server(settings);
  CHECK(create(server.port(), lines(1)).status == 401);
  settings.api_key.clear();
  server.configure(settings);
  for (auto more : {R"({"input_file_id": "file-none"})", R"({"endpoint": "/v1/magic"})", R"({"endpoint": null})",
                    R"({"completion_window": "1h"})", R"({"metadata": {"n": 1}})"}) {
    INFO(more);
    CHECK(create(server.port(), lines(1), more).status == 400);
  }
  CHECK(fetch(server.port(), "GET", "/v1/batches/batch_none").status == 404);
  CHECK(fetch(server.port(), "POST", "/v1/batches/batch_none/cancel").status == 404);
  CHECK(server.snapshot().batch_jobs == 0);
}

TEST_CASE("files are listed, newest first, by purpose and in pages", "[simulator][batch]") {
  simulator::server server({});
  auto ids_of = [&](const std::string& query) {
    auto x = fetch(server.port(), "GET", "/v1/files" + query);
    CHECK(x.status == 200);
    auto tree = x.parsed();
    CHECK(tree["object"] == "list");
    std::vector<std::string> result;
    for (auto& file : tree["data"])
      result.push_back(file["id"]);
    CHECK(tree["first_id"] == (result.empty() ? json{} : json(result.front())));
    CHECK(tree["last_id"] == (result.empty() ? json{} : json(result.back())));
    if (tree["has_more"] == true)
      result.push_back("more");
    return result;
  };
  using ids = std::vector<std::string>;
  CHECK(ids_of("").empty());
  auto a = upload(server.port(), lines(1)).parsed()["id"].get<std::string>();
  auto b = upload(server.port(), "words", "user_data", "b.txt").parsed()["id"].get<std::string>();
  auto c = upload(server.port(), lines(2)).parsed()["id"].get<std::string>();
  CHECK(ids_of("") == ids{c, b, a});
  CHECK(ids_of("?order=asc") == ids{a, b, c});
  CHECK(ids_of("?purpose=batch") == ids{c, a});
  CHECK(ids_of("?limit=1") == ids{c, "more"});
  CHECK(ids_of("?limit=2&after=" + c) == ids{b, a});
  CHECK(ids_of("?after=" + a).empty());
  fetch(server.port(), "DELETE", "/v1/files/" + b);
  CHECK(ids_of("") == ids{c, a});
  CHECK(fetch(server.port(), "GET", "/v1/files?limit=0").status == 400);
  CHECK(fetch(server.port(), "GET", "/v1/files?order=up").status == 400);
}

} // namespace modelforge::batch_test
