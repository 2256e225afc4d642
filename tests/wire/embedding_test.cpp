#include "wire/gemini/gemini.hpp"
#include "wire/json.hpp"
#include "wire/ollama/ollama.hpp"
#include "wire/openai/openai.hpp"

#include <catch2/catch_test_macros.hpp>

#include <functional>
#include <limits>

namespace modelforge::embedding_test {

using namespace modelforge::wire;
using json = modelforge::json::value;
using namespace std::chrono_literals;

namespace {

/// One provider's way to answer.
struct speaker {
  const dialect& by;
  std::function<std::string(const std::vector<std::string>& vectors)> answer; ///< Of vectors as JSON.
  bool tells_usage = true;
  std::string_view address; ///< How base_url ends, as suggestions have it.
};

std::string joined(const std::vector<std::string>& vectors, std::string_view before, std::string_view after) {
  std::string result;
  for (auto& x : vectors)
    result += (result.empty() ? "" : ", ") + std::string{before} + x + std::string{after};
  return result;
}

std::string openai_answer(const std::vector<std::string>& vectors) {
  std::string data;
  for (std::size_t i = 0; i < vectors.size(); ++i)
    data += (i == 0 ? "" : ",") + (R"({"object":"embedding","index":)" + std::to_string(i)) + R"(,"embedding":)"
            + vectors[i] + "}";
  return R"({"object":"list","data":[)" + data
         + R"(],"model":"demo-embed","usage":{"prompt_tokens":9,"total_tokens":9}})";
}

std::string gemini_answer(const std::vector<std::string>& vectors) {
  return R"({"embeddings":[)" + joined(vectors, R"({"values":)", "}") + "]}";
}

std::string ollama_answer(const std::vector<std::string>& vectors) {
  return R"({"model":"demo-embed","embeddings":[)" + joined(vectors, "", "")
         + R"(],"total_duration":14143917,"load_duration":1019500,"prompt_eval_count":9})";
}

const std::vector<speaker>& speakers() {
  static const std::vector<speaker> all{
    {openai::chat_api(), openai_answer, true, "/v1"},
    {openai::compatible_chat_api(), openai_answer, true, "/v1"},
    {gemini::content_api(), gemini_answer, false, "/v1beta"},
    {ollama::chat_api(), ollama_answer, true, "has no path"},
  };
  return all;
}

embedding_request two() {
  embedding_request x;
  x.model = "demo-embed";
  x.inputs = {"Grüß \"dich\"", "b"};
  return x;
}

encoded_request encoded(const embedding_request& x, const dialect& by) {
  auto result = by.encode_embedding(x);
  if (auto* problem = std::get_if<failure>(&result))
    FAIL(problem->message);
  return std::get<encoded_request>(result);
}

std::variant<embedding, failure> decode(const dialect& by, uint16_t status, std::string_view body, std::size_t inputs) {
  return by.decode_embedding({status, {{"x-request-id", "req_1"}}}, body, inputs);
}

embedding good(const dialect& by, std::string_view body, std::size_t inputs) {
  auto result = decode(by, 200, body, inputs);
  if (auto* problem = std::get_if<failure>(&result))
    FAIL(problem->message);
  return std::get<embedding>(result);
}

failure bad(const dialect& by, uint16_t status, std::string_view body, std::size_t inputs = 2) {
  auto result = decode(by, status, body, inputs);
  REQUIRE(std::holds_alternative<failure>(result));
  return std::get<failure>(result);
}

bool has(std::string_view text, std::string_view part) {
  return text.find(part) != text.npos;
}

} // namespace

TEST_CASE("a request for embeddings is written in each provider's words", "[wire][embedding]") {
  struct {
    const dialect& by;
    std::size_t most;
    std::string path, plain, full;
  } table[] = {
    {openai::chat_api(), 2048, "/embeddings",
     R"({"model":"demo-embed","input":["Grüß \"dich\"","b"],"encoding_format":"float"})",
     R"({"model":"demo-embed","input":["Grüß \"dich\"","b"],"dimensions":64,"encoding_format":"float","user":"a"})"},
    {gemini::content_api(), 100, "/models/demo-embed:batchEmbedContents",
     R"({"requests":[{"model":"models/demo-embed","content":{"parts":[{"text":"Grüß \"dich\""}]}},
                     {"model":"models/demo-embed","content":{"parts":[{"text":"b"}]}}]})",
     R"({"requests":[{"model":"models/demo-embed","content":{"parts":[{"text":"Grüß \"dich\""}]},
                      "taskType":"RETRIEVAL_QUERY","outputDimensionality":64,"user":"a"},
                     {"model":"models/demo-embed","content":{"parts":[{"text":"b"}]},
                      "taskType":"RETRIEVAL_QUERY","outputDimensionality":64,"user":"a"}]})"},
    {ollama::chat_api(), 256, "/api/embed", R"({"model":"demo-embed","input":["Grüß \"dich\"","b"],"truncate":false})",
     R"({"model":"demo-embed","input":["Grüß \"dich\"","b"],"dimensions":64,"truncate":false,"user":"a"})"},
  };
  for (auto& row : table) {
    CHECK(row.by.max_inputs() == row.most);
    auto x = two();
    auto plain = encoded(x, row.by);
    CHECK(plain.path == row.path);
    CHECK(plain.headers == std::vector<http::header>{{"content-type", "application/json"}});
    CHECK(plain.warnings.empty());
    CHECK(json::parse(plain.body) == json::parse(row.plain));
    x.dimensions = 64;
    x.purpose = embedding_purpose::query;
    x.trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    x.extra = R"({"user":"a"})";
    auto full = encoded(x, row.by);
    CHECK(full.headers.back() == http::header{"traceparent", x.trace});
    CHECK(json::parse(full.body) == json::parse(row.full));
  }
  CHECK(openai::compatible_chat_api().max_inputs() == openai::chat_api().max_inputs());
  CHECK(encoded(two(), openai::compatible_chat_api()).body == encoded(two(), openai::chat_api()).body);
}

