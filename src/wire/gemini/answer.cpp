#include "wire/forms.hpp"
#include "wire/gemini/argument_pieces.hpp"
#include "wire/gemini/gemini.hpp"
#include "wire/provider_error.hpp"
#include "wire/words.hpp"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace modelforge::wire::gemini {

namespace {

/// Returns the word for a finish reason that is a number, as some print protocol buffers. The first ones are the same
/// in all of Google's APIs; of the others nobody knows what they mean.
json::raw named(json::raw reason) {
  constexpr std::string_view names[] = {R"("STOP")", R"("MAX_TOKENS")", R"("SAFETY")", R"("RECITATION")", R"("OTHER")"};
  auto number = place_in(reason).value_or(0);
  return number > 0 && number <= static_cast<int64_t>(std::size(names)) ? json::raw{names[number - 1]} : reason;
}

struct counts {
  json::raw input, tool_input, output, thoughts, cached;
};

constexpr auto count_members = make_names<json::raw counts::*>({
  {"promptTokenCount", &counts::input},
  {"prompt_token_count", &counts::input},
  {"prompt_tokens", &counts::input}, // gateways
  {"toolUsePromptTokenCount", &counts::tool_input},
  {"tool_use_prompt_token_count", &counts::tool_input},
  {"candidatesTokenCount", &counts::output},
  {"candidates_token_count", &counts::output},
  {"completion_tokens", &counts::output},
  {"thoughtsTokenCount", &counts::thoughts},
  {"thoughts_token_count", &counts::thoughts},
  {"cachedContentTokenCount", &counts::cached},
  {"cached_content_token_count", &counts::cached},
});

/// Thoughts come beside the candidates, the cached part of a prompt inside it. Names may be those of protocol buffers.
told_usage read_usage(json::raw value) {
  counts all;
  json::reader in{value};
  in.fields(count_members, all);
  told_usage told{all.input, all.output, all.cached, {}, all.thoughts};
  told.input += all.tool_input;
  told.output += told.reasoning;
  return told;
}

constexpr object_answer::wording words{.no_answer = "JSON without any candidates",
                                       .usual_address = "it usually ends in /v1beta"};

/// What an object says, as views of its text.
struct chunk {
  json::raw candidates, feedback, usage, other_usage, error, id, model, reason, response;
};

constexpr auto chunk_members = make_names<json::raw chunk::*>({
  {"candidates", &chunk::candidates},
  {"usageMetadata", &chunk::usage},
  {"usage_metadata", &chunk::usage},
  {"usage", &chunk::other_usage}, // gateways, and all other APIs
  {"modelVersion", &chunk::model},
  {"model_version", &chunk::model},
  {"responseId", &chunk::id},
  {"response_id", &chunk::id},
  {"promptFeedback", &chunk::feedback},
  {"prompt_feedback", &chunk::feedback},
  {"finishReason", &chunk::reason},
  {"finish_reason", &chunk::reason},
  {"error", &chunk::error},
  {"response", &chunk::response},
});

/// An answer, or what a chunk adds to it.
struct candidate {
  json::raw index, content, reason, explanation, logprobs, error, usage;
  std::vector<json::raw> beside{}; ///< Calls that stand beside the content.
  int64_t place = 0;               ///< Which of several it is.
};

constexpr auto candidate_members = make_names<json::raw candidate::*>({
  {"content", &candidate::content},
  {"index", &candidate::index},
  {"finishReason", &candidate::reason},
  {"finish_reason", &candidate::reason},
  {"finishMessage", &candidate::explanation},
  {"finish_message", &candidate::explanation},
  {"logprobsResult", &candidate::logprobs},
  {"error", &candidate::error},
  {"usageMetadata", &candidate::usage},
  {"usage_metadata", &candidate::usage},
});

/// Reads Gemini's answers. A chunk of a stream has the shape of a whole answer, and its parts are added to those
/// before. A finish reason is the only end mark; it is withdrawn where pieces still follow. Names may be those of
/// protocol buffers, with "_" between their words.
class answer : public object_answer {
public:
  explicit answer(const http::response_head& head) : object_answer(head, words) {}

private:
  bool read(std::string_view object, piece_sink& sink, std::string& problem) override {
    chunk all;
    error_marks marks;
    std::vector<json::raw> beside;
    json::reader in{object};
    in.fields(chunk_members, all, [&](std::string_view name) {
      if (!take_calls(name, in, beside))
        marks.take(name, in);
    });
    if (!in.finish()) {
      problem = in.problem();
      return false;
    }
    if (all.candidates.text.empty() && all.error.text.empty() && all.response.is_object()) // Code Assist's
      return read(all.response.text, sink, problem);
    if (read_error(all.error, object) || (all.candidates.text.size() > 2 && read_error_beside(marks, object)))
      return true;
    note(id_, all.id);
    note(model_, all.model);
    read_feedback(all.feedback);
    auto had_calls = calls_.size();
    tells_end_ = false;
    read_candidates(all.candidates, sink);
    say_calls_beside(beside, had_calls, sink);
    seen_.end_mark = seen_.end_mark && (tells_end_ || calls_.size() == had_calls);
    note_end(all.reason, sink);
    note_bad_reason(marks.status);
    note_usage(read_usage(all.usage.is_object() ? all.usage : all.other_usage));
    seen_.sign = seen_.sign || all.usage.is_object() || all.candidates.is_array() || all.feedback.is_object();
    return true;
  }

