use super::*;
use crate::Timestamp;
use crate::node::NodeSpec;
use crate::role::{Role, RoleSpec, presets};
use crate::traits::Traits;

const ID: &str = "d52527f9-b260-41d0-bb5a-e23b0cfe0f8f";

fn user(roles: &[&str], logins: &[&str]) -> UserIdentity {
    let logins: Vec<_> = logins.iter().map(|login| (*login).to_owned()).collect();
    UserIdentity {
        user: "joe".into(),
        roles: roles.iter().map(|role| (*role).to_owned()).collect(),
        traits: Traits([("logins".to_owned(), logins)].into()),
        logins: Vec::new(),
        issued: Timestamp::UNIX_EPOCH,
    }
}

fn role(name: &str, json: &str) -> Role {
    let spec: RoleSpec = serde_json::from_str(json).unwrap();
    Role::new(name, spec)
}

fn checker<'a>(user: &'a UserIdentity, extra: &[Role]) -> Checker<'a> {
    let in_force = |role| Arc::new(RoleInForce::new(role));
    let roles: Vec<_> = presets().into_iter().chain(extra.iter().cloned()).map(in_force).collect();
    Checker::new(user, |name| roles.iter().find(|role| role.role().name() == name).cloned())
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().copied().collect()
}

fn session(checker: &Checker, login: &str, pairs: &[(&str, &str)]) -> Result<SessionPermit, Denied> {
    checker.session(login, HostId::parse(ID).unwrap(), &labels(pairs))
}

#[test]
fn access_lets_users_in_as_their_own_logins() {
    let joe = user(&["access"], &["joe", "root"]);
    let checker = checker(&joe, &[]);
    let permit = session(&checker, "root", &[]).unwrap();
    assert_eq!((permit.user(), permit.login()), ("joe", "root"));
    assert!(permit.options().forward_agent);
    assert!(matches!(session(&checker, "ubuntu", &[]), Err(Denied::Login { .. })));
}

#[test]
fn editor_reaches_no_node() {
    let joe = user(&["editor"], &["root"]);
    let checker = checker(&joe, &[]);
    assert!(matches!(session(&checker, "root", &[]), Err(Denied::Node { .. })));
}

#[test]
fn a_role_that_is_gone_grants_nothing() {
    let joe = user(&["deleted"], &["root"]);
    let checker = checker(&joe, &[]);
    assert!(session(&checker, "root", &[]).is_err());
}

#[test]
fn a_trait_is_data_and_not_a_pattern() {
    let joe = user(&["access"], &["*"]);
    let checker = checker(&joe, &[]);
    assert!(session(&checker, "root", &[]).is_err());
    assert!(session(&checker, "*", &[]).is_ok());
}

