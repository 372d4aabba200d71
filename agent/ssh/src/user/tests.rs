use std::collections::BTreeMap;
use std::time::Duration;

use certs::authority::AuthorityKeys;
use certs::ssh::{UserSpec, issue_user, new_key};
use domain::Timestamp;
use domain::lock::{Lock, LockSpec, Target};
use domain::traits::Traits;
use fake::{FakeClock, FakeRandom, FakeView};

use super::*;

const SERVER: &str = "d52527f9-b260-41d0-bb5a-e23b0cfe0f8f";

struct Cluster {
    view: Arc<FakeView>,
    clock: FakeClock,
    keys: AuthorityKeys,
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn cluster() -> Cluster {
    let keys = AuthorityKeys::generate(AuthorityType::User, "main", at(0), &FakeRandom::new(1)).unwrap();
    let view = Arc::new(FakeView::new("main"));
    view.put_authority(keys.public().unwrap());
    Cluster { view, clock: FakeClock::at(at(1000)), keys }
}

impl Cluster {
    fn authenticator(&self, server: Option<&str>) -> Authenticator {
        let clock = Arc::new(self.clock.clone());
        Authenticator { view: self.view.clone(), clock, server: server.and_then(HostId::parse) }
    }

    fn certificate(&self, logins: &[&str]) -> Certificate {
        let identity = UserIdentity {
            user: "joe".into(),
            roles: vec!["access".into()],
            traits: Traits(BTreeMap::new()),
            logins: logins.iter().map(|login| (*login).to_owned()).collect(),
            issued: at(1000),
        };
        let spec = UserSpec { identity, ttl: Duration::from_secs(60), permits: vec![], source_address: None };
        let random = FakeRandom::new(2);
        let key = new_key(&random);
        issue_user(self.keys.ssh().unwrap(), key.public_key(), &spec, at(1000), &random).unwrap()
    }
}

fn peer() -> SocketAddr {
    "10.0.0.1:50000".parse().unwrap()
}

#[test]
fn a_node_wants_the_login_in_the_certificate_and_a_proxy_does_not() {
    let cluster = cluster();
    let certificate = cluster.certificate(&["root"]);
    let node = cluster.authenticator(Some(SERVER));
    assert_eq!(node.admit("root", &certificate, peer()).unwrap().identity.user, "joe");
    assert!(matches!(
        node.admit("ann", &certificate, peer()),
        Err(NotAdmitted::Certificate(Refusal::WrongPrincipal { .. }))
    ));
    assert!(cluster.authenticator(None).admit("ann", &certificate, peer()).is_ok());
}

#[test]
fn a_connection_gives_nothing_new_once_its_certificate_has_ended() {
    let cluster = cluster();
    let node = cluster.authenticator(Some(SERVER));
    let user = node.admit("root", &cluster.certificate(&["root"]), peer()).unwrap();
    cluster.clock.set(at(1059));
    assert_eq!(node.readmit(&user, Some("root")), Ok(()));
    cluster.clock.set(at(1060));
    assert!(matches!(node.readmit(&user, Some("root")), Err(NotAdmitted::Certificate(Refusal::Expired(_)))));
}

#[test]
fn time_and_authority_are_those_of_the_cluster() {
    let cluster = cluster();
    let certificate = cluster.certificate(&["root"]);
    let node = cluster.authenticator(Some(SERVER));
    cluster.clock.set(at(1060));
    assert!(matches!(
        node.admit("root", &certificate, peer()),
        Err(NotAdmitted::Certificate(Refusal::Expired(_)))
    ));
    cluster.view.remove_authority(AuthorityType::User);
    assert_eq!(node.admit("root", &certificate, peer()), Err(NotAdmitted::NoAuthority));
}

#[test]
fn a_lock_holds_at_once_and_tells_its_message() {
    let cluster = cluster();
    let certificate = cluster.certificate(&["root"]);
    let node = cluster.authenticator(Some(SERVER));
    let user = node.admit("root", &certificate, peer()).unwrap();
    let target = Target { user: Some("joe".into()), ..Target::default() };
    cluster
        .view
        .set_locks(vec![Lock::new("l", LockSpec { target, message: "gone".into(), issued_before: None })]);
    assert_eq!(node.readmit(&user, Some("root")), Err(NotAdmitted::Locked("gone".into())));
    assert_eq!(node.admit("root", &certificate, peer()), Err(NotAdmitted::Locked("gone".into())));
}

#[test]
fn a_lock_of_another_server_does_not_hold_here() {
    let cluster = cluster();
    let certificate = cluster.certificate(&["root"]);
    let target = Target {
        user: Some("joe".into()),
        server_id: HostId::parse("00000000-0000-4000-8000-000000000001"),
        ..Target::default()
    };
    cluster.view.set_locks(vec![Lock::new("l", LockSpec { target, ..LockSpec::default() })]);
    assert!(cluster.authenticator(Some(SERVER)).admit("root", &certificate, peer()).is_ok());
}

#[test]
fn the_first_reason_is_told_once_and_then_nothing_is_left_to_try() {
    let mut signing_in = SigningIn::default();
    signing_in.refused("it expired");
    signing_in.refused("something later");
    let Auth::Partial { instructions, prompts, .. } = signing_in.explain(at(0)) else { panic!("no text") };
    assert_eq!(instructions, "access denied: it expired");
    assert!(prompts.is_empty());
    assert!(
        matches!(signing_in.explain(at(0)), Auth::Reject { proceed_with_methods: Some(methods), .. } if methods.is_empty())
    );
}

#[test]
fn whoever_showed_nothing_that_can_be_judged_is_told_what_time_it_is() {
    let Auth::Partial { instructions, .. } = SigningIn::default().explain(at(1000)) else {
        panic!("no text")
    };
    assert!(
        instructions.ends_with("get a new one, which an administrator makes with `tctl auth sign`. It is 1970-01-01T00:16:40Z on this host"),
        "{instructions}"
    );
}

#[test]
fn only_certificates_of_the_cluster_tell_who_was_refused() {
    let cluster = cluster();
    let node = cluster.authenticator(Some(SERVER));
    let certificate = cluster.certificate(&["root"]);
    cluster.clock.set(at(5000));
    assert!(node.admit("root", &certificate, peer()).is_err());
    assert_eq!(node.named(&certificate).as_deref(), Some("joe"));
    let others = AuthorityKeys::generate(AuthorityType::User, "main", at(0), &FakeRandom::new(7)).unwrap();
    let stranger = Cluster { keys: others, view: cluster.view.clone(), clock: cluster.clock.clone() };
    assert_eq!(node.named(&stranger.certificate(&["root"])), None);
}
