#include <modelforge/actors/text_stream.hpp>

#include "batch/output_check.hpp"
#include "batch/output_file.hpp"

#include <optional>
#include <string>
#include <utility>
#include <variant>

namespace modelforge {

// Texts go into the file as they come, except where only the end shows what may be written: JSON that goes down a pipe
// is held. An end decides the file's name: a good answer takes its place, half of one stays beside what was there.
std::variant<completion, failure> stream_to_file(caf::actor_system& system, const provider_actor& provider,
                                                 chat_request request, const std::string& path,
                                                 stream_options options) {
  if (auto unfit = batch::refuse_foreign_file(path))
    return std::move(*unfit);
  auto opened = batch::output_file::open(path, ".partial");
  if (auto* problem = std::get_if<failure>(&opened))
    return std::move(*problem);
  auto& file = std::get<batch::output_file>(opened);
  // JSON is judged at its end; what went down a pipe by then could not be taken back.
  auto is_held = !file.is_part() && request.response_format.kind != response_kind::text;
  std::string held;
  options.on_text = nullptr;
  auto stream = stream_text(system, provider, std::move(request), std::move(options));
  std::size_t written = 0;
  auto fail = [&](failure why) {
    if (written == 0 && file.is_part()) { // what says nothing need not lie around
      file.discard();
      return why;
    }
    file.finish(false);
    if (file.is_part())
      why.message += "; the text so far is in " + file.place();
    return why;
  };
  for (auto& text : stream) {
    written += text.size();
    if (is_held) {
      held += text;
      continue;
    }
    if (auto problem = file.write(text)) {
      stream.cancel();
      stream.wait();
      return fail(std::move(*problem));
    }
  }
  auto& outcome = stream.wait();
  if (auto* bad = std::get_if<stream_failed>(&outcome))
    return fail(bad->why);
  auto& judged = std::get<stream_done>(outcome).result.text; // of JSON, whose pieces may have had a fence around them
  std::optional<failure> problem;
  if (is_held)
    problem = file.write(judged.empty() ? held : judged);
  else if (!judged.empty() && judged.size() != written)
    problem = file.rewrite(judged);
  if (problem)
    return fail(std::move(*problem));
  auto answer = std::get<stream_done>(outcome).result;
  auto replaces = answer.flaw == answer_flaw::none || !file.replaces_something(); // by no half of an answer
  if (!replaces && written == 0) {
    file.discard();
    answer.warnings.push_back(path + " is left as it was");
    return answer;
  }
  problem = file.finish(replaces);
  if (problem) {
    problem->message += "; the text is in " + file.place();
    return std::move(*problem);
  }
  if (!replaces)
    answer.warnings.push_back(path + " is left as it was; the text is in " + file.place());
  return answer;
}

} // namespace modelforge
