//! Cases as authors write them down: `tests/*.toml`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use domain::Timestamp;
use domain::plugin::configuration::Written;
use domain::plugin::{Argv, Destination};
use serde::{Deserialize, Serialize};
use terminal::{Explain as _, Failure};

/// A place that there is not (RFC 2606 section 2).
const NOWHERE: &str = "https://host.invalid";

/// A file of them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    case: Vec<RawCase>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCase {
    name: String,
    #[serde(default)]
    request: Request,
    time: Option<String>,
    #[serde(default)]
    config: BTreeMap<String, Value>,
    #[serde(default)]
    secrets: BTreeMap<String, String>,
    #[serde(default)]
    kv: BTreeMap<String, String>,
    #[serde(default)]
    hosts: Vec<Destination>,
    #[serde(default)]
    http: Vec<Exchange>,
    #[serde(default)]
    process: Vec<Program>,
    expect: Option<String>,
    expect_failure: Option<String>,
}

/// What is asked of the plugin.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Request {
    /// The label's key; the plugin's name when it is left out.
    pub(super) name: Option<String>,
    /// What the operator wrote beside it.
    #[serde(default)]
    pub(super) command: Vec<String>,
}

/// A value of the plugin's configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(super) enum Value {
    Text(String),
    Number(i64),
    Flag(bool),
    List(Vec<String>),
}

impl Value {
    /// As an operator would have written it.
    pub(super) fn written(&self) -> Written {
        match self {
            Self::Text(text) => Written::One(text.clone()),
            Self::Number(number) => Written::One(number.to_string()),
            Self::Flag(flag) => Written::One(flag.to_string()),
            Self::List(items) => Written::Many(items.clone()),
        }
    }
}

/// A request, and what comes of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Exchange {
    /// `GET` unless it is written.
    #[serde(default = "get")]
    pub(super) method: String,
    /// In full.
    pub(super) url: String,
    /// 200 unless it is written.
    #[serde(default = "ok")]
    pub(super) status: u16,
    /// Names and values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) headers: BTreeMap<String, String>,
    /// The body, where it is text.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) body: String,
    /// The body, where it is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) body_base64: Option<String>,
    /// In place of an answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) fault: Option<HttpFault>,
}

fn get() -> String {
    "GET".to_owned()
}

fn ok() -> u16 {
    200
}

/// Why nothing answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum HttpFault {
    Refused,
    TimedOut,
    NoAddress,
}

/// A program, and how it ends.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Program {
    /// Word by word.
    pub(super) argv: Vec<String>,
    /// Its exit code; 0 unless it is written.
    #[serde(default)]
    pub(super) exit: u32,
    #[serde(default)]
    pub(super) stdout: String,
    #[serde(default)]
    pub(super) stderr: String,
    /// In place of an end of its own.
    pub(super) fault: Option<ProcessFault>,
}

/// Why a program does not end by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum ProcessFault {
    NotFound,
    TimedOut,
    Unavailable,
}

/// What should come of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Expected {
    /// Exactly this value.
    Value(String),
    /// A failure whose text holds this.
    Failure(String),
}

/// A case that can be run.
pub(super) struct Case {
    pub(super) name: String,
    pub(super) request: Request,
    pub(super) time: Option<Duration>,
    config: BTreeMap<String, Value>,
    pub(super) secrets: BTreeMap<String, String>,
    pub(super) kv: BTreeMap<String, String>,
    hosts: Vec<Destination>,
    pub(super) http: Vec<Exchange>,
    pub(super) process: Vec<Program>,
    pub(super) expected: Expected,
}

impl Case {
    /// The plugin's configuration, as an operator would have written it.
    pub(super) fn config(&self) -> BTreeMap<String, Written> {
        self.config.iter().map(|(key, value)| (key.clone(), value.written())).collect()
    }

    /// Where a plugin may send requests whose manifest leaves that to the operator: what the case names, and whatever
    /// it or the recording has an answer of. Never nowhere, for then the plugin would not be loaded.
    pub(super) fn hosts(&self, recorded: &[Exchange]) -> Vec<Destination> {
        let of = |exchange: &Exchange| place_of(&exchange.url);
        let mut hosts: BTreeSet<_> = self.http.iter().chain(recorded).filter_map(of).collect();
        hosts.extend(self.hosts.iter().cloned());
        if hosts.is_empty() {
            hosts.extend(place_of(NOWHERE));
        }
        hosts.into_iter().collect()
    }

