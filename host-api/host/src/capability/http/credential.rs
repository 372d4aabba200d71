//! Keys of Amazon's that sign requests: given, or asked for and renewed before they end.
//!
//! Of the usual chain these are served: given keys (from the configuration or the environment, which
//! `process` reads), the container's endpoint (ECS, EKS pod identity), and the machine's role (IMDSv2; the
//! older version without a token is not). Profiles in files, single sign-on and web identities are not.
//! These requests are the host's own: no plugin can make them, for the addresses are refused to all.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use domain::Timestamp;
use domain::secret::Secret;
use port::clock::{Clock as _, SystemClock};
use reqwest::{Client, Method, Url};
use serde::Deserialize;
use tokio::sync::Mutex;

use super::tls;
use crate::capability::disk;

/// Whose keys sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AwsKeys {
    /// These.
    Given {
        /// The access key's name.
        access_key: String,
        /// The secret key.
        secret_key: Secret,
        /// For keys that end: what goes with them.
        session: Option<Secret>,
    },
    /// Those of the container this runs in.
    Container {
        /// Where to ask, `http://` at an address of this machine or of the container's host.
        url: String,
        /// What to show there.
        token: Option<Secret>,
        /// The file with what to show there, read each time.
        token_file: Option<PathBuf>,
    },
    /// Those of this machine's role.
    Machine {
        /// Where to ask, such as `http://169.254.169.254`.
        url: String,
    },
}

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub enum AwsKeysError {
    /// The place to ask is not one to ask.
    #[error(
        "{url} is not where credentials are asked for: it must be http:// and an address of this machine or of its host"
    )]
    Place {
        /// The place.
        url: String,
    },
    /// The file is not there.
    #[error("{path} cannot be read for credentials", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The reason.
        #[source]
        source: std::io::Error,
    },
    /// No answer.
    #[error(
        "credentials cannot be had of {url}; write access_key and secret_key, or give this machine a role"
    )]
    Unreachable {
        /// The place.
        url: String,
        /// The reason.
        #[source]
        source: reqwest::Error,
    },
    /// Another answer.
    #[error(
        "{url} gives no credentials: {reason}; write access_key and secret_key, or give this machine a role"
    )]
    Refused {
        /// The place.
        url: String,
        /// What it said.
        reason: String,
    },
}

/// How long one question may take: the places are on this machine or next to it.
const PATIENCE: Duration = Duration::from_secs(3);

/// How long before their end keys are renewed.
const EARLY: Duration = Duration::from_secs(300);

/// After a failure, how long keys that still work are used before it is asked again.
const PAUSE: Duration = Duration::from_secs(30);

/// Bytes of the largest answer.
const ANSWER_MAX: usize = 64 * 1024;

/// Keys, as they are at the moment.
pub(super) struct Keyring {
    from: AwsKeys,
    kept: Mutex<Option<Kept>>,
}

struct Kept {
    credentials: Credentials,
    /// When to ask again.
    renew: SystemTime,
    end: SystemTime,
}

/// An answer with keys in it, as both kinds of places give it.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    access_key_id: String,
    secret_access_key: String,
    token: Option<String>,
    expiration: Option<Timestamp>,
}

impl Keyring {
    pub(super) fn new(from: AwsKeys) -> Self {
        Self { from, kept: Mutex::default() }
    }

    /// Keys that are good now. Who comes while they are asked for waits for the answer.
    ///
    /// # Errors
    /// [`AwsKeysError`].
    pub(super) async fn now(&self) -> Result<Credentials, AwsKeysError> {
        if let AwsKeys::Given { access_key, secret_key, session } = &self.from {
            return Ok(credentials(access_key.clone(), text(secret_key), session.as_ref().map(text)));
        }
        let mut kept = self.kept.lock().await;
        let now = SystemTime::from(SystemClock.now());
        if let Some(kept) = kept.as_ref().filter(|kept| now < kept.renew) {
            return Ok(kept.credentials.clone());
        }
        match (self.ask().await, kept.as_mut()) {
            (Ok(answer), _) => {
                let end = answer.expiration.map_or(now + Duration::from_secs(900), SystemTime::from);
                let renew = end.checked_sub(EARLY).unwrap_or(now).max(now + PAUSE);
                let credentials = credentials(answer.access_key_id, answer.secret_access_key, answer.token);
                *kept = Some(Kept { credentials: credentials.clone(), renew, end });
                Ok(credentials)
            }
            (Err(error), Some(kept)) if now < kept.end => {
                tracing::warn!(%error, "cloud credentials are not renewed yet, those from before are used");
                kept.renew = now + PAUSE;
                Ok(kept.credentials.clone())
            }
            (Err(error), _) => Err(error),
        }
    }

