//! Whether a publisher vouches for a component: their signature over it, and what the signature says.
//!
//! Called when a plugin is loaded from disk and by `teleport plugin verify`, so that both agree.
//! Refuses signatures of the old kind, whose file is not hashed first; texts that hold more than a
//! signature; and a trusted comment that says anything but which plugin and version it is of. What a
//! signature says is believed only after it was checked.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::plugin::publisher::{KeyId, Statement, StatementError};
use domain::plugin::{Manifest, PluginName, Publisher};
use minisign_verify::{Error, PublicKey, Signature};

/// Why a signature does not vouch for a plugin.
#[derive(Debug, thiserror::Error)]
pub enum SignatureError {
    /// No signature at all.
    #[error(
        "the file is no minisign signature ({0}); fetch it again, or make it with `teleport plugin sign`"
    )]
    Malformed(&'static str),
    /// Made by a minisign that does not hash first.
    #[error(
        "the signature is of minisign's old kind, which is not prehashed; sign again with `teleport plugin sign`"
    )]
    Legacy,
    /// Made with a key that is not listed for this plugin.
    #[error("it is signed with key {key}, {signer}; only {listed} may sign this plugin")]
    OtherKey {
        /// The number of the key.
        key: KeyId,
        /// Whose that is, as far as the configuration tells.
        signer: String,
        /// Whose signature would count.
        listed: String,
    },
    /// The key's number is listed, and the signature does not fit.
    #[error(
        "the signature, in the name of {publisher}, does not fit the file: the file was changed after it was signed, or the signature is of another file; fetch both again"
    )]
    OtherFile {
        /// Whose number the signature carries.
        publisher: String,
    },
    /// A good signature of something that is no plugin.
    #[error(
        "the signature does not say which plugin it is of; the publisher signs plugins with `teleport plugin sign`"
    )]
    Statement(#[source] StatementError),
    /// A good signature of another plugin.
    #[error("the signature is of plugin {signed}, not of {name}")]
    OtherPlugin {
        /// The plugin that was signed.
        signed: PluginName,
        /// The plugin that was asked for.
        name: PluginName,
    },
    /// A good signature of another version than the manifest's.
    #[error("the signature is of version {signed}, the manifest says {found}")]
    OtherVersion {
        /// The version that was signed.
        signed: String,
        /// The version in the manifest.
        found: String,
    },
    /// The manifest is not in what was signed.
    #[error(
        "the signature does not cover the manifest, which lies beside the component and not in it; sign with `teleport plugin sign`, which puts it in"
    )]
    ManifestBeside,
}

/// A signature that was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// By whom.
    pub publisher: Publisher,
    /// What they say it is.
    pub statement: Statement,
}

impl Signed {
    /// Compares the signed words with the plugin's own.
    ///
    /// # Errors
    /// [`SignatureError::OtherVersion`], or [`SignatureError::ManifestBeside`] when the manifest is not
    /// `embedded` in the component.
    pub(crate) fn check_manifest(&self, manifest: &Manifest, embedded: bool) -> Result<(), SignatureError> {
        if !embedded {
            return Err(SignatureError::ManifestBeside);
        }
        if self.statement.version != manifest.version {
            let (signed, found) = (self.statement.version.clone(), manifest.version.clone());
            return Err(SignatureError::OtherVersion { signed, found });
        }
        Ok(())
    }
}

/// Whose signatures count.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Trust<'a> {
    /// Those listed for the plugin.
    pub(crate) listed: &'a [Publisher],
    /// Everybody the operator has a name for.
    pub(crate) known: &'a [Publisher],
}

/// Checks that one of those listed has signed these bytes as the plugin of that name.
///
/// # Errors
/// [`SignatureError`] for the first thing that is not in order.
pub(crate) fn check(
    name: &PluginName,
    wasm: &[u8],
    signature: &[u8],
    trust: Trust<'_>,
) -> Result<Signed, SignatureError> {
    let Parsed { key, signature } = parse(signature)?;
    let candidates: Vec<_> = trust.listed.iter().filter(|publisher| publisher.key.id() == key).collect();
    if candidates.is_empty() {
        return Err(other_key(key, trust));
    }
    // Numbers of keys are not unique: somebody may have made a key with the number of another's.
    for publisher in &candidates {
        match fits(wasm, &signature, publisher) {
            Ok(()) => {
                let statement =
                    Statement::parse(signature.trusted_comment()).map_err(SignatureError::Statement)?;
                if statement.name != *name {
                    return Err(SignatureError::OtherPlugin { signed: statement.name, name: name.clone() });
                }
                return Ok(Signed { publisher: (*publisher).clone(), statement });
            }
            Err(Error::UnexpectedAlgorithm) => return Err(SignatureError::Legacy),
            Err(_) => {}
        }
    }
    Err(SignatureError::OtherFile { publisher: names(candidates.into_iter()) })
}

fn fits(wasm: &[u8], signature: &Signature, publisher: &Publisher) -> Result<(), Error> {
    PublicKey::from_base64(publisher.key.as_str())?.verify(wasm, signature, false)
}

fn other_key(key: KeyId, trust: Trust<'_>) -> SignatureError {
    let signer = match trust.known.iter().find(|publisher| publisher.key.id() == key) {
        Some(publisher) => {
            format!("which is that of publisher {}, not listed for this plugin", publisher.name)
        }
        None => "which is no publisher's".to_owned(),
    };
    SignatureError::OtherKey { key, signer, listed: names(trust.listed.iter()) }
}

/// Publishers in a sentence.
pub(crate) fn names<'a>(publishers: impl Iterator<Item = &'a Publisher>) -> String {
    publishers.map(ToString::to_string).collect::<Vec<_>>().join(" or ")
}

struct Parsed {
    key: KeyId,
    signature: Signature,
}

/// Four lines: comment, signature, trusted comment, signature over both.
fn parse(bytes: &[u8]) -> Result<Parsed, SignatureError> {
    let malformed = SignatureError::Malformed;
    let text = std::str::from_utf8(bytes).map_err(|_| malformed("it is not text"))?;
    let lines: Vec<&str> = text.trim_end().lines().collect();
    let [comment, line, _, _] = lines.as_slice() else {
        return Err(malformed("it does not have four lines"));
    };
    if !comment.starts_with("untrusted comment:") {
        return Err(malformed("it does not begin with an untrusted comment"));
    }
    let signature = Signature::decode(text).map_err(|_| malformed("a line is not as minisign writes it"))?;
    let decoded = STANDARD.decode(line).map_err(|_| malformed("the second line is not base64"))?;
    let key = decoded.get(2..).and_then(|rest| rest.first_chunk()).copied();
    let key = key.map(KeyId::from_bytes).ok_or(malformed("the second line is too short"))?;
    Ok(Parsed { key, signature })
}

#[cfg(test)]
mod tests;