TEST_CASE("each purpose has its name at gemini", "[wire][embedding]") {
  for (auto& [purpose, task] : {std::pair{embedding_purpose::query, "RETRIEVAL_QUERY"},
                                {embedding_purpose::document, "RETRIEVAL_DOCUMENT"},
                                {embedding_purpose::similarity, "SEMANTIC_SIMILARITY"},
                                {embedding_purpose::classification, "CLASSIFICATION"},
                                {embedding_purpose::clustering, "CLUSTERING"}}) {
    auto x = two();
    x.purpose = purpose;
    CHECK(json::parse(encoded(x, gemini::content_api()).body)["requests"][1]["taskType"] == task);
  }
}

TEST_CASE("extra replaces what a request for embeddings sets, and says so once", "[wire][embedding]") {
  for (auto& [by, extra, changed] :
       {std::tuple{&openai::chat_api(), R"({"encoding_format":"base64"})", "encoding_format"},
        {&ollama::chat_api(), R"({"truncate":true})", "truncate"},
        {&gemini::content_api(), R"({"outputDimensionality":7})", "outputDimensionality"}}) {
    auto x = two();
    x.dimensions = 64;
    x.extra = extra;
    auto result = encoded(x, *by);
    CHECK(result.warnings == std::vector{"extra replaces the request's own " + std::string{changed}});
    CHECK(has(result.body, std::string_view{extra}.substr(1, std::string_view{extra}.size() - 2)));
  }
}

