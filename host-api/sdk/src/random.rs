//! Random numbers, as the host's machine makes them (`wasi:random`): fit for secrets.

/// A random number.
pub fn number() -> u64 {
    wasip2::random::random::get_random_u64()
}
