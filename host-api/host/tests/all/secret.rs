//! Secrets that a plugin signs with and never sees.

use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256};

use crate::sending::{Fetch, fetch, given_up};

/// Where the secrets might go; nothing is sent here.
const PLACE: &str = "https://api.test";

fn bed(value: &str) -> Fetch {
    let mut bed = Fetch::with_needs(&[("secret", "label = \"token\"")]);
    bed.grant(PLACE, false);
    bed.secret("token", value, PLACE);
    bed
}

#[tokio::test]
async fn a_plugin_makes_the_codes_of_others() {
    // RFC 4231, section 4.3.
    let made = fetch(&bed("Jefe").host(), "hmac token what do ya want for nothing?").await;
    assert_eq!(made, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

#[tokio::test]
async fn tokens_of_every_algorithm_are_verified_by_others() {
    let (p256, rsa) = (
        KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap(),
        KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap(),
    );
    let shared = "0123456789abcdef0123456789abcdef";
    let (p256_public, rsa_public) = (p256.public_key_pem(), rsa.public_key_pem());
    for (algorithm, private, public) in [
        (Algorithm::HS256, shared.to_owned(), DecodingKey::from_secret(shared.as_bytes())),
        (Algorithm::ES256, p256.serialize_pem(), DecodingKey::from_ec_pem(p256_public.as_bytes()).unwrap()),
        (Algorithm::RS256, rsa.serialize_pem(), DecodingKey::from_rsa_pem(rsa_public.as_bytes()).unwrap()),
    ] {
        let token =
            fetch(&bed(&private).host(), &format!("jwt token {algorithm:?} {{\"iss\":\"joe\"}}")).await;
        let mut rules = Validation::new(algorithm);
        rules.required_spec_claims.clear();
        let read = jsonwebtoken::decode::<serde_json::Value>(&token, &public, &rules).unwrap();
        assert_eq!((read.claims["iss"].as_str(), read.header.kid.as_deref()), (Some("joe"), Some("k1")));
    }
}

#[tokio::test]
async fn a_secret_that_is_no_key_is_said_to_be_none_and_not_shown() {
    let told = given_up(&bed("hunter2").host(), "jwt token ES256 {}").await;
    assert!(told.contains("no private key in PEM") && !told.contains("hunter2"), "{told}");
}
