// Runs modelforge against aimock, an independent simulator of the providers' wire formats.
// Usage: node aimock.mjs PATH/TO/modelforge     (npm install first)
// Prints one line per check; ends with 1 if one failed.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LLMock } from '@copilotkit/aimock';

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

const environment = { PATH: process.env.PATH, HOME: folder, OPENAI_API_KEY: 'mock', OPENAI_BASE_URL: `${mock.url}/v1` };

function run(...args) {
  return new Promise((resolve) => {
    const child = spawn(program, args, { cwd: folder, env: environment, timeout: 30_000 });
    const result = { out: '', err: '' };
    child.stdout.on('data', (x) => (result.out += x));
    child.stderr.on('data', (x) => (result.err += x));
    child.stdin.end();
    child.on('close', (code) => resolve({ ...result, code }));
  });
}

const checks = {
  'a chat answer arrives as it was sent': async () => {
    const x = await run('chat', '-m', 'gpt-4o-mini', 'please greet me');
    assert.equal(x.code, 0, x.err);
    assert.equal(x.out, 'Grüß Gott! 你好 👋\n');
  },
  'a tool call is shown with its arguments': async () => {
    const x = await run('chat', '-m', 'gpt-4o-mini', '--json', '--no-stream', 'weather?');
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
      const x = await run('chat', '-m', 'gpt-4o-mini', prompt);
      assert.equal(x.code, 1, x.err);
      for (const part of [code, `HTTP ${status}`, words]) assert.ok(x.err.includes(part), `${part} in ${x.err}`);
    }
  },
  'a batch of 500 gives every item its line, in order': async () => {
    const prompts = Array.from({ length: 500 }, (_, i) => JSON.stringify({ id: `q${i}`, prompt: `item ${i}` }));
    prompts[250] = JSON.stringify({ id: 'q250', prompt: 'broken' });
    writeFileSync(join(folder, 'in.jsonl'), prompts.join('\n'));
    const x = await run('batch', '-m', 'gpt-4o-mini', '--max-concurrent', '32', 'in.jsonl', '-o', 'out.jsonl');
    assert.equal(x.code, 1, x.err);
    const lines = readFileSync(join(folder, 'out.jsonl'), 'utf8').trimEnd().split('\n').map((y) => JSON.parse(y));
    assert.deepEqual(lines.map((y) => y.custom_id), prompts.map((_, i) => `q${i}`));
    for (const [i, y] of lines.entries())
      if (i !== 250) assert.equal(y.response.body.choices[0].message.content, 'done');
    assert.ok(JSON.stringify(lines[250]).includes('Oops'));
  },
};

let failed = 0;
for (const [name, check] of Object.entries(checks)) {
  try {
    await check();
    console.log(`ok   ${name}`);
  } catch (error) {
    failed = 1;
    console.log(`FAIL ${name}: ${error.message}`);
  }
}
await mock.stop();
rmSync(folder, { recursive: true, force: true });
process.exit(failed);
