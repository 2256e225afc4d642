// Runs a fuzz target where libFuzzer is not at hand:
//
//   PROGRAM FOLDER                              runs every seed in the folder once
//   PROGRAM FOLDER RUNS [SEED [LONGEST [NEW]]]  then mutates them that many times, up to LONGEST bytes (1024)
//
// Where the target is compiled with -fsanitize-coverage=trace-pc, inputs that reach something new join the seeds, and
// are written to the folder NEW. An input that ends the program is written to the file "finding".

#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <string_view>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size);
extern "C" void __sanitizer_set_death_callback(void (*)()) __attribute__((weak));

namespace {

constexpr std::size_t edges = 1 << 16;
std::array<uint8_t, edges> hits;  ///< Of the present input, by edge.
std::array<uint8_t, edges> known; ///< What all inputs so far have reached: a bit for each order of magnitude.
uintptr_t last_place = 0;
std::string input;

void keep_input(const char* path) {
  if (auto* file = std::fopen(path, "wb")) {
    std::fwrite(input.data(), 1, input.size(), file);
    std::fclose(file);
  }
}

void keep_finding() {
  keep_input("finding");
}

void end(int signal) {
  keep_finding();
  std::fprintf(stderr, "signal %d; the input is in the file \"finding\"\n", signal);
  std::_Exit(1);
}

/// Runs `input`. Returns whether it reached something new.
bool run() {
  hits.fill(0);
  last_place = 0;
  std::vector<uint8_t> alone(input.begin(), input.end()); // reading beyond it is noticed
  LLVMFuzzerTestOneInput(alone.data(), alone.size());
  bool is_new = false;
  for (std::size_t i = 0; i < edges; i += 8) {
    uint64_t any;
    std::copy_n(&hits[i], 8, reinterpret_cast<uint8_t*>(&any));
    for (auto j = i; any != 0 && j < i + 8; ++j) {
      auto bit = hits[j] == 0 ? 0 : hits[j] == 1 ? 1 : hits[j] == 2 ? 2 : hits[j] < 8 ? 4 : hits[j] < 64 ? 8 : 16;
      is_new = is_new || (bit & ~known[j]) != 0;
      known[j] |= static_cast<uint8_t>(bit);
    }
  }
  return is_new;
}

constexpr std::string_view words[] = {"data: ",
                                      "data:",
                                      "\n\n",
                                      "\r\n",
                                      "\r",
                                      "event: error\n",
                                      "[DONE]",
                                      ": c\n",
                                      "id: 1\n",
                                      "\xEF\xBB\xBF",
                                      "{\"choices\":[",
                                      "{\"index\":0,\"delta\":{\"content\":\"a\"}}",
                                      "{\"delta\":{}}",
                                      "\"finish_reason\":\"stop\"",
                                      "]}",
                                      "\"tool_calls\":[",
                                      "{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":\"{\"}}",
                                      "\"error\":{\"message\":\"x\",\"code\":429}",
                                      "\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}",
                                      "\"message\":",
                                      "null",
                                      "true",
                                      "\"\"",
                                      "\\u00e9",
                                      "\\ud83c",
                                      "\\\"",
                                      "1e999",
                                      "-0",
                                      "18446744073709551615",
                                      "\"reasoning\":\"r\"",
                                      "\"content\":[{\"type\":\"thinking\",\"thinking\":",
                                      "{}",
                                      "[]",
                                      ",",
                                      ":",
                                      "\"",
                                      "\xC3\xBC",
                                      "\xFF",
                                      "x_groq",
                                      "\"custom\":{\"input\":\"x\"}",
                                      "\"arguments\":{}",
                                      "{\"candidates\":[{\"content\":{\"parts\":[",
                                      "{\"text\":\"a\",\"thought\":true}",
                                      "{\"functionCall\":{\"name\":\"f\",\"args\":{}}}",
                                      "\"finishReason\":\"STOP\"",
                                      "{\"promptFeedback\":{\"blockReason\":\"OTHER\"}}",
                                      "{\"message\":{\"content\":\"a\"},\"done\":true}",
                                      "[[[[",
                                      "]]]]"};

void mutate(std::string& x, const std::vector<std::string>& all, std::mt19937_64& random, std::size_t longest) {
  auto below = [&](std::size_t n) { return n == 0 ? 0 : static_cast<std::size_t>(random() % n); };
  for (auto n = 1 + below(4); n > 0; --n) {
    auto at = below(x.size() + 1);
    auto& other = all[below(all.size())];
    switch (below(8)) {
      case 0:
        if (at < x.size())
          x[at] = static_cast<char>(random());
        break;
      case 1:
        if (at < x.size())
          x[at] = static_cast<char>(x[at] ^ (1 << below(8)));
        break;
      case 2:
        x.insert(at, 1, static_cast<char>(random()));
        break;
      case 3:
        x.erase(at, 1 + below(below(2) ? 4 : x.size()));
        break;
      case 4:
        x.insert(at, x.substr(below(x.size()), 1 + below(32)));
        break;
      case 5:
        x.replace(at, std::min(x.size() - at, below(64)), other, below(other.size()), below(64));
        break;
      default:
        x.insert(at, words[below(std::size(words))]);
    }
  }
  if (x.size() > longest)
    x.resize(longest);
}

std::vector<std::string> read_seeds(const char* folder) {
  std::vector<std::string> result;
  for (auto& entry : std::filesystem::directory_iterator{folder}) {
    std::ifstream file{entry.path(), std::ios::binary};
    result.emplace_back(std::istreambuf_iterator<char>{file}, std::istreambuf_iterator<char>{});
  }
  return result;
}

} // namespace

/// What the compiler calls on each edge.
extern "C" void __sanitizer_cov_trace_pc() {
  auto place = reinterpret_cast<uintptr_t>(__builtin_return_address(0));
  auto& count = hits[(place ^ (last_place << 1)) % edges];
  count = static_cast<uint8_t>(count + (count < 255));
  last_place = place;
}

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: %s FOLDER [RUNS [SEED [LONGEST [NEW]]]]\n", argv[0]);
    return 2;
  }
  auto number = [&](int i, uint64_t otherwise) { return argc > i ? std::strtoull(argv[i], nullptr, 10) : otherwise; };
  for (auto signal : {SIGABRT, SIGSEGV, SIGILL, SIGALRM})
    std::signal(signal, end);
  if (__sanitizer_set_death_callback != nullptr)
    __sanitizer_set_death_callback(keep_finding);
  auto all = read_seeds(argv[1]);
  if (all.empty()) {
    std::fprintf(stderr, "no seeds in %s\n", argv[1]);
    return 2;
  }
  for (auto& seed : all) {
    alarm(10); // for a single input, an eternity
    input = seed;
    run();
  }
  auto runs = number(2, 0);
  std::mt19937_64 random{number(3, 1)};
  auto longest = static_cast<std::size_t>(number(4, 1024));
  auto start = std::chrono::steady_clock::now();
  for (uint64_t i = 0; i < runs; ++i) {
    if (i % 1000 == 0)
      alarm(10);
    input = all[random() % all.size()];
    mutate(input, all, random, longest);
    if (run()) {
      all.push_back(input);
      if (argc > 5)
        keep_input((std::string{argv[5]} + "/" + argv[3] + "-" + std::to_string(i)).c_str());
    }
  }
  std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  auto reached = edges - static_cast<std::size_t>(std::count(known.begin(), known.end(), 0));
  std::printf("%llu runs in %.0f s, %zu inputs, %zu edges, no finding\n", static_cast<unsigned long long>(runs),
              took.count(), all.size(), reached);
}
