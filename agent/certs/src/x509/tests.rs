use std::time::Duration;

use domain::Timestamp;
use domain::authority::AuthorityType;
use domain::identity::{HostIdentity, Identity, UserIdentity};
use domain::name::HostId;
use domain::traits::Traits;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::*;

fn host() -> Identity {
    let host_id = HostId::parse("d52527f9-b260-41d0-bb5a-e23b0cfe0f8f").unwrap();
    Identity::Host(HostIdentity { host_id, role: SystemRole::Auth, cluster: "main".into() })
}

fn user() -> Identity {
    let issued = Timestamp::UNIX_EPOCH;
    Identity::User(UserIdentity {
        user: "joe".into(),
        roles: vec!["access".into()],
        traits: Traits::default(),
        logins: vec![],
        issued,
    })
}

fn certificate(authority: &Authority, identity: &Identity, names: &[&str]) -> Vec<u8> {
    let key = KeyPair::generate().unwrap().public_der();
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    let leaf = Leaf { identity, public_key: &key, names: &names, ttl: Duration::from_secs(3600), serial: 7 };
    issue(authority, &leaf, Timestamp::from_second(1_700_000_000).unwrap()).unwrap()
}

#[test]
fn a_certificate_says_whom_it_stands_for() {
    let authority = Authority::generate(AuthorityType::Host, "main", Timestamp::UNIX_EPOCH).unwrap();
    let users = Authority::generate(AuthorityType::User, "main", Timestamp::UNIX_EPOCH).unwrap();
    for (identity, right, wrong) in [(host(), &authority, &users), (user(), &users, &authority)] {
        assert_eq!(identity_of(&certificate(right, &identity, &[])).unwrap(), identity);
        assert!(
            identity_of(&certificate(wrong, &identity, &[])).is_err(),
            "the other authority may not name it"
        );
    }
    assert!(identity_of(authority.certificate_der()).is_err(), "an authority stands for nobody");
    assert!(identity_of(b"garbage").is_err());
}

#[test]
fn a_host_cannot_take_the_name_of_a_role() {
    let authority = Authority::generate(AuthorityType::Host, "main", Timestamp::UNIX_EPOCH).unwrap();
    let asked = [
        "proxy.teleport.internal",
        "Proxy.Teleport.Internal",
        "proxy.teleport.internal.",
        "web-1",
        "10.0.0.1",
        "bad name",
    ];
    let der = certificate(&authority, &host(), &asked);
    let (_, parsed) = X509Certificate::from_der(&der).unwrap();
    let names = format!("{:?}", parsed.subject_alternative_name().unwrap().unwrap().value.general_names);
    assert!(names.contains("auth.teleport.internal") && names.contains("web-1"), "{names}");
    assert!(
        !names.to_lowercase().contains("proxy.teleport.internal") && !names.contains("bad name"),
        "{names}"
    );
}

#[test]
fn a_user_certificate_cannot_serve() {
    let authority = Authority::generate(AuthorityType::User, "main", Timestamp::UNIX_EPOCH).unwrap();
    let der = certificate(&authority, &user(), &["auth.teleport.internal"]);
    let (_, parsed) = X509Certificate::from_der(&der).unwrap();
    assert!(parsed.subject_alternative_name().unwrap().is_none());
    assert!(!parsed.extended_key_usage().unwrap().unwrap().value.server_auth);
}

#[test]
fn a_pin_is_of_the_key_and_reads_back() {
    let authority = Authority::generate(AuthorityType::Host, "main", Timestamp::UNIX_EPOCH).unwrap();
    let pin = Pin::of(authority.certificate_der()).unwrap();
    assert_eq!(Pin::parse(&format!(" {pin} ")), Ok(pin));
    for bad in ["", "sha256:", "sha256:00", &"0".repeat(64), "md5:00"] {
        assert!(Pin::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn an_authority_survives_its_file() {
    let authority = Authority::generate(AuthorityType::Host, "main", Timestamp::UNIX_EPOCH).unwrap();
    let back = Authority::from_pem(&authority.private_pem(), &authority.certificate_pem()).unwrap();
    assert_eq!(back.certificate_der(), authority.certificate_der());
    assert!(identity_of(&certificate(&back, &host(), &[])).is_ok());
}
