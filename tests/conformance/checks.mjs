// What the conformance programs share.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/// Runs the checks one after the other and prints a line for each. Returns 1 if one failed, else 0.
export async function run(checks) {
  let failed = 0;
  for (const [name, check] of Object.entries(checks)) {
    try {
      await check();
      console.log(`ok      ${name}`);
    } catch (error) {
      failed = 1;
      console.log(`FAILED  ${name}: ${error.stack ?? error}`);
    }
  }
  return failed;
}

/// Returns what the promise fails with.
export async function error_of(promise) {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  assert.fail('the call should have failed');
}

/// Returns the simulator's address from the command line, or ends with a hint.
export function base_url() {
  if (process.argv[2]) return process.argv[2];
  console.error(`usage: node ${process.argv[1]} BASE_URL`);
  process.exit(2);
}

/// Changes the simulator's settings for the time of `action`.
export async function with_settings(url, settings, usual, action) {
  const change = async (x) => {
    const answer = await fetch(`${url}/__simulator/configure`, { method: 'POST', body: JSON.stringify(x) });
    assert.ok(answer.ok, await answer.text());
  };
  await change(settings);
  try {
    await action();
  } finally {
    await change(usual);
  }
}

/// Returns checks that our program, if it is named after the address, gets what the SDK gets: `text_of` gives the answer
/// to a prompt, `vectors_of`, if there is one, the vectors of texts. `provider` has kind, base_url and default_model.
export function same_as_modelforge(provider, text_of, vectors_of) {
  const program = process.argv[3];
  if (!program) return {};
  const run = (...args) => {
    const folder = mkdtempSync(join(tmpdir(), 'modelforge-'));
    const lines = Object.entries({ ...provider, api_key_env: 'MOCK_KEY' }).map(([key, x]) => `${key} = "${x}"\n`);
    writeFileSync(join(folder, 'modelforge.toml'), `[providers.sim]\n${lines.join('')}`);
    try {
      const env = { PATH: process.env.PATH, HOME: folder, MOCK_KEY: 'mock' };
      return execFileSync(program, args, { cwd: folder, env, encoding: 'utf8', timeout: 20_000, stdio: 'pipe' });
    } finally {
      rmSync(folder, { recursive: true });
    }
  };
  const checks = {
    async 'modelforge chat prints the same, streamed and whole'() {
      for (const text of [prompt, 'Wie spät ist es in Zürich?', '犬と猫について教えてください。'])
        for (const more of [[], ['--no-stream']])
          assert.equal(run('chat', ...more, text), `${await text_of(text)}\n`);
    },
  };
  if (vectors_of)
    checks['modelforge embed prints the same'] = async () => {
      const texts = ['a river', 'a bank'];
      const printed = run('embed', '-m', 'sim-embedding', ...texts).trimEnd().split('\n');
      for (const [i, vector] of (await vectors_of(texts)).entries())
        for (const [j, value] of JSON.parse(printed[i]).embedding.entries())
          assert.ok(Math.abs(value - vector[j]) < 1e-6);
    };
  return checks;
}

export const prompt = 'How does photosynthesis work in desert plants?';

/// The schema of the arguments of get_weather.
export const weather = {
  type: 'object',
  properties: { city: { type: 'string' }, unit: { type: 'string', enum: ['celsius', 'fahrenheit'] } },
  required: ['city', 'unit'],
  additionalProperties: false,
};
