//! Takes secrets out of what is written down.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::plugin::SecretLabel;
use plugin_host::SecretFrom;
use terminal::{Explain as _, Failure};
use zeroize::Zeroizing;

/// The largest secret, as the host has it.
const SECRET_MAX: u64 = 64 * 1024;

/// What secrets look like, and what stands in their place.
pub(super) struct Redaction(Vec<(Zeroizing<Vec<u8>>, String)>);

impl Redaction {
    /// For these secrets, as they are and in base64.
    ///
    /// # Errors
    /// When one cannot be read.
    pub(super) fn new(secrets: &BTreeMap<SecretLabel, SecretFrom>) -> Result<Self, Failure> {
        let mut found = Vec::new();
        for (label, from) in secrets {
            let value = value(from)?;
            if value.is_empty() {
                continue;
            }
            let mark = format!("[secret {label}]");
            let encoded = STANDARD.encode(&*value);
            found.push((Zeroizing::new(encoded.into_bytes()), mark.clone()));
            found.push((value, mark));
        }
        // The longest first: one secret may be a part of another.
        found.sort_by_key(|(value, _)| std::cmp::Reverse(value.len()));
        Ok(Self(found))
    }

    /// The same bytes without secrets.
    pub(super) fn bytes(&self, bytes: &[u8]) -> Vec<u8> {
        self.0.iter().fold(bytes.to_vec(), |bytes, (value, mark)| replace(&bytes, value, mark.as_bytes()))
    }

    /// The same text without secrets.
    pub(super) fn text(&self, text: &str) -> String {
        String::from_utf8_lossy(&self.bytes(text.as_bytes())).into_owned()
    }
}

fn value(from: &SecretFrom) -> Result<Zeroizing<Vec<u8>>, Failure> {
    match from {
        SecretFrom::Environment { name, value } => match value {
            Some(value) => Ok(Zeroizing::new(value.reveal().to_vec())),
            None => Err(Failure::new(format!("the variable {name} is not set"))),
        },
        SecretFrom::File(path) => {
            let doing = || format!("the secret in {} cannot be read", path.display());
            let file = std::fs::File::open(path).while_doing(doing())?;
            let mut bytes = Zeroizing::new(Vec::new());
            std::io::Read::read_to_end(&mut std::io::Read::take(file, SECRET_MAX), &mut bytes)
                .while_doing(doing())?;
            let end = bytes.iter().rposition(|byte| !b"\r\n".contains(byte)).map_or(0, |last| last + 1);
            bytes.truncate(end);
            Ok(bytes)
        }
    }
}

fn replace(bytes: &[u8], what: &[u8], with: &[u8]) -> Vec<u8> {
    let mut replaced = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((first, after)) = rest.split_first() {
        if let Some(after) = rest.strip_prefix(what) {
            replaced.extend_from_slice(with);
            rest = after;
        } else {
            replaced.push(*first);
            rest = after;
        }
    }
    replaced
}

#[cfg(test)]
mod tests {
    use domain::secret::Secret;

    use super::*;

    #[test]
    fn a_secret_is_taken_out_however_it_is_written() {
        let secret = |label: &str, value: &str| {
            let value = Some(Secret::new(value));
            (SecretLabel::new(label).unwrap(), SecretFrom::Environment { name: "X".to_owned(), value })
        };
        let secrets = [secret("token", "s3cret"), secret("longer", "s3cret-and-more"), secret("none", "")];
        let redaction = Redaction::new(&secrets.into()).unwrap();
        assert_eq!(redaction.text("a s3cret s3cret-and-more b"), "a [secret token] [secret longer] b");
        assert_eq!(redaction.text("czNjcmV0"), "[secret token]");
        assert_eq!(redaction.bytes(b"\xffs3cret\xff"), b"\xff[secret token]\xff");
    }
}
