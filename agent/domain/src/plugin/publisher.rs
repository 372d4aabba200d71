//! Who vouches for a plugin by a signature: publishers, their keys, and what a signature must say.
//!
//! The format is minisign's: Ed25519 over the BLAKE2b-512 of the file, and a second signature over
//! the first one and a line of text, the trusted comment. That line names plugin and version, so an
//! older release of a plugin cannot pass for a newer one, nor one plugin for another. Here is what
//! the texts mean; the arithmetic is done where plugins are loaded and signed.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::name::{self, NAME_MAX};
use super::{Digest, PluginName};
use crate::printable::is_printable;

/// What the file with the signature is called: the component's name and this.
pub const SIGNATURE_SUFFIX: &str = ".minisig";

/// The largest file with a signature, or with a key, in bytes. Real ones have about 300.
pub const SIGNATURE_MAX: usize = 4096;

/// The word a trusted comment begins with.
const SUBJECT: &str = "teleport-plugin";

/// The longest version in a trusted comment, in bytes: that of a manifest.
const VERSION_MAX: usize = 64;

/// The operator's name for somebody who signs plugins.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PublisherName(String);

/// Why a publisher cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublisherError {
    /// A name that is no name.
    #[error(
        "{0:?} cannot name a publisher: use lower-case letters, digits and single hyphens, \
         beginning with a letter, at most {NAME_MAX} of them"
    )]
    Name(String),
    /// A text that is no key.
    #[error(
        "is not a minisign public key; write the line of 56 characters that begins with RW, \
         from the .pub file of `teleport plugin keygen` or `minisign -G`"
    )]
    Key,
}

impl PublisherName {
    /// Checks a name.
    ///
    /// # Errors
    /// [`PublisherError::Name`] with the rule.
    pub fn new(name: impl Into<String>) -> Result<Self, PublisherError> {
        let name = name.into();
        if name::is_fit(&name) { Ok(Self(name)) } else { Err(PublisherError::Name(name)) }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PublisherName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The number of a key, as minisign prints it. Anybody can make a key with any number: it tells keys
/// apart and proves nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId([u8; 8]);

impl KeyId {
    /// The number in a signature or a key.
    pub fn from_bytes(bytes: [u8; 8]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016X}", u64::from_le_bytes(self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A minisign public key.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PublicKey {
    text: String,
    id: KeyId,
}

impl PublicKey {
    /// Reads the one line that holds a key.
    ///
    /// # Errors
    /// [`PublisherError::Key`] with where such a line is found.
    pub fn parse(text: &str) -> Result<Self, PublisherError> {
        let text = text.trim();
        let bytes = STANDARD.decode(text).map_err(|_| PublisherError::Key)?;
        // `Ed`, eight bytes of number, the point.
        let (algorithm, rest) = bytes.split_first_chunk::<2>().ok_or(PublisherError::Key)?;
        let (id, point) = rest.split_first_chunk::<8>().ok_or(PublisherError::Key)?;
        if algorithm != b"Ed" || point.len() != 32 || point.iter().all(|byte| *byte == 0) {
            return Err(PublisherError::Key);
        }
        Ok(Self { text: text.to_owned(), id: KeyId(*id) })
    }

    /// Reads a key, or the two lines of a file that holds one.
    ///
    /// # Errors
    /// [`PublisherError::Key`].
    pub fn parse_file(text: &str) -> Result<Self, PublisherError> {
        let lines: Vec<&str> = text.trim().lines().collect();
        match lines.as_slice() {
            [comment, key] if comment.starts_with("untrusted comment:") => Self::parse(key),
            [key] => Self::parse(key),
            _ => Err(PublisherError::Key),
        }
    }

    /// The line that holds it.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Its number.
    pub fn id(&self) -> KeyId {
        self.id
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Somebody whose signatures count.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Publisher {
    /// The operator's name for them.
    pub name: PublisherName,
    /// Their key.
    pub key: PublicKey,
}

impl fmt::Display for Publisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name, self.key.id())
    }
}

/// What a signature says of the file it is for: the trusted comment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// Which plugin.
    pub name: PluginName,
    /// Which version, as in its manifest.
    pub version: String,
}

/// Why a trusted comment names no plugin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("it says {0:?} where it should say \"{SUBJECT} name=NAME version=VERSION\"")]
pub struct StatementError(pub String);

impl Statement {
    /// Reads a trusted comment. Nothing may be in it that this version does not understand.
    ///
    /// # Errors
    /// [`StatementError`] with the form that is wanted.
    pub fn parse(text: &str) -> Result<Self, StatementError> {
        let read = || {
            let (name, version) =
                text.strip_prefix(SUBJECT)?.strip_prefix(" name=")?.split_once(" version=")?;
            let fits = !version.is_empty() && version.len() <= VERSION_MAX;
            let plain = version.chars().all(|c| is_printable(c) && !c.is_whitespace());
            let name = PluginName::new(name).ok()?;
            (fits && plain).then(|| Self { name, version: version.to_owned() })
        };
        read().ok_or_else(|| StatementError(text.chars().take(200).collect()))
    }
}

impl fmt::Display for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SUBJECT} name={} version={}", self.name, self.version)
    }
}

