// Runs modelforge against aimock, an independent simulator of the providers' wire formats, in every language that both speak.
// Usage: node aimock.mjs PATH/TO/modelforge     (npm install first)
// Prints one line per check; ends with 1 if one failed.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LLMock } from '@copilotkit/aimock';
import { run } from './checks.mjs';

const program = process.argv[2];
if (!program) {
  console.error('usage: node aimock.mjs MODELFORGE');
  process.exit(2);
}

const folder = mkdtempSync(join(tmpdir(), 'modelforge-aimock-'));
const mock = new LLMock({ port: 0 });
mock.onMessage('greet', { content: 'Grüß Gott! 你好 👋' });
mock.onMessage(/item \d+/, { content: 'done' });
mock.onMessage('too fast', { error: { message: 'Slow down, please', type: 'rate_limit_error' }, status: 429 });
mock.onMessage('wrong key', { error: { message: 'Bad key', type: 'invalid_request_error', code: 'invalid_api_key' }, status: 401 });
mock.onMessage('broken', { error: { message: 'Oops', type: 'server_error' }, status: 500 });
mock.onMessage('weather', { toolCalls: [{ name: 'get_weather', arguments: '{"city":"Oslo"}' }] });
await mock.start();

mock.onEmbedding('a river', { embedding: [0.5, -0.5, 0.25] });

/// Where each dialect finds it.
const dialects = {
  openai: { base: `${mock.url}/v1`, model: 'gpt-4o-mini' },
  responses: { kind: 'openai', base: `${mock.url}/v1`, model: 'gpt-4o-mini', more: 'api = "responses"' },
  azure: { base: mock.url, model: 'gpt-4o-mini', more: 'api_version = "2024-10-21"' },
  openai_compatible: { base: `${mock.url}/v1`, model: 'any' },
  anthropic: { base: mock.url, model: 'claude-sonnet-4-5' },
  gemini: { base: `${mock.url}/v1beta`, model: 'gemini-2.5-flash' },
  ollama: { base: mock.url, model: 'llama3.1' },
};
writeFileSync(join(folder, 'modelforge.toml'), Object.entries(dialects).map(([name, { kind, base, model, more }]) => `
[providers.${name}]
kind = "${kind ?? name}"
base_url = "${base}"
api_key_env = "MOCK_KEY"
default_model = "${model}"
${more ?? ''}
`).join(''));
const environment = { PATH: process.env.PATH, HOME: folder, MOCK_KEY: 'mock' };

function modelforge(...args) {
  return new Promise((resolve) => {
    const child = spawn(program, args, { cwd: folder, env: environment, timeout: 30_000 });
    const result = { out: '', err: '' };
    child.stdout.on('data', (x) => (result.out += x));
    child.stderr.on('data', (x) => (result.err += x));
    child.stdin.end();
    child.on('close', (code) => resolve({ ...result, code }));
  });
}

/// What holds for every dialect; `ask` takes arguments of the command chat.
const common = (ask) => ({
  'a chat answer arrives as it was sent, streamed and whole': async () => {
    for (const more of [[], ['--no-stream']]) {
      const x = await ask(...more, 'please greet me');
      assert.equal(x.code, 0, x.err);
      assert.equal(x.out, 'Grüß Gott! 你好 👋\n');
    }
  },
  'a tool call is shown with its arguments': async () => {
    const x = await ask('--json', '--no-stream', 'weather?');
    assert.equal(x.code, 0, x.err);
    const choice = JSON.parse(x.out).choices[0];
    assert.equal(choice.finish_reason, 'tool_calls');
    assert.equal(choice.message.tool_calls[0].function.name, 'get_weather');
    assert.deepEqual(JSON.parse(choice.message.tool_calls[0].function.arguments), { city: 'Oslo' });
  },
  'errors keep their status, class and words': async () => {
    for (const [prompt, status, code, words] of [
      ['too fast', 429, 'rate_limited', 'Slow down, please'],
      ['wrong key', 401, 'authentication', 'Bad key'],
      ['broken', 500, 'server_error', 'Oops'],
    ]) {
      const x = await ask(prompt);
      assert.equal(x.code, 1, x.err);
      for (const part of [code, `HTTP ${status}`, words]) assert.ok(x.err.includes(part), `${part} in ${x.err}`);
    }
  },
});

const checks = {
  'openai: texts are embedded': async () => {
    const x = await modelforge('embed', '-p', 'openai', '-m', 'text-embedding-3-small', 'a river');
    assert.equal(x.code, 0, x.err);
    assert.deepEqual(JSON.parse(x.out).embedding, [0.5, -0.5, 0.25]);
  },
  'openai: a batch of 500 gives every item its line, in order': async () => {
    const prompts = Array.from({ length: 500 }, (_, i) => JSON.stringify({ id: `q${i}`, prompt: `item ${i}` }));
    prompts[250] = JSON.stringify({ id: 'q250', prompt: 'broken' });
    writeFileSync(join(folder, 'in.jsonl'), prompts.join('\n'));
    const x = await modelforge('batch', '-p', 'openai', '--max-concurrent', '32', 'in.jsonl', '-o', 'out.jsonl');
    assert.equal(x.code, 1, x.err);
    const lines = readFileSync(join(folder, 'out.jsonl'), 'utf8').trimEnd().split('\n').map((y) => JSON.parse(y));
    assert.deepEqual(lines.map((y) => y.custom_id), prompts.map((_, i) => `q${i}`));
    for (const [i, y] of lines.entries())
      if (i !== 250) assert.equal(y.response.body.choices[0].message.content, 'done');
    assert.ok(JSON.stringify(lines[250]).includes('Oops'));
  },
};
for (const provider of Object.keys(dialects))
  for (const [name, check] of Object.entries(common((...args) => modelforge('chat', '-p', provider, ...args))))
    checks[`${provider}: ${name}`] = check;

const failed = await run(checks);
await mock.stop();
rmSync(folder, { recursive: true, force: true });
process.exit(failed);
