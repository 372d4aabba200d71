//! `teleport plugin test`: holds a plugin against the cases its author wrote down.
//!
//! A plugin for labels runs in the daemon's own host, under the daemon's limits, with everything granted that its
//! manifest asks for; but other machines and programs are what a case says they are, time stands still, and what is
//! kept is forgotten. With `--record` requests are really sent, and the answers written down. A storage backend
//! is held against the suite every store must pass ([`suite`]).

use std::collections::BTreeMap;
use std::fmt;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use domain::plugin::ContractKind;
use plugin_host::rehearsal::{Outside, Rehearsal, StageTime};
use plugin_host::{CallReport, Outcome};
use terminal::{Explain as _, Failure, Printer, Screen};

use super::project::{Project, Staged};
use super::trial::{self, Leave, Place};

mod case;
mod recording;
mod redaction;
mod secret;
mod stand;
mod suite;

use case::{Case, Expected};
use recording::Recording;
use redaction::Redaction;
use stand::Stand;

/// The time of day where a case names none: 2026-11-21, 10:00 UTC.
const BEGIN: Duration = Duration::from_secs(1_795_255_200);

/// What a plugin sees is the same in every run: time stands still, at 2026-11-21T10:00:00Z unless a case says
/// otherwise, random numbers repeat, and other machines and programs are what the cases say.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Really send the requests no case answers, and keep the answers in tests/recorded, without secrets.
    #[arg(long)]
    record: bool,
    /// A secret, LABEL=env:NAME or LABEL=file:PATH, in place of what the files say. Where nothing is really sent,
    /// with --record only.
    #[arg(long, value_name = "LABEL=FROM", value_parser = trial::secret)]
    secret: Vec<trial::GivenSecret>,
    /// Let requests go to private networks and to this machine. Where nothing is really sent, with --record only.
    #[arg(long)]
    private: bool,
    /// Run the cases whose names hold this.
    #[arg(long, value_name = "PART", conflicts_with = "record")]
    only: Option<String>,
    /// The project's folder, or its component.
    #[arg(value_name = "DIR|plugin.wasm", default_value = ".")]
    plugin: PathBuf,
}

/// What all cases share.
struct Bench<'a> {
    staged: &'a Staged,
    place: &'a Place,
    arguments: &'a Arguments,
}

/// How a case went.
struct Done {
    /// How long the call took.
    wall: Duration,
    /// What is wrong, if anything is.
    wrong: Vec<String>,
    /// What the plugin logged.
    lines: Vec<String>,
    /// What other machines said.
    heard: Recording,
}

pub(crate) fn run(arguments: &Arguments, out: &mut dyn Write) -> Result<(), Failure> {
    let project = Project::find(&arguments.plugin)?;
    let staged = project.stage()?;
    let name = staged.manifest.name.clone();
    let mut printer = Printer::new(out, Screen::pipe());
    let tally = match staged.kind {
        ContractKind::LabelProvider => cases(&staged, &project.folder, arguments, &mut printer)?,
        ContractKind::StorageBackend if arguments.record => {
            return Err(Failure::usage("a storage backend is not recorded: its suite runs on a real server")
                .hint("name the server in tests/suite.toml, and leave --record out"));
        }
        ContractKind::StorageBackend => {
            let files = files(&project.folder, "suite", "tests/suite.toml")?;
            suite::run(staged, &files, arguments, &mut printer)?
        }
    };
    printer.line(tally.to_string())?;
    match tally.failed {
        0 if tally.passed == 0 => Err(Failure::new(format!("no case of {name} was run"))),
        0 => Ok(()),
        failed => Err(Failure::new(format!("{failed} of {} cases of {name} failed", tally.all()))),
    }
}

/// How cases went.
#[derive(Default)]
struct Tally {
    passed: usize,
    failed: usize,
    left_out: usize,
}

impl Tally {
    fn count(&mut self, passed: bool) {
        if passed {
            self.passed += 1;
        } else {
            self.failed += 1;
        }
    }

    fn all(&self) -> usize {
        self.passed + self.failed + self.left_out
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} cases, {} passed, {} failed", self.all(), self.passed, self.failed)?;
        if self.left_out > 0 { write!(f, ", {} left out", self.left_out) } else { Ok(()) }
    }
}

/// Runs the cases of a label's plugin.
fn cases(
    staged: &Staged,
    folder: &Path,
    arguments: &Arguments,
    printer: &mut Printer<'_>,
) -> Result<Tally, Failure> {
    if !arguments.record && (arguments.private || !arguments.secret.is_empty()) {
        return Err(Failure::usage("--secret and --private need --record: otherwise nothing is sent"));
    }
    let (place, mut tally) = (Place::open()?, Tally::default());
    let bench = Bench { staged, place: &place, arguments };
    for file in &files(folder, "cases", "tests/cases.toml")? {
        let mut cases = case::read(file)?;
        cases.retain(|case| arguments.only.as_ref().is_none_or(|part| case.name.contains(part)));
        let recorded = recording::read(file)?;
        let mut heard = BTreeMap::new();
        for case in &cases {
            let recording = recorded.get(&case.name).cloned().unwrap_or_default();
            let done = bench.run(case, recording)?;
            tally.count(done.wrong.is_empty());
            tell(printer, case, &done)?;
            if !done.heard.is_empty() {
                heard.insert(case.name.clone(), done.heard);
            }
        }
        if arguments.record && !heard.is_empty() {
            let path = recording::write(file, &heard)?;
            printer.line(format!("wrote {}", path.display()))?;
        }
    }
    Ok(tally)
}

