// The release of the kernel as a label.

import { run } from 'teleport:host/process@1.0.0';
import { release } from './release.js';

export const evaluate = {
  evaluate(_request) {
    let outcome;
    try {
      outcome = run(['uname', '-r'], undefined);
    } catch (error) {
      // A failure of the host has a kind and a text; one that was denied stays so.
      const { tag, val } = error.payload ?? error;
      throw { tag: tag === 'denied' ? 'denied' : 'unavailable', val: `uname cannot be run: ${val}` };
    }
    return release(outcome);
  },
};
