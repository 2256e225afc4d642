/// A host program that is a guest of a node, for the soak test: soak-guest CONFIGURATION
///
/// It takes a line for each request on standard input, with tabs between: ID, "chat" or "stream", provider,
/// "interactive" or "batch", prompt. It prints a line for each answer: ID, "ok" or the error's code, the text or the
/// error's message (backslashes, tabs and line breaks escaped). At the end of its input it waits for what runs, prints
/// "end", and exits.

#include <modelforge/actors/runtime.hpp>
#include <modelforge/config/load.hpp>

#include <array>
#include <cstdio>
#include <iostream>
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace {

using namespace modelforge;

/// Prints answers, from any thread.
class printer {
public:
  void put(const std::string& id, const std::string& outcome, const std::string& text) {
    auto line = id + '\t' + outcome + '\t' + escaped(text) + '\n';
    std::lock_guard lock{mutex_};
    std::fwrite(line.data(), 1, line.size(), stdout);
    std::fflush(stdout);
  }

  void put(const std::string& id, const failure& why) { put(id, std::string{to_string(why.code)}, to_string(why)); }

private:
  static std::string escaped(const std::string& text) {
    std::string result;
    for (char c : text)
      result += c == '\\'   ? std::string{"\\\\"}
                : c == '\t' ? std::string{"\\t"}
                : c == '\n' ? std::string{"\\n"}
                            : std::string{c};
    return result;
  }

  std::mutex mutex_;
};

struct order {
  std::string id, what, provider, rank, prompt;
};

/// The five parts of a line; what is missing is empty.
order parted(const std::string& line) {
  std::array<std::string, 5> parts;
  std::size_t begin = 0;
  for (std::size_t i = 0; i < parts.size() && begin <= line.size(); ++i) {
    auto end = i + 1 < parts.size() ? line.find('\t', begin) : line.npos;
    parts[i] = line.substr(begin, end - begin);
    begin = end == line.npos ? line.size() + 1 : end + 1;
  }
  return {parts[0], parts[1], parts[2], parts[3], parts[4]};
}

chat_request request_of(const order& x) {
  chat_request result;
  result.priority = x.rank == "batch" ? priority::batch : priority::interactive;
  result.messages.push_back(text_message(role::user, x.prompt));
  return result;
}

/// The streams that run. `start` and `wait_for_all` are for one thread.
class streams {
public:
  streams(runtime& ai, printer& out) : ai_(ai), out_(out) {}

  void start(const order& x) {
    forget_ended();
    auto text = std::make_shared<std::string>();
    stream_options options;
    options.timeout = {};
    options.on_text = [text](const std::string& more) { *text += more; };
    options.on_end = [this, text, id = x.id](const stream_outcome& outcome) {
      if (auto* failed = std::get_if<stream_failed>(&outcome))
        out_.put(id, failed->why);
      else
        out_.put(id, "ok", *text);
      std::lock_guard lock{mutex_};
      ended_.push_back(id);
    };
    running_.emplace(x.id, ai_.stream(request_of(x), std::move(options), x.provider));
  }

  void wait_for_all() {
    for (auto& [id, stream] : running_)
      stream.wait();
    running_.clear();
  }

private:
  void forget_ended() {
    std::vector<std::string> ended;
    {
      std::lock_guard lock{mutex_};
      ended.swap(ended_);
    }
    for (auto& id : ended)
      running_.erase(id);
  }

  runtime& ai_;
  printer& out_;
  std::map<std::string, text_stream> running_;
  std::mutex mutex_;
  std::vector<std::string> ended_;
};

} // namespace

int main(int argc, char** argv) {
  auto loaded = modelforge::load_file(argc == 2 ? argv[1] : "");
  if (!loaded.value) {
    std::fputs("usage: soak-guest CONFIGURATION\n", stderr);
    for (auto& problem : loaded.diagnostics)
      std::fprintf(stderr, "%s\n", to_string(problem).c_str());
    return 2;
  }
  printer out;
  {
    modelforge::runtime ai{*loaded.value};
    streams open{ai, out};
    for (std::string line; std::getline(std::cin, line);) {
      auto x = parted(line);
      if (x.what == "stream")
        open.start(x);
      else
        ai.chat(
          request_of(x),
          [&out, id = x.id](const modelforge::expected<modelforge::completion>& answer) {
            answer ? out.put(id, "ok", answer->text) : out.put(id, answer.error());
          },
          x.provider);
    }
    open.wait_for_all();
  } // waits for what runs, within the grace period
  std::puts("end");
  return 0;
}
