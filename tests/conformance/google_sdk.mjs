// Tries the simulator with Google's own SDK: if that understands it, its wire format is right.
// Usage: node google_sdk.mjs http://127.0.0.1:PORT [MODELFORGE]     (npm install first)
import assert from 'node:assert/strict';
import { ApiError, FunctionCallingConfigMode, GoogleGenAI, Type } from '@google/genai';
import { base_url, error_of, prompt, run, same_as_modelforge, weather, with_settings } from './checks.mjs';

const url = base_url();
const client = new GoogleGenAI({ apiKey: 'unused', httpOptions: { baseUrl: url, timeout: 10_000 } });
const model = 'gemini-sim-pro';
const ask = (contents, config = {}) => ({ model, contents, config });
const tools = [{ functionDeclarations: [{ name: 'get_weather', parametersJsonSchema: weather }] }];

async function collect(request) {
  const seen = { text: '', chunks: 0, calls: [], finish: null, usage: null };
  for await (const chunk of await client.models.generateContentStream(request)) {
    ++seen.chunks;
    seen.text += chunk.text ?? '';
    seen.calls.push(...(chunk.functionCalls ?? []));
    seen.finish = chunk.candidates[0].finishReason ?? seen.finish;
    seen.usage = chunk.usageMetadata;
  }
  return seen;
}

const checks = {
  async 'unary answer and stream say the same'() {
    const unary = await client.models.generateContent(ask(prompt));
    assert.match(unary.text, /photosynthesis/);
    assert.equal(unary.candidates[0].finishReason, 'STOP');
    const streamed = await collect(ask(prompt));
    assert.equal(streamed.text, unary.text);
    assert.equal(streamed.finish, 'STOP');
    assert.deepEqual(streamed.usage, unary.usageMetadata);
    assert.equal(streamed.chunks, unary.usageMetadata.candidatesTokenCount);
  },
  async 'thoughts are kept apart'() {
    const config = { thinkingConfig: { includeThoughts: true } };
    const x = await client.models.generateContent(ask(prompt, config));
    const thoughts = x.candidates[0].content.parts.filter((part) => part.thought);
    assert.equal(thoughts.length, 1);
    assert.ok(!x.text.includes(thoughts[0].text));
    assert.ok(x.usageMetadata.thoughtsTokenCount > 0);
    assert.equal((await collect(ask(prompt, config))).text, x.text);
  },
  async 'a function is called, and its result answered if the signature comes back'() {
    const first = ask('What is the weather in Oslo?', { tools });
    const unary = await client.models.generateContent(first);
    const [call] = unary.functionCalls;
    assert.equal(call.name, 'get_weather');
    assert.equal(call.args.city, 'Oslo');
    assert.deepEqual((await collect(first)).calls, unary.functionCalls);
    const response = { functionResponse: { id: call.id, name: call.name, response: { degrees: 7 } } };
    const next = (parts) => ask([{ role: 'user', parts: [{ text: first.contents }] }, { role: 'model', parts },
      { role: 'user', parts: [response] }], { tools });
    const { parts } = unary.candidates[0].content;
    assert.match((await client.models.generateContent(next(parts))).text, /./);
    const unsigned = parts.map(({ thoughtSignature, ...part }) => part);
    assert.match((await error_of(client.models.generateContent(next(unsigned)))).message, /thought_signature/);
    const chat = client.chats.create({ model, config: { tools } });
    await chat.sendMessage({ message: first.contents });
    assert.match((await chat.sendMessage({ message: [response] })).text, /./); // the SDK keeps the signature itself
  },
  async 'modes, schemas and limits shape the answer'() {
    const toolConfig = { functionCallingConfig: { mode: FunctionCallingConfigMode.ANY } };
    const own = { type: Type.OBJECT, properties: { city: { type: Type.STRING }, degrees: { type: Type.INTEGER } },
      required: ['city', 'degrees'] };
    const functionDeclarations = [{ name: 'set_weather', parameters: own }];
    const forced = await client.models.generateContent(ask('Hello Oslo', { tools: [{ functionDeclarations }], toolConfig }));
    assert.deepEqual(Object.keys(forced.functionCalls[0].args), ['city', 'degrees']);
    for (const config of [{ responseSchema: own }, { responseJsonSchema: weather }]) {
      const x = await client.models.generateContent(ask('Where is Oslo?', { responseMimeType: 'application/json', ...config }));
      assert.equal(typeof JSON.parse(x.text).city, 'string');
    }
    const short = await client.models.generateContent(ask(prompt, { maxOutputTokens: 5 }));
    assert.equal(short.candidates[0].finishReason, 'MAX_TOKENS');
    assert.equal(short.usageMetadata.candidatesTokenCount, 5);
  },
  async 'texts are embedded, tokens counted, models listed'() {
    const x = await client.models.embedContent({ model, contents: ['a red apple', 'the red apple', 'tax law'],
      config: { outputDimensionality: 256 } });
    const [a, b, c] = x.embeddings.map((each) => each.values);
    const product = (x, y) => x.reduce((sum, each, i) => sum + each * y[i], 0);
    assert.equal(a.length, 256);
    assert.ok(product(a, b) > product(a, c));
    assert.ok((await client.models.countTokens({ model, contents: prompt })).totalTokens > 5);
    const names = [];
    for await (const each of await client.models.list()) names.push(each.name);
    assert.ok(names.includes('models/gemini-sim-pro'));
  },
  async 'errors have their status'() {
    const missing = await error_of(client.models.generateContent({ model: 'missing', contents: prompt }));
    assert.ok(missing instanceof ApiError);
    assert.equal(missing.status, 404);
    await with_settings(url, { faults: { '429_quota': 1 } }, { faults: {} }, async () => {
      const spent = await error_of(client.models.generateContent(ask(prompt)));
      assert.equal(spent.status, 429);
      assert.ok(spent.message.includes('QuotaFailure') && spent.message.includes('RetryInfo'));
    });
    await with_settings(url, { faults: { error_event: 1 } }, { faults: {} }, async () => {
      await error_of(collect(ask(prompt)));
    });
  },
};

Object.assign(checks, same_as_modelforge(
  { kind: 'gemini', base_url: `${url}/v1beta`, default_model: model },
  async (text) => (await collect(ask(text))).text,
  async (contents) => (await client.models.embedContent({ model: 'sim-embedding', contents })).embeddings.map((x) => x.values)));
process.exit(await run(checks));
