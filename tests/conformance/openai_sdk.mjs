// Tries the simulator with OpenAI's own SDK: if that understands it, its wire format is right.
// Usage: node openai_sdk.mjs http://127.0.0.1:PORT [MODELFORGE]     (npm install first)
// Prints one line per check; ends with 1 if one failed.
import assert from 'node:assert/strict';
import OpenAI, { AzureOpenAI, toFile } from 'openai';
import { base_url, error_of, prompt, run, same_as_modelforge, weather as parameters, with_settings } from './checks.mjs';

const url = base_url();
const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'unused', maxRetries: 0, timeout: 10_000 });
const chat = client.chat.completions;
const ask = (content, more = {}) => ({ model: 'sim-mini', messages: [{ role: 'user', content }], ...more });
const weather = { type: 'function', function: { name: 'get_weather', parameters } };

async function collect(request) {
  const seen = { text: '', chunks: 0, deltas: 0, usage: null, finish: null };
  for await (const chunk of await chat.create({ ...request, stream: true, stream_options: { include_usage: true } })) {
    ++seen.chunks;
    assert.equal(chunk.object, 'chat.completion.chunk');
    const choice = chunk.choices[0];
    seen.deltas += choice?.delta?.content ? 1 : 0;
    seen.text += choice?.delta?.content ?? '';
    seen.finish = choice?.finish_reason ?? seen.finish;
    seen.usage = chunk.usage ?? seen.usage;
  }
  return seen;
}

