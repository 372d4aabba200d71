//! The data folder: private, with the host's UUID and its identities.

use std::path::{Path, PathBuf};

use certs::bundle::{Bundle, HostKeys};
use certs::x509::Pin;
use domain::authority::AuthorityType;
use domain::identity::SystemRole;
use domain::name::HostId;
use domain::secret::Secret;
use port::random::Random;

use crate::error::ProcessError;

/// A data folder that is there and ours.
#[derive(Debug, Clone)]
pub(crate) struct DataDir(PathBuf);

impl DataDir {
    /// Makes the folder and those in it that are missing; private, mode 0700.
    pub(crate) fn open(path: &Path) -> Result<Self, ProcessError> {
        let failed = |source| ProcessError::DataDir { path: path.to_owned(), source };
        sys::file::make_private_dir(path).map_err(failed)?;
        sys::file::make_private_dir(&path.join("identity")).map_err(failed)?;
        Ok(Self(path.to_owned()))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// The host's UUID, made on the first start.
    pub(crate) fn host_id(&self, random: &dyn Random) -> Result<HostId, ProcessError> {
        let path = self.0.join("host_uuid");
        match read(&path)? {
            Some(text) => {
                HostId::parse(&String::from_utf8_lossy(&text)).ok_or_else(|| ProcessError::Damaged {
                    path,
                    reason: "it holds no UUID".to_owned(),
                    remedy: "delete it to have a new one made; this host then joins as a new one",
                })
            }
            None => {
                let id = HostId(random.uuid());
                sys::file::write_private(&path, format!("{id}\n").as_bytes())?;
                Ok(id)
            }
        }
    }

    /// The identity this host has in a role, if it has joined.
    pub(crate) fn identity(&self, role: SystemRole) -> Result<Option<Bundle>, ProcessError> {
        let path = self.identity_path(role);
        let Some(bytes) = read(&path)? else { return Ok(None) };
        let damaged = |error: certs::CertError| ProcessError::Damaged {
            path,
            reason: error.to_string(),
            // The auth server knows the host by the keys that are lost with it.
            remedy: "delete it, take the host's place back with `tctl rm node/UUID` on the auth server (the UUID is in host_uuid), and join again with a token",
        };
        Bundle::from_secret(&Secret::new(bytes)).map(Some).map_err(damaged)
    }

    /// The keys this host is going to join with in a role: those it has tried before, or new ones.
    pub(crate) fn new_keys(&self, role: SystemRole, random: &dyn Random) -> Result<HostKeys, ProcessError> {
        let path = self.keys_path(role);
        if let Some(bytes) = read(&path)? {
            let damaged = |error: certs::CertError| ProcessError::Damaged {
                path,
                reason: error.to_string(),
                remedy: "delete it to have new keys made",
            };
            return HostKeys::from_secret(&Secret::new(bytes)).map_err(damaged);
        }
        let keys = HostKeys::generate(random)?;
        sys::file::write_private(&path, keys.to_secret()?.reveal())?;
        Ok(keys)
    }

    /// The cluster this folder belongs to by the identities in these roles, as a phrase, where it has any. One
    /// that cannot be read is of some cluster, and nobody knows which.
    pub(crate) fn known_cluster(&self, roles: &[SystemRole]) -> Option<String> {
        roles.iter().find_map(|&role| match self.identity(role) {
            Ok(bundle) => Some(format!("the cluster {:?}", bundle?.identity.cluster)),
            Err(error) => Some(format!("a cluster that cannot be told ({})", ssh::refuse::chain(&error))),
        })
    }

    /// Refuses identities in these roles that another cluster gave than the one of this name with these
    /// pins, which is in `store`. One that is damaged proves nothing; whoever needs it says so.
    pub(crate) fn check_cluster(
        &self,
        roles: &[SystemRole],
        (store, served): (&str, &str),
        pins: &[Pin],
    ) -> Result<(), ProcessError> {
        for &role in roles {
            let Ok(Some(bundle)) = self.identity(role) else { continue };
            let known = net::tls::authority_certificates(&bundle.authorities, &[AuthorityType::Host])?;
            if known.iter().any(|der| Pin::of(der).is_ok_and(|pin| pins.contains(&pin))) {
                continue;
            }
            let found = bundle.identity.cluster;
            let served = match found == served {
                true => "another one of that name, with authorities of its own".to_owned(),
                false => format!("{served:?}"),
            };
            let (path, store) = (self.identity_path(role), store.to_owned());
            return Err(ProcessError::OtherCluster { path, found, store, served });
        }
        Ok(())
    }

    /// Keeps an identity: whole or not at all.
    pub(crate) fn keep_identity(&self, bundle: &Bundle) -> Result<(), ProcessError> {
        let path = self.identity_path(bundle.identity.role);
        sys::file::write_private(&path, bundle.to_secret()?.reveal())?;
        // The keys are part of it now. What cannot be removed is as private as it is.
        let _ = std::fs::remove_file(self.keys_path(bundle.identity.role));
        Ok(())
    }

    /// A file of ours, private; none when it is not there.
    pub(crate) fn read(&self, name: &str) -> Result<Option<Vec<u8>>, ProcessError> {
        read(&self.0.join(name))
    }

    /// Writes a file of ours, private, whole or not at all.
    pub(crate) fn write(&self, name: &str, content: &[u8]) -> Result<(), ProcessError> {
        Ok(sys::file::write_private(&self.0.join(name), content)?)
    }

    /// Removes a file of ours, if it is there.
    pub(crate) fn remove(&self, name: &str) -> Result<(), ProcessError> {
        Ok(sys::file::remove(&self.0.join(name))?)
    }

    fn identity_path(&self, role: SystemRole) -> PathBuf {
        self.0.join(format!("identity/{role}.json"))
    }

    fn keys_path(&self, role: SystemRole) -> PathBuf {
        self.0.join(format!("identity/{role}-keys.json"))
    }
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, ProcessError> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(ProcessError::File { path: path.to_owned(), source }),
    }
}