fn tell(printer: &mut Printer<'_>, case: &Case, done: &Done) -> Result<(), Failure> {
    let result = if done.wrong.is_empty() { "ok    " } else { "FAILED" };
    printer.line(format!("{result} {} ({:.1?})", case.name, done.wall))?;
    for wrong in &done.wrong {
        printer.line(format!("       {wrong}"))?;
    }
    if !done.wrong.is_empty() {
        done.lines.iter().try_for_each(|line| printer.line(format!("       log: {line}")))?;
    }
    Ok(())
}

/// The files with cases, or with what else a project is tested by.
fn files(folder: &Path, what: &str, usual: &str) -> Result<Vec<PathBuf>, Failure> {
    let entries = std::fs::read_dir(folder.join("tests")).into_iter().flatten().flatten();
    let mut files: Vec<_> = entries.map(|entry| entry.path()).collect();
    files.push(folder.join("tests.toml"));
    files.retain(|path| path.extension().is_some_and(|ending| ending == "toml") && path.is_file());
    files.sort();
    if files.is_empty() {
        return Err(Failure::new(format!("{} has no {what} to run", folder.display()))
            .hint(format!("write it into {usual}; plugins/README.md shows how")));
    }
    Ok(files)
}

impl Bench<'_> {
    fn run(&self, case: &Case, recording: Recording) -> Result<Done, Failure> {
        let secrets = secret::gather(
            &self.staged.manifest,
            &case.name,
            &case.secrets,
            self.arguments.secret.iter().map(|(label, from)| (label, from)),
        )?;
        let redaction = Redaction::new(&secrets)?;
        let leave = Leave {
            all: true,
            // Those that answered before also where they are asked anew.
            hosts: case.hosts(&recording),
            programs: case.programs(),
            private: self.arguments.private,
            config: case.config(),
            secrets,
            ..Leave::default()
        };
        leave
            .check_config(&self.staged.manifest, "in a test that is `config` of the case")
            .while_doing(format!("the plugin cannot be called in case {:?}", case.name))?;
        let recording = if self.arguments.record { Recording::new() } else { recording };
        let stand = Arc::new(Stand::new(case, recording, redaction, self.arguments.record));
        let outside: Arc<dyn Outside> = stand.clone();
        let kept = case.kv.iter().map(|(key, value)| (key.clone(), value.clone().into_bytes())).collect();
        let time = Some(StageTime::Still(case.time.unwrap_or(BEGIN)));
        let rehearsal = Rehearsal { time, kept: Some(kept), outside };
        let host = trial::host(self.staged, self.place, &leave, rehearsal, trial::Look::Outcome)?;
        let request = &case.request;
        let label = trial::label(&self.staged.manifest.name, request.name.clone(), request.command.clone());
        let report = trial::runtime()?.block_on(async {
            let report = host.call(&label).await;
            host.stop().await;
            report
        });
        let report = report.while_doing(format!("the plugin cannot be called in case {:?}", case.name))?;
        let (mut wrong, lines, heard) = stand.end();
        let judged = judge(&case.expected, &report);
        // The error names lines of `teleport.yaml`.
        let instead = match report.outcome() {
            Outcome::Denied => Some(INSTEAD),
            Outcome::Memory | Outcome::Timeout => Some(LIMITS),
            _ => None,
        };
        let instead = instead.filter(|_| judged.is_some());
        wrong.extend(judged);
        wrong.extend(instead.map(str::to_owned));
        Ok(Done { wall: report.wall, wrong, lines, heard })
    }
}

/// What stands in a case for the operator's grants.
const INSTEAD: &str = "where plugin.toml leaves places or commands to the operator, the case grants them: by `hosts = [\"https://HOST\"]`, or by its [[case.http]] and [[case.process]]";

/// What stands in a test for the operator's limits.
const LIMITS: &str = "in a test the limits are those that plugin.toml wants, under [limits]";

/// What is wrong with what came of a call.
fn judge(expected: &Expected, report: &CallReport) -> Option<String> {
    let shown = |result: &Result<String, String>| match result {
        Ok(value) => format!("the value {value:?}"),
        Err(reason) => format!("the failure {reason:?}"),
    };
    let result = report.result.as_ref().map(String::clone).map_err(|error| {
        let chain = std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source());
        chain.map(ToString::to_string).collect::<Vec<_>>().join(": ")
    });
    let wanted = match (expected, &result) {
        (Expected::Value(wanted), Ok(value)) if wanted == value => return None,
        (Expected::Failure(part), Err(reason)) if reason.contains(part) => return None,
        (Expected::Value(wanted), _) => format!("the value {wanted:?}"),
        (Expected::Failure(part), _) => format!("a failure with {part:?} in it"),
    };
    Some(format!("expected {wanted}, got {}", shown(&result)))
}
