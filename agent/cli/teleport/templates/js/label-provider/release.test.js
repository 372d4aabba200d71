import assert from 'node:assert';
import { test } from 'node:test';
import { release } from '../src/release.js';

const outcome = (exit) => ({
  ending: { tag: 'exited', val: exit },
  stdout: new TextEncoder().encode('6.12.0\n'),
});

test('the release is without its line break', () => {
  assert.strictEqual(release(outcome(0)), '6.12.0');
});

test('a uname that fails is not believed', () => {
  assert.throws(() => release(outcome(1)), { tag: 'unavailable' });
});