TEST_CASE("a request for embeddings that cannot be sent is refused by the field's name", "[wire][embedding]") {
  const std::string bad_text = "a\xFFz";
  struct {
    std::string field;
    std::function<void(embedding_request&)> change;
    bool by_all = true;
  } table[] = {
    {"model ", [](auto& x) { x.model.clear(); }},
    {"model ", [&](auto& x) { x.model = bad_text; }},
    {"inputs[1] ", [&](auto& x) { x.inputs[1] = bad_text; }},
    {"inputs[1] is empty", [](auto& x) { x.inputs[1].clear(); }, false},
    {"extra ", [](auto& x) { x.extra = "{"; }},
    {"extra ", [](auto& x) { x.extra = "[1]"; }},
    {"trace ", [](auto& x) { x.trace = "00-1\r\nx-evil: 1"; }},
  };
  for (auto& row : table)
    for (auto& speaker : speakers()) {
      auto x = two();
      row.change(x);
      auto result = speaker.by.encode_embedding(x);
      auto* problem = std::get_if<failure>(&result);
      CAPTURE(row.field, speaker.by.name());
      auto is_strict = &speaker.by == &openai::chat_api() || &speaker.by == &gemini::content_api();
      REQUIRE((problem != nullptr) == (row.by_all || is_strict));
      if (problem == nullptr)
        continue;
      CHECK(problem->message.starts_with(row.field));
      CHECK(problem->code == errc::invalid_request);
    }
}

TEST_CASE("vectors come as they were sent, whatever their numbers look like", "[wire][embedding]") {
  for (auto& x : speakers()) {
    CAPTURE(x.by.name());
    auto result = good(x.by, "\r\n" + x.answer({"[0.25, -1.5e-3 ,3]", "[1E2,-0,1e-60]"}), 2);
    CHECK(result.vectors == std::vector<std::vector<float>>{{0.25f, -1.5e-3f, 3.f}, {100.f, -0.f, 0.f}});
    CHECK(result.usage == (x.tells_usage ? std::optional{token_usage{9, 0, 0, 0, 0}} : std::nullopt));
    CHECK(result.model == (x.tells_usage ? "demo-embed" : ""));
    CHECK(result.provider_request_id == "req_1");
    CHECK(good(x.by, x.answer({"\"AACAPwAAAMA=\"", "\"AACAPwAAAMA\""}), 2).vectors
          == std::vector<std::vector<float>>(2, {1.f, -2.f}));
  }
  auto told =
    good(gemini::content_api(), R"({"embeddings":[{"values":[1]}],"usageMetadata":{"promptTokenCount":4}})", 1);
  CHECK(told.usage == token_usage{4, 0, 0, 0, 0});
}

TEST_CASE("the index of an OpenAI vector decides its place", "[wire][embedding]") {
  auto item = [](std::string_view index, std::string_view vector) {
    return "{\"embedding\":" + std::string{vector} + std::string{index} + "}";
  };
  auto answer = [](const std::string& data) { return R"({"id":"embd-1","data":[)" + data + "]}"; };
  using vectors = std::vector<std::vector<float>>;
  CHECK(good(openai::chat_api(), answer(item(",\"index\":1", "[1]") + "," + item(",\"index\":0", "[0]")), 2).vectors
        == vectors{{0}, {1}});
  CHECK(good(openai::chat_api(), answer(item("", "[5]") + "," + item("", "[6]") + ",7"), 2).vectors
        == vectors{{5}, {6}});
  CHECK(
    good(openai::chat_api(), answer(R"({"index":1,"embedding":[9],"embedding":[1]},{"index":0,"embedding":[0]})"), 2)
      .vectors
    == vectors{{0}, {1}});
  CHECK(
    has(bad(openai::chat_api(), 200, answer(item(",\"index\":0", "[1]") + "," + item(",\"index\":0", "[0]"))).message,
        "two vectors for input 0"));
  CHECK(has(bad(openai::chat_api(), 200, answer(item(",\"index\":2", "[1]") + "," + item("", "[0]"))).message,
            "more vectors"));
  CHECK(
    good(openai::chat_api(), answer(item(",\"index\":\"1\"", "[1]") + "," + item(",\"index\":\"0\"", "[0]")), 2).vectors
    == vectors{{0}, {1}});
  CHECK(
    good(openai::chat_api(), answer(item(",\"index\":null", "[5]") + "," + item(",\"index\":null", "[6]")), 2).vectors
    == vectors{{5}, {6}});
  for (auto* index : {"\"b\"", "-1", "0.5", "[0]", "\"\"", "true"})
    CHECK(has(bad(openai::chat_api(), 200, answer(item(std::string{",\"index\":"} + index, "[1]"))).message,
              "index is no whole number"));
}

