//! `teleport:host/secrets`: secrets used without being seen, and `secret-reveal` for what cannot be done
//! otherwise.
//!
//! The plugin holds a handle. What it puts into a request's header is a stand-in that means nothing to
//! anybody else; the host puts the secret in its place on the way out, and only on the way to the hosts
//! the operator named for it. Secrets are read when they are opened, so that a changed file is seen by
//! the next call, and are wiped when the instance ends.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::plugin::grant::Use;
use domain::plugin::{Destination, SecretLabel};
use domain::secret::Secret;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use tokio::task::block_in_place;
use wasmtime::component::{Resource, ResourceTableError};

use super::disk::Disk;
use super::v1::teleport::host::secret_reveal;
use super::v1::teleport::host::secrets::{Algorithm, Failure, Host, HostSecret};
use crate::call::CallState;
use crate::place;

mod revealed;
mod stand_in;
mod token;

pub(crate) use revealed::Revealed;
pub(crate) use stand_in::{StandInError, StandIns};

/// The largest secret, in bytes.
const SECRET_MAX: u64 = 64 * 1024;

/// Where a secret is read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretFrom {
    /// A file that only the daemon's user and root may write, and not everybody read; a line break at its end is
    /// left out.
    File(PathBuf),
    /// A variable of the daemon's environment, read by `process`; nothing when it is not set.
    Environment {
        /// Its name.
        name: String,
        /// Its value.
        value: Option<Secret>,
    },
}

/// A secret as the operator gives it to a plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretSettings {
    /// Where it is read from.
    pub from: SecretFrom,
    /// Where it may be sent. Nowhere means it is only computed with.
    pub hosts: Vec<Destination>,
}

/// What the operator gave to one plugin.
pub(crate) type Given = BTreeMap<SecretLabel, SecretSettings>;

/// A secret in the hands of an instance.
#[derive(Debug)]
#[allow(unreachable_pub, reason = "the generated module re-exports it")]
pub struct OpenSecret {
    label: SecretLabel,
    value: Secret,
}

/// What an instance has done with secrets.
#[derive(Default)]
pub(crate) struct Opened {
    pub(crate) stand_ins: StandIns,
    denied: Option<String>,
}

impl Opened {
    /// Begins the next call of an instance that is kept. Stand-ins stay: the instance may keep them.
    pub(crate) fn renew(&mut self) {
        self.denied = None;
    }

    /// The first use that was refused in this call.
    pub(crate) fn denied(&self) -> Option<&str> {
        self.denied.as_deref()
    }
}

async fn find(from: SecretFrom, disk: &Disk) -> Result<Secret, String> {
    match from {
        SecretFrom::Environment { name, value } => {
            value.ok_or_else(|| format!("the variable {name} is not set for this daemon"))
        }
        SecretFrom::File(path) => {
            let found = disk.wait_for(move || read(&path)).await;
            found.unwrap_or_else(|error| Err(format!("it was not read to the end: {error}")))
        }
    }
}

fn read(path: &Path) -> Result<Secret, String> {
    let file = place::open_secret(path).map_err(|error| crate::error::chain(&error))?;
    let file = file.ok_or_else(|| format!("there is no file {}", path.display()))?;
    let mut bytes = zeroize::Zeroizing::new(Vec::new());
    let read = std::io::Read::read_to_end(&mut std::io::Read::take(file, SECRET_MAX + 1), &mut bytes);
    read.map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
    if bytes.len() as u64 > SECRET_MAX {
        return Err(format!("{} holds more than {SECRET_MAX} bytes", path.display()));
    }
    let text = bytes.strip_suffix(b"\n").map_or(&bytes[..], |line| line.strip_suffix(b"\r").unwrap_or(line));
    Ok(Secret::new(text))
}

impl CallState {
    fn deny(&mut self, text: String) -> Failure {
        self.secrets.denied.get_or_insert_with(|| text.clone());
        Failure::Denied(text)
    }

    fn secret(&self, handle: &Resource<OpenSecret>) -> Result<&OpenSecret, ResourceTableError> {
        self.wasi.table().get(handle)
    }
}

