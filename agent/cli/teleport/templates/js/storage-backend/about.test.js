import assert from 'node:assert';
import { test } from 'node:test';
import { about } from '../src/about.js';

test('an endpoint is an address', () => {
  assert.strictEqual(about('https://db.example.com').valueMax, 1048576);
  assert.throws(() => about('db'), { tag: 'invalid' });
});