TEST_CASE("vectors that are not what was asked for are failures", "[wire][embedding]") {
  struct {
    std::vector<std::string> vectors;
    std::string_view said;
  } table[] = {
    {{}, "without any vectors"},
    {{"[1]"}, "1 vectors for 2 inputs"},
    {{"[1]", "[1]", "[1]"}, "more vectors than inputs (2)"},
    {{"[1,2]", "[1]"}, "different lengths (2 and 1)"},
    {{"[]", "[]"}, "an empty vector"},
    {{"\"\"", "\"\""}, "an empty vector"},
    {{"[1]", "[1e39]"}, "no finite number"},
    {{"[1]", "[-1e400]"}, "no finite number"},
    {{"[1]", "[null]"}, "no finite number"},
    {{"[1]", "[NaN]"}, "no finite number"}, // as Python writes it
    {{"[1]", "[-Infinity]"}, "no finite number"},
    {{"[1]", "[\"1\"]"}, "no finite number"},
    {{"[1]", "[[1],[2]]"}, "several vectors for one input"},
    {{"[1]", "[[1],2]"}, "several vectors for one input"},
    {{"[1]", "[[null]]"}, "no finite number"},
    {{"[1]", "\"AADAfw==\""}, "no finite number"}, // a NaN
    {{"[1]", "\"AACAPw=A\""}, "neither a list of numbers nor base64"},
    {{"[1]", "\"AACA\""}, "neither"},
    {{"[1]", "\"AACAP\""}, "neither"},
    {{"[1]", "7"}, "neither"},
    {{"null", "[1]"}, "neither"},
  };
  for (auto& row : table)
    for (auto& speaker : speakers()) {
      auto x = bad(speaker.by, 200, speaker.answer(row.vectors));
      CAPTURE(speaker.by.name(), row.vectors, x.message);
      CHECK(x.code == errc::invalid_response);
      CHECK(has(x.message, row.said));
      CHECK(has(x.suggestion, speaker.address) == row.vectors.empty());
      CHECK(x.provider_request_id == "req_1");
      CHECK(speaker.by.hints({200, {}}, &x).should_retry == false); // they would be the same the next time
    }
}

TEST_CASE("what is no answer with vectors is told apart", "[wire][embedding]") {
  for (auto& [body, said] : {std::pair{"", "an empty body"},
                             {"<html>", "an HTML page"},
                             {"{}", "without any vectors"},
                             {"[]", "without any vectors"},
                             {"7", "without any vectors"},
                             {R"({"data":7,"embeddings":7})", "without any vectors"},
                             {R"({"data":[7],"embeddings":{}})", "without any vectors"},
                             {R"({"data":[{"embedding":[1]}],"embeddings":[[1)", "broken JSON"},
                             {R"({"data":[{"embedding":[1,]}],"embeddings":[[1,]]})", "broken JSON"},
                             {R"({"a":1} x)", "broken JSON"}})
    for (auto& speaker : speakers()) {
      auto x = bad(speaker.by, 200, body, 1);
      CAPTURE(speaker.by.name(), body, x.message);
      CHECK(x.code == errc::invalid_response);
      CHECK(has(x.message, said));
      CHECK(has(x.suggestion, speaker.address) == (std::string_view{said} != "broken JSON"));
    }
}

