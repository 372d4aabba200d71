use super::*;
use crate::traits::Traits;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn here() -> IpAddr {
    "10.0.0.1".parse().unwrap()
}

fn facts() -> UserFacts {
    let identity = UserIdentity {
        user: "joe".into(),
        roles: vec!["access".into()],
        traits: Traits::default(),
        logins: Vec::new(),
        issued: at(100),
    };
    UserFacts {
        serial: 1,
        principals: vec!["root".into(), "joe".into()],
        valid_after: 100,
        valid_before: 200,
        critical_options: BTreeMap::new(),
        extensions: [(IDENTITY_EXTENSION.to_owned(), serde_json::to_string(&identity).unwrap())].into(),
    }
}

fn judge(facts: &UserFacts, login: &str, now: i64) -> Result<UserIdentity, Refusal> {
    judge_user(facts, LoginRule::MustAllow(login), here(), at(now))
}

#[test]
fn a_good_certificate_yields_its_identity_with_the_certified_logins() {
    let identity = judge(&facts(), "root", 150).unwrap();
    assert_eq!(
        (identity.user.as_str(), identity.logins.as_slice()),
        ("joe", ["root".to_owned(), "joe".into()].as_slice())
    );
}

#[test]
fn validity_includes_the_first_second_and_excludes_the_last() {
    assert!(matches!(judge(&facts(), "root", 99), Err(Refusal::NotYetValid(_))));
    assert!(judge(&facts(), "root", 100).is_ok());
    assert!(judge(&facts(), "root", 199).is_ok());
    assert!(matches!(judge(&facts(), "root", 200), Err(Refusal::Expired(_))));
    assert!(matches!(judge_user(&facts(), LoginRule::Any, here(), at(-5)), Err(Refusal::NotYetValid(_))));
}

#[test]
fn principals_are_compared_exactly_and_none_means_nobody() {
    for login in ["roo", "root ", "ROOT", "root,joe", ""] {
        let refused = judge(&facts(), login, 150).unwrap_err();
        assert!(matches!(refused, Refusal::WrongPrincipal { .. }), "{login:?}");
    }
    let refused = judge(&facts(), "ann", 150).unwrap_err().to_string();
    assert_eq!(refused, r#"the certificate does not allow the login "ann", only "root", "joe""#);
    let many = UserFacts { principals: (0..1000).map(|n| format!("u{n}\n")).collect(), ..facts() };
    let refused = judge(&many, "ann", 150).unwrap_err().to_string();
    assert!(
        refused
            .ends_with(r#"only "u0\n", "u1\n", "u2\n", "u3\n", "u4\n", "u5\n", "u6\n", "u7\n" and others"#)
    );
    let nobody = UserFacts { principals: Vec::new(), ..facts() };
    assert_eq!(judge(&nobody, "root", 150), Err(Refusal::NoPrincipals));
    assert_eq!(judge_user(&nobody, LoginRule::Any, here(), at(150)), Err(Refusal::NoPrincipals));
}

#[test]
fn critical_options_are_honoured_or_refused() {
    let with = |name: &str, value: &str| UserFacts {
        critical_options: [(name.to_owned(), value.to_owned())].into(),
        ..facts()
    };
    assert!(judge(&with("source-address", "10.0.0.0/8"), "root", 150).is_ok());
    assert!(matches!(
        judge(&with("source-address", "11.0.0.0/8"), "root", 150),
        Err(Refusal::SourceAddress(_))
    ));
    assert_eq!(judge(&with("source-address", "x"), "root", 150), Err(Refusal::BadSourceAddress));
    assert!(matches!(judge(&with("force-command", "ls"), "root", 150), Err(Refusal::CriticalOption(_))));
}

#[test]
fn a_certificate_without_our_identity_is_refused() {
    let foreign = UserFacts { extensions: BTreeMap::new(), ..facts() };
    assert_eq!(judge(&foreign, "root", 150), Err(Refusal::NoIdentity));
}

#[test]
fn principals_with_separators_are_refused() {
    for bad in ["", "deploy,root", "a b", "a\0", "a\n", "*", "ro?t", &"x".repeat(257)] {
        assert!(check_principal(bad).is_err(), "{bad:?}");
    }
    for good in ["root", "joe@example.com", "web-1.cluster", "::1", "DOMAIN\\joe"] {
        assert!(check_principal(good).is_ok(), "{good}");
    }
}

#[test]
fn host_principals_come_in_the_published_order() {
    let id = HostId::parse("d52527f9-b260-41d0-bb5a-e23b0cfe0f8f").unwrap();
    let extra = ["10.0.0.5".to_owned(), "web-1".to_owned(), "a,b".to_owned()];
    let principals = host_principals(SystemRole::Node, id, "web-1", "main", &extra);
    let expected = [
        &format!("{id}.main"),
        &id.to_string(),
        "web-1.main",
        "web-1",
        "localhost",
        "127.0.0.1",
        "::1",
        "10.0.0.5",
    ];
    assert_eq!(principals, expected);
    assert_eq!(host_principals(SystemRole::Admin, id, "web-1", "main", &extra), [id.to_string()]);
    assert!(!host_principals(SystemRole::Node, id, "bad_name", "main", &[]).iter().any(|p| p.contains('_')));
}

#[test]
fn a_host_does_not_get_the_uuid_of_another() {
    let id = HostId::parse("d52527f9-b260-41d0-bb5a-e23b0cfe0f8f").unwrap();
    let other = "11111111-2222-4333-8444-555555555555";
    let extra = [other.to_owned(), format!("{other}.main"), other.to_ascii_uppercase(), id.to_string()];
    let principals = host_principals(SystemRole::Node, id, other, "main", &extra);
    assert_eq!(principals, host_principals(SystemRole::Node, id, "", "main", &[]));
    let digits = "d52527f9b26041d0bb5ae23b0cfe0f80".to_owned();
    assert!(host_principals(SystemRole::Node, id, &digits, "main", &[]).contains(&digits));
}

#[test]
fn user_ttl_stays_between_a_minute_and_the_roles_maximum() {
    let hours = |h: u64| Duration::from_secs(h * 3600);
    assert_eq!(user_ttl(USER_TTL, hours(30)), hours(12));
    assert_eq!(user_ttl(USER_TTL, hours(8)), hours(8));
    assert_eq!(user_ttl(hours(48), hours(48)), hours(30));
    assert_eq!(user_ttl(Duration::from_secs(1), hours(30)), USER_TTL_MIN);
}

#[test]
fn renewal_is_due_after_a_third() {
    assert_eq!(renew_at(at(0), at(300)), at(100));
}
