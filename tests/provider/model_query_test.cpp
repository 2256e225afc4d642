#include "provider/model_query.hpp"
#include "tests/provider/fixture.hpp"

#include <deque>

namespace modelforge::model_query_test {

using namespace test;

namespace {

using names = std::vector<std::string>;

http::response page(std::string body, uint16_t status = 200) {
  http::response result;
  result.head.status = status;
  result.body = std::move(body);
  return result;
}

/// What one question comes to, and what was asked.
struct play {
  std::vector<std::string> asked{};
  std::optional<std::variant<model_list, failure>> end{};

  /// The last page is given for ever.
  play(const provider::setup& setup, std::deque<http::response> pages) {
    provider::model_query query;
    while (!end && asked.size() < 1'000) {
      asked.push_back(query.next(setup).url.substr(setup.base_url.size()));
      end = query.take(setup, pages.front());
      if (pages.size() > 1)
        pages.pop_front();
    }
    REQUIRE(end);
  }
};

provider::setup of_kind(provider_kind kind) {
  auto settings = acme();
  settings.kind = kind;
  return prepared(settings);
}

} // namespace

TEST_CASE("model query: every page of a list is asked for", "[provider]") {
  struct {
    provider_kind kind;
    std::deque<http::response> pages;
    names asked, models;
  } table[] = {
    {provider_kind::openai, {page(R"({"data":[{"id":"a"},{"id":"b"}]})")}, {"/models"}, {"a", "b"}},
    {provider_kind::openai,
     {page(R"({"data":[{"id":"a"}],"has_more":true,"last_id":"a"})"),
      page(R"({"data":[{"id":"b"}],"has_more":false})")},
     {"/models", "/models?after=a"},
     {"a", "b"}},
    {provider_kind::anthropic,
     {page(R"({"data":[{"id":"a"}],"has_more":true,"last_id":"a"})"),
      page(R"({"data":[{"id":"b"}],"has_more":true,"last_id":"b"})"),
      page(R"({"data":[{"id":"c"}],"has_more":false,"last_id":"c"})")},
     {"/v1/models?limit=1000", "/v1/models?limit=1000&after_id=a", "/v1/models?limit=1000&after_id=b"},
     {"a", "b", "c"}},
    {provider_kind::gemini,
     {page(R"({"models":[{"name":"models/a"}],"nextPageToken":"t 2"})"), page(R"({"models":[],"nextPageToken":"t3"})"),
      page(R"({"models":[{"name":"models/a"},{"name":"models/b"}]})")},
     {"/models?pageSize=1000", "/models?pageSize=1000&pageToken=t%202", "/models?pageSize=1000&pageToken=t3"},
     {"a", "b"}},
    // servers that send the same page whatever they are asked for
    {provider_kind::openai,
     {page(R"({"data":[{"id":"a"}],"has_more":true,"last_id":"a"})")},
     {"/models", "/models?after=a"},
     {"a"}},
    {provider_kind::gemini,
     {page(R"({"models":[{"name":"models/a"}],"nextPageToken":"same"})")},
     {"/models?pageSize=1000", "/models?pageSize=1000&pageToken=same"},
     {"a"}},
    {provider_kind::gemini,
     {page(R"({"models":[],"nextPageToken":"same"})")},
     {"/models?pageSize=1000", "/models?pageSize=1000&pageToken=same"},
     {}},
    {provider_kind::ollama, {page(R"({"models":[{"name":"a"}]})")}, {"/api/tags"}, {"a"}},
  };
  for (auto& row : table) {
    CAPTURE(name_of(row.kind), row.asked.size());
    play x{of_kind(row.kind), row.pages};
    CHECK(x.asked == row.asked);
    REQUIRE(std::holds_alternative<model_list>(*x.end));
    CHECK(std::get<model_list>(*x.end).models == row.models);
    CHECK(std::get<model_list>(*x.end).provider == "acme");
  }
}

TEST_CASE("model query: half a list is none", "[provider]") {
  auto first = page(R"({"data":[{"id":"a"}],"has_more":true,"last_id":"a"})");
  for (auto& second : {page("no", 500), page("{", 200), broken(errc::connection_lost, true)}) {
    play x{prepared(), {first, second}};
    REQUIRE(std::holds_alternative<failure>(*x.end));
    CHECK(std::get<failure>(*x.end).provider == "acme");
  }
}

TEST_CASE("model query: a list without an end is given up", "[provider]") {
  std::deque<http::response> pages;
  for (int i = 0; i < 200; ++i) {
    auto id = std::to_string(i);
    pages.push_back(page(R"({"data":[{"id":")" + id + R"("}],"has_more":true,"last_id":")" + id + R"("})"));
  }
  play x{prepared(), pages};
  CHECK(x.asked.size() == 50);
  CHECK(std::get<failure>(*x.end).code == errc::too_large);
}

} // namespace modelforge::model_query_test
