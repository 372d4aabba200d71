//! Certificates made by hand, good and bad, and signing in with them.
//!
//! The bytes are put together here (OpenSSH `PROTOCOL.certkeys`), because no library that makes
//! certificates makes the ones a hostile client would show.

use std::io;
use std::path::{Path, PathBuf};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::cluster::Credentials;
use crate::raw::{Raw, message};
use crate::wire::{Message, Reading};

/// The algorithm's name of a plain key.
pub const ED25519: &str = "ssh-ed25519";
/// The algorithm's name of a certificate.
pub const ED25519_CERTIFICATE: &str = "ssh-ed25519-cert-v01@openssh.com";

/// An Ed25519 key.
pub struct Key {
    pair: Ed25519KeyPair,
    seed: [u8; 32],
}

impl Key {
    /// The key of a seed.
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self { pair: Ed25519KeyPair::from_seed_unchecked(&seed).unwrap(), seed }
    }

    /// A key nobody has seen before.
    pub fn fresh() -> Self {
        let mut seed = [0; 32];
        aws_lc_rs::rand::fill(&mut seed).unwrap();
        Self::from_seed(seed)
    }

    /// The same key as a library's.
    pub fn of(key: &ssh_key::PrivateKey) -> Self {
        Self::from_seed(key.key_data().ed25519().unwrap().private.to_bytes())
    }

    /// Its public half, as SSH writes it.
    pub fn public(&self) -> Vec<u8> {
        Message::part().text(ED25519).text(self.pair.public_key()).into_bytes()
    }

    /// A signature, as SSH writes it.
    pub fn sign(&self, bytes: &[u8]) -> Vec<u8> {
        Message::part().text(ED25519).text(self.pair.sign(bytes)).into_bytes()
    }

    fn private(&self) -> ssh_key::PrivateKey {
        ssh_key::PrivateKey::from(ssh_key::private::Ed25519Keypair::from_seed(&self.seed))
    }
}

/// A certificate that says what it is told to.
#[derive(Debug, Clone)]
pub struct Forged {
    /// The key it is for, as SSH writes it without the algorithm's name.
    pub key: Vec<u8>,
    /// Serial number.
    pub serial: u64,
    /// 1 for users, 2 for hosts.
    pub kind: u32,
    /// Whom it names.
    pub key_id: Vec<u8>,
    /// Logins or names.
    pub principals: Vec<Vec<u8>>,
    /// From this Unix second on.
    pub valid_after: u64,
    /// Until before this Unix second.
    pub valid_before: u64,
    /// Options that must be understood.
    pub critical: Vec<(String, Vec<u8>)>,
    /// Options that may be ignored.
    pub extensions: Vec<(String, Vec<u8>)>,
    /// The key it says it is signed by; the signer's own when absent.
    pub signed_by: Option<Vec<u8>>,
}

impl Forged {
    /// The certificate of an honest user, as read from one the auth server made.
    pub fn like(credentials: &Credentials) -> Self {
        let certificate = &credentials.certificate;
        let options = |map: &ssh_key::certificate::OptionsMap| {
            map.iter().map(|(name, value)| (name.clone(), value.clone().into_bytes())).collect()
        };
        Self {
            key: Key::of(&credentials.key).pair.public_key().as_ref().to_vec(),
            serial: certificate.serial(),
            kind: 1,
            key_id: certificate.key_id().as_bytes().to_vec(),
            principals: certificate.valid_principals().iter().map(|name| name.clone().into_bytes()).collect(),
            valid_after: certificate.valid_after(),
            valid_before: certificate.valid_before(),
            critical: options(certificate.critical_options()),
            extensions: options(certificate.extensions()),
            signed_by: None,
        }
    }

    /// With these principals.
    #[must_use]
    pub fn principals(mut self, names: &[&[u8]]) -> Self {
        self.principals = names.iter().map(|name| name.to_vec()).collect();
        self
    }

    /// Valid from one Unix second until before another.
    #[must_use]
    pub fn valid(mut self, after: u64, before: u64) -> Self {
        (self.valid_after, self.valid_before) = (after, before);
        self
    }

    /// With one more critical option.
    #[must_use]
    pub fn critical(mut self, name: &str, value: &str) -> Self {
        self.critical.push((name.to_owned(), value.as_bytes().to_vec()));
        self
    }

    /// The bytes, signed.
    pub fn sign(&self, authority: &Key) -> Vec<u8> {
        let list =
            |names: &[Vec<u8>]| names.iter().fold(Message::part(), |part, name| part.text(name)).into_bytes();
        let options = |options: &[(String, Vec<u8>)]| {
            options.iter().fold(Message::part(), |part, (name, value)| part.text(name).text(option(value)))
        };
        let body = Message::part()
            .text(ED25519_CERTIFICATE)
            .text([9; 32])
            .text(&self.key)
            .long(self.serial)
            .number(self.kind)
            .text(&self.key_id)
            .text(list(&self.principals))
            .long(self.valid_after)
            .long(self.valid_before)
            .text(options(&self.critical))
            .text(options(&self.extensions))
            .text("")
            .text(self.signed_by.clone().unwrap_or_else(|| authority.public()));
        let signature = authority.sign(body.as_ref());
        body.text(signature).into_bytes()
    }
}

