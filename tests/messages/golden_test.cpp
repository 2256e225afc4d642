#include "tests/messages/samples.hpp"
#include "tests/support/places.hpp"

#include <catch2/catch_test_macros.hpp>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <vector>

namespace modelforge::golden_test {

/// The layout of messages between nodes, against bytes that were written when this `wire_version` was made.
///
/// A test that fails here means that nodes of this build and of the last one would misread each other. Then raise
/// `wire_version` in messages/node_hello.hpp and write files for the new version, once:
///
///   MODELFORGE_WRITE_GOLDEN=1 build/release/tests/messages-tests "[golden]"
///
/// This writes tests/data/wire/v<wire_version>/ if it does not exist; files of a version that exists never change.

using namespace modelforge::test;

namespace {

const std::filesystem::path folder = source_path("tests/data/wire/v" + std::to_string(wire_version));

/// Bytes as text, 32 a line.
std::string to_hex(const caf::byte_buffer& bytes) {
  static constexpr char digits[] = "0123456789abcdef";
  std::string text;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    auto x = static_cast<uint8_t>(bytes[i]);
    text += digits[x >> 4];
    text += digits[x & 15];
    if (i % 32 == 31 || i + 1 == bytes.size())
      text += '\n';
  }
  return text;
}

/// Every type id's distance from the first one, and its name.
std::string type_list() {
  std::string text;
  auto add = [&](caf::type_id_t begin, caf::type_id_t end) {
    for (auto id = begin; id < end; ++id)
      text += std::to_string(id - first_type_id) + " " + name_of_type(id) + "\n";
  };
  add(caf::id_block::modelforge::begin, caf::id_block::modelforge::end);
  add(caf::id_block::modelforge_handles::begin, caf::id_block::modelforge_handles::end);
  return text;
}

std::vector<std::pair<std::string, std::string>> golden_files() {
  std::vector<std::pair<std::string, std::string>> files{{"types.txt", type_list()}};
  for_each_sample(
    [&](const std::string& name, const auto& x) { files.emplace_back(name + ".hex", to_hex(to_bytes(x))); });
  return files;
}

/// The file's text; empty where there is none.
std::string read(const std::filesystem::path& path) {
  std::ostringstream text;
  text << std::ifstream{path}.rdbuf();
  return text.str();
}

} // namespace

TEST_CASE("messages have the layout of their wire version", "[messages][golden]") {
  auto files = golden_files();
  if (std::getenv("MODELFORGE_WRITE_GOLDEN") != nullptr && std::filesystem::create_directories(folder))
    for (auto& [name, text] : files)
      std::ofstream{folder / name} << text;
  for (auto& [name, text] : files) {
    auto golden = read(folder / name);
    if (golden.empty())
      FAIL_CHECK("there is no " << (folder / name).string() << ": raise wire_version and write new golden files");
    else if (golden != text)
      FAIL_CHECK("the layout of " << name << " changed: raise wire_version and write new golden files\nwas:\n"
                                  << golden << "is:\n"
                                  << text);
  }
}

TEST_CASE("the hello between nodes keeps its layout for ever", "[messages][golden]") {
  // Not a file of a version: peers of all versions must read it.
  CHECK(to_hex(to_bytes(node_hello{7, "0.1.0", "modelforge", "a"}))
        == "0000000705302e312e300a6d6f64656c666f7267650161\n");
}

} // namespace modelforge::golden_test
