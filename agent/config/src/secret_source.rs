//! Secrets and pins that stand in the configuration or in a file it names.
//!
//! The configuration is checked without opening such files. They are read in a second step, when the
//! whole of it is known to be good, and a join token only when the host has no identity yet.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use domain::plugin::Digest;
use domain::secret::Secret;

use crate::error::ConfigError;

/// Reads a text file: [`crate::read_file`] in the daemon, a table in tests.
pub type ReadFile<'a> = &'a dyn Fn(&Path) -> io::Result<String>;

/// Where a secret comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretSource {
    /// The key or flag, and where it stands, for errors.
    place: String,
    origin: Origin,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Origin {
    Value(Secret),
    File(PathBuf),
}

impl SecretSource {
    /// A text that is the secret, or the absolute path of the file that holds it.
    pub(crate) fn new(place: impl Into<String>, text: &str) -> Self {
        let text = text.trim();
        let origin = if text.starts_with('/') {
            Origin::File(PathBuf::from(text))
        } else {
            Origin::Value(Secret::from(text))
        };
        Self { place: place.into(), origin }
    }

    /// The file to be read, when the secret is in one.
    pub fn path(&self) -> Option<&Path> {
        match &self.origin {
            Origin::Value(_) => None,
            Origin::File(path) => Some(path),
        }
    }

    /// The secret. A file's trailing line break is not part of it.
    ///
    /// # Errors
    /// [`ConfigError::SecretFile`] when the file cannot be read, [`ConfigError::SecretContent`] when
    /// it holds nothing or several lines.
    pub fn read(&self, read: ReadFile<'_>) -> Result<Secret, ConfigError> {
        let path = match &self.origin {
            Origin::Value(secret) => return Ok(secret.clone()),
            Origin::File(path) => path,
        };
        let text = self.read_text(path, read)?;
        let secret = text.trim();
        let wrong = |reason: &str| self.content(path, reason);
        match secret {
            "" => Err(wrong("is empty; write the secret into it")),
            secret if secret.contains('\n') => {
                Err(wrong("holds several lines; one secret on one line is expected"))
            }
            secret => Ok(Secret::from(secret)),
        }
    }

    pub(crate) fn read_text(&self, path: &Path, read: ReadFile<'_>) -> Result<String, ConfigError> {
        read(path).map_err(|source| {
            let (place, path) = (self.place.clone(), path.to_owned());
            ConfigError::SecretFile { place, path, source }
        })
    }

    fn content(&self, path: &Path, reason: &str) -> ConfigError {
        let (place, path) = (self.place.clone(), path.to_owned());
        ConfigError::SecretContent { place, path, reason: reason.to_owned() }
    }
}

/// What proves that an auth server belongs to the cluster: the SHA-256 of its authority's public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CaPin(Digest);

/// A text that is no pin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not a CA pin; copy the `sha256:…` line that `tctl status` prints on the auth server")]
pub struct CaPinError;

impl CaPin {
    /// Reads `sha256:` and 64 hexadecimal digits.
    ///
    /// # Errors
    /// [`CaPinError`] says where to find one.
    pub fn parse(text: &str) -> Result<Self, CaPinError> {
        Digest::parse(text).map(Self).map_err(|_| CaPinError)
    }

    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }
}

impl fmt::Display for CaPin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Where a pin comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CaPinSource {
    /// The pin itself.
    Pin(CaPin),
    /// A file with one pin per line.
    File(SecretSource),
}

impl CaPinSource {
    /// A pin, or the absolute path of a file with one pin per line.
    pub(crate) fn new(place: impl Into<String>, text: &str) -> Result<Self, CaPinError> {
        if text.trim().starts_with('/') {
            return Ok(Self::File(SecretSource::new(place, text)));
        }
        CaPin::parse(text).map(Self::Pin)
    }

    /// The pins.
    ///
    /// # Errors
    /// [`ConfigError::SecretFile`] or [`ConfigError::SecretContent`] about the file.
    pub fn read(&self, read: ReadFile<'_>) -> Result<Vec<CaPin>, ConfigError> {
        let source = match self {
            Self::Pin(pin) => return Ok(vec![*pin]),
            Self::File(source) => source,
        };
        let path = source.path().unwrap_or(Path::new(""));
        let text = source.read_text(path, read)?;
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let pins: Result<Vec<_>, _> = lines.map(CaPin::parse).collect();
        match pins {
            Ok(pins) if pins.is_empty() => Err(source.content(path, "is empty; write one CA pin per line")),
            Ok(pins) => Ok(pins),
            Err(error) => Err(source.content(path, &format!("a line {error}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PIN: &str = "sha256:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

    fn file(content: &'static str) -> impl Fn(&Path) -> io::Result<String> {
        move |path| match path.to_str() {
            Some("/there") => Ok(content.to_owned()),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    #[test]
    fn a_secret_is_the_text_or_the_content_of_the_file() {
        let value = SecretSource::new("k", "hunter2");
        assert_eq!(value.read(&file("")).unwrap(), Secret::from("hunter2"));
        let in_file = SecretSource::new("k", "/there");
        assert_eq!(in_file.read(&file("hunter2\r\n")).unwrap(), Secret::from("hunter2"));
        assert!(!format!("{value:?}").contains("hunter2"));
    }

    #[test]
    fn errors_name_key_and_file_but_never_the_content() {
        let missing = SecretSource::new("t.yaml:2:3: teleport.auth_token", "/gone");
        let error = missing.read(&file("")).unwrap_err().to_string();
        assert_eq!(
            error,
            "t.yaml:2:3: teleport.auth_token: file /gone cannot be read; create it, or write the value itself in its place"
        );
        let there = SecretSource::new("--token", "/there");
        assert!(there.read(&file(" \n")).unwrap_err().to_string().contains("is empty"));
        let several = there.read(&file("hunter2\nhunter3")).unwrap_err().to_string();
        assert!(several.contains("several lines") && !several.contains("hunter"), "{several}");
    }

    #[test]
    fn pins_read_from_text_and_file() {
        let pin = CaPin::parse(PIN).unwrap();
        assert_eq!(pin.to_string(), PIN);
        assert_eq!(CaPinSource::new("k", PIN).unwrap().read(&file("")).unwrap(), [pin]);
        let source = CaPinSource::new("k", "/there").unwrap();
        let two: &str = "sha256:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\n\nsha256:00112233445566778899AABBCCDDEEFF00112233445566778899aabbccddeeff\n";
        assert_eq!(source.read(&file(two)).unwrap(), [pin, pin]);
        assert!(source.read(&file("")).is_err());
        assert!(source.read(&file("sha256:00")).unwrap_err().to_string().contains("tctl status"));
    }

    #[test]
    fn what_is_no_pin_is_refused() {
        for text in ["", "sha256:", "sha512:00", &PIN[..PIN.len() - 1], &format!("{PIN}0")] {
            assert_eq!(CaPin::parse(text), Err(CaPinError), "{text}");
        }
    }
}
