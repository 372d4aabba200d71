// The records of an auth server, somewhere else.
//
// So far it opens. Reading (get, range), writing (write) and watching (current, next) are the next steps.

import { get as config } from 'teleport:host/config@1.0.0';
import { about } from './about.js';

function refuse(what) {
  throw { tag: 'invalid', val: `this plugin does not offer ${what}, so it cannot keep records` };
}

export const open = {
  open: () => about(config('endpoint')),
};

export const records = {
  get: () => refuse('reading'),
  range: () => refuse('listing'),
  write: () => refuse('writing'),
};

export const watch = {
  current: () => refuse('watching'),
  next: () => refuse('watching'),
};
