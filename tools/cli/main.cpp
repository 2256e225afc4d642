#include "tools/cli/commands.hpp"
#include "tools/cli/output.hpp"

/// The program: its commands in the order of its help, and options that several of them have.

namespace modelforge::cli {

namespace {

constexpr auto examples = R"(Examples:
  modelforge chat --simulate "Why is the sky blue?"        try it without a key
  OPENAI_API_KEY=... modelforge chat -m gpt-4o-mini "Hi"   ask OpenAI
  modelforge chat                                          a conversation; --continue goes on with the last one
  modelforge config example > modelforge.toml              start a configuration
  modelforge config check                                  see what is wrong with it
  modelforge doctor                                        see what would stop it from working here
  modelforge batch prompts.jsonl -o answers.jsonl          answer a file of prompts
  modelforge node -c node.toml                             run providers for other programs
  modelforge simulate --listen 127.0.0.1:8080              a provider to test against

Without -c, settings come from the file in MODELFORGE_CONFIG, else ./modelforge.toml, else
~/.config/modelforge/modelforge.toml, else from keys in the environment (OPENAI_API_KEY, ANTHROPIC_API_KEY, ...).
A ./modelforge.toml that sends keys elsewhere than to their own providers has to be confirmed (config trust).
Exit codes: 0 all answered, 1 a request failed, 2 wrong arguments, files or configuration, 130 interrupted;
of chat, too: 3 an answer that is cut, empty or may not be whole, 4 one that is blocked or declined.)";

} // namespace

void add_config_file(command& command, std::string& path) {
  command.text("-c,--config", path, "Configuration file; default: MODELFORGE_CONFIG", "FILE");
  command.flag("--show-config", show_sources, "Say on standard error which files and variables are used");
}

void add_target(command& command, target_options& target, const char* default_model) {
  add_config_file(command, target.config);
  command.text("-p,--provider", target.provider, "Provider to ask; default: the first usable one", "NAME");
  if (default_model != nullptr)
    command.text("-m,--model", target.model, ("Model; default: the provider's " + std::string{default_model}).c_str(),
                 "NAME");
  command.flag("--simulate", target.simulate, "Answer from a simulated provider; needs no key and no configuration");
}

void add_timeout(command& command, std::optional<double>& timeout, const char* help) {
  command.number("--timeout", timeout, help, "SECONDS", 0.001, 1e6);
}

} // namespace modelforge::cli

int main(int argc, char** argv) {
  using namespace modelforge::cli;
  secure_standard_streams();
  command_line line{"ModelForge calls large-language-model providers: paced, retried, streamed and batched by actors.",
                    "modelforge", "modelforge " MODELFORGE_VERSION};
  line.footer(examples);
  add_chat(line);
  add_history(line);
  add_embed(line);
  add_batch(line);
  add_node(line);
  add_simulate(line);
  add_config(line);
  add_providers(line);
  add_doctor(line);
  add_state(line);
  add_generate(line);
  return line.run(argc, argv);
}
