//! Keys and certificates as files: for OpenSSH, or as one identity file.
//!
//! Every file is of mode 0600 and written whole. Nothing is replaced unless that is asked for.

use std::io;
use std::path::{Path, PathBuf};

use certs::bundle::HostKeys;
use ssh_key::LineEnding;
use terminal::{Explain, Failure};

/// Keys and the certificates made for them.
pub(crate) struct Credential {
    /// The private keys.
    pub(crate) keys: HostKeys,
    /// In OpenSSH's one-line form.
    pub(crate) ssh_certificate: String,
    /// In DER.
    pub(crate) tls_certificate: Vec<u8>,
    /// Lines for `known_hosts`.
    pub(crate) known_hosts: Vec<String>,
    /// Certificates of the authority that signs hosts, in PEM.
    pub(crate) tls_authorities: Vec<String>,
}

/// Where a credential is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    /// The private key here, the rest beside it.
    Openssh(PathBuf),
    /// Everything here.
    Identity(PathBuf),
}

impl Target {
    /// The path that was named.
    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::Openssh(path) | Self::Identity(path) => path,
        }
    }

    /// Every file that will be written.
    fn files(&self) -> Vec<PathBuf> {
        let path = self.path().to_owned();
        match self {
            Self::Openssh(_) => vec![path.clone(), with_end(&path, ".pub"), with_end(&path, "-cert.pub")],
            Self::Identity(_) => vec![path],
        }
    }

    /// Refuses to go on when a file is there, or its folder is not.
    ///
    /// # Errors
    /// A failure that names the file or folder.
    pub(crate) fn check_free(&self, overwrite: bool) -> Result<(), Failure> {
        let folder = self.path().parent().filter(|folder| !folder.as_os_str().is_empty());
        if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
            return Err(Failure::new(format!("{} is not a folder", folder.display()))
                .hint("make it, or name another place with --out"));
        }
        for file in self.files() {
            match file.symlink_metadata() {
                Ok(found) if found.is_dir() => {
                    let message = format!("{} is a folder", file.display());
                    return Err(Failure::new(message).hint("name a file with --out"));
                }
                Ok(_) if !overwrite => {
                    return Err(Failure::new(format!("{} exists already", file.display()))
                        .hint("replace it with --overwrite, or name another place with --out"));
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error).while_doing(format!("cannot look at {}", file.display())),
            }
        }
        Ok(())
    }

    /// Writes the files and returns their names.
    ///
    /// # Errors
    /// A failure that names the file.
    pub(crate) fn write(&self, credential: &Credential) -> Result<Vec<PathBuf>, Failure> {
        let key = credential.keys.ssh.to_openssh(LineEnding::LF)?;
        match self {
            Self::Openssh(path) => {
                sys::file::write_private(path, key.as_bytes())?;
                let public = credential.keys.ssh_public()? + "\n";
                sys::file::write_private(&with_end(path, ".pub"), public.as_bytes())?;
                let certificate = format!("{}\n", credential.ssh_certificate.trim_end());
                sys::file::write_private(&with_end(path, "-cert.pub"), certificate.as_bytes())?;
            }
            Self::Identity(path) => sys::file::write_private(path, credential.identity(&key).as_bytes())?,
        }
        Ok(self.files())
    }
}

impl Credential {
    /// The identity file. Its first three parts are in the order Teleport's own have; the X.509 key
    /// stands before its certificate, because it is another key than that of SSH.
    fn identity(&self, ssh_key: &str) -> String {
        let line = |text: &str| format!("{}\n", text.trim_end());
        let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
        let tls = pem::encode_config(&pem::Pem::new("CERTIFICATE", self.tls_certificate.clone()), config);
        let mut file = line(ssh_key) + &line(&self.ssh_certificate);
        file += &line(&self.keys.tls.private_pem());
        file += &line(&tls);
        for part in self.known_hosts.iter().chain(&self.tls_authorities) {
            file += &line(part);
        }
        file
    }
}

/// The path with an ending after its whole name: `a.b` and `.pub` give `a.b.pub`.
fn with_end(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_their_dots() {
        let target = Target::Openssh("dir/db.example.com".into());
        let names = ["dir/db.example.com", "dir/db.example.com.pub", "dir/db.example.com-cert.pub"];
        assert_eq!(target.files(), names.map(PathBuf::from));
    }

    #[test]
    fn nothing_is_replaced_unasked() {
        let folder = tempfile::tempdir().unwrap();
        let target = Target::Openssh(folder.path().join("joe"));
        target.check_free(false).unwrap();
        std::fs::write(folder.path().join("joe-cert.pub"), "mine").unwrap();
        assert!(target.check_free(false).unwrap_err().render().contains("joe-cert.pub exists already"));
        target.check_free(true).unwrap();
        let inside = Target::Identity(folder.path().join("no/joe"));
        assert!(inside.check_free(false).unwrap_err().render().contains("is not a folder"));
        assert!(Target::Identity(folder.path().to_owned()).check_free(true).is_err());
        std::os::unix::fs::symlink("/nowhere", folder.path().join("link")).unwrap();
        assert!(Target::Identity(folder.path().join("link")).check_free(false).is_err(), "a dangling link");
    }
}
