//! The two keys, one difference at a time.

use proptest::prelude::*;

use super::*;
use crate::plugin::{Contract, Need};

fn argv(words: &[&str]) -> Argv {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn need(capability: &str, command: Option<&[&str]>) -> Need {
    Need { capability: capability.to_owned(), argv: command.map(argv), reason: "reads the load".to_owned() }
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
fn granted_but_not_asked_says_what_is_asked() {
    let grants = [Grant::process(argv(&["reboot"]))];
    let error = effective(&manifest(vec![]), &grants).unwrap_err();
    assert_eq!(
        error.to_string(),
        r#"plugin label-load is granted process ["reboot"] and does not ask for it; it asks for nothing; remove the grant from teleport.yaml under teleport.plugins.load.label-load.grants"#
    );
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

proptest! {
    /// Whatever is asked and granted, nothing may run that was not granted word for word.
    #[test]
    fn nothing_runs_without_a_grant(
        asked in proptest::option::of(proptest::collection::vec("[ab]{1,2}", 1..3)),
        granted in proptest::collection::vec(proptest::collection::vec("[ab]{1,2}", 1..3), 0..3),
        tried in proptest::collection::vec("[ab]{1,2}", 0..3),
    ) {
        let asks = manifest(vec![Need { capability: "process".into(), argv: asked.clone(), reason: "x".into() }]);
        let grants: Vec<Grant> = granted.iter().cloned().map(Grant::process).collect();
        if let Ok(effective) = effective(&asks, &grants)
            && effective.may_run(&tried, &[])
        {
            prop_assert!(granted.contains(&tried));
            prop_assert!(asked.is_none_or(|asked| asked == tried));
        }
    }
}