/// What must vouch for the file of a plugin. The operator writes digests, publishers or both, and
/// what is written must hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// Nothing is written: the file is not loaded.
    Refuse,
    /// Its digest must be one of those pinned.
    Digest,
    /// It must be signed by one of the publishers listed for it.
    Signature,
    /// Both.
    Both,
}

impl Rule {
    /// The rule for a plugin from disk.
    pub fn of(pinned: &[Digest], publishers: &[Publisher]) -> Self {
        match (pinned.is_empty(), publishers.is_empty()) {
            (true, true) => Self::Refuse,
            (false, true) => Self::Digest,
            (true, false) => Self::Signature,
            (false, false) => Self::Both,
        }
    }

    /// Whether the digest is asked for.
    pub fn asks_digest(self) -> bool {
        matches!(self, Self::Digest | Self::Both)
    }

    /// Whether a signature is asked for.
    pub fn asks_signature(self) -> bool {
        matches!(self, Self::Signature | Self::Both)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// From the documentation of minisign.
    const KEY: &str = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";

    #[test]
    fn a_key_is_read_with_its_number() {
        let key = PublicKey::parse(KEY).unwrap();
        assert_eq!((key.as_str(), key.id().to_string().as_str()), (KEY, "E7620F1842B4E81F"));
        let file = format!("untrusted comment: minisign public key E7620F1842B4E81F\n{KEY}\n");
        assert_eq!(PublicKey::parse_file(&file), Ok(key.clone()));
        assert_eq!(PublicKey::parse_file(&format!("{KEY}\r\n")), Ok(key));
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let zero = STANDARD.encode([&b"Ed01234567"[..], &[0; 32]].concat());
        let other = STANDARD.encode([&b"Ex01234567"[..], &[1; 32]].concat());
        let long = STANDARD.encode([&b"Ed01234567"[..], &[1; 33]].concat());
        for bad in ["", "RWQ", &KEY[1..], &KEY.replace('f', "-"), &zero, &other, &long, "ssh-ed25519 AAAA"] {
            assert_eq!(PublicKey::parse(bad), Err(PublisherError::Key), "{bad}");
        }
        for bad in ["", "# comment\n", &format!("comment\n{KEY}"), &format!("{KEY}\n{KEY}\n{KEY}")] {
            assert_eq!(PublicKey::parse_file(bad), Err(PublisherError::Key), "{bad}");
        }
    }

    #[test]
    fn a_publisher_is_named_like_a_plugin() {
        assert_eq!(PublisherName::new("acme-2").unwrap().as_str(), "acme-2");
        for bad in ["", "Acme", "acme corp", "../acme", "acme\n"] {
            assert_eq!(PublisherName::new(bad), Err(PublisherError::Name(bad.to_owned())));
        }
    }

    #[test]
    fn a_statement_says_name_and_version_and_nothing_else() {
        let text = "teleport-plugin name=label-load version=1.2.3";
        let statement = Statement::parse(text).unwrap();
        assert_eq!((statement.name.as_str(), statement.version.as_str()), ("label-load", "1.2.3"));
        assert_eq!(statement.to_string(), text);
        for bad in [
            "",
            "timestamp:1555779966\tfile:test",
            "teleport-plugin name=label-load",
            "teleport-plugin version=1.2.3 name=label-load",
            "teleport-plugin  name=label-load version=1.2.3",
            "teleport-plugin name=label-load version=",
            "teleport-plugin name=label-load version=1.2.3 ",
            "teleport-plugin name=label-load version=1.2.3 until=2030",
            "teleport-plugin name=../etc version=1.2.3",
            "teleport-plugin name=label-load version=1\u{202e}2",
            "teleport-plugin name=label-load version=1\r",
        ] {
            assert_eq!(Statement::parse(bad), Err(StatementError(bad.to_owned())), "{bad:?}");
        }
        assert!(Statement::parse(&format!("teleport-plugin name=a version={}", "1".repeat(65))).is_err());
    }

    #[test]
    fn what_is_written_must_hold() {
        let digest = [Digest::of(b"x")];
        let name = PublisherName::new("acme").unwrap();
        let publisher = [Publisher { name, key: PublicKey::parse(KEY).unwrap() }];
        assert_eq!(Rule::of(&[], &[]), Rule::Refuse);
        assert_eq!(Rule::of(&digest, &[]), Rule::Digest);
        assert_eq!(Rule::of(&[], &publisher), Rule::Signature);
        assert_eq!(Rule::of(&digest, &publisher), Rule::Both);
        assert!(Rule::Both.asks_digest() && Rule::Both.asks_signature());
        assert!(!Rule::Digest.asks_signature() && !Rule::Signature.asks_digest());
        assert!(!Rule::Refuse.asks_digest() && !Rule::Refuse.asks_signature());
    }

    proptest! {
        #[test]
        fn an_accepted_statement_is_written_back_as_it_was(text in "teleport-plugin( name=[a-z-]{0,4})?( version=.{0,4})?( x)?") {
            if let Ok(statement) = Statement::parse(&text) {
                prop_assert_eq!(statement.to_string(), text);
            }
        }

        #[test]
        fn no_text_panics(text in any::<String>()) {
            let _ = (Statement::parse(&text), PublicKey::parse_file(&text), PublisherName::new(text));
        }
    }
}