impl Host for CallState {
    async fn open(&mut self, label: String) -> wasmtime::Result<Result<Resource<OpenSecret>, Failure>> {
        let plugin = self.provisions.identity.name.clone();
        let Ok(label) = SecretLabel::new(label) else {
            return Ok(Err(Failure::Invalid("that is no label of a secret".to_owned())));
        };
        let given = self.provisions.secrets.get(&label).filter(|_| self.provisions.effective.may_use(&label));
        let Some(settings) = given.cloned() else {
            let text = format!(
                "plugin {plugin} has no secret {label}; if it may, add under teleport.plugins.load.{plugin}.secrets: {label}: {{ file: /PATH, hosts: [\"https://HOST\"] }}, and to its manifest a need of secret with that label"
            );
            return Ok(Err(self.deny(text)));
        };
        match find(settings.from, &self.provisions.disk).await {
            Ok(value) => {
                self.provisions.diary.used(&Use::Secret(label.clone()));
                Ok(Ok(self.wasi.table_mut().push(OpenSecret { label, value })?))
            }
            Err(reason) => {
                Ok(Err(Failure::Unavailable(format!("secret {label} of plugin {plugin}: {reason}"))))
            }
        }
    }
}

impl HostSecret for CallState {
    async fn stand_in(&mut self, secret: Resource<OpenSecret>) -> wasmtime::Result<String> {
        let OpenSecret { label, value } = self.secret(&secret)?;
        let (label, text) = (label.clone(), value.clone());
        Ok(self.secrets.stand_ins.make(label, text))
    }

    async fn basic(&mut self, secret: Resource<OpenSecret>, user: String) -> wasmtime::Result<String> {
        let OpenSecret { label, value } = self.secret(&secret)?;
        let pair = zeroize::Zeroizing::new([user.as_bytes(), b":", value.reveal()].concat());
        let whole = zeroize::Zeroizing::new(format!("Basic {}", STANDARD.encode(&*pair)));
        let label = label.clone();
        Ok(self.secrets.stand_ins.make(label, Secret::new(whole.as_bytes())))
    }

    async fn hmac_sha256(
        &mut self,
        secret: Resource<OpenSecret>,
        data: Vec<u8>,
    ) -> wasmtime::Result<Vec<u8>> {
        let key = self.secret(&secret)?.value.reveal();
        let mut mac = Hmac::<Sha256>::new_from_slice(key)?;
        mac.update(&data);
        Ok(mac.finalize().into_bytes().to_vec())
    }

    async fn sign_jwt(
        &mut self,
        secret: Resource<OpenSecret>,
        algorithm: Algorithm,
        key_id: Option<String>,
        claims: String,
    ) -> wasmtime::Result<Result<String, Failure>> {
        let key = &self.secret(&secret)?.value;
        Ok(block_in_place(|| token::sign(key, algorithm, key_id, &claims)).map_err(Failure::Invalid))
    }

    async fn drop(&mut self, secret: Resource<OpenSecret>) -> wasmtime::Result<()> {
        self.wasi.table_mut().delete(secret)?;
        Ok(())
    }
}

impl secret_reveal::Host for CallState {
    async fn reveal(&mut self, secret: Resource<OpenSecret>) -> wasmtime::Result<Result<Vec<u8>, Failure>> {
        let OpenSecret { label, value } = self.secret(&secret)?;
        if self.provisions.effective.may_reveal(label) {
            let plugin = &self.provisions.identity;
            if !self.provisions.revealed.tell(plugin, label) {
                return Ok(Err(Failure::Unavailable(format!(
                    "secret {label} is not shown to plugin {} now, for that cannot be noted in the audit log; ask again in a moment",
                    plugin.name
                ))));
            }
            self.provisions.diary.used(&Use::SecretReveal(label.clone()));
            return Ok(Ok(value.reveal().to_vec()));
        }
        let plugin = &self.provisions.identity.name;
        let text = format!(
            "plugin {plugin} may use secret {label} and not see it; if it may, add under teleport.plugins.load.{plugin}.grants: secret_reveal: [{label}]"
        );
        Ok(Err(self.deny(text)))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_file_is_read_without_its_last_line_break_unless_everybody_may_read_it() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("token");
        let mode = |mode| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        std::fs::write(&path, "s3cret\r\n").unwrap();
        mode(0o644);
        assert!(read(&path).unwrap_err().contains("chmod o-rwx"));
        mode(0o640);
        assert_eq!(read(&path).unwrap().reveal_str(), Some("s3cret"));
        std::fs::write(&path, vec![b'x'; 64 * 1024 + 1]).unwrap();
        assert!(read(&path).unwrap_err().contains("more than 65536 bytes"));
        std::fs::remove_file(&path).unwrap();
        assert!(read(&path).unwrap_err().contains("there is no file"));
    }
}
