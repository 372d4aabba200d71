//! Requests signed for Amazon's services (Signature Version 4), so that no plugin sees a key.
//!
//! The operator says of a place that requests to it are signed, for which service and region, and whose
//! keys sign. What the guest wrote of a signature is thrown away. The signature covers method, path, headers
//! and body; it is good for a few minutes and for this one request.

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use domain::plugin::destination::Target;
use http::{HeaderName, HeaderValue};
use port::clock::{Clock as _, SystemClock};
use wasmtime_wasi_http::Error;

use super::credential::{AwsKeys, Keyring};
use super::failure::Failure;
use super::tls::PlaceSettings;
use crate::error::chain;

/// How requests to a place are signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignSettings {
    /// The service's name in signatures, such as `dynamodb`.
    pub service: String,
    /// The region, such as `eu-north-1`.
    pub region: String,
    /// Whose keys.
    pub keys: AwsKeys,
}

/// What only the signature sets.
const OURS: [&str; 4] = ["authorization", "x-amz-date", "x-amz-security-token", "x-amz-content-sha256"];

/// Signs the requests to one place.
pub(super) struct Signer {
    place: PlaceSettings,
    settings: SignSettings,
    keyring: Keyring,
}

impl Signer {
    /// Those of the places that want it.
    pub(super) fn of(places: &[PlaceSettings]) -> Vec<Self> {
        let signer = |place: &PlaceSettings| {
            let settings = place.sign.clone()?;
            Some(Self { place: place.clone(), keyring: Keyring::new(settings.keys.clone()), settings })
        };
        places.iter().filter_map(signer).collect()
    }

    /// Whether requests to the target are this one's.
    pub(super) fn covers(&self, target: &Target) -> bool {
        self.place.destination.covers(target)
    }

    /// Signs a request as it is to be sent.
    ///
    /// # Errors
    /// [`Failure`] when there are no keys to be had.
    pub(super) async fn sign(&self, target: &Target, request: &mut reqwest::Request) -> Result<(), Failure> {
        let failed = |reason: String| {
            Failure::of(
                Error::ConfigurationError,
                format!("a request to {target} cannot be signed: {reason}"),
            )
        };
        let credentials = self.keyring.now().await.map_err(|error| failed(chain(&error)))?;
        let now = SystemTime::from(SystemClock.now());
        let headers = self.headers(request, credentials, now).map_err(failed)?;
        for name in OURS {
            request.headers_mut().remove(name);
        }
        for (name, mut value) in headers {
            value.set_sensitive(true);
            request.headers_mut().insert(name, value);
        }
        Ok(())
    }

    /// The headers that carry the signature.
    fn headers(
        &self,
        request: &reqwest::Request,
        credentials: Credentials,
        now: SystemTime,
    ) -> Result<Vec<(HeaderName, HeaderValue)>, String> {
        let identity = credentials.into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.settings.region)
            .name(&self.settings.service)
            .time(now)
            .settings(SigningSettings::default())
            .build()
            .map_err(|error| error.to_string())?
            .into();
        let headers = request.headers().iter().filter(|(name, _)| !OURS.contains(&name.as_str()));
        // What is no text is not signed, and may be sent all the same.
        let headers = headers.filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
        let body = request.body().and_then(reqwest::Body::as_bytes).unwrap_or_default();
        let signable = SignableRequest::new(
            request.method().as_str(),
            request.url().as_str(),
            headers,
            SignableBody::Bytes(body),
        )
        .map_err(|error| error.to_string())?;
        let (instructions, _) = sign(signable, &params).map_err(|error| error.to_string())?.into_parts();
        instructions
            .headers()
            .map(|(name, value)| {
                let name: HeaderName = name.parse().map_err(|_| "a header has no name".to_owned())?;
                let value = value.parse().map_err(|_| format!("{name} is no header"))?;
                Ok((name, value))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use domain::plugin::Destination;
    use domain::secret::Secret;

    use super::super::tls::ServerAuthority;
    use super::*;

    fn signer() -> Signer {
        let keys = AwsKeys::Given {
            access_key: "AKIDEXAMPLE".to_owned(),
            secret_key: Secret::from("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
            session: Some(Secret::from("token")),
        };
        let sign = Some(SignSettings { service: "service".to_owned(), region: "us-east-1".to_owned(), keys });
        let destination = Destination::parse("https://example.amazonaws.com").unwrap();
        let place =
            PlaceSettings { destination, authority: ServerAuthority::Machine, certificate: None, sign };
        Signer::of(&[place]).pop().unwrap()
    }

    /// From AWS's own suite of tests of Signature Version 4: `get-vanilla`.
    #[test]
    fn the_signature_is_the_published_one() {
        let signer = signer();
        let request =
            reqwest::Request::new(http::Method::GET, "https://example.amazonaws.com/".parse().unwrap());
        let credentials =
            Credentials::new("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", None, None, "test");
        let now = SystemTime::from("2015-08-30T12:36:00Z".parse::<domain::Timestamp>().unwrap());
        let headers = signer.headers(&request, credentials, now).unwrap();
        let signed = headers.iter().find(|(name, _)| name == "authorization").unwrap().1.to_str().unwrap();
        assert_eq!(
            signed,
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=host;x-amz-date, Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"
        );
    }

    #[tokio::test]
    async fn what_a_guest_wrote_of_a_signature_is_thrown_away() {
        let mut request =
            reqwest::Request::new(http::Method::POST, "https://example.amazonaws.com/".parse().unwrap());
        for name in OURS {
            request.headers_mut().insert(name, "mine".parse().unwrap());
        }
        let target = Target::parse("https", "example.amazonaws.com").unwrap();
        let signer = signer();
        assert!(signer.covers(&target) && !signer.covers(&Target::parse("https", "example.com").unwrap()));
        signer.sign(&target, &mut request).await.unwrap();
        let of = |name: &str| request.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        assert!(of("authorization").unwrap().contains("AKIDEXAMPLE"));
        assert_eq!(of("x-amz-security-token").as_deref(), Some("token"));
        assert!(
            !format!("{request:?}").contains("mine") && !format!("{:?}", signer.settings).contains("wJalr")
        );
    }
}
