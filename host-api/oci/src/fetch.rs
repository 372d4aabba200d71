//! Asking a registry for bytes, with a bound on every answer (OCI distribution specification 1.1, "Pull").
//!
//! Here because the library reads answers whole before their size can be seen. What a registry says of itself is
//! not believed: what comes is counted. Whoever it sends for a token ([`crate::Credentials`] go along, for they are
//! this registry's) is bounded in the same way.

use std::time::Duration;

use oci_client::errors::OciDistributionError;
use oci_client::secrets::RegistryAuth;
use reqwest::header::{ACCEPT, WWW_AUTHENTICATE};
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use serde::Deserialize;

use crate::credential::Credentials;
use crate::error::OciError;
use crate::place::Place;

mod challenge;

use challenge::Challenge;

/// How long a registry may be silent, and how long connecting to it may take.
pub(crate) const SILENT: Duration = Duration::from_secs(30);

/// The largest token with what is said about it, and the most that is kept of an error, in bytes.
const TOKEN_MAX: u64 = 64 << 10;
const ERROR_MAX: u64 = 1 << 10;

/// Who we are.
pub(crate) const USER_AGENT: &str = concat!("teleport/", env!("CARGO_PKG_VERSION"));

/// A connection to the registry of a place, that pulls.
pub(crate) struct Fetch<'a> {
    client: Client,
    place: &'a Place,
    access: Access,
}

/// How requests are let in.
enum Access {
    Everybody,
    Basic(String, String),
    Bearer(String),
}

/// Why there are no bytes: the library's own words where they fit.
pub(crate) enum Refused {
    /// There is more than there may be.
    TooLarge,
    Other(OciDistributionError),
}

impl<E: Into<OciDistributionError>> From<E> for Refused {
    fn from(error: E) -> Self {
        Self::Other(error.into())
    }
}

#[derive(Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
}

impl<'a> Fetch<'a> {
    /// Reaches the registry, and is let in if it lets in whoever this is.
    ///
    /// # Errors
    /// [`OciError::Registry`].
    pub(crate) async fn begin(place: &'a Place, credentials: &Credentials) -> Result<Self, OciError> {
        let mut fetch = match client(place.scheme()) {
            Ok(client) => Self { client, place, access: Access::Everybody },
            Err(error) => return Err(failed(place, error.into())),
        };
        match fetch.access(&credentials.0).await {
            Ok(access) => fetch.access = access,
            Err(Refused::TooLarge) => {
                let place = place.to_string();
                return Err(OciError::TooLarge { what: "token", place, max: TOKEN_MAX });
            }
            Err(Refused::Other(error)) => return Err(failed(place, error)),
        }
        Ok(fetch)
    }

    /// The bytes below the repository, such as `blobs/sha256:…`; at most so many.
    ///
    /// # Errors
    /// [`Refused`].
    pub(crate) async fn get(&self, path: &str, accept: &str, max: u64) -> Result<Vec<u8>, Refused> {
        let url = format!("{}{}/{path}", self.root(), self.place.reference().repository());
        let request = self.client.get(&url).header(ACCEPT, accept);
        let request = match &self.access {
            Access::Everybody => request,
            Access::Basic(user, password) => request.basic_auth(user, Some(password)),
            Access::Bearer(token) => request.bearer_auth(token),
        };
        answered(request, max).await
    }

    fn root(&self) -> String {
        format!("{}://{}/v2/", self.place.scheme(), self.place.reference().resolve_registry())
    }

    /// What the registry asks for, from whom this is.
    async fn access(&self, auth: &RegistryAuth) -> Result<Access, Refused> {
        let (user, password) = match auth {
            RegistryAuth::Bearer(token) => return Ok(Access::Bearer(token.clone())),
            RegistryAuth::Basic(user, password) => (Some(user), Some(password)),
            RegistryAuth::Anonymous => (None, None),
        };
        let answer = self.client.get(self.root()).send().await?;
        let asked = answer.headers().get(WWW_AUTHENTICATE).and_then(|value| value.to_str().ok());
        let challenge = match asked {
            Some(asked) if answer.status() == StatusCode::UNAUTHORIZED => Challenge::parse(asked),
            _ => return Ok(Access::Everybody),
        };
        match (challenge, user, password) {
            (Challenge::Bearer { realm, service }, ..) => {
                let scope = format!("repository:{}:pull", self.place.reference().repository());
                let mut url = reqwest::Url::parse(&realm)
                    .map_err(|error| OciDistributionError::UrlParseError(error.to_string()))?;
                url.query_pairs_mut().append_pair("scope", &scope);
                if let Some(service) = service {
                    url.query_pairs_mut().append_pair("service", &service);
                }
                let request = self.client.get(url);
                let request = match user {
                    Some(user) => request.basic_auth(user, password),
                    None => request,
                };
                let bytes = answered(request, TOKEN_MAX).await?;
                token(&bytes).map_err(Refused::Other)
            }
            (Challenge::Other, Some(user), Some(password)) => {
                Ok(Access::Basic(user.clone(), password.clone()))
            }
            (Challenge::Other, ..) => Ok(Access::Everybody),
        }
    }
}

/// Asks nobody without TLS when the registry is asked with it: neither where a redirect leads nor where the registry
/// says that tokens are, to which the user's password goes.
fn client(scheme: &str) -> reqwest::Result<Client> {
    let client = Client::builder().read_timeout(SILENT).connect_timeout(SILENT).user_agent(USER_AGENT);
    client.https_only(scheme == "https").build()
}

fn token(bytes: &[u8]) -> Result<Access, OciDistributionError> {
    // The message would repeat the text, and with it the token.
    let unreadable = || OciDistributionError::RegistryTokenDecodeError("it is not its JSON".to_owned());
    let Token { token, access_token } = serde_json::from_slice(bytes).map_err(|_| unreadable())?;
    token.or(access_token).map(Access::Bearer).ok_or_else(unreadable)
}

async fn answered(request: RequestBuilder, max: u64) -> Result<Vec<u8>, Refused> {
    let mut answer = request.send().await?;
    let (status, url) = (answer.status(), answer.url().to_string());
    if status.is_success() {
        return read(&mut answer, max).await?.map_err(|_| Refused::TooLarge);
    }
    if status == StatusCode::UNAUTHORIZED {
        return Err(OciDistributionError::UnauthorizedError { url }.into());
    }
    let message = read(&mut answer, ERROR_MAX).await?.unwrap_or_else(|begin| begin);
    let message = String::from_utf8_lossy(&message);
    let message = domain::printable::escape(message.trim()).into_owned();
    Err(OciDistributionError::ServerError { code: status.as_u16(), url, message }.into())
}

/// The body; its beginning alone when there is more than `max`.
async fn read(answer: &mut Response, max: u64) -> Result<Result<Vec<u8>, Vec<u8>>, reqwest::Error> {
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        if (bytes.len() + chunk.len()) as u64 > max {
            return Ok(Err(bytes));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(Ok(bytes))
}

fn failed(place: &Place, source: OciDistributionError) -> OciError {
    OciError::Registry { what: "pulling", place: place.to_string(), source: Box::new(source) }
}

#[cfg(test)]
mod tests;
