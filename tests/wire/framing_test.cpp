#include "tests/wire/framings.hpp"
#include "tests/wire/hear.hpp"

namespace modelforge::framing_test {

using namespace modelforge::test;

namespace {

const http::response_head good_head{200, {}};

/// What an answer says, whatever its form.
struct substance {
  std::string text;
  std::vector<tool_call> calls;
  finish_reason reason = finish_reason::unknown;

  friend bool operator==(const substance&, const substance&) = default;
};

std::ostream& operator<<(std::ostream& out, const substance& x) {
  out << x.text << '|' << static_cast<int>(x.reason);
  for (auto& call : x.calls)
    out << '|' << call.id << ' ' << call.name << ' ' << call.arguments;
  return out;
}

substance substance_of(const heard& x) {
  return {x.words, x.good().tool_calls, x.good().finish_reason};
}

substance whole_of(std::string_view body, const dialect& by) {
  auto result = by.decode(good_head, body);
  if (auto* problem = std::get_if<failure>(&result))
    FAIL(problem->message);
  auto& answer = std::get<completion>(result);
  return {answer.text, answer.tool_calls, answer.finish_reason};
}

substance usual(const sample_stream& x) {
  framing how;
  how.done = 1;
  return substance_of(hear(framed(x.objects, how), *x.by));
}

/// Wherever the body is cut, an answer that passes for whole is the whole one.
void check_no_loss(std::string_view body, const sample_stream& x, std::size_t step) {
  auto expected = usual(x);
  for (std::size_t cut = body.size() % step; cut < body.size(); cut += step) {
    auto part = hear(body.substr(0, cut), *x.by);
    CAPTURE(body.substr(0, cut));
    if (std::holds_alternative<completion>(part.end))
      REQUIRE(substance_of(part) == expected);
    if (json::reader{body.substr(0, cut)}.finish())
      continue; // one object is an answer that is whole, though without a reason, to who did not ask for a stream
    auto whole = x.by->decode(good_head, body.substr(0, cut));
    if (std::holds_alternative<completion>(whole))
      REQUIRE(whole_of(body.substr(0, cut), *x.by) == expected);
  }
}

} // namespace

TEST_CASE("an answer is the same in every framing, streamed or whole, in every dialect", "[wire][framing]") {
  struct {
    const char* what;
    framing how;
  } table[] = {
    {"one newline between events", {.blank = 1, .done = 1}},
    {"one newline, CRLF, no space", {.line_end = 1, .blank = 1, .field = 1, .done = 2}},
    {"CR alone, one", {.line_end = 2, .blank = 1, .done = 1}},
    {"CR alone, two", {.line_end = 2, .done = 1}},
    {"blank lines now and then", {.blank = 2, .done = 1}},
    {"a byte order mark", {.done = 1, .beginning = 1}},
    {"several lines of data", {.pretty = 1, .done = 1}},
    {"several lines of data, no blank lines", {.blank = 1, .pretty = 1, .done = 1}},
    {"comments", {.done = 1, .noise = 1}},
    {"indented fields", {.field = 3, .done = 1}},
    {"a field within a field", {.field = 4, .done = 1}},
    {"the end mark as a line by itself", {.done = 3}},
    {"the end mark joined", {.done = 4, .last_end = 2}},
    {"the end mark joined, without its field", {.done = 5}},
    {"names without blank lines", {.blank = 1, .done = 1, .noise = 4}},
    {"no end mark", {}},
    {"no end mark and no last newline", {.last_end = 2}},
    {"lines of JSON", {.form = framing::lines}},
    {"lines of JSON, CRLF, a byte order mark", {.form = framing::lines, .line_end = 1, .beginning = 1}},
    {"lines of JSON and an end mark", {.form = framing::lines, .done = 1}},
    {"lines of JSON and a bare end mark", {.form = framing::lines, .done = 2}},
    {"pretty JSON", {.form = framing::lines, .pretty = 1}},
    {"JSON joined", {.form = framing::joined}},
    {"JSON joined, and an end mark", {.form = framing::joined, .done = 2}},
    {"an array", {.form = framing::array}},
    {"a pretty array", {.form = framing::array, .line_end = 1, .pretty = 1}},
    {"JSON text sequences", {.form = framing::records}},
  };
  for (auto& x : sample_streams())
    for (auto& [what, how] : table) {
      auto body = framed(x.objects, how);
      CAPTURE(x.by->name(), what, body);
      CHECK(substance_of(hear(body, *x.by)) == usual(x));
      CHECK(whole_of(body, *x.by) == usual(x));
      check_no_loss(body, x, 7);
    }
}

TEST_CASE("random framings, cut anywhere, give the same answer or none", "[wire][framing]") {
  for (unsigned seed = 0; seed < 400; ++seed) {
    std::mt19937 random{seed};
    auto all = sample_streams();
    auto& x = all[random() % all.size()];
    auto next = [&] { return static_cast<unsigned>(random() % 60); };
    const framing how{next(), next(), next(), next(), next(), next(), next(), next(), next()};
    auto body = framed(x.objects, how);
    CAPTURE(seed, x.by->name(), body);
    auto expected = hear(body, *x.by);
    REQUIRE(substance_of(expected) == usual(x));
    REQUIRE(whole_of(body, *x.by) == usual(x));
    REQUIRE(hear(body, *x.by, std::vector<std::size_t>(body.size(), 1)) == expected);
    for (auto i = 0; i < 4; ++i) {
      std::vector<std::size_t> sizes(1 + random() % 40);
      for (auto& size : sizes)
        size = random() % (2 * body.size() / sizes.size() + 2);
      REQUIRE(hear(body, *x.by, sizes) == expected);
    }
    check_no_loss(body, x, 23);
  }
}

TEST_CASE("a body in which nothing was understood fails and shows its beginning", "[wire][framing]") {
  constexpr std::string_view bodies[] = {
    "data: {\"foo\":1}\n\n",
    "data: {\"foo\":1}\n\ndata: [DONE]\n\n",
    "event: foo\ndata: hello\n\n",
    "{\"foo\":1}\n{\"foo\":2}\n",
    "{\"foo\":1}",
    "[{\"foo\":1}]",
    "foo: bar\n",
    "foo\n",
  };
  for (auto& x : sample_streams())
    for (auto body : bodies) {
      CAPTURE(x.by->name(), body);
      auto streamed = hear(body, *x.by).bad();
      auto whole = std::get<failure>(x.by->decode(good_head, body));
      for (auto& problem : {streamed, whole}) {
        CAPTURE(problem.message);
        CHECK(problem.code == errc::invalid_response);
        CHECK(problem.message.find("foo") != std::string::npos);
      }
    }
}

TEST_CASE("the answer of another API is refused once, one that broke off or is empty is tried again",
          "[wire][framing]") {
  for (auto& x : sample_streams()) {
    auto will_retry = [&](std::string_view body, bool streamed) {
      auto problem = streamed ? hear(body, *x.by).bad() : std::get<failure>(x.by->decode(good_head, body));
      CAPTURE(x.by->name(), body, problem.message);
      CHECK(problem.code == errc::invalid_response);
      return x.by->hints(good_head, &problem).should_retry.value_or(true);
    };
    CHECK_FALSE(will_retry(R"({"foo":1})", false));
    CHECK_FALSE(will_retry("data: {\"foo\":1}\n\n", true));
    CHECK(will_retry("data: {\"foo\":1}\n\ndata: {\"fo", true));
    CHECK(will_retry("data: {\"type\":\"ping\"}\n\n", true));
    CHECK(will_retry("", true));
  }
  auto is_refused = [](std::string_view body, const dialect& by) {
    return by.hints(good_head, &hear(body, by).bad()).should_retry == false;
  };
  CHECK(is_refused("data: {\"foo\":1}\n\ndata: [DONE]\n\n", openai::chat_api()));
  CHECK(is_refused("{\"response\":\"a\",\"done\":false}\n{\"response\":\"\",\"done\":true}\n", ollama::chat_api()));
  CHECK_FALSE(is_refused("data: {\"choices\":[]}\n\ndata: [DONE]\n\n", openai::chat_api()));
  CHECK_FALSE(is_refused("data: {\"candidates\":[]}\n\n", gemini::content_api()));
}

TEST_CASE("what nobody knows among what is known does no harm", "[wire][framing]") {
  for (auto& x : sample_streams()) {
    auto unknown = x.objects;
    unknown.insert(unknown.begin() + 1, R"({"object":"debug","latency":7})");
    unknown.insert(unknown.begin(), R"({"status":"connecting"})");
    for (auto form : {framing::events, framing::lines, framing::array}) {
      auto body = framed(unknown, {.form = form});
      CAPTURE(x.by->name(), body);
      CHECK(substance_of(hear(body, *x.by)) == usual(x));
      CHECK(whole_of(body, *x.by) == usual(x));
    }
  }
}

TEST_CASE("objects that stand on one line are all taken, whatever stands between them", "[wire][framing]") {
  for (auto& x : sample_streams())
    for (std::string_view between : {"", " ", "\t", ",", "\r", "\x1E", "data: ", ", data:"}) {
      auto body = x.objects[0] + std::string{between};
      for (std::size_t i = 1; i < x.objects.size(); ++i)
        body += x.objects[i] + "\n";
      CAPTURE(x.by->name(), between);
      auto whole = hear(body, *x.by);
      CHECK(whole.said == hear(body, *x.by, std::vector<std::size_t>(body.size(), 1)).said);
      CHECK(substance_of(whole) == usual(x));
    }
}

TEST_CASE("an error among the chunks ends them, in whatever framing", "[wire][framing]") {
  for (auto& x : sample_streams()) {
    const std::string before = framed({x.objects.begin(), x.objects.begin() + 4}, {});
    const std::string rest = framed({x.objects.end() - 1, x.objects.end()}, {.done = 1});
    for (std::string_view error : {"data: {\"error\":{\"message\":\"boom\",\"code\":503}}\n\n",
                                   "{\"error\":{\"message\":\"boom\",\"code\":503}}\n\n",
                                   "{\n  \"error\": {\n    \"message\": \"boom\",\n    \"code\": 503\n  }\n}\n",
                                   "event: error\ndata: {\"error\":{\"message\":\"boom\",\"code\":503}}\n\n",
                                   "event: error\ndata: {\"message\":\"boom\"}\n\n", "event: error\ndata: boom\n\n",
                                   "event: error\ndata: boom"}) {
      if (x.by == &ollama::chat_api())
        continue; // its sample ends before
      auto body = before + std::string{error} + (error.ends_with('m') ? "" : rest);
      CAPTURE(x.by->name(), body);
      CHECK(hear(body, *x.by).bad().provider_message == "boom");
      CHECK(std::get<failure>(x.by->decode(good_head, body)).provider_message == "boom");
    }
  }
}

} // namespace modelforge::framing_test