    async fn ask(&self) -> Result<Answer, AwsKeysError> {
        match &self.from {
            AwsKeys::Container { url, token, token_file } => {
                let url = place(url)?;
                let token = match token_file {
                    Some(path) => {
                        let file = path.clone();
                        let read = disk::beside(false, move || std::fs::read_to_string(file)).await;
                        let read = read.unwrap_or_else(|error| Err(std::io::Error::other(error)));
                        let failed = |source| AwsKeysError::File { path: path.clone(), source };
                        Some(read.map_err(failed)?.trim().to_owned())
                    }
                    None => token.as_ref().map(text),
                };
                let header = token.as_deref().map(|token| ("authorization", token));
                keys(&url, &ask(Method::GET, &url, header).await?)
            }
            AwsKeys::Machine { url } => {
                let root = place(url)?;
                let at = |path: &str| root.join(path).map_err(|_| AwsKeysError::Place { url: url.clone() });
                let life = ("x-aws-ec2-metadata-token-ttl-seconds", "300");
                let token = ask(Method::PUT, &at("/latest/api/token")?, Some(life)).await?;
                let token = Some(("x-aws-ec2-metadata-token", token.trim()));
                let roles = at("/latest/meta-data/iam/security-credentials/")?;
                let names = ask(Method::GET, &roles, token).await?;
                let role = names.lines().next().unwrap_or_default().trim();
                if role.is_empty() || role.contains('/') || role.contains("..") {
                    let reason = "this machine has no role".to_owned();
                    return Err(AwsKeysError::Refused { url: roles.to_string(), reason });
                }
                let role = at(&format!("/latest/meta-data/iam/security-credentials/{role}"))?;
                keys(&role, &ask(Method::GET, &role, token).await?)
            }
            AwsKeys::Given { .. } => {
                let reason = "given keys are not asked for".to_owned();
                Err(AwsKeysError::Refused { url: String::new(), reason })
            }
        }
    }
}

fn credentials(access: String, secret: String, session: Option<String>) -> Credentials {
    Credentials::new(access, secret, session, None, "teleport")
}

fn text(secret: &Secret) -> String {
    String::from_utf8_lossy(secret.reveal()).into_owned()
}

/// A place to ask: keys come over it unencrypted, so it must be this machine or what it runs on.
fn place(text: &str) -> Result<Url, AwsKeysError> {
    let wrong = || AwsKeysError::Place { url: text.to_owned() };
    let url = Url::parse(text).map_err(|_| wrong())?;
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let is_near = match host.parse() {
        Ok(IpAddr::V4(ip)) => ip.is_loopback() || ip.is_link_local(),
        // The IPv6 twins of the same services (fd00:ec2::254, fd00:ec2::23).
        Ok(IpAddr::V6(ip)) => ip.is_loopback() || ip.segments().starts_with(&[0xfd00, 0x0ec2]),
        Err(_) => false,
    };
    if url.scheme() == "http" && is_near { Ok(url) } else { Err(wrong()) }
}

fn keys(url: &Url, text: &str) -> Result<Answer, AwsKeysError> {
    // The reason could repeat what is in the answer.
    serde_json::from_str(text).map_err(|_| AwsKeysError::Refused {
        url: url.to_string(),
        reason: "its answer is of another form".to_owned(),
    })
}

/// Asks one question, without a proxy and without following anybody elsewhere.
async fn ask(method: Method, url: &Url, header: Option<(&str, &str)>) -> Result<String, AwsKeysError> {
    let unreachable = |source| AwsKeysError::Unreachable { url: url.to_string(), source };
    let refused = |reason: String| AwsKeysError::Refused { url: url.to_string(), reason };
    let tls = tls::unused().map_err(|error| refused(error.to_string()))?;
    let client = Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
    let client = client.timeout(PATIENCE).tls_backend_preconfigured(tls).build().map_err(unreachable)?;
    let mut request = client.request(method, url.clone());
    if let Some((name, value)) = header {
        request = request.header(name, value);
    }
    let mut answer = request.send().await.map_err(unreachable)?;
    if answer.status() != 200 {
        return Err(refused(format!("it answered with status {}", answer.status().as_u16())));
    }
    let mut body = Vec::new();
    while let Some(piece) = answer.chunk().await.map_err(unreachable)? {
        body.extend_from_slice(&piece);
        if body.len() > ANSWER_MAX {
            return Err(refused("its answer is larger than 64 KiB".to_owned()));
        }
    }
    String::from_utf8(body).map_err(|_| refused("its answer is no text".to_owned()))
}

#[cfg(test)]
mod tests;
