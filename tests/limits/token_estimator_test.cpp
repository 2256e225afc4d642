#include "limits/token_estimator.hpp"
#include "tests/support/places.hpp"

#include <catch2/catch_approx.hpp>
#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <cmath>
#include <deque>
#include <fstream>
#include <limits>
#include <map>
#include <random>

namespace modelforge::token_estimator_test {

using limits::token_estimator;

namespace {

uint64_t raw(std::string_view text) {
  return token_estimator::raw(text);
}

std::string repeated(std::string_view text, std::size_t times) {
  std::string result;
  for (std::size_t i = 0; i < times; ++i)
    result += text;
  return result;
}

/// The string of that name in a line of JSON, empty if there is none. Knows the escapes that the file has: \".
std::string string_in_line(const std::string& line, const std::string& name) {
  auto key = "\"" + name + "\": \"";
  auto i = line.find(key);
  std::string result;
  if (i != line.npos)
    for (i += key.size(); line.at(i) != '"'; ++i)
      result += line[i] == '\\' ? line.at(++i) : line[i];
  return result;
}

/// What o200k_base makes of the texts in examples/prompts.jsonl: prompt and system text, without any frames.
const std::map<std::string, uint64_t> o200k_counts = {
  {"sky", 15},       {"haiku", 11},    {"sum", 12},       {"regex", 22},   {"capitals", 12},  {"summary-de", 25},
  {"bread-fr", 12},  {"tides-es", 18}, {"tea-ja", 18},    {"moon-zh", 19}, {"winter-ru", 11}, {"river-ar", 16},
  {"kimchi-ko", 16}, {"stars-hi", 14}, {"bread-it", 18},  {"wind-pt", 14}, {"dijkstra", 15},  {"sql", 25},
  {"bug", 34},       {"names", 11},    {"translate", 17}, {"mail", 27},    {"json", 18},      {"units", 11},
  {"actor", 16},     {"tokens", 10},   {"chess", 10},     {"plants", 17},  {"history", 15},   {"poem", 12},
  {"physics", 18},   {"recipe", 21},   {"emoji", 10},     {"cpp", 15},     {"review", 14},    {"goodbye", 9}};

struct counted_prompt {
  std::string id;
  uint64_t raw;
  uint64_t real;
};

std::vector<counted_prompt> example_prompts() {
  std::ifstream file{test::source_path("examples/prompts.jsonl")};
  std::vector<counted_prompt> result;
  for (std::string line; std::getline(file, line);) {
    auto id = string_in_line(line, "id");
    auto tokens = raw(string_in_line(line, "prompt")) + raw(string_in_line(line, "system"));
    result.push_back({id, tokens, o200k_counts.at(id)});
  }
  return result;
}

chat_request hello() {
  chat_request x;
  x.messages = {text_message(role::user, "Hi")};
  return x;
}

uint64_t with(void (*change)(chat_request&)) {
  auto x = hello();
  change(x);
  return token_estimator::raw(x);
}

} // namespace

// -- the raw estimate ----------------------------------------------------------------------

TEST_CASE("raw estimates of the example prompts are as near to the real counts as is claimed", "[limits][tokens]") {
  auto prompts = example_prompts();
  REQUIRE(prompts.size() == o200k_counts.size());
  double sum = 0, absolute = 0;
  for (auto& x : prompts) {
    CAPTURE(x.id, x.raw, x.real);
    auto error = static_cast<double>(x.raw) / static_cast<double>(x.real) - 1;
    CHECK(error > -0.225);
    CHECK(error < 0.315);
    sum += error;
    absolute += std::abs(error);
  }
  auto n = static_cast<double>(prompts.size());
  CHECK(absolute / n < 0.0755);
  CHECK(std::abs(sum / n - 0.023) < 0.0005);
}

TEST_CASE("raw estimates hold in every script, in code and in data", "[limits][tokens]") {
  struct {
    std::string_view name;
    uint64_t o200k;
    double most; // relative error
    std::string_view text;
  } table[] = {
    {"english", 47, 0.1,
     "The ferry leaves at a quarter past six, so we had better pack tonight. Bring a warm coat, because "
     "the wind on deck is colder than it looks from the harbour, and something to read for the four hours "
     "until we land."},
    {"german", 45, 0.25,
     "Die Fähre legt um Viertel nach sechs ab, deshalb packen wir besser heute Abend. Nimm einen warmen "
     "Mantel mit, denn der Wind an Deck ist kälter, als er vom Hafen aus wirkt."},
    {"french", 42, 0.15,
     "Le bateau part à six heures et quart, il vaut donc mieux préparer les valises ce soir. Prends un "
     "manteau chaud, car sur le pont le vent est plus froid qu'on ne le croit."},
    {"polish", 54, 0.25,
     "Prom odpływa kwadrans po szóstej, więc lepiej spakujmy się dziś wieczorem. Weź ciepły płaszcz, bo "
     "wiatr na pokładzie jest zimniejszy, niż się wydaje z portu."},
    {"vietnamese", 48, 0.25,
     "Chuyến phà khởi hành lúc sáu giờ mười lăm, vì vậy tối nay chúng ta nên thu xếp hành lý. Hãy mang "
     "theo áo ấm, vì gió trên boong lạnh hơn ta tưởng."},
    {"greek", 61, 0.1,
     "Το πλοίο φεύγει στις έξι και τέταρτο, γι' αυτό καλύτερα να ετοιμάσουμε τις βαλίτσες απόψε. Πάρε ένα "
     "ζεστό παλτό, γιατί ο άνεμος στο κατάστρωμα είναι κρύος."},
    {"russian", 45, 0.1,
     "Паром отходит в четверть седьмого, поэтому лучше собрать вещи сегодня вечером. Возьми тёплое "
     "пальто, потому что ветер на палубе холоднее, чем кажется из гавани."},
    {"arabic", 49, 0.25,
     "تغادر العبارة في السادسة والربع، لذلك من الأفضل أن نحزم الحقائب هذه الليلة. خذ معك معطفا دافئا لأن "
     "الريح على السطح أبرد مما تبدو من الميناء."},
    {"hebrew", 45, 0.25,
     "המעבורת יוצאת בשש ורבע, ולכן כדאי לארוז כבר הערב. קח מעיל חם, כי הרוח על הסיפון קרה יותר ממה שנראה "
     "מהנמל."},
    {"hindi", 54, 0.25,
     "नौका सवा छह बजे निकलती है, इसलिए अच्छा होगा कि हम आज रात ही सामान बाँध लें। एक गरम कोट ले आना, "
     "क्योंकि डेक पर हवा बंदरगाह से जितनी लगती है उससे अधिक ठंडी है।"},
    {"thai", 60, 0.25,
     "เรือข้ามฟากออกเวลาหกโมงสิบห้านาที ดังนั้นเราควรเก็บกระเป๋าคืนนี้ เอาเสื้อโค้ตอุ่"
     "น ๆ ไปด้วย เพราะลมบนดาดฟ้าหนาวกว่าที่เห็นจากท่าเรือ"},
    {"chinese", 53, 0.1,
     "渡轮六点一刻出发，所以我们最好今晚就收拾行李。带一件暖和的外套，因为甲板上的风比从港口看起来要冷，再带一本书，可"
     "以在路上的四个小时里看。"},
    {"japanese", 56, 0.1,
     "フェリーは六時十五分に出るので、今夜のうちに荷造りをしておいたほうがいいです。甲板の風は港から見るより冷たいので"
     "、暖かいコートを持ってきてください。"},
    {"korean", 55, 0.25,
     "여객선이 여섯 시 십오 분에 떠나니 오늘 밤에 짐을 싸 두는 게 좋겠습니다. 갑판의 바람은 항구에서 보기보다 차가우니 "
     "따뜻한 외투를 챙기세요."},
    {"georgian", 55, 0.4,
     "ბორანი შვიდის თხუთმეტ წუთზე გადის, ამიტომ ჯობია ბარგი ამაღამ ჩავალაგოთ. თბილი პალტო წამოიღე, რადგან "
     "გემბანზე ქარი უფრო ცივია."},
    {"code", 53, 0.06,
     "template <class T>\nstd::optional<T> take_first(std::deque<T>& from) {\n  if (from.empty())\n    "
     "return std::nullopt;\n  auto x = std::move(from.front());\n  from.pop_front();\n  return x;\n}\n"},
    {"json", 66, 0.06,
     "{\"id\":\"ord_48213\",\"customer\":{\"name\":\"Ada "
     "Krause\",\"city\":\"Kiel\"},\"items\":[{\"sku\":\"KT-204\",\"count\":2,\"price\":18.95},{\"sku\":\"LM-11\","
     "\"count\":1,\"price\":4.5}],\"paid\":true,\"note\":null}"},
    {"url", 43, 0.06,
     "https://www.example.com/shop/kettles/kt-204?color=blue&ref=newsletter-2026-11&ut"
     "m_source=mail https://api.example.org/v2/orders/48213/items"},
    {"base64", 79, 0.06,
     "8J+MiiBUaGUgZmVycnkgbGVhdmVzIGF0IGEgcXVhcnRlciBwYXN0IHNpeCwgc28gd2UgaGFkIGJldHRl"
     "ciBwYWNrIHRvbmlnaHQuIEJyaW5nIGEgd2FybSBjb2F0Lg=="},
    {"hex", 78, 0.06,
     "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08e3b0c44298fc1c14"
     "9afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
    {"numbers", 52, 0.06, "12.5,48,1903,0.75\n13.1,52,1917,0.81\n11.9,47,1888,0.69\n12.2,50,2001,0.74\n"},
    {"emoji", 27, 0.2, "⛴️ 06:15 🧥🌬️📚 👍👍 🇩🇰 👩‍💻"},
  };
  for (auto& row : table) {
    auto tokens = raw(row.text);
    CAPTURE(row.name, tokens, row.o200k);
    CHECK(std::abs(static_cast<double>(tokens) / static_cast<double>(row.o200k) - 1) < row.most);
  }
}

TEST_CASE("a long text costs what its parts cost", "[limits][tokens]") {
  for (std::string_view part : {"The ferry leaves at six, so we had better pack. ", "渡轮六点一刻出发，我们收拾行李。",
                                "🧥🌬️📚", "{\"a\":[1,2,3]},", "наутро", "9f86d081", "==== "}) {
    auto one = static_cast<double>(raw(repeated(part, 100)) - raw(repeated(part, 50))) / 50;
    for (std::size_t times : {1, 2, 5, 6, 7, 13, 20, 41, 83, 500, 5000}) {
      auto tokens = static_cast<double>(raw(repeated(part, times)));
      auto expected = one * static_cast<double>(times);
      CAPTURE(part, times, tokens, expected);
      CHECK(std::abs(tokens - expected) < 5 + 0.02 * expected); // 5: the text's ends, and three cuts in mid-word
    }
  }
}

TEST_CASE("any bytes have a price", "[limits][tokens]") {
  CHECK(raw("") == 0);
  for (int c = 0; c < 256; ++c) {
    CAPTURE(c);
    auto text = std::string(1, static_cast<char>(c));
    CHECK(raw(text) >= 1);
    CHECK(raw(text) <= 4);
    CHECK(raw("a" + text) <= 5);
  }
  CHECK(raw(std::string(1000, '\x80')) > 500);
  CHECK(raw(repeated("\xFF\xFE", 500)) > 500);
  std::mt19937_64 random{7};
  for (int round = 0; round < 200; ++round) {
    INFO("round " << round);
    std::string text(random() % 2000 + 1, '\0');
    for (auto& c : text)
      c = static_cast<char>(random());
    auto tokens = raw(text);
    CHECK(tokens > text.size() / 4);
    CHECK(tokens < text.size() * 3 / 2 + 4);
  }
  std::string_view whole = "Grüße 世界 🌍 мир";
  for (std::size_t cut = 0; cut < whole.size(); ++cut) // in the middle of characters, too
    CHECK(raw(whole.substr(0, cut)) <= raw(whole) + 1);
}

TEST_CASE("each part of a request counts", "[limits][tokens]") {
  auto bare = with([](auto&) {});
  CHECK(bare == 9); // 1 for "Hi", rounded up with its ends, 4 for the message, 3 for the reply
  CHECK(token_estimator::raw(chat_request{}) == 3);
  CHECK(with([](auto& x) { x.messages.push_back(text_message(role::assistant, "")); }) == bare + 4);
  CHECK(with([](auto& x) { x.messages[0].name = "ada"; }) > bare);
  CHECK(with([](auto& x) {
          x.messages[0].content.push_back(image_part{"https://a/b.png", "", "", "low"});
        })
        == bare + 85);
  for (auto* detail : {"", "auto", "high"}) {
    auto x = hello();
    x.messages[0].content.push_back(image_part{"", "image/png", std::string(100'000, 'A'), detail});
    CHECK(token_estimator::raw(x) == bare + 1105);
  }
  constexpr auto schema = R"({"type":"object","properties":{"city":{"type":"string"}},"required":["city"]})";
  CHECK(with([](auto& x) {
          x.tools = {{"get_weather", "Looks up the weather", schema, false}};
        })
        > bare + 7 + 12 + raw(schema));
  CHECK(with([](auto& x) {
          x.response_format = {response_kind::json_schema, "answer", schema, true};
        })
        > bare + 10 + raw(schema));
  CHECK(with([](auto& x) { x.response_format = {response_kind::text, "answer", schema, true}; }) == bare);
  CHECK(with([](auto& x) {
          x.messages[0].content.push_back(tool_call{"call_1", "get_weather", schema});
        })
        > bare + 6 + raw(schema));
  CHECK(with([](auto& x) {
          x.messages[0].content.push_back(tool_result{"call_1", schema});
        })
        > bare + 4 + raw(schema) - 2);
  CHECK(with([](auto& x) { x.messages[0].content.push_back(reasoning_part{"Let me think about it.", ""}); }) == bare);
  CHECK(with([](auto& x) {
          x.messages[0].content.push_back(reasoning_part{"Let me think about it.", "c2ln"});
        })
        > bare + 4);
  CHECK(with([](auto& x) { x.extra = R"({"user":"ada"})"; }) == bare);
}

// -- learning ------------------------------------------------------------------------------

TEST_CASE("an unknown model gets a cautious estimate", "[limits][tokens]") {
  token_estimator x;
  CHECK(x.estimate("m", 1000) == 1500);
  CHECK(x.likely("m", 1000) == 1000);
  CHECK(x.estimate("m", 0) == 1);
  CHECK(x.likely("m", 0) == 1);
  CHECK(x.errors("m").answers == 0);
  CHECK(x.models() == 0);
  constexpr auto most = std::numeric_limits<uint64_t>::max();
  CHECK(x.estimate("m", most) > 8'000'000'000'000'000'000u);
}

TEST_CASE("a steady ratio is learned exactly, and each model's apart", "[limits][tokens]") {
  token_estimator x;
  for (int i = 0; i < 300; ++i) {
    x.train("dear", 500, 700);
    x.train("cheap", 500, 450);
  }
  CHECK(x.likely("dear", 500) == 700);
  CHECK(x.estimate("dear", 500) == 700);
  CHECK(x.likely("cheap", 500) == 450);
  CHECK(x.estimate("cheap", 500) == 450);
  CHECK(x.estimate("other", 500) == 750);
}

TEST_CASE("it learns fast at first and follows a change", "[limits][tokens]") {
  token_estimator x;
  for (int i = 0; i < 10; ++i)
    x.train("m", 500, 750);
  CHECK(x.likely("m", 500) > 690);
  for (int i = 0; i < 60; ++i)
    x.train("m", 500, 500);
  CHECK(x.likely("m", 500) < 510);
}

TEST_CASE("what a provider adds unseen is learned for short and long prompts alike", "[limits][tokens]") {
  token_estimator x;
  for (uint64_t size : {30, 100, 500, 2000, 10'000, 50'000})
    for (int i = 0; i < 400; ++i)
      x.train("m", size, size + 300);
  CHECK(x.estimate("m", 30) == 330);
  CHECK(x.estimate("m", 500) == 800);
  CHECK(x.estimate("m", 50'000) == 50'300);
}

TEST_CASE("a size that was not seen borrows from the nearest, of two the larger ratio", "[limits][tokens]") {
  token_estimator x;
  for (int i = 0; i < 300; ++i) {
    x.train("m", 100, 200);   // 64 to 255
    x.train("m", 2000, 2400); // 1,024 to 4,095
  }
  CHECK(x.likely("m", 10) == 20);
  CHECK(x.likely("m", 63) == 126);
  CHECK(x.likely("m", 64) == 128);
  CHECK(x.likely("m", 255) == 510);
  CHECK(x.likely("m", 256) == 512);
  CHECK(x.likely("m", 1023) == 2046);
  CHECK(x.likely("m", 1024) == 1229);
  CHECK(x.likely("m", 4095) == 4914);
  CHECK(x.likely("m", 100'000) == 120'000);
  for (int i = 0; i < 300; ++i) {
    x.train("n", 100, 120);
    x.train("n", 2000, 4000);
  }
  CHECK(x.likely("n", 500) == 1000);
  x.train("m", 100'000, 120'000); // what is borrowed is the start for what is learned
  CHECK(x.likely("m", 100'000) == 120'000);
  CHECK(x.estimate("m", 100'000) > 130'000);
}

TEST_CASE("the sum of a minute's estimates does not fall below the real sum", "[limits][tokens]") {
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    INFO("seed " << seed);
    std::mt19937_64 random{seed};
    std::lognormal_distribution<double> size{5.5, 1.3};
    std::lognormal_distribution<double> noise{0, 0.25};
    token_estimator x;
    double ratio = 0.7 + 0.02 * static_cast<double>(seed); // up to what the cautious start covers
    std::deque<std::pair<uint64_t, uint64_t>> in_flight;   // answers come 20 requests later
    double estimates = 0, reals = 0;
    for (int minute = 0; minute < 30; ++minute) {
      double estimated = 0, real_sum = 0;
      for (int i = 0; i < 120; ++i) {
        auto tokens = static_cast<uint64_t>(size(random)) + 1;
        auto real = static_cast<uint64_t>(std::ceil(static_cast<double>(tokens) * ratio * noise(random)));
        estimated += static_cast<double>(x.estimate("m", tokens));
        real_sum += static_cast<double>(real);
        in_flight.emplace_back(tokens, real);
        if (in_flight.size() > 20) {
          x.train("m", in_flight.front().first, in_flight.front().second);
          in_flight.pop_front();
        }
      }
      INFO("minute " << minute);
      CHECK(estimated >= real_sum);
      estimates += estimated;
      reals += real_sum;
    }
    CHECK(estimates < 1.6 * reals); // safe, but no waste
    CHECK(std::abs(x.errors("m").mean_error) < 0.2);
  }
}

TEST_CASE("absurd usage does not poison a model", "[limits][tokens]") {
  constexpr auto most = std::numeric_limits<uint64_t>::max();
  token_estimator x;
  x.train("m", 500, 0);
  x.train("m", 0, 500);
  CHECK(x.models() == 0);
  for (int i = 0; i < 100; ++i)
    x.train("m", 500, 500);
  x.train("m", 500, most);
  CHECK(x.likely("m", 500) <= 594);   // 3/16 more
  CHECK(x.estimate("m", 500) <= 782); // and twice that for the deviation
  for (int i = 0; i < 60; ++i)
    x.train("m", 500, 500);
  CHECK(x.estimate("m", 500) < 525);
  auto before = static_cast<double>(x.likely("m", 500));
  x.train("m", 500, 1);
  CHECK(static_cast<double>(x.likely("m", 500)) > before * 61 / 64 - 1); // 3/64 less
  CHECK(x.estimate("m", 500) > 500);
  x.train("fresh", 500, most);
  CHECK(x.estimate("fresh", 500) <= 1750); // never more than twice the mean
  for (int i = 0; i < 1000; ++i) {
    x.train("high", 1, most);
    x.train("low", most, 1);
  }
  CHECK(x.likely("high", 1) == 64);
  CHECK(x.likely("low", 1600) == 100);
}

TEST_CASE("the estimate is at most twice what is likely", "[limits][tokens]") {
  token_estimator x;
  for (int i = 0; i < 200; ++i)
    x.train("m", 100, i % 2 == 0 ? 20 : 900);
  CHECK(x.estimate("m", 100) <= 2 * x.likely("m", 100));
  CHECK(x.estimate("m", 100) + 2 >= 2 * x.likely("m", 100));
}

TEST_CASE("errors are judged before they are learned from", "[limits][tokens]") {
  token_estimator x;
  x.train("m", 100, 80); // likely 100, estimate 150
  auto first = x.errors("m");
  CHECK(first.answers == 1);
  CHECK(first.mean_error == Catch::Approx(0.25));
  CHECK(first.underestimated == 0);
  x.train("m", 100, 1000); // mean ratio now 0.95
  auto second = x.errors("m");
  CHECK(second.answers == 2);
  CHECK(second.mean_error == Catch::Approx((0.25 - 0.905) / 2));
  CHECK(second.mean_absolute_error == Catch::Approx((0.25 + 0.905) / 2));
  CHECK(second.underestimated == 0.5);
}

TEST_CASE("training over the example prompts leaves few of them underestimated", "[limits][tokens]") {
  token_estimator x;
  auto prompts = example_prompts();
  for (auto& p : prompts)
    x.train("m", p.raw, p.real);
  auto report = x.errors("m");
  CHECK(report.mean_absolute_error < 0.09);
  CHECK(std::abs(report.mean_error) < 0.045);
  CHECK(report.underestimated == 0);
  double estimated = 0, real = 0;
  for (auto& p : prompts) {
    estimated += static_cast<double>(x.estimate("m", p.raw));
    real += static_cast<double>(p.real);
  }
  CHECK(estimated / real > 1.1);
  CHECK(estimated / real < 1.25);
}

TEST_CASE("of too many models the one trained least recently is forgotten", "[limits][tokens]") {
  token_estimator x;
  auto name = [](std::size_t i) { return "model-" + std::to_string(i); };
  for (std::size_t i = 0; i < token_estimator::max_models; ++i)
    x.train(name(i), 100, 200);
  CHECK(x.models() == token_estimator::max_models);
  x.train(name(0), 100, 200);
  x.train_output(name(1), 100);
  x.train("new", 100, 200);
  CHECK(x.models() == token_estimator::max_models);
  CHECK(x.likely("new", 100) > 100);
  CHECK(x.likely(name(0), 100) > 100);
  CHECK(x.likely(name(1), 100) > 100);
  CHECK(x.likely(name(2), 100) == 100);
  CHECK(x.likely(name(3), 100) > 100);
}

// -- the length of answers -------------------------------------------------------------------

TEST_CASE("before enough answers were seen their length is taken to be long", "[limits][tokens]") {
  token_estimator x;
  CHECK(x.expected_output("m", {}) == 1024);
  CHECK(x.expected_output("m", 100) == 100);
  CHECK(x.expected_output("m", 0) == 0);
  CHECK(x.expected_output("m", 5000) == 1024);
  for (int i = 0; i < 18; ++i)
    x.train_output("m", 10);
  CHECK(x.expected_output("m", {}) == 1024);
  x.train_output("m", 3000);
  CHECK(x.expected_output("m", {}) == 3000);
  x.train_output("m", 10); // the twentieth
  CHECK(x.expected_output("m", {}) == 10);
}

TEST_CASE("the expected length is the 95th percentile of the last 256 answers", "[limits][tokens]") {
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    INFO("seed " << seed);
    std::mt19937_64 random{seed};
    token_estimator x;
    std::deque<uint64_t> last;
    for (int i = 0; i < 1000; ++i) {
      auto length = random() % (i < 500 ? 50 : 5000); // many alike at first
      x.train_output("m", length);
      last.push_back(length);
      if (last.size() > 256)
        last.pop_front();
      if (last.size() < 20)
        continue;
      auto sorted = last;
      std::sort(sorted.begin(), sorted.end());
      auto rank = static_cast<std::size_t>(std::ceil(0.95 * static_cast<double>(sorted.size())));
      REQUIRE(x.expected_output("m", {}) == sorted[rank - 1]);
    }
  }
}

} // namespace modelforge::token_estimator_test