#[cfg(test)]
mod tests {
    use port::random::SystemRandom;

    use super::*;

    #[test]
    fn the_uuid_is_made_once_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataDir::open(&folder.path().join("data")).unwrap();
        let first = data.host_id(&SystemRandom).unwrap();
        assert_eq!(data.host_id(&SystemRandom).unwrap(), first);
        data.write("host_uuid", b"not a uuid").unwrap();
        assert!(matches!(data.host_id(&SystemRandom), Err(ProcessError::Damaged { .. })));
    }

    #[test]
    fn a_damaged_identity_names_its_file_and_the_way_out() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataDir::open(folder.path()).unwrap();
        assert!(data.identity(SystemRole::Node).unwrap().is_none());
        data.write("identity/node.json", b"{\"half\": ").unwrap();
        let error = data.identity(SystemRole::Node).unwrap_err().to_string();
        assert!(error.contains("identity/node.json") && error.contains("join again"), "{error}");
    }

    #[test]
    fn a_damaged_identity_is_of_some_cluster_and_none_is_of_none() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataDir::open(folder.path()).unwrap();
        let roles = [SystemRole::Proxy, SystemRole::Admin];
        assert_eq!(data.known_cluster(&roles), None);
        data.write("identity/admin.json", b"{\"half\": ").unwrap();
        let known = data.known_cluster(&roles).unwrap();
        assert!(
            known.starts_with("a cluster that cannot be told") && known.contains("admin.json"),
            "{known}"
        );
        assert_eq!(data.known_cluster(&[SystemRole::Proxy]), None);
        data.remove("identity/admin.json").unwrap();
        data.remove("identity/admin.json").unwrap();
        assert_eq!(data.known_cluster(&roles), None);
    }

    #[test]
    fn keys_that_were_tried_are_tried_again() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataDir::open(folder.path()).unwrap();
        let publics = |keys: HostKeys| (keys.ssh_public().unwrap(), keys.tls.public_der());
        let first = publics(data.new_keys(SystemRole::Node, &SystemRandom).unwrap());
        assert_eq!(publics(data.new_keys(SystemRole::Node, &SystemRandom).unwrap()), first);
        assert_ne!(publics(data.new_keys(SystemRole::Proxy, &SystemRandom).unwrap()), first);
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, b"").unwrap();
        let error = DataDir::open(&file.join("data")).unwrap_err().to_string();
        assert!(error.contains("file/data") && error.contains("--data-dir"), "{error}");
    }
}