/// An option's value: empty for a flag, else a string within a string.
fn option(value: &[u8]) -> Vec<u8> {
    if value.is_empty() { Vec::new() } else { Message::part().text(value).into_bytes() }
}

/// What a client shows to sign in.
pub struct Shown {
    /// The key it signs with.
    pub key: Key,
    /// What it shows: a certificate or a plain key.
    pub blob: Vec<u8>,
    /// The algorithm it names.
    pub algorithm: &'static str,
}

impl Shown {
    /// A certificate and its key.
    pub fn certificate(key: Key, blob: Vec<u8>) -> Self {
        Self { key, blob, algorithm: ED25519_CERTIFICATE }
    }

    /// A key alone.
    pub fn plain(key: Key) -> Self {
        Self { blob: key.public(), key, algorithm: ED25519 }
    }

    /// What the auth server made.
    pub fn honest(credentials: &Credentials) -> Self {
        let line = credentials.certificate.to_openssh().unwrap();
        let blob = STANDARD.decode(line.split(' ').nth(1).unwrap()).unwrap();
        Self::certificate(Key::of(&credentials.key), blob)
    }

    /// Writes the files OpenSSH wants and returns the path of the private key.
    ///
    /// # Errors
    /// Those of the folder.
    pub fn write(&self, folder: &Path, name: &str) -> io::Result<PathBuf> {
        use std::os::unix::fs::PermissionsExt;
        let path = folder.join(name);
        let text = self.key.private().to_openssh(ssh_key::LineEnding::LF).map_err(io::Error::other)?;
        std::fs::write(&path, text.as_bytes())?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
        let line = format!("{} {}\n", self.algorithm, STANDARD.encode(&self.blob));
        std::fs::write(folder.join(format!("{name}-cert.pub")), line)?;
        Ok(path)
    }
}

/// How signing in went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// In.
    Accepted,
    /// Not in, and what the server said about it.
    Refused(String),
    /// The server ended the connection.
    Closed,
}

impl Raw {
    /// The request to sign in with a key, up to the signature (RFC 4252 section 7).
    pub fn key_request(login: &str, shown: &Shown, signed: bool) -> Message {
        Message::new(message::USERAUTH_REQUEST)
            .text(login)
            .text("ssh-connection")
            .text("publickey")
            .flag(signed)
            .text(shown.algorithm)
            .text(&shown.blob)
    }

    /// The whole request, signed with the key of `signer`.
    pub fn signed_request(&self, login: &str, shown: &Shown, signer: &Key) -> Message {
        let request = Self::key_request(login, shown, true);
        let signature = signer.sign(Message::part().text(self.session_id()).raw(&request).as_ref());
        request.text(signature)
    }

    /// Signs in, and when that fails asks why, as stock clients do: by keyboard-interactive.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn sign_in(&mut self, login: &str, shown: &Shown) -> io::Result<Verdict> {
        let request = self.signed_request(login, shown, &shown.key);
        self.send(request).await?;
        match self.verdict().await? {
            Verdict::Refused(_) => self.why(login).await,
            verdict => Ok(verdict),
        }
    }

    /// The server's answer to a request to sign in.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn verdict(&mut self) -> io::Result<Verdict> {
        let answers = [message::USERAUTH_SUCCESS, message::USERAUTH_FAILURE];
        match self.receive_one_of(&answers).await {
            Ok(payload) if payload[0] == message::USERAUTH_SUCCESS => Ok(Verdict::Accepted),
            Ok(payload) => Ok(Verdict::Refused(Reading::message(&payload).text())),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => Err(error),
            Err(_) => Ok(Verdict::Closed),
        }
    }

    /// Asks by keyboard-interactive why signing in failed.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn why(&mut self, login: &str) -> io::Result<Verdict> {
        let request = Message::new(message::USERAUTH_REQUEST)
            .text(login)
            .text("ssh-connection")
            .text("keyboard-interactive")
            .text("")
            .text("");
        self.send(request).await?;
        let answers = [message::USERAUTH_INFO_REQUEST, message::USERAUTH_FAILURE, message::USERAUTH_SUCCESS];
        let payload = match self.receive_one_of(&answers).await {
            Ok(payload) => payload,
            Err(error) if error.kind() == io::ErrorKind::TimedOut => return Err(error),
            Err(_) => return Ok(Verdict::Closed),
        };
        match payload[0] {
            message::USERAUTH_SUCCESS => Ok(Verdict::Accepted),
            message::USERAUTH_FAILURE => Ok(Verdict::Refused(String::new())),
            _ => {
                let mut request = Reading::message(&payload);
                let (_name, instructions) = (request.text(), request.text());
                Ok(Verdict::Refused(instructions))
            }
        }
    }
}
