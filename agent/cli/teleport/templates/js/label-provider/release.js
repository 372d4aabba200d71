// Apart from the host's functions, so that a test can call it as it is.

export function release(outcome) {
  if (outcome.ending.tag !== 'exited' || outcome.ending.val !== 0) {
    throw { tag: 'unavailable', val: 'uname did not succeed' };
  }
  return new TextDecoder().decode(outcome.stdout).trim();
}