#[test]
fn deny_wins_over_allow() {
    let no_prod = role("no-prod", r#"{"deny":{"node_labels":{"env":"prod"}}}"#);
    let no_root = role("no-root", r#"{"deny":{"logins":["root"]}}"#);
    let no_root_no_prod = role("nrnp", r#"{"deny":{"logins":["root"],"node_labels":{"env":"prod"}}}"#);
    let joe = user(&["access", "no-prod"], &["root", "joe"]);
    let with = |role: &Role, login: &str, pairs: &[(&str, &str)]| {
        let joe = UserIdentity { roles: vec!["access".into(), role.name().into()], ..joe.clone() };
        session(&checker(&joe, std::slice::from_ref(role)), login, pairs)
    };
    assert!(matches!(with(&no_prod, "joe", &[("env", "prod")]), Err(Denied::Role { .. })));
    assert!(with(&no_prod, "joe", &[("env", "dev")]).is_ok());
    assert!(with(&no_root, "root", &[]).is_err());
    assert!(with(&no_root, "joe", &[]).is_ok());
    assert!(with(&no_root_no_prod, "root", &[("env", "prod")]).is_err());
    assert!(with(&no_root_no_prod, "joe", &[("env", "prod")]).is_err(), "labels forbid by themselves");
    assert!(with(&no_root_no_prod, "root", &[("env", "dev")]).is_err(), "and so do logins");
    assert!(with(&no_root_no_prod, "joe", &[("env", "dev")]).is_ok());
}

#[test]
fn labels_and_login_must_be_granted_by_the_same_role() {
    let dev = role("dev", r#"{"allow":{"logins":["root"],"node_labels":{"env":"dev"}}}"#);
    let prod = role("prod", r#"{"allow":{"logins":["viewer"],"node_labels":{"env":"prod"}}}"#);
    let joe = user(&["dev", "prod"], &[]);
    let checker = checker(&joe, &[dev, prod]);
    assert!(session(&checker, "root", &[("env", "dev")]).is_ok());
    assert!(session(&checker, "root", &[("env", "prod")]).is_err());
    assert!(session(&checker, "viewer", &[("env", "prod")]).is_ok());
}

#[test]
fn of_the_roles_that_grant_the_strictest_options_win() {
    let narrow = role(
        "narrow",
        r#"{"allow":{"logins":["root"],"node_labels":{"*":"*"}},"options":{"port_forwarding":false,"max_session_ttl":"1h"}}"#,
    );
    let joe = user(&["access", "narrow", "editor"], &["root", "joe"]);
    let checker = checker(&joe, &[narrow]);
    let root = session(&checker, "root", &[]).unwrap();
    assert!(!root.options().port_forwarding && !root.options().forward_agent);
    let joe = session(&checker, "joe", &[]).unwrap();
    assert!(
        joe.options().port_forwarding && joe.options().forward_agent,
        "editor grants nothing here and limits nothing"
    );
}

#[test]
fn a_deny_pattern_from_a_newer_program_denies_everything() {
    let mut future = role("future", r#"{"deny":{"logins":["root"]}}"#);
    future.spec.deny.logins = vec!["{{new.function(x)}}".into()];
    let joe = user(&["access", "future"], &["joe"]);
    let checker = checker(&joe, &[future]);
    assert!(session(&checker, "joe", &[]).is_err());
}

#[test]
fn certificates_carry_the_logins_spelt_out_once_each() {
    let more = role("more", r#"{"allow":{"logins":["root","svc-*","deploy"],"node_labels":{"*":"*"}}}"#);
    let joe = user(&["access", "more"], &["joe", "root"]);
    let checker = checker(&joe, &[more]);
    assert_eq!(checker.logins(), ["joe", "root", "deploy"]);
}

#[test]
fn dialling_needs_a_role_for_the_node_and_carries_it() {
    let node = |env: &str| {
        let spec = NodeSpec {
            hostname: "web-1".into(),
            addr: String::new(),
            use_tunnel: true,
            labels: labels(&[("env", env)]),
            cmd_labels: Labels::default(),
            cmd_label_errors: Labels::default(),
            version: String::new(),
        };
        Arc::new(Node::new(ID, spec))
    };
    let dev = role("dev", r#"{"allow":{"logins":["root"],"node_labels":{"env":"dev"}}}"#);
    let joe = user(&["dev"], &[]);
    let checker = checker(&joe, &[dev]);
    assert_eq!(checker.dial(&node("dev")).unwrap().host_id().to_string(), ID);
    assert!(checker.dial(&node("prod")).is_err());
}

#[test]
fn whoever_holds_a_role_that_cannot_be_read_is_denied_all_else() {
    let damaged = crate::role::unreadable("damaged");
    damaged.check().unwrap();
    let joe = user(&["damaged", "admin"], &["root"]);
    let checker = checker(&joe, std::slice::from_ref(&damaged));
    assert!(matches!(session(&checker, "root", &[]), Err(Denied::Role { role, .. }) if role == "damaged"));
    let roles = presets().into_iter().chain([damaged]).map(Arc::new).collect::<Vec<_>>();
    let caller = api::Caller::new(crate::identity::Identity::User(joe), |name| {
        roles.iter().find(|role| role.name() == name).cloned()
    });
    for kind in crate::resource::Kind::ALL {
        assert!(caller.record(kind, crate::role::Verb::List).is_err(), "{kind}");
    }
}
