//! The seal of an entry: proof that this machine wrote code and inspection, for this key, as they
//! are.
//!
//! A seal file is the MAC in hexadecimal, a line break, and the sealed statement as JSON: digest of
//! the code and the inspection. The MAC covers the entry's key and the statement, so a seal moved
//! to another entry does not fit either.

use std::io::{self, Read};
use std::path::Path;

use domain::plugin::Digest;
use hmac::{Hmac, KeyInit as _, Mac as _};
use port::random::Random;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{Key, Unfit};
use crate::compile::Inspection;
use crate::place::{self, Kept, Owner, PlaceError, io_error};

/// Bytes of the secret: a whole block of the hash, used as it is (RFC 2104 section 2).
const SECRET: usize = 64;

/// Separates this use of the key from any other.
const PURPOSE: &[u8] = b"teleport compiled plugin 1";

/// The key entries are sealed with. It never leaves this machine.
pub(super) struct SealKey(Hmac<Sha256>);

#[derive(Serialize, Deserialize)]
struct Statement {
    code: Digest,
    inspection: Inspection,
}

impl SealKey {
    /// Reads the key, or makes one: when there is none, when it is not a key, or when others could
    /// have read it. A new key makes every entry unfit, and that is its purpose. Of two processes that find none at
    /// the same time, both go by the key of the first: else each would throw away what the other compiles.
    pub(super) fn open(path: &Path, kept: Kept, random: &dyn Random) -> Result<Self, PlaceError> {
        if kept == Kept::Private
            && let Some(secret) = read(path)?
        {
            return Ok(Self::new(&secret));
        }
        let mut secret = [0; SECRET];
        random.fill(&mut secret);
        let draft = path.with_extension(format!("{}.draft", random.uuid_bytes_hex()));
        let written = place::create(&draft).and_then(|mut file| {
            io::Write::write_all(&mut file, &secret).map_err(io_error(&draft, "written"))?;
            put(&draft, path, kept)
        });
        // Already renamed is as good.
        let _tidied = std::fs::remove_file(&draft);
        Ok(Self::new(&written?.unwrap_or(secret)))
    }

    fn new(secret: &[u8; SECRET]) -> Self {
        Self(Hmac::new(secret.into()))
    }

    /// The seal for code read to its end.
    pub(super) fn seal(
        &self,
        key: &Key,
        code: &mut impl Read,
        inspection: &Inspection,
    ) -> io::Result<Vec<u8>> {
        let statement = Statement { code: digest(code)?, inspection: inspection.clone() };
        let json = serde_json::to_vec(&statement)?;
        let mac = self.mac(key, &json).finalize().into_bytes();
        Ok([hex::encode(mac).as_bytes(), b"\n", &json].concat())
    }

    /// The inspection, when the seal is ours and fits key and code.
    pub(super) fn verify(&self, key: &Key, code: &mut impl Read, sealed: &[u8]) -> Result<Inspection, Unfit> {
        let line = sealed.iter().position(|byte| *byte == b'\n').ok_or(Unfit::Seal)?;
        let (mac, json) = sealed.split_at(line);
        let json = json.get(1..).unwrap_or_default();
        let mac = hex::decode(mac).map_err(|_| Unfit::Seal)?;
        // Before anything is parsed: the JSON is read only once it is known to be ours.
        self.mac(key, json).verify_slice(&mac).map_err(|_| Unfit::Seal)?;
        let statement: Statement = serde_json::from_slice(json).map_err(|_| Unfit::Seal)?;
        let found = digest(code).map_err(Unfit::Read)?;
        if found == statement.code { Ok(statement.inspection) } else { Err(Unfit::Seal) }
    }

    fn mac(&self, key: &Key, json: &[u8]) -> Hmac<Sha256> {
        let mut mac = self.0.clone();
        mac.update(PURPOSE);
        // Of fixed length, so key and statement cannot run together.
        mac.update(key.to_string().as_bytes());
        mac.update(json);
        mac
    }
}

/// Puts a new key in place, over what is worth nothing. The key that another process has put there meanwhile stays,
/// and is returned.
fn put(draft: &Path, path: &Path, kept: Kept) -> Result<Option<[u8; SECRET]>, PlaceError> {
    if kept == Kept::Private {
        match std::fs::hard_link(draft, path) {
            Ok(()) => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                if let Some(other) = read(path)? {
                    return Ok(Some(other));
                }
            }
            // Not every file system has links.
            Err(_) => {}
        }
    }
    std::fs::rename(draft, path).map_err(io_error(path, "put in place"))?;
    Ok(None)
}

/// The secret, if the file is this user's alone and holds one.
fn read(path: &Path) -> Result<Option<[u8; SECRET]>, PlaceError> {
    let file = match place::open(path, Owner::This, false) {
        Ok(Some(file)) => file,
        Ok(None) => return Ok(None),
        Err(PlaceError::Io { source, .. }) if source.kind() == io::ErrorKind::PermissionDenied => {
            return Err(io_error(path, "opened")(source));
        }
        // Somebody else's, or open to others: worthless, and replaced.
        Err(_) => return Ok(None),
    };
    let mode = std::os::unix::fs::MetadataExt::mode(&file.metadata().map_err(io_error(path, "looked at"))?);
    let mut bytes = Vec::new();
    file.take(SECRET as u64 + 1).read_to_end(&mut bytes).map_err(io_error(path, "read"))?;
    let private = mode & 0o077 == 0;
    Ok(<[u8; SECRET]>::try_from(bytes).ok().filter(|_| private))
}

fn digest(code: &mut impl Read) -> io::Result<Digest> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = code.read(&mut buffer)?;
        match buffer.get(..read) {
            Some([]) | None => return Ok(Digest::from_bytes(hash.finalize().into())),
            Some(piece) => hash.update(piece),
        }
    }
}
