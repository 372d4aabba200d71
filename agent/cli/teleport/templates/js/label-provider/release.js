// Apart from the host's functions, so that a test can call it as it is.

export function release(outcome) {
  if (outcome.ending.tag !== 'exited' || outcome.ending.val !== 0) {
    throw { tag: 'unavailable', val: 'uname did not succeed' };
  }
  return text(outcome.stdout).trim();
}

// QuickJS has no TextDecoder, which is not part of the language.
function text(bytes) {
  const escaped = Array.from(bytes, (byte) => `%${byte.toString(16).padStart(2, '0')}`);
  return decodeURIComponent(escaped.join(''));
}
