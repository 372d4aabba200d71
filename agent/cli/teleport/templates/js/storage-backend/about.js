// Apart from the host's functions, so that a test can call it as it is.

export function about(endpoint) {
  if (!endpoint?.startsWith('https://')) {
    throw { tag: 'invalid', val: 'endpoint must begin with https://' };
  }
  return { description: `records at ${endpoint}`, valueMax: 1048576 };
}
