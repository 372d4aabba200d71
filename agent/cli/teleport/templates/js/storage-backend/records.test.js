import assert from 'node:assert';
import { test } from 'node:test';
import { fromBytes, revisionOf, toBytes } from '../src/bytes.js';
import { CHANGES_MAX, Records } from '../src/records.js';

const put = (key, text, expires) => ({ tag: 'put', val: { key, value: new TextEncoder().encode(text), expires } });

const told = (records, after) =>
  records.after(after, 100).events.map(({ revision, change: { tag, val } }) =>
    tag === 'put' ? `${revision} +${val.key}` : `${revision} -${val}`);

test('a broken condition changes nothing', () => {
  const records = new Records();
  records.write([], [put('/a', '1')], 0);
  const conditions = [{ tag: 'present', val: '/a' }, { tag: 'absent', val: '/a' }];
  assert.throws(() => records.write(conditions, [put('/b', '1')], 0), { tag: 'conflict', val: 1 });
  assert.deepStrictEqual([records.get('/b', 0), records.revision], [undefined, 1]);
});

test('what expires is gone at once and told', () => {
  const records = new Records();
  records.write([], [put('/a', '1', 5), put('/b', '1')], 0);
  assert.ok(records.get('/a', 4));
  assert.deepStrictEqual([records.get('/a', 5), records.range('/', undefined, 9, 5).items.length], [undefined, 1]);
  records.write([{ tag: 'absent', val: '/a' }], [put('/a', '2')], 5);
  assert.deepStrictEqual(told(records, 1), ['2 -/a', '3 +/a']);
});

test('every step is told and nothing that did not happen', () => {
  const records = new Records();
  const operations = [
    put('/t/a', '1'),
    { tag: 'delete', val: '/never' },
    { tag: 'delete-range', val: '/t/' },
    put('/t/a', '2'),
  ];
  records.write([], operations, 0);
  assert.deepStrictEqual(told(records, 0), ['1 +/t/a', '1 -/t/a', '1 +/t/a']);
  assert.throws(() => records.after(2, 100), { tag: 'compacted', val: 0 }, 'a revision to come');
});

test('the oldest changes are forgotten', () => {
  const records = new Records();
  for (let number = 0; number <= CHANGES_MAX; number++) records.write([], [put(`/${number}`, '')], 0);
  assert.throws(() => records.after(0, 1), { tag: 'compacted', val: 1 });
  const batch = records.after(1, 2);
  assert.deepStrictEqual([batch.events.length, batch.upTo], [2, 3]);
});

test('keys are in the order of their bytes', () => {
  const records = new Records();
  const keys = ['/', '/a', '/a/b', '/b', '/ä', '/\uffee', '/\u{1f511}', '/\u{1f512}'];
  records.write([], keys.toReversed().map((key) => put(key, '1')), 0);
  assert.deepStrictEqual(records.range('/', undefined, 99, 0).items.map(({ key }) => key), keys);
  assert.deepStrictEqual(records.range('/', '/\uffee', 99, 0).items.length, 3);
});

test('what is read is what was written', () => {
  const records = new Records();
  records.write([], [put('/ä', 'one'), put('/b', '{"bytes": 1}', 2 ** 52), put('/c', '')], 0);
  records.write([], [{ tag: 'delete', val: '/c' }], 0);
  const bytes = toBytes(records);
  const again = fromBytes(bytes);
  for (const key of ['/ä', '/b', '/c']) assert.deepStrictEqual(again.get(key, 0), records.get(key, 0));
  assert.deepStrictEqual(told(again, 0), ['1 +/ä', '1 +/b', '1 +/c', '2 -/c']);
  assert.deepStrictEqual(toBytes(again), bytes);
  assert.deepStrictEqual(revisionOf(bytes), 2);
  assert.throws(() => fromBytes(bytes.slice(0, -1)), /cut off/);
  assert.deepStrictEqual(fromBytes(toBytes(new Records())), new Records());
});
