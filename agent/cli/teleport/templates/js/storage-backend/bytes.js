// Records as bytes: how long the index is, the index, and the values one after the other. The index is JSON of ASCII
// alone, for QuickJS has no TextEncoder: each character is a byte.

import { Records } from './records.js';

// Characters that are put together at a time.
const PIECE = 4096;

export function toBytes(records) {
  const values = [];
  const index = JSON.stringify(records, (_, value) => {
    if (value instanceof Map) return [...value];
    if (!(value instanceof Uint8Array)) return value;
    values.push(value);
    return { bytes: value.length };
  });
  const ascii = index.replace(/[\u0080-\uffff]/g, escaped);
  const bytes = new Uint8Array(4 + ascii.length + values.reduce((sum, value) => sum + value.length, 0));
  new DataView(bytes.buffer).setUint32(0, ascii.length);
  for (let at = 0; at < ascii.length; at++) bytes[4 + at] = ascii.charCodeAt(at);
  let end = 4 + ascii.length;
  for (const value of values) {
    bytes.set(value, end);
    end += value.length;
  }
  return bytes;
}

export function fromBytes(bytes) {
  const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0);
  let end = 4 + length;
  // Values are met in the order they were written in: a reviver goes through what it reads as JSON.stringify does.
  const index = JSON.parse(text(bytes.subarray(4, end)), (_, value) => {
    if (typeof value?.bytes !== 'number') return value;
    const start = end;
    end += value.bytes;
    return bytes.slice(start, end);
  });
  return Object.assign(new Records(), index, { items: new Map(index.items) });
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
