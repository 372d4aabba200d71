use std::time::Duration;

use domain::Timestamp;
use domain::authority::{AuthoritySpec, AuthorityType};
use domain::certificate::{LoginRule, Refusal, judge_user};
use domain::identity::{HostIdentity, SystemRole, UserIdentity};
use domain::name::HostId;
use domain::traits::Traits;
use port::random::SystemRandom;
use proptest::prelude::*;
use ssh_key::Certificate;

use super::*;
use crate::authority::AuthorityKeys;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn authority(kind: AuthorityType) -> (AuthorityKeys, AuthoritySpec) {
    let keys = AuthorityKeys::generate(kind, "main", at(0), &SystemRandom).unwrap();
    let public = keys.public().unwrap();
    (keys, public)
}

fn user_spec(logins: &[&str]) -> UserSpec {
    let identity = UserIdentity {
        user: "joe".into(),
        roles: vec!["access".into()],
        traits: Traits::default(),
        logins: logins.iter().map(|login| (*login).to_owned()).collect(),
        issued: at(1000),
    };
    UserSpec { identity, ttl: Duration::from_secs(600), permits: vec!["permit-pty"], source_address: None }
}

fn user_certificate(keys: &AuthorityKeys, logins: &[&str]) -> Result<Certificate, CertError> {
    let key = new_key(&SystemRandom);
    issue_user(keys.ssh().unwrap(), key.public_key(), &user_spec(logins), at(1000), &SystemRandom)
}

#[test]
fn a_user_certificate_is_verified_and_judged() {
    let (keys, public) = authority(AuthorityType::User);
    let certificate = user_certificate(&keys, &["root", "joe"]).unwrap();
    let facts = user_facts(&certificate, &TrustedKeys::of(&public)).unwrap();
    let here = "10.0.0.1".parse().unwrap();
    let identity = judge_user(&facts, LoginRule::MustAllow("root"), here, at(1001)).unwrap();
    assert_eq!((identity.user.as_str(), identity.issued), ("joe", at(1000)));
    assert!(judge_user(&facts, LoginRule::MustAllow("root"), here, at(1600)).is_err(), "it lives 600 s");
    assert_eq!(facts.extensions.get("permit-pty").map(String::as_str), Some(""));
}

#[test]
fn another_authority_is_not_trusted() {
    let (keys, _) = authority(AuthorityType::User);
    let (_, other) = authority(AuthorityType::User);
    let certificate = user_certificate(&keys, &["root"]).unwrap();
    assert_eq!(user_facts(&certificate, &TrustedKeys::of(&other)), Err(Refusal::UnknownAuthority));
    assert_eq!(user_facts(&certificate, &TrustedKeys::default()), Err(Refusal::UnknownAuthority));
}

#[test]
fn a_host_certificate_is_no_user_certificate_and_the_reverse() {
    let (keys, public) = authority(AuthorityType::Host);
    let trusted = TrustedKeys::of(&public);
    let host = issue_host(
        keys.ssh().unwrap(),
        new_key(&SystemRandom).public_key(),
        &host_spec(),
        at(0),
        &SystemRandom,
    )
    .unwrap();
    assert_eq!(user_facts(&host, &trusted), Err(Refusal::NotUser));
    let user = user_certificate(&keys, &["root"]).unwrap();
    assert!(host_facts(&user, &trusted, at(1000)).is_err());
}

fn host_spec() -> HostSpec {
    let host_id = HostId::parse("d52527f9-b260-41d0-bb5a-e23b0cfe0f8f").unwrap();
    let identity = HostIdentity { host_id, role: SystemRole::Node, cluster: "main".into() };
    HostSpec { identity, principals: vec!["web-1".into()], ttl: Duration::from_secs(100) }
}

#[test]
fn a_host_certificate_names_host_and_role_while_it_lives() {
    let (keys, public) = authority(AuthorityType::Host);
    let trusted = TrustedKeys::of(&public);
    let host = issue_host(
        keys.ssh().unwrap(),
        new_key(&SystemRandom).public_key(),
        &host_spec(),
        at(1000),
        &SystemRandom,
    )
    .unwrap();
    let facts = host_facts(&host, &trusted, at(1050)).unwrap();
    assert_eq!(
        (facts.role, facts.principals.as_slice()),
        (SystemRole::Node, ["web-1".to_owned()].as_slice())
    );
    assert!(host_facts(&host, &trusted, at(1100)).is_err());
    assert!(host_facts(&host, &trusted, at(900)).is_err());
}

#[test]
fn what_cannot_be_a_principal_is_never_signed() {
    let (keys, _) = authority(AuthorityType::User);
    for bad in ["deploy,root", "a\0b", "", "a b", "*"] {
        assert!(user_certificate(&keys, &[bad]).is_err(), "{bad:?}");
    }
    assert!(user_certificate(&keys, &[]).is_err(), "no principals would mean any");
}

#[test]
fn a_changed_byte_spoils_the_signature() {
    let (keys, public) = authority(AuthorityType::User);
    let trusted = TrustedKeys::of(&public);
    let bytes = user_certificate(&keys, &["root"]).unwrap().to_bytes().unwrap();
    let mut accepted = 0;
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        let facts = Certificate::from_bytes(&changed)
            .ok()
            .and_then(|certificate| user_facts(&certificate, &trusted).ok());
        accepted += usize::from(facts.is_some());
    }
    assert_eq!(accepted, 0);
}

#[test]
fn a_certificate_is_no_public_key() {
    let (keys, _) = authority(AuthorityType::User);
    let line = user_certificate(&keys, &["root"]).unwrap().to_openssh().unwrap();
    assert!(read_public_key(&line).is_err());
}

#[test]
fn exported_lines_have_openssh_form() {
    let (_, host) = authority(AuthorityType::Host);
    let (_, user) = authority(AuthorityType::User);
    let lines = line::export(&host, &["proxy.example.com".to_owned()]);
    let first = lines.first().unwrap();
    assert!(
        first.starts_with("@cert-authority *.main,proxy.example.com ssh-ed25519 AAAA")
            && first.ends_with(" type=host"),
        "{first}"
    );
    assert!(line::export(&user, &[]).first().unwrap().starts_with("cert-authority ssh-ed25519 AAAA"));
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let (_, public) = authority(AuthorityType::User);
        if let Ok(certificate) = Certificate::from_bytes(&bytes) {
            prop_assert!(user_facts(&certificate, &TrustedKeys::of(&public)).is_err());
        }
    }
}
