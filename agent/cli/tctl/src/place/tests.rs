use std::time::Duration;

use certs::authority::AuthorityKeys;
use certs::bundle::{HostCertificates, HostKeys};
use certs::ssh::{HostSpec, issue_host};
use domain::authority::AuthorityType;
use domain::identity::{HostIdentity, SystemRole};
use domain::name::HostId;
use port::random::SystemRandom;

use super::*;

/// An identity that is good for a minute of 1970.
fn old_identity() -> Bundle {
    let (now, random) = (Timestamp::UNIX_EPOCH, SystemRandom);
    let authority = AuthorityKeys::generate(AuthorityType::Host, "main", now, &random).unwrap();
    let host_id = HostId::parse("d52527f9-b260-41d0-bb5a-e23b0cfe0f8f").unwrap();
    let identity = HostIdentity { host_id, role: SystemRole::Admin, cluster: "main".into() };
    let keys = HostKeys::generate(&random).unwrap();
    let (principals, ttl) = (vec![host_id.to_string()], Duration::from_secs(60));
    let spec = HostSpec { identity: identity.clone(), principals, ttl };
    let public = keys.ssh.public_key().clone();
    let ssh = issue_host(authority.ssh().unwrap(), &public, &spec, now, &random).unwrap();
    let ssh = ssh.to_openssh().unwrap();
    Bundle::new(identity, keys, HostCertificates { ssh, tls: vec![], authorities: vec![] }).unwrap()
}

fn settings() -> Settings {
    config::check("auth_service:\n  listen_addr: 0.0.0.0:4025\n", "t.yaml").unwrap()
}

#[test]
fn an_identity_that_has_run_out_says_who_makes_a_new_one() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("admin.json");
    std::fs::write(&file, old_identity().to_secret().unwrap().reveal()).unwrap();
    let at = |second| Timestamp::from_second(second).unwrap();
    assert!(read_identity(&file, at(59)).is_ok());
    let error = read_identity(&file, at(60)).unwrap_err();
    let text = Place::default().advise(error, &settings()).render();
    assert!(text.contains("has expired") && text.contains("restart teleport"), "{text}");
}

#[test]
fn a_stranger_on_the_right_host_is_sent_to_the_right_user() {
    let source = io::Error::from(io::ErrorKind::PermissionDenied);
    let error = PlaceError::Read { path: "/var/lib/teleport/identity/admin.json".into(), source };
    let text = Place::default().advise(error, &settings()).render();
    assert!(text.contains("identity/admin.json") && text.contains("the user that runs teleport"), "{text}");
    assert!(!text.contains("on the auth server's host"), "{text}");
}

#[test]
fn without_a_written_address_the_configured_one_is_used() {
    let (address, from) = written_address(Path::new("/nowhere/auth.addr"), &settings()).unwrap();
    assert_eq!((address.as_str(), from.as_str()), ("127.0.0.1:4025", "t.yaml"));
}

#[test]
fn everywhere_is_also_here() {
    let reached = |listen: &str| local(listen.parse().unwrap()).to_string();
    assert_eq!(reached("0.0.0.0:3025"), "127.0.0.1:3025");
    assert_eq!(reached("[::]:3025"), "[::1]:3025");
    assert_eq!(reached("10.0.0.1:4025"), "10.0.0.1:4025");
}
