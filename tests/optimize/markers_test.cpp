#include "optimize/markers.hpp"

#include <catch2/catch_test_macros.hpp>

#include <vector>

namespace modelforge::markers_test {

using namespace modelforge::optimize;

namespace {

struct marked_text {
  std::string text;
  std::string plain; ///< Without markers.
  marking is = marking::good;
};

chat_message message_of(std::vector<std::string> texts) {
  chat_message result;
  for (auto& text : texts)
    result.content.push_back(text_part{std::move(text)});
  return result;
}

std::vector<std::string> texts_of(const std::vector<content_part>& parts) {
  std::vector<std::string> result;
  for (auto& part : parts)
    if (auto* text = std::get_if<text_part>(&part))
      result.push_back(text->text);
    else
      result.push_back("image");
  return result;
}

using texts = std::vector<std::string>;

} // namespace

TEST_CASE("markers are taken out of any text, with the lines they have to themselves", "[optimize]") {
  const std::vector<marked_text> cases = {
    {"no marker", "no marker", marking::none},
    {"a << b >> c <STATIC> <<static>> <<STATIC >>", "a << b >> c <STATIC> <<static>> <<STATIC >>", marking::none},
    {"<<STATIC>>rules<<DYNAMIC>>question", "rulesquestion"},
    {"<<STATIC>>\nrules\n<<DYNAMIC>>\nquestion", "rules\nquestion"},
    {"<<STATIC>>\r\nrules\r\n<<DYNAMIC>>\r\nquestion", "rules\r\nquestion"},
    {"a <<DYNAMIC>>\nb", "a \nb"},
    {"<<STATIC>>", ""},
    {"<<DYNAMIC>>x<<STATIC>>", "x", marking::bad},
    {"<<STATIC>>x<<STATIC>>", "x", marking::bad},
    {"<<STATIC>><<DYNAMIC>><<DYNAMIC>>", "", marking::bad},
    {"<<ST<<STATIC>>ATIC>>x", "x"},
    {"<<STATIC>>>", ">"},
    {"<<<DYNAMIC>>", "<"},
  };
  for (auto& x : cases) {
    INFO(x.text);
    chat_request request;
    request.messages = {message_of({x.text})};
    CHECK(marking_of(request.messages[0]) == x.is);
    auto warnings = remove_markers(request);
    CHECK(texts_of(request.messages[0].content) == texts{x.plain});
    CHECK(warnings.size() == (x.is == marking::bad ? 1u : 0u));
  }
}

TEST_CASE("markers cut one inside the other end in time that grows with the text only", "[optimize]") {
  std::string text;
  for (int i = 0; i < 100'000; ++i)
    text += "<<ST";
  text += "<<STATIC>>";
  for (int i = 0; i < 100'000; ++i)
    text += "ATIC>>";
  chat_request request;
  request.messages = {message_of({text})};
  remove_markers(request);
  CHECK(texts_of(request.messages[0].content) == texts{""});
}

TEST_CASE("markers hold for a message, over all its parts", "[optimize]") {
  struct one {
    texts parts;
    texts ahead, stable, varying;
  };
  const std::vector<one> cases = {
    {{"<<STATIC>>rules<<DYNAMIC>>question"}, {}, {"rules"}, {"question"}},
    {{"Hi. <<STATIC>>rules<<DYNAMIC>>question"}, {"Hi. "}, {"rules"}, {"question"}},
    {{"rules<<DYNAMIC>>question"}, {}, {"rules"}, {"question"}},
    {{"Hi. <<STATIC>>rules"}, {"Hi. "}, {"rules"}, {}},
    {{"one", "<<STATIC>>two", "three<<DYNAMIC>>four", "five"}, {"one"}, {"two", "three"}, {"four", "five"}},
    {{"\n<<STATIC>>\nrules\n<<DYNAMIC>>\n \n"}, {}, {"rules\n"}, {}},
  };
  for (auto& x : cases) {
    INFO(x.parts[0]);
    auto is = sections_of(message_of(x.parts));
    CHECK(texts_of(is.ahead) == x.ahead);
    CHECK(texts_of(is.stable) == x.stable);
    CHECK(texts_of(is.varying) == x.varying);
  }
}

TEST_CASE("markers put images where they stand among them", "[optimize]") {
  auto x = message_of({"<<STATIC>>look:", "<<DYNAMIC>>what is it?"});
  x.content.insert(x.content.begin() + 1, image_part{"http://a.test/x.png", "", "", ""});
  auto is = sections_of(x);
  CHECK(texts_of(is.stable) == texts{"look:", "image"});
  CHECK(texts_of(is.varying) == texts{"what is it?"});
}

TEST_CASE("markers are data in what tools say", "[optimize]") {
  chat_request request;
  request.messages = {{role::tool, {tool_result{"c1", "<<STATIC>>"}}, {}}};
  auto before = request;
  CHECK(remove_markers(request).empty());
  CHECK(request == before);
}

} // namespace modelforge::markers_test
