//! Suites as authors of storage backends write them down: `tests/*.toml` with `[[suite]]`.

use std::collections::BTreeMap;
use std::path::Path;

use domain::plugin::Destination;
use domain::plugin::configuration::Written;
use serde::Deserialize;
use storage::conformance;
use terminal::{Explain as _, Failure};

use super::super::case::Value;

/// Stands in a value for a name that no case has had before: a prefix, a table, a folder of the case's own.
const FRESH: &str = "{fresh}";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    suite: Vec<Suite>,
}

/// Who takes away what has expired, and so whose time it goes by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Expiry {
    /// The plugin, by its own clock, which can be moved.
    #[default]
    Plugin,
    /// A server the plugin speaks to, whose time has to pass.
    Server,
}

/// The suite every store must pass, on one place.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Suite {
    pub(super) name: String,
    #[serde(default)]
    pub(super) expiry: Expiry,
    /// Requests may go to private networks and to this machine.
    #[serde(default)]
    pub(super) private: bool,
    /// The places for requests, where the manifest leaves them to the operator.
    #[serde(default)]
    pub(super) hosts: Vec<Destination>,
    #[serde(default)]
    config: BTreeMap<String, Value>,
    #[serde(default)]
    pub(super) secrets: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) kv: BTreeMap<String, String>,
    /// Cases that are not run, each with the reason.
    #[serde(default)]
    pub(super) leave_out: BTreeMap<String, String>,
}

impl Suite {
    /// The plugin's configuration for one case.
    pub(super) fn config(&self, fresh: &str) -> BTreeMap<String, Written> {
        let filled = |written: Written| match written {
            Written::One(text) => Written::One(text.replace(FRESH, fresh)),
            Written::Many(items) => {
                Written::Many(items.iter().map(|item| item.replace(FRESH, fresh)).collect())
            }
        };
        self.config.iter().map(|(key, value)| (key.clone(), filled(value.written()))).collect()
    }

    /// Whether cases have places of their own: with none of them, what one case wrote the next would find.
    fn is_fresh(&self) -> bool {
        let holds = |written: Written| match written {
            Written::One(text) => text.contains(FRESH),
            Written::Many(items) => items.iter().any(|item| item.contains(FRESH)),
        };
        self.config.values().any(|value| holds(value.written()))
    }
}

/// Where a plugin sends requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Places {
    /// It sends none.
    None,
    /// Its manifest names the hosts.
    OfTheManifest,
    /// Its manifest leaves them to the operator.
    OfTheOperator,
}

/// Reads a file of suites for a plugin that sends requests there.
///
/// # Errors
/// With file, suite and what is wrong with it.
pub(super) fn read(path: &Path, places: Places) -> Result<Vec<Suite>, Failure> {
    let shown = path.display().to_string();
    let text = std::fs::read_to_string(path).while_doing(format!("cannot read {shown}"))?;
    parse(&text, places).while_doing(format!("{shown} cannot be used"))
}

fn parse(text: &str, places: Places) -> Result<Vec<Suite>, Failure> {
    let File { suite } = toml::from_str(text)?;
    for suite in &suite {
        if let Some(name) = suite.leave_out.keys().find(|name| !conformance::is_case(name)) {
            let text = format!("suite {:?} leaves out {name:?}, which is no case", suite.name);
            return Err(Failure::new(text).hint("the cases are listed when the suite runs"));
        }
        if places == Places::OfTheOperator && suite.hosts.is_empty() {
            let text = format!(
                "suite {:?} names no hosts, and the manifest leaves them to the operator",
                suite.name
            );
            return Err(
                Failure::new(text).hint("add such a line to the suite: hosts = [\"https://db.example.com\"]")
            );
        }
        if places != Places::None && !suite.is_fresh() {
            let text = format!("suite {:?} gives every case the same place on the server", suite.name);
            return Err(Failure::new(text).hint(format!(
                "put {FRESH} into a value of its config, such as a prefix; each case has a name of its own there"
            )));
        }
    }
    if suite.is_empty() { Err(Failure::new("it has no [[suite]]")) } else { Ok(suite) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suite_is_read_and_each_case_has_its_own_place() {
        let text = "[[suite]]\nname = \"s\"\nexpiry = \"server\"\nprivate = true\nhosts = [\"http://127.0.0.1:1\"]\n\
                    config = { peers = [\"http://127.0.0.1:1\"], prefix = \"x-{fresh}\" }\n\
                    [suite.leave_out]\na_mebibyte_survives = \"it takes no more than 400 KiB\"\n";
        let suites = parse(text, Places::OfTheOperator).unwrap();
        let [suite] = suites.as_slice() else { panic!("{} suites", suites.len()) };
        assert!(suite.private && suite.expiry == Expiry::Server);
        assert_eq!(suite.config("7")["prefix"], Written::One("x-7".to_owned()));
    }

    #[test]
    fn each_slip_is_named() {
        let one = "[[suite]]\nname = \"s\"\n";
        let cases = [
            (String::new(), Places::None, "no [[suite]]"),
            ("[[case]]\nname = \"x\"\n".to_owned(), Places::None, "unknown field `case`, expected `suite`"),
            (format!("{one}expiry = \"never\"\n"), Places::None, "unknown variant `never`"),
            (
                format!("{one}leave_out = {{ a_case = \"\" }}\n"),
                Places::None,
                "leaves out \"a_case\", which is no case",
            ),
            (one.to_owned(), Places::OfTheManifest, "the same place on the server"),
            (one.to_owned(), Places::OfTheOperator, "hosts = [\"https://db.example.com\"]"),
        ];
        for (text, places, expected) in cases {
            let said = parse(&text, places).err().map(|failure| failure.render()).unwrap_or_default();
            assert!(said.contains(expected), "{said} should say {expected}");
        }
    }
}