TEST_CASE("vectors are read in the forms of all known servers, by every dialect", "[wire][embedding]") {
  struct {
    std::string_view body;
    std::size_t inputs = 2;
    std::optional<uint64_t> tokens{};
  } table[] = {
    {R"({"object":"list","data":[{"index":1,"embedding":[3,4]},{"index":0,"embedding":[1,2]}],"usage":{"prompt_tokens":5}})",
     2, 5},
    {R"({"embeddings":[[1,2],[3,4]],"prompt_eval_count":5})", 2, 5},
    {R"({"embeddings":[{"values":[1,2]},{"values":[3,4]}],"usageMetadata":{"promptTokenCount":5}})", 2, 5},
    {"[[1,2],[3,4]]"},                                                        // Hugging Face
    {R"([{"index":0,"embedding":[[1,2]]},{"index":1,"embedding":[[3,4]]}])"}, // llama.cpp
    {R"({"id":"x","embeddings":{"float":[[1,2],[3,4]]},"texts":["a","b"],"meta":{"billed_units":{"input_tokens":5}}})",
     2, 5}, // Cohere
    {R"({"predictions":[{"embeddings":{"values":[1,2],"statistics":{"token_count":1}}},{"embeddings":{"values":[3,4]}}]})"}, // Vertex
    {R"({"output":{"embeddings":[{"text_index":1,"embedding":[3,4]},{"text_index":0,"embedding":[1,2]}]},"usage":{"total_tokens":5}})",
     2, 5},                                                                            // DashScope
    {R"({"result":{"shape":[2,2],"data":[[1,2],[3,4]]},"success":true,"errors":[]})"}, // Cloudflare
    {R"({"model_id":"m","results":[{"embedding":[1,2]},{"embedding":[3,4]}]})"},       // watsonx
    {R"({"data":{"0":{"embedding":[1,2]},"1":{"embedding":[3,4]}}})"},
    {R"({"data":{"1":[3,4],"0":[1,2]}})"},
    {R"({"data":[[1,2],[3,4]]})"},
    {R"({"data":[{"embedding":{"float":[1,2]}},{"embedding":{"float":[3,4]}}]})"},
    {R"({"embedding":[[1,2],[3,4]]})"},
    {R"({"data":[{"vector":[1,2]},{"vector":[3,4]}]})"},
    {R"({"embeddings":["AACAPwAAAEA=","AABAQAAAgEA="]})"},
    {R"({"result":"fine","data":[{"embedding":"AACAPwAAAEA="},{"embedding":"AABAQAAAgEA="}]})"},
    {"\xEF\xBB\xBF{\"embeddings\":[[1,2],[3,4]]}"},
    {R"({"embedding":[1,2]})", 1},
    {R"({"embedding":{"values":[1,2]}})", 1},
    {R"({"embedding":"AACAPwAAAEA="})", 1},
    {R"({"embeddings":[1,2]})", 1},
    {R"({"data":{"index":0,"embedding":[1,2]}})", 1},
    {R"({"embedding":[1,2],"embeddings":[[1,2]]})", 1},
    {R"({"embeddings":[[1,2]],"embedding":[1,2]})", 1},
    {"[1,2]", 1},
  };
  for (auto& row : table)
    for (auto& x : speakers()) {
      CAPTURE(x.by.name(), row.body);
      auto read = good(x.by, row.body, row.inputs);
      CHECK(read.vectors
            == (row.inputs == 1 ? std::vector<std::vector<float>>{{1, 2}}
                                : std::vector<std::vector<float>>{{1, 2}, {3, 4}}));
      CHECK(read.usage == (row.tokens ? std::optional{token_usage{*row.tokens, 0, 0, 0, 0}} : std::nullopt));
    }
}

