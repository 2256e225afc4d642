#include "wire/forms.hpp"
#include "wire/gemini/gemini.hpp"
#include "wire/provider_error.hpp"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace modelforge::wire::gemini {

namespace {

/// Thoughts come beside the candidates, the cached part of a prompt inside it.
told_usage read_usage(json::raw value) {
  json::raw input, tool_input, output, thoughts, cached;
  read_fields(value, {{"promptTokenCount", &input},
                      {"toolUsePromptTokenCount", &tool_input},
                      {"candidatesTokenCount", &output},
                      {"thoughtsTokenCount", &thoughts},
                      {"cachedContentTokenCount", &cached}});
  told_usage told{input, output, cached, {}, thoughts};
  told.input += tool_input;
  told.output += told.reasoning;
  return told;
}

constexpr object_answer::wording words{.no_answer = "JSON without any candidates",
                                       .usual_address = "it usually ends in /v1beta"};

/// Reads Gemini's answers. A chunk of a stream has the shape of a whole answer, and its parts are added to those
/// before. A finish reason is the only end mark; it is withdrawn where pieces still follow.
class answer : public object_answer {
public:
  explicit answer(const http::response_head& head) : object_answer(head, words) {}

private:
  bool read(std::string_view object, piece_sink& sink, std::string& problem) override {
    json::raw candidates, feedback, usage, error, id, model;
    json::reader in{object};
    in.fields({{"candidates", &candidates},
               {"usageMetadata", &usage},
               {"modelVersion", &model},
               {"responseId", &id},
               {"promptFeedback", &feedback},
               {"error", &error}});
    if (!in.finish()) {
      problem = in.problem();
      return false;
    }
    if (read_error(error, object))
      return true;
    note(id_, id);
    note(model_, model);
    read_feedback(feedback);
    read_candidates(candidates, sink);
    note_usage(read_usage(usage));
    seen_.sign = seen_.sign || usage.is_object() || candidates.is_array() || feedback.is_object();
    return true;
  }

  /// A prompt that was blocked has no candidates.
  void read_feedback(json::raw value) {
    json::raw reason, explanation;
    read_fields(value, {{"blockReason", &reason}, {"blockReasonMessage", &explanation}});
    if (!note_reason(reason))
      return;
    seen_.blocked = seen_.end_mark = seen_.answer = true;
    warn("the provider blocked the prompt: " + reason_);
    note_explanation(explanation);
  }

  /// An answer, or what a chunk adds to it.
  struct candidate {
    json::raw index, content, reason, explanation, logprobs;

    int64_t place() const { return place_in(index).value_or(0); }
  };

  static bool take_candidate(json::reader& in, candidate& found) {
    return in.fields({{"content", &found.content},
                      {"finishReason", &found.reason},
                      {"index", &found.index},
                      {"finishMessage", &found.explanation},
                      {"logprobsResult", &found.logprobs}});
  }

  /// Of several candidates the one is read that has the lowest number when they begin. Others come only if `extra` asks
  /// for them.
  void read_candidates(json::raw list, piece_sink& sink) {
    std::optional<candidate> first;
    auto has_others = false;
    for_each_in(list, [&](json::reader& in) {
      candidate found;
      if (!take_candidate(in, found))
        return;
      auto is_other = candidate_ ? found.place() != *candidate_ : first && found.place() >= first->place();
      has_others = has_others || is_other || first;
      if (!is_other)
        first = found;
    });
    if (seen_.end)
      return;
    if (first && !candidate_)
      candidate_ = first->place();
    if (has_others)
      for_each_in(list, [this](json::reader& in) {
        if (candidate found; take_candidate(in, found) && found.place() != candidate_)
          read_beside(found);
      });
    if (first)
      read_candidate(*first, sink);
  }

  void read_beside(const candidate& found) {
    auto* side = beside(found.place(), [&] {
      auto made = std::make_unique<answer>(head());
      made->id_ = id_ + "_" + std::to_string(found.place());
      return made;
    });
    if (side != nullptr)
      static_cast<answer&>(*side->reading).read_candidate(found, side->said);
  }

