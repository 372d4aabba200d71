//! The table holds together, and wishes meet the operator.

use super::*;
use crate::plugin::PluginName;
use crate::plugin::manifest::Wishes;

type Pairs<'a> = &'a [(&'a str, &'a str)];

const KIND: ContractKind = ContractKind::LabelProvider;

fn wishes(pairs: &[(&str, &str)]) -> Wishes {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn resolved(manifest: &[(&str, &str)], operator: &[(&str, &str)]) -> Result<Limits, String> {
    let name = PluginName::new("label-x").unwrap();
    resolve(KIND, &name, &wishes(manifest), &wishes(operator)).map_err(|error| error.to_string())
}

#[test]
fn the_table_names_each_limit_once_and_every_default_is_under_its_ceiling() {
    let mut untouched = Limits::of(KIND);
    for row in table() {
        *(row.field)(&mut untouched) = 0;
    }
    let zero = format!("{untouched:?}");
    assert_eq!(zero.matches(": 0").count(), table().len(), "a limit has no row: {zero}");
    for kind in ContractKind::ALL {
        for row in table() {
            let value = row.value(&Limits::of(*kind));
            assert!(value > 0 && value <= row.ceiling, "{}", row.key);
            assert_eq!(row.parse(&row.text(value)), Some(value), "{}", row.key);
        }
    }
}

#[test]
fn a_time_is_written_as_exactly_as_it_is_kept() {
    let row = table().iter().find(|row| row.unit == Unit::Time).unwrap();
    for (millis, text) in [(300, "300ms"), (1500, "1500ms"), (10_000, "10s"), (61_001, "61001ms")] {
        assert_eq!(row.text(millis), text);
        assert_eq!(row.parse(text), Some(millis));
    }
}

#[test]
fn a_hanging_program_ends_before_its_call() {
    let limits = Limits::of(KIND);
    assert!(limits.process_time() < limits.wall());
}

#[test]
fn less_is_taken_and_more_needs_the_operator() {
    assert_eq!(resolved(&[("memory", "1MiB")], &[]).unwrap().memory, MIB);
    assert_eq!(
        resolved(&[("memory", "64MiB")], &[]).unwrap_err(),
        "plugin label-x wants the limit memory at 64MiB, above the default of 32MiB; if it may, add under teleport.plugins.load.label-x.limits: memory: 64MiB"
    );
    assert_eq!(resolved(&[("memory", "64MiB")], &[("memory", "48MiB")]).unwrap().memory, 48 * MIB);
    assert_eq!(resolved(&[], &[("wall", "1m")]).unwrap().wall(), Duration::from_secs(60));
}

#[test]
fn each_slip_is_named_with_who_wrote_it() {
    let cases: [(Pairs<'_>, Pairs<'_>, &str); 6] = [
        (
            &[("memroy", "1MiB")],
            &[],
            "the plugin's manifest sets the limit \"memroy\", which does not exist; there are memory, tables",
        ),
        (&[], &[("wall", "5")], "teleport.yaml sets the limit wall to \"5\"; it wants a duration like 5s"),
        (&[], &[("cpu", "0")], "teleport.yaml sets the limit cpu to \"0\""),
        (
            &[("stack", "64KiB")],
            &[],
            "the plugin's manifest sets the limit stack, which is 512KiB for all plugins; leave it out",
        ),
        (&[], &[("log_lines", "-1")], "it wants a number like 100"),
        (
            &[],
            &[("memory", "1GiB")],
            "teleport.yaml sets the limit memory to 1GiB; this host allows at most 128MiB",
        ),
    ];
    for (manifest, operator, expected) in cases {
        let error = resolved(manifest, operator).unwrap_err();
        assert!(error.contains(expected), "{error} should say {expected}");
    }
}
