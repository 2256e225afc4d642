#include "tests/wire/hear.hpp"
#include "wire/vendors.hpp"

#include <catch2/catch_test_macros.hpp>

#include <algorithm>

namespace modelforge::model_list_test {

// Lists of models in the forms in which servers send them, and their pages, by every dialect.

using namespace modelforge::test;

namespace {

bool has(std::string_view text, std::string_view part) {
  return text.find(part) != text.npos;
}

} // namespace

TEST_CASE("pages of lists are followed by the word of each server", "[wire][models]") {
  struct {
    std::string_view page, next;
  } table[] = {
    {R"({"data":[{"id":"a"}]})", ""},
    {R"({"data":[{"id":"a"}],"has_more":false,"last_id":"a"})", ""},
    {R"({"data":[{"id":"a"}],"has_more":true})", ""},
    {R"({"data":[{"id":"a"}],"has_more":true,"last_id":"a/b&c"})", "=a%2Fb%26c"},
    {R"( {"models":[],"nextPageToken":"t=1"})", "pageToken=t%3D1"},
    {R"({"models":[],"next_page_token":"t2"})", "page_token=t2"},
    {R"({"models":[],"nextPageToken":""})", ""},
    {R"({"models":[],"nextPageToken":null})", ""},
    {"[]", ""},
    {"", ""},
    {"<html>", ""},
  };
  for (auto* by : dialects())
    for (auto& row : table) {
      auto next = by->next_models_path(row.page);
      CAPTURE(by->name(), row.page, next);
      REQUIRE(next.empty() == row.next.empty());
      if (next.empty())
        continue;
      CHECK(next.starts_with(by->models_path()));
      CHECK(std::count(next.begin(), next.end(), '?') == 1);
      CHECK(next.ends_with(row.next));
      if (row.next.starts_with('='))
        CHECK(has(next, by->name() == "anthropic" ? "&after_id=" : "after="));
    }
}

TEST_CASE("lists of models are understood in every form", "[wire][models]") {
  using names = std::vector<std::string>;
  struct {
    std::string_view body;
    std::optional<names> models;
  } table[] = {
    {R"({"object":"list","data":[{"id":"a"},{"id":"b"}]})", names{"a", "b"}},
    {R"({"data":["a","b"]})", names{"a", "b"}},
    {R"([{"id":"a"},{"id":"b"}])", names{"a", "b"}},
    {R"(["a","b"])", names{"a", "b"}},
    {R"({"models":[{"name":"a"},{"model":"b"}]})", names{"a", "b"}},
    {R"({"models":["a","b"]})", names{"a", "b"}},
    {R"({"data":{"models":[{"id":"a"},{"id":"b"}]}})", names{"a", "b"}},
    {R"({"data":[{"id":"a"},{"object":"model"},{"id":"b"}]})", names{"a", "b"}},
    {R"({"data":[{"id":"a"},{"id":"b"}],"message":"fine"})", names{"a", "b"}},
    {R"({"data":[],"models":[{"id":"a"}]})", names{"a"}},
    {R"({"data":null,"models":[{"id":"a"}]})", names{"a"}},
    {R"({"success":true,"errors":[],"result":[{"id":"a"}]})", names{"a"}},
    {R"({"success":false,"errors":[{"message":"boom"}],"result":null})", {}},
    {R"({"data":null,"error":{"message":"boom"}})", {}},
    {R"({"data":[],"error":"boom"})", {}},
    {R"({"data":[],"error":{}})", names{}},
    {R"({"data":[{"id":"a"}],"error":null})", names{"a"}},
    {R"({"data":[{"id":"a"}],"error":{"message":""}})", names{"a"}},
    {R"({"data":[{"id":"a"}],"error":{"message":"boom"}})", {}},
    {R"({"models":[{"name":"a"}],"error":"boom"})", {}},
    {R"({"success":true,"errors":["a remark"],"result":[{"id":"a"}]})", names{"a"}},
    {R"({"success":false,"errors":["boom"],"result":[{"id":"a"}]})", {}},
    {R"({"data":[],"models":[]})", names{}},
    {R"({"data":[]})", names{}},
    {R"({"data":null})", names{}},
    {R"({"models":null})", names{}},
    {"[]", names{}},
    {R"({"data":[{"object":"model"}]})", {}},
    {"{}", {}},
    {"null", {}},
    {R"("a")", {}},
    {"", {}},
    {"<html></html>", {}},
  };
  for (auto* by : dialects())
    for (auto& row : table) {
      CAPTURE(by->name(), row.body);
      auto read = by->decode_models({200, {}}, row.body);
      auto* list = std::get_if<model_list>(&read);
      REQUIRE((list != nullptr) == row.models.has_value());
      if (list != nullptr)
        CHECK(list->models == *row.models);
    }
}

} // namespace modelforge::model_list_test