  void read_candidate(const candidate& found, piece_sink& sink) {
    seen_.answer = true;
    auto before = progress_.pieces;
    read_content(found.content, sink);
    read_logprobs(found.logprobs);
    if (note_reason(found.reason)) {
      say_rest(sink);
      seen_.end_mark = true;
    } else if (progress_.pieces > before) { // what was taken for the end was none
      seen_.end_mark = false;
    }
    note_explanation(found.explanation);
  }

  /// Chosen tokens and the likeliest ones stand in two lists of one length here; they are put as OpenAI has them.
  void read_logprobs(json::raw value) {
    json::raw chosen, top;
    if (!read_fields(value, {{"chosenCandidates", &chosen}, {"topCandidates", &top}}))
      return;
    std::vector<json::raw> likeliest;
    json::reader lists{top};
    lists.elements([&] {
      json::raw list;
      lists.fields({{"candidates", &list}});
      likeliest.push_back(list);
    });
    std::string text;
    json::writer out{text};
    out.open('[');
    std::size_t place = 0;
    json::reader tokens{chosen};
    tokens.elements([&] {
      out.open('{');
      write_token(tokens, out);
      out.key("top_logprobs");
      out.open('[');
      json::reader in{place < likeliest.size() ? likeliest[place] : json::raw{}};
      in.elements([&] {
        out.open('{');
        write_token(in, out);
        out.close('}');
      });
      out.close(']');
      out.close('}');
      ++place;
    });
    out.close(']');
    add_logprobs({text});
  }

  static void write_token(json::reader& in, json::writer& out) {
    json::raw token, number;
    in.fields({{"token", &token}, {"logProbability", &number}});
    out.key("token");
    out.raw(token.is_string() ? token.text : "null");
    out.key("logprob");
    out.raw(number.text.empty() ? "null" : number.text);
  }

  /// Parts, one part, or nothing but a text.
  void read_content(json::raw value, piece_sink& sink) {
    say(&piece_sink::text, value, sink);
    json::reader in{value};
    in.members([&](std::string_view name) {
      if (name != "parts" || in.elements([&] { read_part(in, sink); }))
        return;
      auto parts = in.value();
      say(&piece_sink::text, parts, sink);
      if (json::reader part{parts}; parts.is_object())
        read_part(part, sink);
    });
  }

  /// Reads a part: text, thought or call, with or without a seal. A seal without a text ends the
  /// thought before it.
  void read_part(json::reader& in, piece_sink& sink) {
    json::raw text, thought, call, signature;
    std::string other;
    in.members([&](std::string_view name) {
      if (name == "text")
        text = in.value();
      else if (name == "thought")
        thought = in.value();
      else if (name == "functionCall" || name == "function_call")
        call = in.value();
      else if (name == "thoughtSignature" || name == "thought_signature")
        signature = in.value();
      else if (name != "partMetadata")
        other = name;
    });
    if (seen_.end)
      return;
    say(thought.text == "true" ? &piece_sink::reasoning : &piece_sink::text, text, sink);
    if (call.is_object())
      return read_call(call, signature, sink);
    say_seal("gemini", signature, sink);
    if (text.text.empty() && !other.empty())
      warn("the answer held a part that was left out: " + clean_words(other, 100));
  }

  /// Calls come whole, also in streams. They may have no id.
  void read_call(json::raw value, json::raw signature, piece_sink& sink) {
    json::raw id, name, args;
    read_fields(value, {{"id", &id}, {"name", &name}, {"args", &args}});
    say_call(id, name, args, sealed("gemini", signature), id_, sink);
  }

  std::optional<int64_t> candidate_; ///< The one that is read.
};

} // namespace

std::unique_ptr<object_answer> make_answer(const http::response_head& head) {
  return std::make_unique<answer>(head);
}

} // namespace modelforge::wire::gemini