  /// A prompt that was blocked has no candidates.
  void read_feedback(json::raw value) {
    json::raw reason, explanation;
    read_fields(value, {{"blockReason", &reason},
                        {"blockReasonMessage", &explanation},
                        {"block_reason", &reason},
                        {"block_reason_message", &explanation}});
    auto is_unset = reason.text == R"("BLOCK_REASON_UNSPECIFIED")"; // how protocol buffers say nothing
    if (is_unset || !note_reason(reason))
      return;
    seen_.blocked = seen_.end_mark = seen_.answer = true;
    warn("the provider blocked the prompt: " + reason_);
    note_explanation(explanation);
  }

  static bool take_candidate(json::reader& in, candidate& found) {
    return in.fields(candidate_members, found, [&](std::string_view name) { take_calls(name, in, found.beside); });
  }

  /// Takes the member that comes, if its name is one for calls; they are not usual beside contents and candidates.
  static bool take_calls(std::string_view name, json::reader& in, std::vector<json::raw>& to) {
    if (!names_calls(name))
      return false;
    if (auto list = in.value(); list.is_object() || list.is_array())
      to.push_back(list);
    return true;
  }

  /// Told again, they must be the same.
  void say_calls_beside(const std::vector<json::raw>& lists, std::size_t had_calls, piece_sink& sink) {
    for (auto& list : lists) {
      auto has_own = calls_.size() > had_calls;
      read_calls(list, [&](const call_part& part) { has_own ? expect_call(part) : say_call(part, {}, id_, sink); });
      seen_.answer = seen_.answer || calls_.size() > had_calls;
    }
  }

  /// Of several candidates the one is read that has the lowest number when they begin. Others come only if `extra` asks
  /// for them. Where they have the number of the first one, or none, they count by their position.
  void read_candidates(json::raw list, piece_sink& sink) {
    std::optional<candidate> first;
    std::vector<candidate> others;
    for_each_in(list, [&](json::reader& in) {
      candidate found;
      if (!take_candidate(in, found))
        return;
      found.place = place_in(found.index).value_or(0);
      if (!first) {
        first = found;
        return;
      }
      if (found.place == first->place)
        found.place += static_cast<int64_t>(others.size()) + 1;
      others.push_back(found);
    });
    if (!first || seen_.end)
      return;
    if (!candidate_) {
      candidate_ = first->place;
      for (auto& each : others)
        candidate_ = std::min(*candidate_, each.place);
    }
    read_candidate_at(*first, sink);
    for (auto& each : others)
      read_candidate_at(each, sink);
  }

  void read_candidate_at(const candidate& found, piece_sink& sink) {
    if (found.place == candidate_)
      read_candidate(found, sink);
    else
      read_beside(found);
  }

  void read_beside(const candidate& found) {
    auto* side = beside(found.place, [&] {
      auto made = std::make_unique<answer>(head());
      made->id_ = id_ + "_" + std::to_string(found.place);
      return made;
    });
    if (side != nullptr)
      static_cast<answer&>(*side->reading).read_candidate(found, side->said);
  }

  void read_candidate(const candidate& found, piece_sink& sink) {
    seen_.answer = true;
    if (tells_error(found.error)) {
      read_error(found.error, R"({"error":)" + std::string{found.error.text} + "}");
      return;
    }
    note_usage(read_usage(found.usage));
    auto before = progress_.pieces;
    auto had_calls = calls_.size();
    if (read_content(found.content, sink))
      say_calls_elsewhere(found.content, {}, calls_.size() > had_calls, id_, sink);
    say_calls_beside(found.beside, had_calls, sink);
    read_logprobs(found.logprobs);
    if (progress_.pieces > before || calls_.size() > had_calls) // what was taken for the end was none
      seen_.end_mark = false;
    note_end(found.reason, sink);
    note_explanation(found.explanation);
  }