    /// The commands it may run whose manifest leaves that to the operator: those the case has an end of.
    pub(super) fn programs(&self) -> Vec<Argv> {
        let programs = self.process.iter().map(|program| program.argv.clone());
        let programs: BTreeSet<_> = programs.filter(|argv| !argv.is_empty()).collect();
        programs.into_iter().collect()
    }
}

/// Scheme, host and port of a URL.
fn place_of(url: &str) -> Option<Destination> {
    let (scheme, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    Destination::parse(&format!("{scheme}://{authority}")).ok()
}

/// Reads a file of cases.
///
/// # Errors
/// With file, case and what is wrong with it.
pub(super) fn read(path: &Path) -> Result<Vec<Case>, Failure> {
    let shown = path.display().to_string();
    let text = std::fs::read_to_string(path).while_doing(format!("cannot read {shown}"))?;
    parse(&text).while_doing(format!("{shown} cannot be used"))
}

fn parse(text: &str) -> Result<Vec<Case>, Failure> {
    let file: File = toml::from_str(text)?;
    let cases: Vec<_> = file.case.into_iter().map(check).collect::<Result<_, _>>()?;
    let mut names: Vec<_> = cases.iter().map(|case| case.name.as_str()).collect();
    names.sort_unstable();
    match names.windows(2).find(|pair| pair.first() == pair.last()).and_then(<[&str]>::first) {
        Some(name) => Err(Failure::new(format!("two cases are called {name:?}"))),
        None if cases.is_empty() => Err(Failure::new("it has no [[case]]")),
        None => Ok(cases),
    }
}

fn check(raw: RawCase) -> Result<Case, Failure> {
    let RawCase { name, request, time, config, secrets, kv, hosts, http, process, expect, expect_failure } =
        raw;
    let wrong = |text: &str| Failure::new(format!("case {name:?} {text}"));
    let time =
        time.map(|time| since_1970(&time).ok_or_else(|| wrong("has a time unlike 2026-11-21T10:00:00Z")));
    let time = time.transpose()?;
    let expected = match (expect, expect_failure) {
        (Some(value), None) => Expected::Value(value),
        (None, Some(part)) => Expected::Failure(part),
        _ => return Err(wrong("needs either `expect` or `expect_failure`")),
    };
    Ok(Case { name, request, time, config, secrets, kv, hosts, http, process, expected })
}

fn since_1970(text: &str) -> Option<Duration> {
    let time: Timestamp = text.parse().ok()?;
    u64::try_from(time.as_microsecond()).ok().map(Duration::from_micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_is_read_as_it_is_written() {
        let text = r#"
            [[case]]
            name = "one"
            time = "1970-01-01T00:01:00Z"
            request = { name = "city", command = ["a", "b"] }
            config = { city = "Oslo", days = 3, loud = true, units = ["m", "s"] }
            kv = { last = "5" }
            hosts = ["https://b.example"]
            expect = "rain"
            [[case.http]]
            url = "https://a.example:8443/x?y"
            body = "{}"
            [[case.process]]
            argv = ["true"]
            fault = "timed-out"
        "#;
        let cases = parse(text).unwrap();
        let [case] = cases.as_slice() else { panic!("{} cases", cases.len()) };
        assert_eq!(case.time, Some(Duration::from_secs(60)));
        assert_eq!(case.expected, Expected::Value("rain".to_owned()));
        let written = case.config();
        assert_eq!(written["days"], Written::One("3".to_owned()));
        assert_eq!(written["units"], Written::Many(vec!["m".to_owned(), "s".to_owned()]));
        let hosts: Vec<_> = case.hosts(&case.http).iter().map(ToString::to_string).collect();
        assert_eq!(hosts, ["https://a.example:8443", "https://b.example"]);
        assert_eq!((case.http[0].method.as_str(), case.http[0].status), ("GET", 200));
        assert_eq!(case.process[0].fault, Some(ProcessFault::TimedOut));
    }

    #[test]
    fn each_slip_is_named() {
        let one = "[[case]]\nname = \"x\"\n";
        let cases = [
            (String::new(), "no [[case]]"),
            (one.to_owned(), "needs either `expect` or `expect_failure`"),
            (format!("{one}expect = \"\"\nexpect_failure = \"\"\n"), "needs either"),
            (format!("{one}expect = \"\"\ntime = \"noon\"\n"), "has a time unlike"),
            (format!("{one}expect = \"\"\nexpects = \"\"\n"), "unknown field `expects`"),
            (format!("{one}expect = \"\"\n{one}expect = \"\"\n"), "two cases are called \"x\""),
        ];
        for (text, expected) in cases {
            let said = parse(&text).err().map(|failure| failure.render()).unwrap_or_default();
            assert!(said.contains(expected), "{said} should say {expected}");
        }
    }
}
