#include "tests/wire/written_forms.hpp"

#include <catch2/catch_test_macros.hpp>

#include <algorithm>

// Answers by chance, written in every form that is understood in every way that servers have, must be read as the same
// answers, however they are cut.

namespace modelforge::test::forms {

TEST_CASE("an answer is the same in every form, however it is cut", "[wire][forms][random]") {
  for (auto& form : written_forms())
    for (unsigned seed = 0; seed < 1500; ++seed) {
      chance pick{seed};
      auto expected = any_answer(pick);
      auto body = form.write(expected, pick);
      std::vector<std::size_t> sizes(pick.below(20));
      for (auto& size : sizes)
        size = pick.below(2 * body.size() / (sizes.size() + 1) + 2);
      CAPTURE(form.name, seed, body);
      auto x = read(body, form.by, form.is_stream, sizes);
      if (auto* problem = std::get_if<failure>(&x))
        FAIL(problem->message);
      auto& got = std::get<meaning>(x);
      for (auto& call : expected.calls)
        call.arguments = plain(call.arguments);
      INFO("text " << got.text << " for " << expected.text << "; thoughts " << got.thoughts << " for "
                   << expected.thoughts);
      for (auto& call : got.calls)
        UNSCOPED_INFO(call.id << ' ' << call.name << ' ' << call.arguments);
      REQUIRE((got == expected));
    }
}

TEST_CASE("parts of calls in any order, under any index, are understood or a failure", "[wire][forms][random]") {
  unsigned understood = 0, refused = 0;
  for (unsigned seed = 0; seed < 4000; ++seed) {
    chance pick{seed};
    auto expected = any_answer(pick);
    if (expected.calls.empty())
      continue;
    std::vector<strings> calls;
    auto gives_ids = pick.one_in(2);
    for (std::size_t i = 0; i < expected.calls.size(); ++i) {
      auto& call = expected.calls[i];
      auto& parts = calls.emplace_back();
      for (auto& json : json_pieces(call.arguments, pick)) {
        auto index = parts.empty() || !pick.one_in(8) ? std::to_string(i)
                     : pick.one_in(2)                 ? ""
                                                      : std::to_string(7 + pick.below(3));
        parts.push_back(
          chat_part(index, parts.empty() || gives_ids ? call.id : "", parts.empty() ? call.name : "", json));
      }
    }
    std::string body;
    strings begun; // in which order
    while (std::any_of(calls.begin(), calls.end(), [](auto& parts) { return !parts.empty(); })) {
      auto& parts = calls[pick.below(calls.size())];
      if (parts.empty())
        continue;
      auto id = expected.calls[static_cast<std::size_t>(&parts - calls.data())].id;
      if (std::find(begun.begin(), begun.end(), id) == begun.end())
        begun.push_back(id);
      body += chat_chunk(R"("delta":{"tool_calls":[)" + parts.front() + "]}");
      parts.erase(parts.begin());
    }
    body += chat_chunk(R"("delta":{},"finish_reason":"tool_calls")") + done;
    CAPTURE(seed, body);
    auto x = read(body, openai::chat_api(), true);
    if (std::holds_alternative<failure>(x)) {
      ++refused;
      continue;
    }
    ++understood;
    auto& got = std::get<meaning>(x).calls;
    REQUIRE(got.size() == expected.calls.size());
    for (std::size_t i = 0; i < got.size(); ++i) {
      auto call =
        std::find_if(expected.calls.begin(), expected.calls.end(), [&](auto& y) { return y.id == got[i].id; });
      REQUIRE(call != expected.calls.end());
      CHECK(got[i].id == begun[i]);
      CHECK(got[i].name == call->name);
      CHECK(got[i].arguments == plain(call->arguments));
    }
  }
  CHECK(understood > 1000);
  CHECK(refused > 100);
}

} // namespace modelforge::test::forms
