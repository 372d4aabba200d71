//! Who this is to a registry: what `docker login` and its like wrote down, or nobody.
//!
//! Looks in `$DOCKER_CONFIG/config.json` or `~/.docker/config.json`, under `auths`. Programs that keep
//! credentials (`credsStore`, `credHelpers`) are not run; where a registry's are kept by one, that is said.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use oci_client::secrets::RegistryAuth;
use serde::Deserialize;

use crate::error::OciError;

/// The largest file that is read, in bytes.
const FILE_MAX: u64 = 1 << 20;

/// Who this is to one registry.
#[derive(Clone)]
pub struct Credentials(pub(crate) RegistryAuth);

// The password stays out of logs.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct File {
    auths: BTreeMap<String, Entry>,
    creds_store: Option<String>,
    cred_helpers: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Entry {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    registrytoken: Option<String>,
}

impl Credentials {
    /// Nobody in particular.
    pub fn anonymous() -> Self {
        Self(RegistryAuth::Anonymous)
    }

    /// What the usual file of whoever runs this says of a registry.
    ///
    /// # Errors
    /// Those of [`Credentials::read`].
    pub fn of_this_user(registry: &str) -> Result<Self, OciError> {
        let folder =
            |variable| std::env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from);
        let file = Self::file(folder("DOCKER_CONFIG"), folder("HOME"));
        file.map_or_else(|| Ok(Self::anonymous()), |file| Self::read(&file, registry))
    }

    /// Where the usual file is: `DOCKER_CONFIG` and `HOME` are the variables of those names.
    pub fn file(docker_config: Option<PathBuf>, home: Option<PathBuf>) -> Option<PathBuf> {
        let folder = docker_config.or_else(|| home.map(|home| home.join(".docker")));
        folder.map(|folder| folder.join("config.json"))
    }

    /// What a file says of a registry; nobody where there is no file, or nothing about it.
    ///
    /// # Errors
    /// [`OciError::Credentials`] for a file that cannot be read, or that leaves them to a program.
    pub fn read(path: &Path, registry: &str) -> Result<Self, OciError> {
        let failed = |reason: String| OciError::Credentials {
            path: path.to_owned(),
            registry: registry.to_owned(),
            reason,
        };
        let file = match std::fs::File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::anonymous()),
            Err(error) => return Err(failed(error.to_string())),
        };
        let mut text = String::new();
        file.take(FILE_MAX).read_to_string(&mut text).map_err(|error| failed(error.to_string()))?;
        let file: File = serde_json::from_str(&text)
            // The message would repeat the text, and with it a password.
            .map_err(|error| failed(format!("it is not its JSON, line {}", error.line())))?;
        let names = [registry.to_owned(), format!("https://{registry}"), format!("https://{registry}/v2/")];
        let docker = (registry == "docker.io").then(|| "https://index.docker.io/v1/".to_owned());
        let mut entries = names.iter().chain(docker.as_ref()).filter_map(|name| file.auths.get(name));
        match entries.next() {
            Some(entry) => match entry.auth(&failed)? {
                Some(auth) => Ok(Self(auth)),
                None if file.creds_store.is_none() => Ok(Self::anonymous()),
                None => Err(failed(kept_elsewhere(file.creds_store.as_deref()))),
            },
            None => match file.cred_helpers.get(registry) {
                Some(helper) => Err(failed(kept_elsewhere(Some(helper)))),
                None => Ok(Self::anonymous()),
            },
        }
    }
}

fn kept_elsewhere(helper: Option<&str>) -> String {
    let helper = helper.unwrap_or_default();
    format!(
        "they are kept by the program docker-credential-{helper}, which is not run; put them under auths, in a folder that DOCKER_CONFIG names"
    )
}

impl Entry {
    fn auth(&self, failed: &impl Fn(String) -> OciError) -> Result<Option<RegistryAuth>, OciError> {
        if let Some(token) = &self.registrytoken {
            return Ok(Some(RegistryAuth::Bearer(token.clone())));
        }
        if let (Some(user), Some(password)) = (&self.username, &self.password) {
            return Ok(Some(RegistryAuth::Basic(user.clone(), password.clone())));
        }
        let Some(auth) = self.auth.as_ref().filter(|auth| !auth.is_empty()) else { return Ok(None) };
        let pair = STANDARD.decode(auth).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let pair = pair.as_deref().and_then(|pair| pair.split_once(':'));
        let Some((user, password)) = pair else {
            return Err(failed("`auth` is not the base64 form of user:password".to_owned()));
        };
        // Docker fills up with NUL.
        Ok(Some(RegistryAuth::Basic(user.to_owned(), password.trim_end_matches('\0').to_owned())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, registry: &str) -> Result<RegistryAuth, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        std::fs::write(&path, text).unwrap();
        Credentials::read(&path, registry).map(|found| found.0).map_err(|error| error.to_string())
    }

    #[test]
    fn what_docker_wrote_is_understood() {
        let basic = Ok(RegistryAuth::Basic("joe".into(), "s3:cret".into()));
        let pair = STANDARD.encode("joe:s3:cret");
        assert_eq!(read(&format!(r#"{{"auths":{{"ghcr.io":{{"auth":"{pair}"}}}}}}"#), "ghcr.io"), basic);
        assert_eq!(
            read(&format!(r#"{{"auths":{{"https://ghcr.io":{{"auth":"{pair}"}}}}}}"#), "ghcr.io"),
            basic
        );
        assert_eq!(
            read(&format!(r#"{{"auths":{{"ghcr.io":{{"auth":"{pair}"}}}}}}"#), "quay.io"),
            Ok(RegistryAuth::Anonymous)
        );
        assert_eq!(read("{}", "ghcr.io"), Ok(RegistryAuth::Anonymous));
    }

    #[test]
    fn what_cannot_be_used_is_said_without_the_secret() {
        let error = read(r#"{"auths":{"ghcr.io":{"auth":"s3cret"}}}"#, "ghcr.io").unwrap_err();
        assert!(error.contains("not the base64 form") && !error.contains("s3cret"), "{error}");
        let error = read(r#"{"auths":{"ghcr.io":{"auth":"s3cret"}"#, "ghcr.io").unwrap_err();
        assert!(error.contains("line 1") && !error.contains("s3cret"), "{error}");
        for kept in
            [r#"{"auths":{"ghcr.io":{}},"credsStore":"pass"}"#, r#"{"credHelpers":{"ghcr.io":"pass"}}"#]
        {
            let error = read(kept, "ghcr.io").unwrap_err();
            assert!(error.contains("docker-credential-pass"), "{error}");
        }
    }

    #[test]
    fn no_file_is_nobody() {
        assert_eq!(
            Credentials::read(Path::new("/nonexistent"), "ghcr.io").unwrap().0,
            RegistryAuth::Anonymous
        );
        assert_eq!(Credentials::file(None, Some("/h".into())), Some("/h/.docker/config.json".into()));
        assert_eq!(Credentials::file(Some("/d".into()), Some("/h".into())), Some("/d/config.json".into()));
    }
}
