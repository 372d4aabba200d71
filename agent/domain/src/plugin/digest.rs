//! Which bytes are meant: the SHA-256 of a plugin's file.

use std::fmt;

use serde::{Deserialize, Serialize, de::Error};
use sha2::{Digest as _, Sha256};

/// A SHA-256 digest, written `sha256:` and 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u8; 32]);

/// Why a text is no digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a digest; write it as sha256: and 64 hexadecimal digits, as sha256sum prints them")]
pub struct DigestError(pub String);

impl Digest {
    /// The digest of some bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// A digest computed elsewhere.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The 64 hexadecimal digits alone.
    pub fn hex(&self) -> String {
        hex::encode(self.0)
    }

    /// Reads `sha256:…`; the digits may be of either case.
    ///
    /// # Errors
    /// [`DigestError`] with the form that is wanted.
    pub fn parse(text: &str) -> Result<Self, DigestError> {
        let mut bytes = [0; 32];
        text.trim()
            .strip_prefix("sha256:")
            .and_then(|digits| hex::decode_to_slice(digits, &mut bytes).ok())
            .map(|()| Self(bytes))
            .ok_or_else(|| DigestError(text.to_owned()))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_the_sha256_of_the_bytes() {
        // `printf abc | sha256sum`; also the first example of FIPS 180-2, appendix B.1.
        let text = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(Digest::of(b"abc").to_string(), text);
        assert_eq!(Digest::parse(text), Ok(Digest::of(b"abc")));
        assert_eq!(Digest::parse(&text.replace("ba78", "BA78")), Ok(Digest::of(b"abc")));
    }

    #[test]
    fn refuses_what_is_no_digest() {
        for bad in
            ["", "sha256:", "sha256:ab", "md5:00", &"0".repeat(64), &format!("sha256:{}", "g".repeat(64))]
        {
            assert_eq!(Digest::parse(bad), Err(DigestError(bad.to_owned())));
        }
    }
}
