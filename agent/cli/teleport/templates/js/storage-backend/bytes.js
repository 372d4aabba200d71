// Records as bytes: the revision, how long the index is, the index, and the values one after the other. The index is
// JSON of ASCII alone, for QuickJS has no TextEncoder: each character is a byte.

import { Records } from './records.js';

// Characters that are put together at a time.
const PIECE = 4096;

// What is before the index: a number of eight bytes and one of four.
const HEAD = 12;

export function toBytes(records) {
  const values = [];
  const written = (key, kept) => {
    if (kept === undefined) return [key];
    values.push(kept.value);
    return [key, kept.value.length, kept.revision, kept.expires ?? null];
  };
  const items = Array.from(records.items, ([key, kept]) => written(key, kept));
  const changes = records.changes.map(({ revision, key, kept }) => [revision, ...written(key, kept)]);
  const ascii = JSON.stringify([records.forgotten, items, changes]).replace(/[\u0080-\uffff]/g, escaped);
  const bytes = new Uint8Array(HEAD + ascii.length + values.reduce((sum, value) => sum + value.length, 0));
  const head = new DataView(bytes.buffer);
  head.setFloat64(0, records.revision);
  head.setUint32(8, ascii.length);
  for (let at = 0; at < ascii.length; at++) bytes[HEAD + at] = ascii.charCodeAt(at);
  let end = HEAD + ascii.length;
  for (const value of values) {
    bytes.set(value, end);
    end += value.length;
  }
  return bytes;
}

// The last write's, without a look at the records.
export function revisionOf(bytes) {
  return new DataView(bytes.buffer, bytes.byteOffset).getFloat64(0);
}

export function fromBytes(bytes) {
  const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(8);
  let end = HEAD + length;
  const [forgotten, items, changes] = JSON.parse(text(bytes.subarray(HEAD, end)));
  const read = ([key, length, revision, expires]) => {
    if (length === undefined) return [key, undefined];
    const start = end;
    end += length;
    return [key, { value: bytes.slice(start, end), revision, expires: expires ?? undefined }];
  };
  const records = Object.assign(new Records(), { revision: revisionOf(bytes), forgotten });
  records.items = new Map(items.map(read));
  records.changes = changes.map(([revision, ...written]) => {
    const [key, kept] = read(written);
    return { revision, key, kept };
  });
  if (!Number.isSafeInteger(records.revision) || end !== bytes.length) throw new Error('they are cut off');
  return records;
}

function text(bytes) {
  const pieces = [];
  for (let at = 0; at < bytes.length; at += PIECE) {
    pieces.push(String.fromCharCode.apply(null, bytes.subarray(at, at + PIECE)));
  }
  return pieces.join('');
}

function escaped(character) {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}
