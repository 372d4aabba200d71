//! What to do when a registry refuses or is not reached, by what it answered.

use std::error::Error;

use oci_client::errors::{OciDistributionError, OciErrorCode};
use rustls::CertificateError;

use crate::error::OciError;
use crate::place::Place;

/// For what a registry does not have.
const NOT_THERE: &str = "check repository and tag: a plugin that was pushed without a tag has its version for one, \
                         and some registries want the repository made before anything is pushed";

impl OciError {
    /// What to try next with this place, where the text does not say so already.
    pub fn advice(&self, place: &Place) -> Option<String> {
        let Self::Registry { source, .. } = self else { return None };
        let registry = place.registry();
        Some(match &**source {
            OciDistributionError::UnauthorizedError { .. }
            | OciDistributionError::AuthenticationFailure(_)
            | OciDistributionError::ServerError { code: 401 | 403, .. } => sign_in(registry),
            OciDistributionError::ServerError { code: 404, .. }
            | OciDistributionError::ImageManifestNotFoundError(_) => NOT_THERE.to_owned(),
            OciDistributionError::RegistryError { envelope, .. } => match envelope.errors.first()?.code {
                OciErrorCode::Unauthorized | OciErrorCode::Denied => sign_in(registry),
                OciErrorCode::ManifestUnknown | OciErrorCode::NameUnknown | OciErrorCode::NotFound => {
                    NOT_THERE.to_owned()
                }
                _ => return None,
            },
            OciDistributionError::RequestError(error) if error.is_connect() => {
                return unreached(error, registry);
            }
            _ => return None,
        })
    }
}

fn sign_in(registry: &str) -> String {
    format!("sign in with `docker login {registry}`: the credentials it writes are the ones used here")
}

/// What is no TLS at all is told from TLS that does not agree.
fn unreached(error: &reqwest::Error, registry: &str) -> Option<String> {
    Some(match tls(error) {
        Some(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer)) => {
            format!("where an authority of your own vouches for {registry}, name its file in SSL_CERT_FILE")
        }
        Some(rustls::Error::InvalidMessage(_)) => {
            "it speaks no TLS: leave out --tls, or name --plain-http where it is on another machine"
                .to_owned()
        }
        Some(_) => return None,
        None => format!("check that a registry listens at {registry}, and that this host reaches it"),
    })
}

/// The TLS error among the causes. An I/O error keeps it inside instead of having it as its source.
fn tls(error: &reqwest::Error) -> Option<&rustls::Error> {
    let mut cause = error.source();
    while let Some(source) = cause {
        let io = source.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        let inner = io.and_then(|inner| inner.downcast_ref());
        if let Some(found) = source.downcast_ref().or(inner) {
            return Some(found);
        }
        cause = io.map(|inner| inner as &dyn Error).or_else(|| source.source());
    }
    None
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use crate::credential::Credentials;
    use crate::{Place, pull};

    /// What is advised when whoever listens gives this answer to everything; nobody listens when there is none.
    async fn advised(answer: Option<&'static [u8]>, tls: bool) -> String {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let place = format!("oci://{}/acme/x:1", listener.local_addr().unwrap());
        let place = Place::parse(&place, false).unwrap();
        let place = if tls { place.with_tls() } else { place };
        let serving = answer.map(|answer| {
            tokio::spawn(async move {
                while let Ok((mut stream, _)) = listener.accept().await {
                    let _ = stream.read(&mut [0; 4096]).await;
                    let _ = stream.write_all(answer).await;
                }
            })
        });
        let error = pull(&place, &Credentials::anonymous()).await.unwrap_err();
        serving.inspect(tokio::task::JoinHandle::abort);
        error.advice(&place).unwrap_or_else(|| panic!("no advice on {error:?}"))
    }

    #[tokio::test]
    async fn each_refusal_has_its_own_next_step() {
        let of = |status: &str| -> &'static [u8] {
            format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").leak().as_bytes()
        };
        let steps = [
            (advised(Some(of("401 Unauthorized")), false).await, "docker login 127.0.0.1:"),
            (advised(Some(of("403 Forbidden")), false).await, "docker login 127.0.0.1:"),
            (advised(Some(of("404 Not Found")), false).await, "check repository and tag"),
            (advised(Some(of("400 Bad Request")), true).await, "leave out --tls"),
            (advised(None, false).await, "check that a registry listens at 127.0.0.1:"),
        ];
        for (advice, expected) in steps {
            assert!(advice.contains(expected), "{advice} should say {expected}");
        }
    }
}
