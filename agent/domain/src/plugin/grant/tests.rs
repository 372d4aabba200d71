//! The two keys, one difference at a time.

use proptest::prelude::*;

use super::*;
use crate::plugin::destination::Destination;
use crate::plugin::{Contract, Need};

fn argv(words: &[&str]) -> Argv {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn need(capability: &str, command: Option<&[&str]>) -> Need {
    let (capability, reason) = (capability.to_owned(), "reads the load".to_owned());
    Need { capability, argv: command.map(argv), hosts: Vec::new(), label: None, reason }
}

fn manifest(needs: Vec<Need>) -> Manifest {
    Manifest {
        name: PluginName::new("label-load").unwrap(),
        version: "1.2.3".to_owned(),
        contract: Contract::parse("teleport:label-provider@1.0.0").unwrap(),
        description: "the load".to_owned(),
        homepage: None,
        needs,
        limits: Default::default(),
        config: Default::default(),
    }
}

#[test]
fn both_keys_open() {
    let asks = manifest(vec![need("process", Some(&["uptime", "-p"]))]);
    let effective = effective(&asks, &[Grant::process(argv(&["uptime", "-p"]))]).unwrap();
    assert!(effective.may_run(&argv(&["uptime", "-p"]), &[]));
    for other in [&["uptime"][..], &["uptime", "-p", ""], &["uptime", "-s"], &["/usr/bin/uptime", "-p"], &[]]
    {
        assert!(!effective.may_run(&argv(other), &[]), "{other:?}");
    }
    assert_eq!(effective.lines(), [r#"process ["uptime", "-p"]"#]);
}

#[test]
fn asked_but_not_granted_says_why_it_is_asked_and_what_to_add() {
    let error = effective(&manifest(vec![need("process", Some(&["uptime", "-p"]))]), &[]).unwrap_err();
    assert_eq!(
        error.to_string(),
        r#"plugin label-load asks for process ["uptime", "-p"] (reads the load) and is not granted it; if it may, add under teleport.plugins.load.label-load.grants: process: [["uptime", "-p"]]"#
    );
}

#[test]
fn everything_that_is_missing_is_told_at_once() {
    let asks = manifest(vec![need("process", Some(&["uptime"])), need("kv", None), need("process", None)]);
    let text = effective(&asks, &[Grant::process(argv(&["uptime"]))]).unwrap_err().to_string();
    assert!(
        text.starts_with("plugin label-load asks for kv (reads the load) and is not granted it"),
        "{text}"
    );
    assert!(!text.contains("also"), "{text}");
    let text = effective(&asks, &[]).unwrap_err().to_string();
    let ends = [
        r#"process: [["uptime"], ["PROGRAM", "ARGUMENT"]]; it also asks for kv (reads the load): "#,
        "add under teleport.plugins.load.label-load.grants: kv: yes; it also",
        "; it also asks for process with commands of your choice (reads the load)",
    ];
    for part in ends {
        assert!(text.contains(part), "{text}");
    }
    assert!(text.ends_with(ends[2]), "a key is written once: {text}");
    let many = (0..1000).map(|n| need("process", Some(&[format!("program-{n}").as_str()]))).collect();
    let text = effective(&manifest(many), &[]).unwrap_err().to_string();
    assert!(text.ends_with("; and for more, which `tctl plugins explain label-load` shows"), "{text}");
    assert!(text.len() < 2000, "{text}");
    let nine = (0..9).map(|n| need("process", Some(&[format!("program-{n}").as_str()]))).collect();
    let text = effective(&manifest(nine), &[]).unwrap_err().to_string();
    assert!(text.contains(r#"["program-8"]]; it also"#) && !text.contains("and for more"), "{text}");
}

#[test]
fn whoever_adds_the_line_that_is_told_has_granted_the_need() {
    let place = |text: &str| Destination::parse(text).unwrap();
    let hosts = (0..40).map(|n| place(&format!("https://host-{n}.example"))).collect();
    let asks = manifest(vec![Need { hosts, ..need("http", None) }]);
    let text = effective(&asks, &[]).unwrap_err().to_string();
    let (_, line) = text.split_once("grants: http: [").expect("a line");
    let line = line.split(']').next().unwrap().split(", ");
    let granted: Vec<_> = line.map(|host| Grant::http(place(host.trim_matches('"')), false)).collect();
    assert_eq!(granted.len(), 40);
    effective(&asks, &granted).unwrap();
}

#[test]
fn granted_but_not_asked_says_what_is_asked() {
    let grants = [Grant::process(argv(&["reboot"]))];
    let error = effective(&manifest(vec![]), &grants).unwrap_err();
    assert_eq!(
        error.to_string(),
        r#"plugin label-load is granted process ["reboot"] and does not ask for it; it asks for nothing; remove that in teleport.yaml under teleport.plugins.load.label-load"#
    );
    let more = [Grant::process(argv(&["reboot"])), Grant::kv()];
    let text = effective(&manifest(vec![]), &more).unwrap_err().to_string();
    assert!(text.contains(r#"is granted process ["reboot"] and kv and does not ask for it"#), "{text}");
    let asks = manifest(vec![need("process", Some(&["uptime"]))]);
    let both = [Grant::process(argv(&["uptime"])), Grant::process(argv(&["reboot"]))];
    let text = effective(&asks, &both).unwrap_err().to_string();
    assert!(
        text.contains(r#"granted process ["reboot"]"#) && text.contains(r#"asks for process ["uptime"]"#),
        "{text}"
    );
}

#[test]
fn a_need_without_a_command_takes_the_commands_the_operator_names() {
    let asks = manifest(vec![need("process", None)]);
    let granted = effective(&asks, &[Grant::process(argv(&["df", "-h"]))]).unwrap();
    assert!(granted.may_run(&argv(&["df", "-h"]), &argv(&["id"])));
    assert!(!granted.may_run(&argv(&["id"]), &argv(&["id"])));
    assert!(matches!(effective(&asks, &[]), Err(GrantError::NotGranted { .. })));
}

#[test]
fn the_configured_command_is_allowed_for_its_own_label_only() {
    let asks = manifest(vec![need("process", None)]);
    let granted = effective(&asks, &[Grant::process_configured()]).unwrap();
    assert!(granted.may_run(&argv(&["uname", "-r"]), &argv(&["uname", "-r"])));
    assert!(!granted.may_run(&argv(&["uname", "-r"]), &argv(&["uptime"])));
    assert!(!granted.may_run(&[], &[]), "an empty command is never run");
    let fixed = manifest(vec![need("process", Some(&["uptime"]))]);
    assert!(matches!(effective(&fixed, &[Grant::process_configured()]), Err(GrantError::NotAsked { .. })));
}

#[test]
fn unknown_capabilities_are_named_with_the_side_that_wrote_them() {
    let text = effective(&manifest(vec![need("network", None)]), &[]).unwrap_err().to_string();
    assert!(text.starts_with("the manifest of plugin label-load asks for \"network\""), "{text}");
    let grants = [Grant { capability: "proces".to_owned(), scope: Scope::Configured }];
    let text = effective(&manifest(vec![]), &grants).unwrap_err().to_string();
    assert!(text.contains("grants names \"proces\"") && text.contains("it knows process"), "{text}");
}

#[test]
fn a_command_that_cannot_run_is_no_grant() {
    let asks = manifest(vec![need("process", None)]);
    let error = effective(&asks, &[Grant::process(vec![])]).unwrap_err();
    assert!(matches!(error, GrantError::Argv { source: ArgvError::Empty, .. }));
}

fn http(hosts: &[&str]) -> Need {
    let hosts = hosts.iter().map(|host| Destination::parse(host).unwrap()).collect();
    Need { hosts, ..need("http", None) }
}

fn to(destination: &str, private: bool) -> Grant {
    Grant::http(Destination::parse(destination).unwrap(), private)
}

fn target(host: &str) -> crate::plugin::Target {
    crate::plugin::Target::parse("https", host).unwrap()
}

#[test]
fn requests_go_where_both_say() {
    let asks = manifest(vec![http(&["https://*.example.com"])]);
    let narrow = effective(&asks, &[to("https://a.example.com", false)]).unwrap();
    assert!(narrow.may_ask(&target("a.example.com")) && !narrow.may_ask(&target("b.example.com")));
    let asks = manifest(vec![http(&["https://a.example.com"])]);
    let narrow = effective(&asks, &[to("https://*.example.com", false)]).unwrap();
    assert!(narrow.may_ask(&target("a.example.com")) && !narrow.may_ask(&target("b.example.com")));
    assert_eq!(narrow.lines(), ["http to https://a.example.com"]);
    let error = effective(&asks, &[to("https://evil.com", false)]).unwrap_err();
    assert!(matches!(error, GrantError::NotAsked { .. }));
}

#[test]
fn every_place_asked_for_needs_a_grant() {
    let asks = manifest(vec![http(&["https://a.example.com", "https://b.example.com"])]);
    let error = effective(&asks, &[to("https://a.example.com", false)]).unwrap_err().to_string();
    assert!(error.contains(r#"grants: http: ["https://a.example.com", "https://b.example.com"]"#), "{error}");
    let open = manifest(vec![http(&[])]);
    let error = effective(&open, &[]).unwrap_err().to_string();
    assert!(error.contains("asks for http to places of your choice"), "{error}");
    assert!(effective(&open, &[to("https://c.example.com", true)]).is_ok());
}

#[test]
fn addresses_are_judged_after_the_name() {
    let asks = manifest(vec![http(&["https://a.example.com"])]);
    let public = effective(&asks, &[to("https://a.example.com", false)]).unwrap();
    let private = effective(&asks, &[to("https://a.example.com", true)]).unwrap();
    let reach =
        |effective: &Effective, ip: &str| effective.may_reach(&target("a.example.com"), ip.parse().unwrap());
    for ip in ["10.0.0.1", "127.0.0.1", "::1", "::ffff:192.168.0.1", "fd12::1"] {
        assert!(!reach(&public, ip) && reach(&private, ip), "{ip}");
    }
    for ip in ["169.254.169.254", "::ffff:169.254.169.254", "0.0.0.0", "fe80::1", "224.0.0.1"] {
        assert!(!reach(&public, ip) && !reach(&private, ip), "{ip}");
    }
    assert!(reach(&public, "8.8.8.8"));
    let by_address = |private| {
        let asks = manifest(vec![http(&["https://169.254.0.9"])]);
        let effective = effective(&asks, &[to("https://169.254.0.9", private)]).unwrap();
        effective.may_reach(&target("169.254.0.9"), "::ffff:169.254.0.9".parse().unwrap())
    };
    assert!(by_address(true) && !by_address(false), "the link by its own address");
    assert!(!public.may_reach(&target("b.example.com"), "8.8.8.8".parse().unwrap()), "another name");
}

#[test]
fn secrets_and_bytes_are_granted_one_by_one() {
    let label = |text: &str| SecretLabel::new(text).unwrap();
    let of = |capability: &str, text: &str| Need { label: Some(label(text)), ..need(capability, None) };
    let asks = manifest(vec![of("secret", "token"), of("secret_reveal", "token"), need("kv", None)]);
    let all = [Grant::secret(label("token")), Grant::secret_reveal(label("token")), Grant::kv()];
    let effective_all = effective(&asks, &all).unwrap();
    assert!(effective_all.may_use(&label("token")) && !effective_all.may_use(&label("other")));
    assert!(effective_all.may_reveal(&label("token")) && effective_all.may_keep());
    assert_eq!(effective_all.lines(), ["secret token", "secret_reveal token", "kv"]);
    for (left_out, line) in
        [(0, "secrets: token: { file: /PATH"), (1, "grants: secret_reveal: [token]"), (2, "grants: kv: yes")]
    {
        let grants: Vec<_> =
            all.iter().enumerate().filter(|(at, _)| *at != left_out).map(|(_, g)| g.clone()).collect();
        let error = effective(&asks, &grants).unwrap_err().to_string();
        assert!(error.contains(line), "{error}");
    }
    let error = effective(&manifest(vec![]), &[Grant::secret(label("x"))]).unwrap_err().to_string();
    assert!(error.contains("is granted secret x and does not ask for it"), "{error}");
}

proptest! {
    /// Whatever is asked and granted, nothing may run that was not granted word for word.
    #[test]
    fn nothing_runs_without_a_grant(
        asked in proptest::option::of(proptest::collection::vec("[ab]{1,2}", 1..3)),
        granted in proptest::collection::vec(proptest::collection::vec("[ab]{1,2}", 1..3), 0..3),
        tried in proptest::collection::vec("[ab]{1,2}", 0..3),
    ) {
        let asks = manifest(vec![Need { argv: asked.clone(), ..need("process", None) }]);
        let grants: Vec<Grant> = granted.iter().cloned().map(Grant::process).collect();
        if let Ok(effective) = effective(&asks, &grants)
            && effective.may_run(&tried, &[])
        {
            prop_assert!(granted.contains(&tried));
            prop_assert!(asked.is_none_or(|asked| asked == tried));
        }
    }
}