TEST_CASE("an error among vectors, or beside them, is told", "[wire][embedding]") {
  auto many = std::string{"[0"};
  for (int i = 0; i < 40'000; ++i)
    many += ",0.5";
  many += "]";
  for (auto& x : speakers()) {
    CAPTURE(x.by.name());
    auto one = bad(x.by, 200, R"({"data":[{"index":0,"embedding":[1,2]},{"index":1,"error":"too long"}]})");
    CHECK(has(one.message, "too long"));
    CHECK(x.by.hints({200, {}}, &one).should_retry == false);
    for (auto& vector : {std::string{"[1]"}, many}) { // an error behind megabytes counts, too
      auto beside = bad(x.by, 200, R"({"data":[{"embedding":)" + vector + R"(}],"error":{"message":"half of it"}})", 1);
      CHECK(beside.provider_message == "half of it");
    }
    auto listed = bad(x.by, 200, R"([{"error":{"code":429,"message":"slow"}}])");
    CHECK(name_of(listed.code) == name_of(errc::rate_limited));
  }
}

TEST_CASE("what has no vectors is asked for once, unless it has nothing at all", "[wire][embedding]") {
  for (auto& x : speakers())
    for (auto& [body, again] : {std::pair{R"({"text":"Hello"})", std::optional{false}},
                                {R"({"choices":[{"message":{"content":"Hi"}}]})", std::optional{false}},
                                {R"({"data":[]})", std::optional{false}},
                                {"data: {\"data\":[]}\n\n", std::optional{false}},
                                {"{}", std::optional<bool>{}},
                                {"", std::optional<bool>{}},
                                {R"({"data":[{"embedding":[1)", std::optional<bool>{}}}) {
      CAPTURE(x.by.name(), body);
      auto problem = bad(x.by, 200, body);
      CHECK(x.by.hints({200, {}}, &problem).should_retry == again);
    }
}

TEST_CASE("every beginning of an answer with vectors is a failure", "[wire][embedding]") {
  for (auto& x : speakers()) {
    auto body = x.answer({"[0.25,-1.5]", "\"AACAPwAAAMA=\""});
    for (std::size_t cut = 0; cut < body.size(); ++cut)
      REQUIRE(bad(x.by, 200, std::string_view{body}.substr(0, cut)).code == errc::invalid_response);
  }
}

TEST_CASE("errors instead of vectors mean what they mean in chats", "[wire][embedding]") {
  struct {
    const dialect& by;
    uint16_t status;
    std::string_view body;
    errc code;
    std::string_view suggestion = "";
  } table[] = {
    {openai::chat_api(), 400,
     R"({"error":{"message":"Invalid 'input'","type":"invalid_request_error","param":"input"}})", errc::invalid_request,
     "input"},
    {openai::chat_api(), 401, R"({"error":{"message":"no","code":"invalid_api_key"}})", errc::authentication,
     "api_key_env"},
    {openai::chat_api(), 429, R"({"error":{"type":"insufficient_quota","message":"paid up"}})", errc::quota_exhausted,
     "credit"},
    {openai::compatible_chat_api(), 404, "<html>", errc::not_found, "/v1"},
    {openai::compatible_chat_api(), 501,
     R"({"error":{"code":501,"message":"no embeddings","type":"not_supported_error"}})", errc::unsupported},
    {openai::compatible_chat_api(), 200, R"({"error":{"code":503,"message":"none free"}})", errc::overloaded},
    {gemini::content_api(), 400,
     R"([{"error":{"code":400,"message":"bad key","details":[
        {"@type":"google.rpc.ErrorInfo","reason":"API_KEY_INVALID"}]}}])",
     errc::authentication},
    {gemini::content_api(), 200, R"([{"error":{"code":429,"message":"slow","status":"RESOURCE_EXHAUSTED"}}])",
     errc::rate_limited},
    {gemini::content_api(), 404, R"({"error":{"code":404,"message":"none","status":"NOT_FOUND"}})", errc::not_found,
     "/v1beta"},
    {ollama::chat_api(), 400, R"({"error":"the input length exceeds the context length"})", errc::context_length},
    {ollama::chat_api(), 404, R"({"error":"model \"demo\" not found, try pulling it first"})", errc::not_found,
     "ollama pull"},
    {ollama::chat_api(), 500, "\xFF{", errc::server_error},
  };
  for (auto& row : table) {
    auto x = bad(row.by, row.status, row.body);
    CAPTURE(row.body, x.message, x.suggestion);
    CHECK(name_of(x.code) == name_of(row.code));
    CHECK(x.http_status == row.status);
    CHECK(has(x.suggestion, row.suggestion));
  }
}

} // namespace modelforge::embedding_test
