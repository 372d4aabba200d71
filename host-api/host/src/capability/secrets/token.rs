//! JSON Web Tokens signed with a secret of the operator's (RFC 7519, RFC 7515).

use domain::secret::Secret;
use jsonwebtoken::{Algorithm as Name, EncodingKey, Header};

use crate::capability::v1::teleport::host::secrets::Algorithm;

/// The longest claims, in bytes.
const CLAIMS_MAX: usize = 64 * 1024;

/// Signs claims, which are a JSON object.
///
/// # Errors
/// One line: the claims are none, or the secret is no key of that kind.
pub(super) fn sign(
    key: &Secret,
    algorithm: Algorithm,
    key_id: Option<String>,
    claims: &str,
) -> Result<String, String> {
    if claims.len() > CLAIMS_MAX {
        return Err(format!("the claims are longer than {CLAIMS_MAX} bytes"));
    }
    let claims: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(claims).map_err(|error| format!("the claims are no JSON object: {error}"))?;
    let (name, key) = match algorithm {
        Algorithm::Hs256 => (Name::HS256, Ok(EncodingKey::from_secret(key.reveal()))),
        Algorithm::Es256 => (Name::ES256, EncodingKey::from_ec_pem(key.reveal())),
        Algorithm::Rs256 => (Name::RS256, EncodingKey::from_rsa_pem(key.reveal())),
    };
    // The library's own words could repeat what it was given.
    let key = key.map_err(|_| format!("the secret is no private key in PEM for {name:?}"))?;
    let header = Header { kid: key_id, ..Header::new(name) };
    jsonwebtoken::encode(&header, &claims, &key).map_err(|_| format!("the secret cannot sign with {name:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_can_be_verified_with_the_same_secret() {
        let key = Secret::new(&b"0123456789abcdef0123456789abcdef"[..]);
        let token = sign(&key, Algorithm::Hs256, Some("k1".to_owned()), r#"{"iss":"joe"}"#).unwrap();
        let key = jsonwebtoken::DecodingKey::from_secret(key.reveal());
        let mut rules = jsonwebtoken::Validation::new(Name::HS256);
        rules.required_spec_claims.clear();
        let read = jsonwebtoken::decode::<serde_json::Value>(&token, &key, &rules).unwrap();
        assert_eq!((read.claims["iss"].as_str(), read.header.kid.as_deref()), (Some("joe"), Some("k1")));
    }

    #[test]
    fn what_is_no_key_is_not_repeated_in_the_error() {
        let key = Secret::from("hunter2");
        for algorithm in [Algorithm::Es256, Algorithm::Rs256] {
            let error = sign(&key, algorithm, None, "{}").unwrap_err();
            assert!(error.contains("no private key in PEM") && !error.contains("hunter2"), "{error}");
        }
        assert!(sign(&key, Algorithm::Hs256, None, "[]").unwrap_err().contains("no JSON object"));
    }
}
