#include "wire/openai/format.hpp"

#include <catch2/catch_test_macros.hpp>

#include <nlohmann/json.hpp>

namespace modelforge::openai_front_formats_test {

// The formats of /v1/responses and /v1/embeddings, as files bring them.

namespace openai = wire::openai;
using tree = nlohmann::json;

namespace {

chat_request read(std::string_view text) {
  auto result = openai::read_response_request(text);
  if (auto* problem = std::get_if<failure>(&result))
    FAIL(text << "\n" << problem->message);
  return std::get<chat_request>(result);
}

template <class Result>
std::string problem_in(const Result& result) {
  auto* problem = std::get_if<failure>(&result);
  return problem == nullptr ? "" : problem->message;
}

completion answer() {
  completion x;
  x.id = {1, 2};
  x.model = "m-1";
  x.text = "Hello";
  x.finish_reason = finish_reason::stop;
  x.usage = token_usage{10, 5, 4, 0, 2};
  return x;
}

} // namespace

TEST_CASE("a request of the Responses API is read with all that it says", "[wire][format]") {
  auto x = read(R"({"model":"m","instructions":"Be brief.","input":"Hi","max_output_tokens":9,"temperature":0.5,)"
                R"("top_p":0.25,"reasoning":{"effort":"low","summary":"auto"},"parallel_tool_calls":false,)"
                R"("tools":[{"type":"function","name":"look","description":"Looks.","parameters":{"type":"object"},)"
                R"("strict":true}],"tool_choice":{"type":"function","name":"look"},"text":{"verbosity":"low",)"
                R"("format":{"type":"json_schema","name":"answer","schema":{"type":"object"},"strict":true}},)"
                R"("store":false,"metadata":{"a":"b"}})");
  CHECK(x.model == "m");
  REQUIRE(x.messages.size() == 2);
  CHECK(x.messages[0] == text_message(role::system, "Be brief."));
  CHECK(x.messages[1] == text_message(role::user, "Hi"));
  CHECK(x.sampling.max_tokens == 9);
  CHECK(x.sampling.temperature == 0.5);
  CHECK(x.sampling.top_p == 0.25);
  CHECK(x.sampling.reasoning_effort == "low");
  CHECK(x.tools.at(0) == tool_definition{"look", "Looks.", R"({"type":"object"})", true, false});
  CHECK(x.tool_choice.mode == tool_mode::named);
  CHECK(x.tool_choice.name == "look");
  CHECK(x.tool_choice.parallel == false);
  CHECK(x.response_format.kind == response_kind::json_schema);
  CHECK(x.response_format.schema == R"({"type":"object"})");
  CHECK(tree::parse(x.extra)
        == tree::parse(R"({"metadata":{"a":"b"},"reasoning":{"summary":"auto"},"text":{"verbosity":"low"}})"));
}

TEST_CASE("items of the Responses API become the turns of a conversation", "[wire][format]") {
  auto x =
    read(R"({"input":[{"role":"developer","content":"Be kind."},{"type":"message","role":"user","content":[)"
         R"({"type":"input_text","text":"What is it?"},{"type":"input_image","image_url":"data:image/png;base64,AA==",)"
         R"("detail":"low"}]},{"type":"reasoning","id":"rs_1","summary":[{"type":"summary_text","text":"Hm."}]},)"
         R"({"type":"function_call","id":"fc_1","call_id":"c1","name":"look","arguments":"{}","status":"completed"},)"
         R"({"type":"function_call_output","call_id":"c1","output":"a cat"},)"
         R"({"type":"message","role":"assistant","content":[{"type":"output_text","text":"A cat.","annotations":[]}]},)"
         R"({"role":"user","content":"Sure?"}]})");
  REQUIRE(x.messages.size() == 6);
  CHECK(x.messages[0].role == role::developer);
  CHECK(std::get<image_part>(x.messages[1].content.at(1)) == image_part{"", "image/png", "AA==", "low"});
  CHECK(x.messages[2].role == role::assistant);
  CHECK(std::get<reasoning_part>(x.messages[2].content.at(0)).text == "Hm.");
  CHECK(std::get<tool_call>(x.messages[2].content.at(1)).id == "c1");
  CHECK(x.messages[3].role == role::tool);
  CHECK(std::get<tool_result>(x.messages[3].content.at(0)).content == "a cat");
  CHECK(x.messages[4] == text_message(role::assistant, "A cat."));
  CHECK(x.messages[5] == text_message(role::user, "Sure?"));
}

TEST_CASE("what a request of the Responses API cannot say here is refused by its place", "[wire][format]") {
  for (auto& [text, problem] : std::vector<std::pair<std::string, std::string>>{
         {"[]", "the request is no JSON object"},
         {"{}", "input is missing"},
         {R"({"input":[]})", "input is empty"},
         {R"({"input":3})", "input is no array but number"},
         {R"({"input":"a","stream":true})", "stream is true, but only whole answers can be given here"},
         {R"({"input":"a","previous_response_id":"r"})", "previous_response_id stands for what a provider keeps"},
         {R"({"input":[{"type":"item_reference","id":"x"}]})", "input[0].type is none of message, function_call"},
         {R"({"input":[{"role":"tool","content":"a"}]})", "input[0].role is none of system"},
         {R"({"input":[{"role":"user","content":[{"type":"input_file","file_id":"f"}]}]})",
          "input[0].content[0].type is none of input_text"},
         {R"({"input":[{"role":"user","content":"a","odd":1}]})", "input[0].odd is not known here"},
         {R"({"input":"a","tools":[{"type":"web_search"}]})", "tools[0]"},
         {R"({"input":"a","text":{"format":{"type":"json_schema","name":"x"}}})", "text.format.schema is missing"},
         {R"({"input":"a","max_output_tokens":"9"})", "max_output_tokens is no whole number but string"},
       }) {
    INFO(text);
    CHECK(problem_in(openai::read_response_request(text)).starts_with(problem));
  }
}

TEST_CASE("an answer is written as a response", "[wire][format]") {
  auto x = answer();
  x.cost = 0.5;
  auto whole = tree::parse(openai::write_response(x));
  CHECK(whole["object"] == "response");
  CHECK(whole["status"] == "completed");
  CHECK(whole["incomplete_details"].is_null());
  CHECK(whole["output"].size() == 1);
  CHECK(whole["output"][0]["content"][0]["text"] == "Hello");
  CHECK(whole["usage"]["input_tokens"] == 10);
  CHECK(whole["usage"]["input_tokens_details"]["cached_tokens"] == 4);
  CHECK(whole["usage"]["output_tokens_details"]["reasoning_tokens"] == 2);
  CHECK(whole["usage"]["total_tokens"] == 15);
  CHECK(whole["cost"] == 0.5);
  x.text.clear();
  x.reasoning = {{"Hm.", ""}};
  x.tool_calls = {{"c1", "look", "{}", ""}};
  auto called = tree::parse(openai::write_response(x))["output"];
  REQUIRE(called.size() == 2);
  CHECK(called[0]["summary"][0]["text"] == "Hm.");
  CHECK(called[1]["call_id"] == "c1");
  x = answer();
  x.flaw = answer_flaw::cut;
  auto cut = tree::parse(openai::write_response(x));
  CHECK(cut["status"] == "incomplete");
  CHECK(cut["incomplete_details"]["reason"] == "max_output_tokens");
  x = answer();
  x.text.clear();
  x.refusal = "No.";
  x.flaw = answer_flaw::blocked;
  CHECK(tree::parse(openai::write_response(x))["output"][0]["content"][0]["refusal"] == "No.");
}

TEST_CASE("requests for embeddings are read, and vectors written", "[wire][format]") {
  auto read = openai::read_embedding_request(R"({"model":"e","input":["a","b"],"dimensions":2,"user":"me"})");
  REQUIRE(read.index() == 0);
  auto& x = std::get<embedding_request>(read);
  CHECK(x.model == "e");
  CHECK(x.inputs == std::vector<std::string>{"a", "b"});
  CHECK(x.dimensions == 2);
  CHECK(x.extra == R"({"user":"me"})");
  CHECK(std::get<embedding_request>(openai::read_embedding_request(R"({"input":"a"})")).inputs.size() == 1);
  CHECK(problem_in(openai::read_embedding_request("{}")) == "input is missing");
  CHECK(problem_in(openai::read_embedding_request(R"({"input":[1,2]})")).starts_with("input[0] is no string"));
  CHECK(problem_in(openai::read_embedding_request(R"({"input":"a","encoding_format":"base64"})"))
          .starts_with("encoding_format is not \"float\""));
  embedding y;
  y.vectors = {{0.1F, -2.0F}, {1e-8F, 3.5F}};
  y.model = "e-1";
  y.usage = token_usage{7};
  CHECK(openai::write_vectors(y)
        == R"({"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.1,-2]},)"
           R"({"object":"embedding","index":1,"embedding":[1e-08,3.5]}],"model":"e-1",)"
           R"("usage":{"prompt_tokens":7,"total_tokens":7}})");
}

} // namespace modelforge::openai_front_formats_test
