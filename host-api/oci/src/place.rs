//! Where a plugin is: a registry, a repository in it, and a tag or a digest.

use std::fmt;
use std::net::IpAddr;

use domain::plugin::Digest;
use oci_client::Reference;
use oci_client::client::ClientProtocol;

use crate::error::OciError;

/// What a place in a registry begins with.
pub const SCHEME: &str = "oci://";

/// The tag that is meant where none is written.
pub(crate) const LATEST: &str = "latest";

/// A place in a registry.
#[derive(Debug, Clone)]
pub struct Place {
    reference: Reference,
    named: bool,
    plain: bool,
}

impl Place {
    /// Reads `oci://HOST/REPOSITORY[:TAG|@sha256:…]`. The host is always written: nothing is looked for in
    /// a registry nobody named. `plain`: speak HTTP without TLS also with another machine.
    ///
    /// # Errors
    /// [`OciError::Reference`].
    pub fn parse(text: &str, plain: bool) -> Result<Self, OciError> {
        let failed = |reason: String| OciError::Reference { text: text.to_owned(), reason };
        let rest =
            text.strip_prefix(SCHEME).ok_or_else(|| failed(format!("it does not begin with {SCHEME}")))?;
        let (host, repository) = rest.split_once('/').unwrap_or((rest, ""));
        if !(host.contains(['.', ':']) || host == "localhost") || repository.is_empty() {
            return Err(failed("it names no host, or no repository on it".to_owned()));
        }
        if rest.contains("..") {
            return Err(failed("it has .. in it".to_owned()));
        }
        let reference: Reference =
            rest.parse().map_err(|error: oci_client::ParseError| failed(error.to_string()))?;
        if let Some(digest) = reference.digest() {
            Digest::parse(digest).map_err(|error| failed(error.to_string()))?;
        }
        let named = repository.contains([':', '@']);
        let plain = plain || is_here(host);
        Ok(Self { reference, named, plain })
    }

    /// The same place, spoken to with TLS also where it is on this machine.
    #[must_use]
    pub fn with_tls(self) -> Self {
        Self { plain: false, ..self }
    }

    /// The digest that was asked for.
    pub fn digest(&self) -> Option<Digest> {
        self.reference.digest().and_then(|digest| Digest::parse(digest).ok())
    }

    /// The host, with its port if one is written.
    pub fn registry(&self) -> &str {
        self.reference.registry()
    }

    /// The same place under this tag, unless a tag or a digest is written. What no tag can hold becomes
    /// an underscore.
    #[must_use]
    pub fn or_tag(self, tag: &str) -> Self {
        if self.named {
            return self;
        }
        let fits = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        let tag = tag.chars().map(|c| if fits(c) { c } else { '_' }).collect();
        let (registry, repository) = (self.reference.registry(), self.reference.repository());
        let reference = Reference::with_tag(registry.to_owned(), repository.to_owned(), tag);
        Self { reference, named: true, plain: self.plain }
    }

    /// The same repository, with the bytes of this digest.
    pub fn pinned(&self, digest: &Digest) -> String {
        format!("{SCHEME}{}/{}@{digest}", self.reference.registry(), self.reference.repository())
    }

    pub(crate) fn reference(&self) -> &Reference {
        &self.reference
    }

    pub(crate) fn scheme(&self) -> &'static str {
        if self.plain { "http" } else { "https" }
    }

    pub(crate) fn protocol(&self) -> ClientProtocol {
        if self.plain { ClientProtocol::Http } else { ClientProtocol::Https }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (registry, repository) = (self.reference.registry(), self.reference.repository());
        write!(f, "{SCHEME}{registry}/{repository}")?;
        match self.reference.digest() {
            Some(digest) => write!(f, "@{digest}"),
            None => write!(f, ":{}", self.reference.tag().unwrap_or(LATEST)),
        }
    }
}

/// Whether a host is this machine by its very name.
fn is_here(host: &str) -> bool {
    let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => host.split(':').next().unwrap_or_default(),
    };
    name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn tags_and_digests_are_told_apart() {
        let place = Place::parse("oci://ghcr.io/acme/label-load:1.2.3", false).unwrap();
        assert_eq!(
            (place.to_string().as_str(), place.digest()),
            ("oci://ghcr.io/acme/label-load:1.2.3", None)
        );
        assert!(matches!(place.protocol(), ClientProtocol::Https));
        let text = format!("oci://localhost:5000/label-load@{DIGEST}");
        let place = Place::parse(&text, false).unwrap();
        assert_eq!(
            (place.to_string(), place.digest().unwrap().to_string()),
            (text.clone(), DIGEST.to_owned())
        );
        assert_eq!(place.pinned(&place.digest().unwrap()), text);
    }

    #[test]
    fn plain_http_is_for_this_machine_or_asked_for() {
        let plain =
            |text, asked| matches!(Place::parse(text, asked).unwrap().protocol(), ClientProtocol::Http);
        assert!(plain("oci://127.0.0.1:5000/x", false) && plain("oci://localhost/x", false));
        assert!(
            !plain("oci://127.0.0.1.example.com/x", false) && !plain("oci://localhost.example.com/x", false)
        );
        assert!(plain("oci://registry.internal:5000/x", true));
        let here = Place::parse("oci://127.0.0.1:5000/x", false).unwrap().with_tls();
        assert_eq!((here.scheme(), matches!(here.protocol(), ClientProtocol::Https)), ("https", true));
    }

    #[test]
    fn where_no_tag_is_written_the_version_is_one() {
        let tagged = |text| Place::parse(text, false).unwrap().or_tag("1.2.3+b1").to_string();
        assert_eq!(tagged("oci://ghcr.io/acme/x"), "oci://ghcr.io/acme/x:1.2.3_b1");
        assert_eq!(tagged("oci://ghcr.io/acme/x:edge"), "oci://ghcr.io/acme/x:edge");
    }

    #[test]
    fn what_is_no_place_is_named() {
        for (text, expected) in [
            ("ghcr.io/acme/x", "does not begin with oci://"),
            ("oci://acme/x", "names no host"),
            ("oci://ghcr.io", "names no host, or no repository"),
            ("oci://ghcr.io/../x", "has .. in it"),
            ("oci://ghcr.io/acme/X Y", "is no place"),
            ("oci://ghcr.io/acme/x@sha256:12", "is no place"),
            ("oci://ghcr.io/acme/x@sha512:12", "is no place"),
        ] {
            let error = Place::parse(text, false).unwrap_err().to_string();
            assert!(error.contains(expected), "{error} should say {expected}");
        }
    }
}