const checks = {
  async 'unary answer'() {
    const x = await chat.create(ask(prompt));
    assert.equal(x.object, 'chat.completion');
    assert.equal(x.model, 'sim-mini');
    assert.equal(x.choices[0].finish_reason, 'stop');
    assert.match(x.choices[0].message.content, /photosynthesis/);
    assert.equal(x.usage.total_tokens, x.usage.prompt_tokens + x.usage.completion_tokens);
    assert.match(x.system_fingerprint, /^fp_/);
    assert.match(x._request_id, /^req_/);
  },
  async 'stream has the unary answer, a delta per token and usage'() {
    const unary = await chat.create(ask(prompt));
    const seen = await collect(ask(prompt));
    assert.equal(seen.text, unary.choices[0].message.content);
    assert.equal(seen.finish, 'stop');
    assert.deepEqual(seen.usage, unary.usage);
    assert.equal(seen.deltas, unary.usage.completion_tokens);
  },
  async 'stream helper gathers the final completion'() {
    const x = await chat.stream(ask(prompt)).finalChatCompletion();
    assert.match(x.choices[0].message.content, /photosynthesis/);
  },
  async 'Azure names the model by its deployment'() {
    const azure = new AzureOpenAI({ endpoint: url, apiKey: 'unused', apiVersion: '2024-10-21', deployment: 'sim-mini',
      maxRetries: 0 });
    const { messages } = ask(prompt);
    const x = await azure.chat.completions.create({ messages });
    assert.equal(x.model, 'sim-mini');
    const y = await azure.embeddings.create({ input: 'a river' });
    assert.equal(y.data.length, 1);
  },
  async 'files are stored, listed and deleted'() {
    const stored = [];
    for (const name of ['a.jsonl', 'b.jsonl'])
      stored.push((await client.files.create({ file: await toFile(Buffer.from('{}\n'), name), purpose: 'batch' })).id);
    const listed = [];
    for await (const file of client.files.list({ purpose: 'batch', limit: 1 }))
      listed.push(file.id);
    assert.deepEqual(listed.slice(0, 2), stored.toReversed());
    for (const id of stored)
      assert.equal((await client.files.delete(id)).deleted, true);
  },
  async 'stream can be aborted'() {
    const stream = await chat.create(ask(prompt, { stream: true }));
    for await (const chunk of stream) {
      assert.equal(chunk.choices[0].delta.role, 'assistant');
      break; // the SDK aborts the transfer
    }
  },
  async 'max_completion_tokens ends with length'() {
    const x = await chat.create(ask(prompt, { max_completion_tokens: 5 }));
    assert.equal(x.choices[0].finish_reason, 'length');
    assert.equal(x.usage.completion_tokens, 5);
    const seen = await collect(ask(prompt, { max_tokens: 5 }));
    assert.equal(seen.finish, 'length');
    assert.equal(seen.text, x.choices[0].message.content);
  },
  async 'stop ends the text before it'() {
    const x = await chat.create(ask(prompt, { stop: ['.'] }));
    assert.equal(x.choices[0].finish_reason, 'stop');
    assert.ok(!x.choices[0].message.content.includes('.'));
  },
  async 'n gives different choices'() {
    const x = await chat.create(ask(prompt, { n: 3 }));
    assert.deepEqual(x.choices.map((c) => c.index), [0, 1, 2]);
    assert.equal(new Set(x.choices.map((c) => c.message.content)).size, 3);
    const streamed = await chat.stream(ask(prompt, { n: 3 })).finalChatCompletion();
    assert.deepEqual(streamed.choices.map((c) => c.message.content), x.choices.map((c) => c.message.content));
  },
  async 'required and named tools are called'() {
    for (const tool_choice of ['required', { type: 'function', function: { name: 'get_weather' } }]) {
      const x = await chat.create(ask('Is it cold in Oslo?', { tools: [weather], tool_choice }));
      const call = x.choices[0].message.tool_calls[0];
      assert.equal(call.function.name, 'get_weather');
      const given = JSON.parse(call.function.arguments);
      assert.equal(given.city, 'Oslo');
      assert.ok(['celsius', 'fahrenheit'].includes(given.unit));
    }
  },
  async 'streamed tool call has the unary arguments'() {
    const request = ask('Is it cold in Oslo?', { tools: [weather], tool_choice: 'required' });
    const unary = (await chat.create(request)).choices[0];
    const streamed = (await chat.stream(request).finalChatCompletion()).choices[0];
    assert.equal(streamed.finish_reason, 'tool_calls');
    assert.deepEqual(streamed.message.tool_calls.map((c) => [c.id, c.function.name, c.function.arguments]),
      unary.message.tool_calls.map((c) => [c.id, c.function.name, c.function.arguments]));
  },
  async 'tool runner calls the function and gets a text'() {
    let asked = null;
    const get_weather = { ...weather.function, parse: JSON.parse, function: (given) => ((asked = given), '7 degrees') };
    const runner = chat.runTools(ask('What is the weather in Oslo?', { tools: [{ type: 'function', function: get_weather }] }));
    assert.ok((await runner.finalContent()).length > 0);
    assert.equal(asked.city, 'Oslo');
  },
  async 'JSON mode gives an object'() {
    const x = await chat.create(ask('Describe Oslo as JSON', { response_format: { type: 'json_object' } }));
    assert.equal(typeof JSON.parse(x.choices[0].message.content), 'object');
  },
  async 'parsed output fits the schema'() {
    const schema = {
      type: 'object',
      properties: {
        title: { type: 'string' },
        pages: { type: 'integer', minimum: 10, maximum: 20 },
        tags: { type: 'array', items: { type: 'string' }, minItems: 1 },
        author: { type: 'object', properties: { born: { type: 'string', format: 'date' } }, required: ['born'] },
      },
      required: ['title', 'pages', 'tags', 'author'],
      additionalProperties: false,
    };
    const x = await chat.parse(ask('Invent a book about Oslo',
      { response_format: { type: 'json_schema', json_schema: { name: 'book', strict: true, schema } } }));
    const book = x.choices[0].message.parsed;
    assert.deepEqual(Object.keys(book), Object.keys(schema.properties));
    assert.ok(Number.isInteger(book.pages) && book.pages >= 10 && book.pages <= 20);
    assert.ok(book.tags.length >= 1 && book.tags.every((tag) => typeof tag === 'string'));
    assert.match(book.author.born, /^\d{4}-\d\d-\d\d$/);
  },
  async 'responses: unary answer and stream say the same, with reasoning'() {
    const request = { model: 'sim-reasoning', input: prompt, reasoning: { effort: 'low', summary: 'auto' },
      include: ['reasoning.encrypted_content'] };
    const unary = await client.responses.create(request);
    assert.equal(unary.status, 'completed');
    assert.match(unary.output_text, /photosynthesis/);
    assert.ok(unary.usage.output_tokens_details.reasoning_tokens > 0);
    const numbers = [];
    const stream = client.responses.stream(request);
    stream.on('event', (event) => numbers.push(event.sequence_number));
    const streamed = await stream.finalResponse();
    assert.equal(streamed.output_text, unary.output_text);
    assert.equal(streamed.output[0].summary[0].text, unary.output[0].summary[0].text);
    assert.deepEqual(streamed.usage, unary.usage);
    assert.deepEqual(numbers, numbers.map((_, i) => i));
  },
  async 'responses: a tool is called, and its result answered'() {
    const tools = [{ ...weather.function, type: 'function', strict: true }];
    const input = [{ role: 'user', content: 'What is the weather in Oslo?' }];
    const unary = await client.responses.create({ model: 'sim-mini', input, tools });
    const call = unary.output.find((item) => item.type === 'function_call');
    assert.equal(JSON.parse(call.arguments).city, 'Oslo');
    const streamed = await client.responses.stream({ model: 'sim-mini', input, tools }).finalResponse();
    assert.equal(streamed.output.at(-1).arguments, call.arguments);
    input.push(...unary.output, { type: 'function_call_output', call_id: call.call_id, output: '7 degrees' });
    assert.match((await client.responses.create({ model: 'sim-mini', input, tools })).output_text, /./);
    const text = { format: { type: 'json_schema', name: 'place', strict: true, schema: weather.function.parameters } };
    const parsed = await client.responses.parse({ model: 'sim-mini', input: 'Where is Oslo?', text });
    assert.deepEqual(Object.keys(parsed.output_parsed), ['city', 'unit']);
  },
  async 'responses: limits and errors in the stream are told'() {
    const x = await client.responses.create({ model: 'sim-mini', input: prompt, max_output_tokens: 16 });
    assert.equal(x.status, 'incomplete');
    assert.equal(x.incomplete_details.reason, 'max_output_tokens');
    await with_settings(url, { faults: { error_event: 1 } }, { faults: {} }, async () => {
      await error_of(client.responses.stream({ model: 'sim-mini', input: prompt }).finalResponse());
    });
  },
  async 'texts are embedded'() {
    const input = ['a red apple', 'the red apple', 'income tax law'];
    const packed = await client.embeddings.create({ model: 'sim-embedding', input }); // base64 on the wire
    const plain = await client.embeddings.create({ model: 'sim-embedding', input, encoding_format: 'float' });
    const product = (x, y) => x.embedding.reduce((sum, each, i) => sum + each * y.embedding[i], 0);
    const [a, b, c] = packed.data;
    assert.equal(a.embedding.length, 1536);
    assert.ok(product(a, b) > product(a, c));
    for (const [i, each] of plain.data.entries())
      assert.ok(each.embedding.every((value, j) => Math.abs(value - packed.data[i].embedding[j]) < 1e-6));
  },
  async 'models are listed and shown'() {
    const ids = [];
    for await (const model of client.models.list()) ids.push(model.id);
    assert.ok(ids.includes('sim-mini'));
    assert.equal((await client.models.retrieve('sim-large')).id, 'sim-large');
  },
  async 'errors have their class, code and param'() {
    const missing = await error_of(chat.create({ ...ask(prompt), model: 'missing-model' }));
    assert.ok(missing instanceof OpenAI.NotFoundError);
    assert.equal(missing.code, 'model_not_found');
    const empty = await error_of(chat.create({ model: 'sim-mini', messages: [] }));
    assert.ok(empty instanceof OpenAI.BadRequestError);
    assert.equal(empty.param, 'messages');
    assert.equal(empty.type, 'invalid_request_error');
    const long = await error_of(chat.create(ask('word '.repeat(140_000))));
    assert.equal(long.code, 'context_length_exceeded');
  },
};

Object.assign(checks, same_as_modelforge(
  { kind: 'openai', base_url: `${url}/v1`, default_model: 'sim-mini' },
  async (text) => (await collect(ask(text))).text,
  async (input) => (await client.embeddings.create({ model: 'sim-embedding', input })).data.map((x) => x.embedding)));
process.exit(await run(checks));