  void note_end(json::raw reason, piece_sink& sink) {
    if (!note_reason(named(reason)))
      return;
    say_rest(sink);
    seen_.end_mark = tells_end_ = true;
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

  /// Parts, one part, or nothing but a text. Returns whether there may be calls beside the parts.
  bool read_content(json::raw value, piece_sink& sink) {
    say(&piece_sink::text, value, sink);
    if (!value.is_object() && !value.is_string())
      miss(value);
    auto has_calls = false;
    json::reader in{value};
    in.members([&](std::string_view name) {
      has_calls = has_calls || names_calls(name);
      if (name != "parts" || in.elements([&] { read_part(in, sink); }))
        return;
      auto parts = in.value();
      say(&piece_sink::text, parts, sink);
      if (json::reader part{parts}; parts.is_object())
        read_part(part, sink);
    });
    return has_calls;
  }

  /// Reads a part: text, thought or call, with or without a seal. A seal without a text ends the
  /// thought before it.
  void read_part(json::reader& in, piece_sink& sink) {
    json::raw text, thought, call, signature, type;
    call_part flat; // as other dialects have it
    std::string other;
    auto is_part = in.members([&](std::string_view name) {
      if (name == "text")
        text = in.value();
      else if (name == "thought")
        thought = in.value();
      else if (name == "functionCall" || name == "function_call" || name == "functionCalls" || name == "function_calls")
        call = in.value();
      else if (name == "thoughtSignature" || name == "thought_signature")
        signature = in.value();
      else if (name == "type")
        type = in.value();
      else if (name != "partMetadata" && !take_member_of_call(name, in, flat))
        other = name;
    });
    if (!is_part)
      text = in.value();
    if (seen_.end)
      return;
    auto kind = thought.text == "true" ? &piece_sink::reasoning : &piece_sink::text;
    if (text.is_string())
      say(kind, text, sink);
    else if (!text.text.empty())
      say(kind, std::string_view{text_of(text)}, sink);
    if (call.text == "{}") // the end of one whose arguments came in pieces
      return read_call({}, signature, sink);
    if (!call.text.empty() && call.text != "null")
      return read_calls(call, [&](call_part part) {
        part.id = part.id.text.empty() ? flat.id : part.id;
        read_call(part, signature, sink);
      });
    if (flat.is_wrapped || is_call_type(type.between_quotes()))
      return read_call(flat, signature, sink);
    say_seal("gemini", signature, sink);
    if (text.text.empty())
      leave_out(other);
  }

  // -- calls -------------------------------------------------------------------------

  /// A call whose arguments come in pieces.
  struct open_call {
    std::size_t call; ///< Its place.
    std::string id, name;
    argument_pieces arguments{};
  };

  /// Calls come whole, also in streams, unless the request asks for their arguments in pieces. They may have no id.
  void read_call(const call_part& part, json::raw signature, piece_sink& sink) {
    if (seen_.end)
      return;
    auto goes_on = part.goes_on.text == "true";
    auto has_pieces = part.pieces.is_array() || part.pieces.is_object();
    if (open_.empty() && !goes_on && !has_pieces)
      return say_call(part, sealed("gemini", signature), id_, sink);
    auto* open = find_open(part);
    if (open == nullptr && (has_pieces || goes_on) && !part.name.has_text())
      return fail_calls("a part of a tool call that may belong to several calls, or to none");
    if (open == nullptr && !goes_on && !has_pieces)
      return say_call(part, sealed("gemini", signature), id_, sink);
    if (open == nullptr)
      open = begin_open(part, signature);
    say_arguments(open->call, part, sink);
    if (auto problem = open->arguments.add(part.pieces); !problem.empty())
      return fail_calls("arguments of a tool call that cannot be put together (" + clean_words(problem, 200) + ")");
    if (!goes_on)
      close(*open, open->arguments.text(), sink);
  }

  /// The call that the part goes on with: the one with its id, or with its name, or else the only one. Null: none.
  open_call* find_open(const call_part& part) {
    std::string scratch, id{id_in(part.own_id(), scratch)}, name{name_in(part.name, scratch)};
    auto may_be = [&](auto& open) {
      return (id.empty() || open.id.empty() || id == open.id) && (name.empty() || name == open.name);
    };
    auto found = std::find_if(open_.begin(), open_.end(), may_be);
    auto is_only = found != open_.end() && std::find_if(found + 1, open_.end(), may_be) == open_.end();
    return is_only ? &*found : nullptr;
  }

  open_call* begin_open(const call_part& part, json::raw signature) {
    auto call = calls_.begin(part, scratch_);
    calls_.set_signature(call, sealed("gemini", signature));
    return &open_.emplace_back(open_call{call, calls_[call].call.id, calls_[call].call.name});
  }

  void close(open_call& open, const std::string& text, piece_sink& sink) {
    if (!open.arguments.is_empty())
      say_arguments(open.call, json::raw{text}, sink);
    end_call(open.call, sink);
    open_.erase(open_.begin() + (&open - open_.data()));
  }

  /// What is still open was cut: its arguments stay without their end, so that nobody takes them for whole.
  void conclude(bool) override {
    piece_collector ignored;
    while (!open_.empty()) {
      auto text = open_.front().arguments.text();
      text.pop_back();
      say_arguments(open_.front().call, json::raw{text}, ignored);
      open_.erase(open_.begin());
    }
  }

  std::optional<int64_t> candidate_; ///< The one that is read.
  bool tells_end_ = false;           ///< The object that is read did.
  std::vector<open_call> open_;
};

} // namespace

std::unique_ptr<object_answer> make_answer(const http::response_head& head) {
  return std::make_unique<answer>(head);
}

} // namespace modelforge::wire::gemini
