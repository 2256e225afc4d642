// What the conformance programs share.
import assert from 'node:assert/strict';

/// Runs the checks one after the other, prints a line for each, and ends the process: with 1 if one failed.
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
  process.exit(failed);
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

export const prompt = 'How does photosynthesis work in desert plants?';

/// The schema of the arguments of get_weather.
export const weather = {
  type: 'object',
  properties: { city: { type: 'string' }, unit: { type: 'string', enum: ['celsius', 'fahrenheit'] } },
  required: ['city', 'unit'],
  additionalProperties: false,
};
