// Tries the simulator with Anthropic's own SDK: if that understands it, its wire format is right.
// Usage: node anthropic_sdk.mjs http://127.0.0.1:PORT [MODELFORGE]     (npm install first)
import assert from 'node:assert/strict';
import Anthropic from '@anthropic-ai/sdk';
import { base_url, error_of, prompt, run, same_as_modelforge, weather, with_settings } from './checks.mjs';

const url = base_url();
const client = new Anthropic({ baseURL: url, apiKey: 'unused', authToken: null, maxRetries: 0, timeout: 10_000 });
const ask = (content, more = {}) => (
  { model: 'claude-sim-large', max_tokens: 4000, messages: [{ role: 'user', content }], ...more });
const tools = [{ name: 'get_weather', description: 'Looks up the weather', input_schema: weather }];
const thinking = { type: 'enabled', budget_tokens: 2000 };

const checks = {
  async 'unary answer'() {
    const x = await client.messages.create(ask(prompt));
    assert.equal(x.type, 'message');
    assert.equal(x.stop_reason, 'end_turn');
    assert.match(x.content[0].text, /photosynthesis/);
    assert.ok(x.usage.input_tokens > 0 && x.usage.output_tokens > 0);
    assert.match(x.id, /^msg_/);
    assert.match(x._request_id, /^req_/);
  },
  async 'stream has the unary answer, with thinking and its signature'() {
    const unary = await client.messages.create(ask(prompt, { thinking }));
    assert.deepEqual(unary.content.map((block) => block.type), ['thinking', 'text']);
    const types = new Set();
    const stream = client.messages.stream(ask(prompt, { thinking }));
    stream.on('streamEvent', (event) => types.add(event.type));
    const streamed = await stream.finalMessage();
    assert.deepEqual(streamed.content, unary.content);
    assert.equal(streamed.stop_reason, unary.stop_reason);
    assert.equal(streamed.usage.output_tokens, unary.usage.output_tokens);
    assert.ok(streamed.content[0].signature.length > 20);
    for (const type of ['message_start', 'content_block_delta', 'message_stop']) assert.ok(types.has(type), type);
  },
  async 'stream can be aborted'() {
    for await (const event of await client.messages.create(ask(prompt, { stream: true }))) {
      assert.equal(event.type, 'message_start');
      break; // the SDK aborts the transfer
    }
  },
  async 'a tool is called, with thinking, and its result answered'() {
    const first = ask('What is the weather in Oslo?', { tools, thinking });
    const unary = await client.messages.create(first);
    assert.deepEqual((await client.messages.stream(first).finalMessage()).content, unary.content);
    assert.equal(unary.stop_reason, 'tool_use');
    const call = unary.content.at(-1);
    assert.equal(call.name, 'get_weather');
    assert.equal(call.input.city, 'Oslo');
    const results = [{ type: 'tool_result', tool_use_id: call.id, content: '7 degrees' }];
    const next = (content) => ({ ...first,
      messages: [...first.messages, { role: 'assistant', content }, { role: 'user', content: results }] });
    const answer = await client.messages.create(next(unary.content));
    assert.equal(answer.stop_reason, 'end_turn');
    const changed = unary.content.map((block) => (block.type === 'thinking' ? { ...block, thinking: 'other' } : block));
    for (const content of [changed, unary.content.slice(1)])
      assert.ok((await error_of(client.messages.create(next(content)))) instanceof Anthropic.BadRequestError);
  },
  async 'limits, stops and schemas shape the answer'() {
    const short = await client.messages.create(ask(prompt, { max_tokens: 5 }));
    assert.equal(short.stop_reason, 'max_tokens');
    assert.equal(short.usage.output_tokens, 5);
    const stopped = await client.messages.create(ask(prompt, { stop_sequences: ['.'] }));
    assert.equal(stopped.stop_reason, 'stop_sequence');
    assert.equal(stopped.stop_sequence, '.');
    const format = { type: 'json_schema', schema: weather };
    const book = await client.messages.create(ask('Where is Oslo?', { output_config: { format } }));
    assert.deepEqual(Object.keys(JSON.parse(book.content[0].text)), ['city', 'unit']);
    const older = await client.post('/v1/messages', { body: ask('Where is Oslo?', { output_format: format }) });
    assert.equal(older.content[0].text, book.content[0].text);
  },
  async 'tokens are counted, models listed'() {
    const { messages, model } = ask(prompt);
    const counted = await client.messages.countTokens({ messages, model });
    assert.equal(counted.input_tokens, (await client.messages.create(ask(prompt))).usage.input_tokens);
    const ids = [];
    for await (const each of client.models.list()) ids.push(each.id);
    assert.ok(ids.includes('claude-sim-mini'));
    assert.equal((await client.models.retrieve(ids[0])).id, ids[0]);
  },
  async 'errors have their class and type'() {
    const missing = await error_of(client.messages.create({ ...ask(prompt), model: 'missing' }));
    assert.ok(missing instanceof Anthropic.NotFoundError);
    assert.equal(missing.type, 'not_found_error');
    await with_settings(url, { faults: { 529: 1 } }, { faults: {} }, async () => {
      const busy = await error_of(client.messages.create(ask(prompt)));
      assert.equal(busy.status, 529);
      assert.equal(busy.type, 'overloaded_error');
    });
    await with_settings(url, { faults: { error_event: 1 } }, { faults: {} }, async () => {
      const broken = await error_of(client.messages.stream(ask(prompt)).finalMessage());
      assert.equal(broken.type, 'api_error');
    });
  },
};

Object.assign(checks, same_as_modelforge(
  { kind: 'anthropic', base_url: url, default_model: 'claude-sim-large' },
  async (text) => (await client.messages.create(ask(text))).content[0].text));
process.exit(await run(checks));
