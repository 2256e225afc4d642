/// A small application: summarises every .txt file of a folder, many at once, and writes one line of JSON for each into
/// a results file, in the order of the names. A file that fails is a line that says why; the others go on.
///
///   example-summarize_folder FOLDER RESULTS [modelforge.toml]
///
/// Without arguments it makes a folder to try itself on; without a configuration it runs without a key: a simulated
/// provider is started inside this program.

#include <modelforge/actors/runtime.hpp>
#include <modelforge/config/load.hpp>

#include "tools/simulator/simulator.hpp"

#include <algorithm>
#include <cstdio>
#include <deque>
#include <exception>
#include <filesystem>
#include <fstream>
#include <future>
#include <iterator>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

using namespace modelforge;

namespace {

using answer = std::future<expected<completion>>;

/// So many files are read ahead: the provider's actor keeps its own limits, this keeps our memory.
constexpr std::size_t window = 32;

/// A JSON string, quotes included.
std::string quoted(const std::string& text) {
  std::string result = "\"";
  for (auto c : text) {
    if (c == '"' || c == '\\')
      (result += '\\') += c;
    else if (static_cast<unsigned char>(c) < 0x20) {
      char code[8];
      std::snprintf(code, sizeof code, "\\u%04x", static_cast<unsigned>(c));
      result += code;
    } else
      result += c;
  }
  return result + '"';
}

std::vector<std::filesystem::path> texts_in(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> result;
  for (auto& entry : std::filesystem::directory_iterator{folder})
    if (entry.is_regular_file() && entry.path().extension() == ".txt")
      result.push_back(entry.path());
  std::sort(result.begin(), result.end());
  return result;
}

answer ask(runtime& ai, const std::filesystem::path& file) {
  std::ifstream in{file, std::ios::binary};
  std::string text{std::istreambuf_iterator<char>{in}, {}};
  if (!in.is_open() || in.bad()) {
    std::promise<expected<completion>> unread;
    unread.set_value(make_failure(errc::io_failed, "cannot read " + file.string()));
    return unread.get_future();
  }
  chat_request x;
  x.messages.push_back(text_message(role::system, "Summarize the text in one sentence."));
  x.messages.push_back(text_message(role::user, std::move(text)));
  x.priority = priority::batch; // lets those go first who wait before a screen
  return ai.chat_async(std::move(x));
}

/// Returns whether there is a summary.
bool write(std::ostream& to, const std::filesystem::path& file, const expected<completion>& x) {
  to << "{\"file\":" << quoted(file.filename().string());
  if (x)
    to << ",\"summary\":" << quoted(x->text) << "}\n";
  else
    to << ",\"error\":" << quoted(to_string(x.error())) << "}\n";
  return static_cast<bool>(x);
}

/// Returns how many files have no summary.
std::size_t summarize(runtime& ai, const std::vector<std::filesystem::path>& files, std::ostream& to) {
  std::deque<answer> asked; // the oldest one first
  std::size_t failed = 0;
  for (std::size_t next = 0, written = 0; written < files.size(); ++written) {
    while (next < files.size() && asked.size() < window)
      asked.push_back(ask(ai, files[next++]));
    failed += write(to, files[written], asked.front().get()) ? 0 : 1;
    asked.pop_front();
  }
  return failed;
}

settings simulated(const simulator::server& at) {
  settings x;
  auto& demo = x.providers.emplace_back();
  demo.name = "demo";
  demo.kind = provider_kind::openai_compatible;
  demo.base_url = at.url() + "/v1";
  demo.default_model = "simulated-mini";
  return x;
}

std::filesystem::path folder_to_try() {
  auto folder =
    std::filesystem::temp_directory_path() / ("modelforge-summaries-" + std::to_string(std::random_device{}()));
  std::filesystem::create_directories(folder);
  for (auto* topic : {"rivers", "mountains", "bridges", "quoted \"names\""})
    for (auto i = 1; i <= 10; ++i)
      std::ofstream{folder / (std::string{topic} + std::to_string(i) + ".txt")} << "A short text about " << topic
                                                                                << ", number " << i << ".\n";
  return folder;
}

int run(int argc, char** argv) {
  if (argc == 2 || argc > 4) {
    std::fprintf(stderr, "usage: %s [FOLDER RESULTS [modelforge.toml]]\n", argv[0]);
    return 2;
  }
  std::unique_ptr<simulator::server> server;
  settings settings;
  if (argc > 3) {
    auto loaded = load_file(argv[3]);
    for (auto& each : loaded.diagnostics)
      std::fprintf(stderr, "%s\n", to_string(each).c_str());
    if (!loaded.value)
      return 1;
    settings = std::move(*loaded.value);
  } else {
    server = std::make_unique<simulator::server>(simulator::options{});
    settings = simulated(*server);
  }
  auto trial = argc < 3;
  auto folder = trial ? folder_to_try() : std::filesystem::path{argv[1]};
  auto results = trial ? folder / "results.jsonl" : std::filesystem::path{argv[2]};

  auto files = texts_in(folder);
  std::ofstream to{results, std::ios::trunc};
  if (!to) {
    std::fprintf(stderr, "cannot write %s\n", results.c_str());
    return 1;
  }
  runtime ai{settings};
  auto failed = summarize(ai, files, to);
  to.close();
  std::printf("%zu files, %zu without a summary: %s\n", files.size(), failed, results.c_str());
  auto good = to.good() && failed == 0;
  if (trial)
    std::filesystem::remove_all(folder);
  return good ? 0 : 1;
}

} // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& x) { // a folder that is not there, settings that are wrong
    std::fprintf(stderr, "%s\n", x.what());
    return 1;
  }
}
