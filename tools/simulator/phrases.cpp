#include "tools/simulator/phrases.hpp"

#include "tools/simulator/text.hpp"

#include <algorithm>
#include <string>

// Each language has its sentences and the short words by which it is known. A new one needs a block of phrases here
// and, if its script or words tell it apart, a line in `phrases_for`.

namespace modelforge::simulator {

namespace {

constexpr phrases english = {
  " ",
  "this",
  {"You asked about {}, so here is a short answer.", "Here is what matters about {} and {}."},
  {"In most cases {} depends on the details around it.", "Start with {} and check the result before you go on.",
   "People often mix up {} and {}, yet they serve different ends.", "A small example makes {} easier to follow.",
   "If time is short, look at {} first.", "There is rarely one right way to treat {}."},
  {"Ask again if {} needs more detail.", "That should be enough to work with {}."},
  " a about an and are as at be by can could do does explain for from give have how i if in is it make me my of on or "
  "please should say tell that the there these this those to was what when where which who why will with work works "
  "would write "
  "you your "};

constexpr phrases german = {
  " ",
  "das Thema",
  {"Es geht um {}, hier ist eine kurze Antwort.", "Das Wichtigste zu {} und {} in wenigen Sätzen."},
  {"Meistens hängt {} von den Einzelheiten ab.", "Am besten beginnt man mit {} und prüft dann das Ergebnis.",
   "Oft werden {} und {} verwechselt, obwohl sie verschiedenen Zwecken dienen.",
   "Ein kleines Beispiel macht {} leichter verständlich.", "Wenn die Zeit knapp ist, kommt {} zuerst.",
   "Für {} gibt es selten nur einen richtigen Weg."},
  {"Frag gern nach, wenn {} mehr Einzelheiten braucht.", "Das sollte für {} fürs Erste genügen."},
  " aber als auf aus bei bitte das dem den der des die ein eine einen er es für hat ich im ist kann man mein mit nicht "
  "oder sie sind über und uns unterschied von wann warum was wie wo wer wird zu zum zur zwischen "};

constexpr phrases french = {
  " ",
  "ce sujet",
  {"La question porte sur {}, voici une réponse courte.", "Voici l'essentiel sur {} et {}."},
  {"Le plus souvent, {} dépend des détails.", "On commence par {} et on vérifie le résultat avant de continuer.",
   "On confond souvent {} et {}, qui servent pourtant des buts différents.", "Un petit exemple rend {} plus clair.",
   "Si le temps manque, il faut d'abord regarder {}.", "Il y a rarement une seule bonne façon de traiter {}."},
  {"N'hésitez pas à demander plus de détails sur {}.", "Cela devrait suffire pour travailler avec {}."},
  " au aux avec ce ces comment dans de des du elle en est et faire fait il ils je la le les leur ma mais mon nous où "
  "ou par pas "
  "plus "
  "pour pourquoi que quel quelle quelles quels qui sont sur un une vous "};

constexpr phrases spanish = {
  " ",
  "este tema",
  {"La pregunta trata de {}, aquí va una respuesta breve.", "Esto es lo más importante sobre {} y {}."},
  {"Casi siempre {} depende de los detalles.", "Conviene empezar por {} y revisar el resultado antes de seguir.",
   "A menudo se confunden {} y {}, aunque sirven para cosas distintas.", "Un ejemplo pequeño aclara {} mejor.",
   "Si hay poco tiempo, primero hay que mirar {}.", "Rara vez hay una sola manera correcta de tratar {}."},
  {"Pregunta de nuevo si {} necesita más detalle.", "Con esto debería bastar para trabajar con {}."},
  " al como con cómo cuál cuándo de del donde dónde el ella en es esta este hace hacer la las lo los más mi para pero "
  "por porque "
  "qué "
  "que quién se ser si sin son su sus un una uno y yo "};

constexpr phrases russian = {
  " ",
  "эта тема",
  {"Вы спросили про {}, вот короткий ответ.", "Вот главное о том, что такое {} и {}."},
  {"Чаще всего {} зависит от подробностей.", "Начните с того, что такое {}, и проверьте результат.",
   "Слова {} и {} часто путают, хотя смысл у них разный.", "Небольшой пример помогает понять {}.",
   "Если времени мало, сначала смотрите на {}.", "Редко бывает только один верный подход к теме {}."},
  {"Спросите ещё раз, если о {} нужно больше подробностей.", "Этого должно хватить, чтобы понять {}."},
  " а без был в вы где для его если и из или к как какой когда кто мне мы на не но о об от по почему при с так то ты "
  "у что это я "};

constexpr phrases arabic = {" ",
                            "هذا الموضوع",
                            {"سألت عن {} وهذه إجابة قصيرة.", "إليك أهم ما يقال عن {} و {}."},
                            {"في أغلب الأحيان يعتمد {} على التفاصيل.", "ابدأ من {} ثم تحقق من النتيجة.",
                             "كثيرا ما يخلط الناس بين {} و {} مع أن الغرض مختلف.", "مثال صغير يجعل {} أوضح.",
                             "إذا كان الوقت قصيرا فانظر أولا إلى {}.",
                             "نادرا ما توجد طريقة واحدة صحيحة للتعامل مع {}."},
                            {"اسأل مرة أخرى إذا احتاج {} إلى تفصيل.", "هذا يكفي للبدء مع {}."},
                            " أو أن إلى الذي التي عن على في كان كيف لا لماذا ما متى من هذا هذه هل هو هي و "};

constexpr phrases chinese = {"",
                             "这个问题",
                             {"关于{}，可以这样简单回答。", "说到{}和{}，最重要的有以下几点。"},
                             {"多数情况下，{}取决于具体细节。", "可以先从{}开始，然后检查结果。",
                              "{}和{}常被混淆，但用途并不相同。", "举一个小例子，{}就更容易理解。",
                              "如果时间不多，请先看{}。", "处理{}很少只有一种正确的方法。"},
                             {"如果{}还需要更多细节，请继续提问。", "了解这些，应付{}就足够了。"},
                             ""};

constexpr phrases japanese = {
  "",
  "この件",
  {"{}についてのご質問に、手短にお答えします。", "{}と{}について、大切な点をまとめます。"},
  {"多くの場合、{}は細かな条件によって変わります。", "まず{}から始めて、結果を確かめてください。",
   "{}と{}はよく混同されますが、目的が違います。", "小さな例を見ると、{}が分かりやすくなります。",
   "時間がなければ、先に{}を見てください。", "{}の正しい扱い方が一つだけということはまれです。"},
  {"{}について詳しく知りたいときは、もう一度聞いてください。", "{}については、これで十分でしょう。"},
  ""};

constexpr phrases korean = {" ",
                            "이 주제",
                            {"{}에 대한 질문에 짧게 답하겠습니다.", "{}, {}에 대해 중요한 점은 다음과 같습니다."},
                            {"대부분의 경우 {}의 결과는 세부 사항에 달려 있습니다.",
                             "먼저 {}부터 시작하고 결과를 확인하세요.", "{}, {}는 자주 혼동되지만 목적이 다릅니다.",
                             "작은 예를 보면 {}를 이해하기 쉽습니다.", "시간이 없다면 {}부터 보세요.",
                             "{}를 다루는 올바른 방법이 하나뿐인 경우는 드뭅니다."},
                            {"{}에 대해 더 알고 싶으면 다시 물어보세요.", "{}에는 이 정도면 충분합니다."},
                            ""};

/// The languages that put spaces between words; the first four are those of the Latin script.
constexpr std::array spaced = {&english, &german, &french, &spanish, &russian, &arabic};

/// Returns whether `words`, with a space around each, has `word` as a whole word.
bool contains_word(std::string_view words, std::string_view word) {
  for (auto position = words.find(word); position != words.npos; position = words.find(word, position + 1))
    if (position > 0 && words[position - 1] == ' ' && position + word.size() < words.size()
        && words[position + word.size()] == ' ')
      return true;
  return false;
}

/// Tells languages of the Latin script apart by their frequent short words; English wins a draw.
const phrases& latin_phrases(std::string_view text) {
  std::array<int, 4> hits{};
  std::string word;
  auto judge = [&] {
    for (std::size_t i = 0; i < hits.size() && !word.empty(); ++i)
      hits[i] += contains_word(spaced[i]->common, word);
    word.clear();
  };
  for (; !text.empty(); text.remove_prefix(decode(text).bytes)) {
    auto point = decode(text);
    if (!is_letter(script_of(point.value)))
      judge();
    else if (point.bytes == 1)
      word += static_cast<char>(point.value | 0x20);
    else
      word.append(text.substr(0, point.bytes));
  }
  judge();
  return *spaced[static_cast<std::size_t>(std::max_element(hits.begin(), hits.end()) - hits.begin())];
}

} // namespace

const phrases& phrases_for(std::string_view text) {
  std::array<std::size_t, 10> seen{};
  for (auto rest = text; !rest.empty(); rest.remove_prefix(decode(rest).bytes))
    ++seen[static_cast<std::size_t>(script_of(decode(rest).value))];
  auto count = [&](script kind) { return seen[static_cast<std::size_t>(kind)]; };
  auto wide = count(script::han) + count(script::kana) + count(script::hangul);
  auto max_count = std::max({count(script::latin), count(script::cyrillic), count(script::arabic), 2 * wide});
  if (wide > 0 && max_count == 2 * wide) // a wide character says more than a letter
    return count(script::hangul) > count(script::kana) ? korean : count(script::kana) > 0 ? japanese : chinese;
  if (max_count > 0 && max_count == count(script::cyrillic))
    return russian;
  if (max_count > 0 && max_count == count(script::arabic))
    return arabic;
  return latin_phrases(text);
}

bool is_common(std::string_view word) {
  return std::any_of(spaced.begin(), spaced.end(),
                     [&](auto language) { return contains_word(language->common, word); });
}

} // namespace modelforge::simulator
