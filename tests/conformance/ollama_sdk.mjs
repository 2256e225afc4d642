// Tries the simulator with Ollama's own SDK: if that understands it, its wire format is right.
// Usage: node ollama_sdk.mjs http://127.0.0.1:PORT [MODELFORGE]     (npm install first)
import assert from 'node:assert/strict';
import { Ollama } from 'ollama';
import { base_url, error_of, prompt, run, same_as_modelforge, weather, with_settings } from './checks.mjs';

const url = base_url();
const client = new Ollama({ host: url });
const ask = (content, more = {}) => ({ model: 'sim-mini:8b', messages: [{ role: 'user', content }], ...more });
const tools = [{ type: 'function', function: { name: 'get_weather', description: 'Weather', parameters: weather } }];

async function collect(request) {
  const seen = { content: '', thinking: '', calls: [], lines: 0, last: null };
  for await (const line of await client.chat({ ...request, stream: true })) {
    ++seen.lines;
    seen.content += line.message.content;
    seen.thinking += line.message.thinking ?? '';
    seen.calls.push(...(line.message.tool_calls ?? []));
    seen.last = line;
  }
  return seen;
}

const checks = {
  async 'unary answer and stream say the same'() {
    for (const think of [false, true]) {
      const unary = await client.chat(ask(prompt, { think }));
      assert.match(unary.message.content, /photosynthesis/);
      assert.equal(Boolean(unary.message.thinking), think);
      assert.equal(unary.done_reason, 'stop');
      const streamed = await collect(ask(prompt, { think }));
      assert.equal(streamed.content, unary.message.content);
      assert.equal(streamed.thinking, unary.message.thinking ?? '');
      assert.equal(streamed.last.eval_count, unary.eval_count);
      assert.equal(streamed.lines, unary.eval_count + 1);
    }
  },
  async 'a tool is called, and its result answered'() {
    const first = ask('What is the weather in Oslo?', { tools });
    const { message } = await client.chat(first);
    const [call] = message.tool_calls;
    assert.equal(call.function.name, 'get_weather');
    assert.equal(call.function.arguments.city, 'Oslo');
    assert.deepEqual((await collect(first)).calls, message.tool_calls);
    const result = { role: 'tool', tool_name: 'get_weather', content: '7 degrees' };
    const x = await client.chat({ ...first, messages: [...first.messages, message, result] });
    assert.match(x.message.content, /./);
  },
  async 'formats and options shape the answer'() {
    const x = await client.chat(ask('Where is Oslo?', { format: weather }));
    assert.deepEqual(Object.keys(JSON.parse(x.message.content)), ['city', 'unit']);
    const short = await client.chat(ask(prompt, { options: { num_predict: 5 } }));
    assert.equal(short.done_reason, 'length');
    assert.equal(short.eval_count, 5);
  },
  async 'texts are embedded, models listed'() {
    const x = await client.embed({ model: 'sim-embed', input: ['a red apple', 'the red apple'], dimensions: 64 });
    assert.deepEqual(x.embeddings.map((each) => each.length), [64, 64]);
    const older = await client.embeddings({ model: 'sim-embed', prompt: 'a red apple' });
    assert.deepEqual(older.embedding, (await client.embed({ model: 'sim-embed', input: 'a red apple' })).embeddings[0]);
    assert.ok((await client.list()).models.some((each) => each.name === 'sim-mini:8b'));
    assert.ok((await client.show({ model: 'sim-mini:8b' })).capabilities.includes('tools'));
    assert.ok((await client.ps()).models.length > 0);
    assert.match((await client.version()).version, /^\d/);
  },
  async 'errors have their status'() {
    const missing = await error_of(client.chat({ ...ask(prompt), model: 'missing' }));
    assert.equal(missing.status_code, 404);
    assert.match(missing.message, /not found/);
    await with_settings(url, { faults: { error_event: 1 } }, { faults: {} }, async () => {
      assert.match((await error_of(collect(ask(prompt)))).message, /error was encountered/);
    });
    await with_settings(url, { faults: { cut: 1 } }, { faults: {} }, async () => {
      assert.match((await error_of(collect(ask(prompt)))).message, /Did not receive done/);
    });
  },
};

Object.assign(checks, same_as_modelforge(
  { kind: 'ollama', base_url: url, default_model: 'sim-mini:8b' },
  async (text) => (await collect(ask(text))).content,
  async (input) => (await client.embed({ model: 'sim-embedding', input })).embeddings));
process.exit(await run(checks));
