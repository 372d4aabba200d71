//! Where the records are: one value of the host's `kv`, which instances share. They share no memory.

use teleport_plugin_sdk::kv;
use teleport_plugin_sdk::storage_backend::Failure;

use crate::records::Records;

const KEY: &str = "records";

/// The records as they are now.
pub fn read() -> Result<Records, Failure> {
    Ok(load()?.0)
}

/// Makes a change, as often as it takes for nobody else to have made one meanwhile. When this returns, it is on
/// the host's disk.
pub fn change<T>(work: impl Fn(&mut Records) -> Result<T, Failure>) -> Result<T, Failure> {
    loop {
        let (mut records, before) = load()?;
        let answer = work(&mut records)?;
        let after = postcard::to_allocvec(&records).map_err(|error| Failure::Corrupt(error.to_string()))?;
        if before.as_ref() == Some(&after) || kv::swap(KEY, before.as_deref(), &after).map_err(failed)? {
            return Ok(answer);
        }
    }
}

fn load() -> Result<(Records, Option<Vec<u8>>), Failure> {
    let Some(bytes) = kv::get(KEY).map_err(failed)? else { return Ok((Records::default(), None)) };
    let damaged = |error| Failure::Corrupt(format!("what the host kept are no records: {error}"));
    Ok((postcard::from_bytes(&bytes).map_err(damaged)?, Some(bytes)))
}

fn failed(error: kv::Error) -> Failure {
    match error {
        kv::Error::Full(_) => Failure::TooLarge(error.to_string()),
        kv::Error::Denied(text) => Failure::Denied(text),
        error => Failure::Unavailable(error.to_string()),
    }
}
