//! Publishers' keys as files: the secret one of mode 0600, with or without a password, and the public one.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::plugin::publisher::{PublicKey, SIGNATURE_MAX};
use minisign::{KeyPair, SecretKeyBox};
use zeroize::Zeroizing;

use super::{PublishError, file};

/// The longest password, in bytes: minisign's.
pub(super) const PASSWORD_MAX: usize = 1024;

/// How a secret key is locked: the third and fourth byte.
const UNLOCKED: &[u8] = &[0, 0];
const SCRYPT: &[u8] = b"Sc";

/// The length of the checksum, in bytes.
const CHECKSUM: usize = 32;

/// The password of a secret key.
pub struct Password(Zeroizing<String>);

impl Password {
    /// Checks a password.
    ///
    /// # Errors
    /// [`PublishError::Password`] when it is empty or longer than minisign takes.
    pub fn new(text: String) -> Result<Self, PublishError> {
        let text = Zeroizing::new(text);
        if (1..=PASSWORD_MAX).contains(&text.len()) { Ok(Self(text)) } else { Err(PublishError::Password) }
    }

    /// The first line of a file that nobody else may read, or of a pipe.
    ///
    /// # Errors
    /// [`PublishError`].
    pub fn read(path: &Path) -> Result<Self, PublishError> {
        let bytes = file::read_secret(path, SIGNATURE_MAX)?;
        let text = std::str::from_utf8(&bytes).map_err(|_| PublishError::Password)?;
        Self::new(text.lines().next().unwrap_or_default().to_owned())
    }

    /// Whether two are the same: for one that is typed twice.
    pub fn is(&self, other: &Self) -> bool {
        self.0 == other.0
    }

    fn text(&self) -> String {
        // minisign takes a plain String and does not clear it.
        self.0.as_str().to_owned()
    }
}

/// Makes a key and writes both halves, neither over a file that exists. Without a password whoever
/// reads the secret file can sign.
///
/// # Errors
/// [`PublishError`]; no secret file is left then.
pub fn generate(
    secret: &Path,
    public: &Path,
    password: Option<&Password>,
) -> Result<PublicKey, PublishError> {
    check_free(&[secret, public])?;
    let pair = match password {
        Some(password) => KeyPair::generate_encrypted_keypair(Some(password.text())),
        None => KeyPair::generate_unencrypted_keypair(),
    };
    let KeyPair { pk, sk } = pair.map_err(PublishError::Generate)?;
    let key = PublicKey::parse(&pk.to_base64()).map_err(|_| no_key(public))?;
    let comment = format!("secret key of a teleport plugin publisher, {}", key.id());
    let locked = Zeroizing::new(sk.to_box(Some(&comment)).map_err(PublishError::Generate)?.into_string());
    file::create(secret, 0o600, locked.as_bytes())?;
    let open = format!("untrusted comment: minisign public key {}\n{key}\n", key.id());
    file::create(public, 0o644, open.as_bytes()).inspect_err(|_| {
        // A secret whose public half is missing would only be in the way.
        let _ = std::fs::remove_file(secret);
    })?;
    Ok(key)
}

/// Whether there are no such files yet, so that nobody chooses a password in vain.
///
/// # Errors
/// [`PublishError::Exists`] with the first that is there.
pub fn check_free(paths: &[&Path]) -> Result<(), PublishError> {
    match paths.iter().find(|path| path.symlink_metadata().is_ok()) {
        Some(path) => Err(PublishError::Exists { path: path.to_path_buf() }),
        None => Ok(()),
    }
}

/// Whether a file holds a public key, which is easily named in place of the secret one beside it.
fn is_public(path: &Path) -> bool {
    let bytes = file::read(path, SIGNATURE_MAX).unwrap_or_default();
    let text = std::str::from_utf8(&bytes).unwrap_or_default();
    PublicKey::parse_file(text).is_ok()
}

fn no_key(path: &Path) -> PublishError {
    PublishError::NoKey { path: path.to_owned() }
}

/// A secret key as it lies on disk.
pub struct SecretKeyFile {
    path: PathBuf,
    text: Zeroizing<String>,
    has_password: bool,
}

impl SecretKeyFile {
    /// Reads a secret key that nobody else may read.
    ///
    /// # Errors
    /// [`PublishError`].
    pub fn read(path: &Path) -> Result<Self, PublishError> {
        Self::read_secret(path).map_err(|error| {
            let public = PublishError::PublicHalf { path: path.to_owned() };
            if is_public(path) { public } else { error }
        })
    }

    fn read_secret(path: &Path) -> Result<Self, PublishError> {
        let bytes = file::read_secret(path, SIGNATURE_MAX)?;
        let text = std::str::from_utf8(&bytes).map_err(|_| no_key(path))?;
        let key = decoded(text).ok_or_else(|| no_key(path))?;
        let has_password = match key.get(2..4) {
            Some(SCRYPT) => true,
            Some(UNLOCKED) => false,
            _ => return Err(no_key(path)),
        };
        Ok(Self { path: path.to_owned(), text: Zeroizing::new(text.to_owned()), has_password })
    }

    /// Whether it takes a password to use it.
    pub fn has_password(&self) -> bool {
        self.has_password
    }

    /// Makes it usable.
    ///
    /// # Errors
    /// [`PublishError::PasswordMissing`], or [`PublishError::Unlock`] when the password is wrong or
    /// the file damaged.
    pub fn unlock(self, password: Option<&Password>) -> Result<SecretKey, PublishError> {
        let Self { path, text, has_password } = self;
        let locked = SecretKeyBox::from(text.as_str().to_owned());
        let opened = match (has_password, password) {
            (true, None) => return Err(PublishError::PasswordMissing { path }),
            (true, Some(password)) => locked.into_secret_key(Some(password.text())),
            (false, _) if has_no_checksum(&text) => open_unchecked(&text),
            (false, _) => locked.into_unencrypted_secret_key(),
        };
        let secret = opened.map_err(|source| PublishError::Unlock { path: path.clone(), source })?;
        let public = minisign::PublicKey::from_secret_key(&secret).map_err(|_| no_key(&path))?;
        let key = PublicKey::parse(&public.to_base64()).map_err(|_| no_key(&path))?;
        Ok(SecretKey { secret, key })
    }
}

/// The checksum is what a password is checked by, and the last thing in the file. `minisign -G -W`
/// (0.11) leaves it empty where there is none.
fn has_no_checksum(text: &str) -> bool {
    decoded(text).is_some_and(|key| key.last_chunk::<CHECKSUM>().is_some_and(|sum| *sum == [0; CHECKSUM]))
}

/// Without a checksum damage shows when the first signature is read back.
fn open_unchecked(text: &str) -> Result<minisign::SecretKey, minisign::PError> {
    minisign::SecretKey::from_bytes(&decoded(text).unwrap_or_default())
}

/// The second line of a file with a key.
fn decoded(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    STANDARD.decode(text.lines().nth(1)?.trim()).ok().map(Zeroizing::new)
}

/// A secret key that can sign. It has no `Debug`: minisign's would show it.
pub struct SecretKey {
    pub(super) secret: minisign::SecretKey,
    key: PublicKey,
}

impl SecretKey {
    /// The other half, by which its signatures are checked.
    pub fn public(&self) -> &PublicKey {
        &self.key
    }
}
