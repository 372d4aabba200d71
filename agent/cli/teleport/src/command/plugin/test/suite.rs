//! The suite every store must pass, for the author of a storage backend.
//!
//! The component runs in the daemon's own host and under its limits, with everything granted that its
//! manifest asks for; the daemon's own store stands on it, and each case has a host, a kv and a clock of its
//! own. Nothing is recorded here: a backend that speaks to a server speaks to the one the file names.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use domain::plugin::{Capability, Need, SecretLabel};
use plugin_host::SecretFrom;
use plugin_host::rehearsal::{Outside, Rehearsal, StageClock, StageTime};
use port::clock::{Clock, SystemClock};
use port::random::{Random as _, SystemRandom};
use storage::conformance::{self, Subject};
use terminal::{Explain as _, Failure, Printer};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::super::project::Staged;
use super::super::run::Ear;
use super::super::trial::{self, Leave, Place};
use super::secret;
use super::{BEGIN, Tally};

mod file;

use file::{Expiry, Places, Suite};

/// Cases that run at one time: a case mostly waits.
const AT_ONCE: usize = 4;

/// Lines of the plugin's log that are shown with a case that failed.
const LINES: usize = 5;

/// The name of the threads cases run on.
const THREAD: &str = "conformance";

/// What all cases share.
struct Bench {
    staged: Staged,
    place: Place,
    secrets: BTreeMap<SecretLabel, SecretFrom>,
    private: bool,
    turns: Semaphore,
}

/// How a case went.
struct Done {
    wall: Duration,
    wrong: Option<String>,
    lines: Vec<String>,
}

/// Runs what the files say; of each suite the cases whose names hold `only`.
///
/// # Errors
/// A file that cannot be used, and a backend that does not open.
pub(super) fn run(
    staged: Staged,
    files: &[PathBuf],
    arguments: &super::Arguments,
    printer: &mut Printer<'_>,
) -> Result<Tally, Failure> {
    let sends = |need: &&Need| need.capability == Capability::Http.key();
    let places = match staged.manifest.needs.iter().filter(sends).collect::<Vec<_>>().as_slice() {
        [] => Places::None,
        needs if needs.iter().any(|need| need.leaves_open(Capability::Http)) => Places::OfTheOperator,
        _ => Places::OfTheManifest,
    };
    let suites = files.iter().map(|path| file::read(path, places)).collect::<Result<Vec<_>, _>>()?;
    let bench = Arc::new(Bench {
        staged,
        place: Place::open()?,
        secrets: arguments.secret.iter().cloned().collect(),
        private: arguments.private,
        turns: Semaphore::new(AT_ONCE),
    });
    keep_panics_quiet();
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(AT_ONCE).thread_name(THREAD).enable_all().build();
    let runtime = runtime.while_doing("cannot start the runtime")?;
    let mut tally = Tally::default();
    for suite in suites.into_iter().flatten() {
        printer.line(format!("suite  {}", suite.name))?;
        let suite = Arc::new(suite);
        runtime.block_on(bench.run(&suite, arguments, printer, &mut tally))?;
    }
    Ok(tally)
}

/// A case that finds something panics, and that is told with the case.
fn keep_panics_quiet() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if std::thread::current().name() != Some(THREAD) {
            before(info);
        }
    }));
}

impl Bench {
    async fn run(
        self: &Arc<Self>,
        suite: &Arc<Suite>,
        arguments: &super::Arguments,
        printer: &mut Printer<'_>,
        tally: &mut Tally,
    ) -> Result<(), Failure> {
        self.clone().opens(suite).await?;
        let only = |case: &&str| arguments.only.as_ref().is_none_or(|part| case.contains(part.as_str()));
        let mut running = Vec::new();
        let cases = conformance::names().into_iter().chain([conformance::WAITS]);
        for case in cases.filter(only) {
            let (bench, suite) = (Arc::clone(self), Arc::clone(suite));
            let left_out = suite.leave_out.get(case).cloned();
            let task =
                left_out.is_none().then(|| tokio::spawn(async move { bench.case(&suite, case).await }));
            running.push((case, left_out.unwrap_or_default(), task));
        }
        for (case, reason, task) in running {
            let Some(task) = task else {
                tally.left_out += 1;
                printer.line(format!("left   {case}: {reason}"))?;
                continue;
            };
            let done = task.await.while_doing(format!("case {case} was not run"))??;
            tally.count(done.wrong.is_none());
            let result = if done.wrong.is_none() { "ok    " } else { "FAILED" };
            printer.line(format!("{result} {case} ({:.1?})", done.wall))?;
            let Some(wrong) = done.wrong else { continue };
            wrong.lines().try_for_each(|line| printer.line(format!("       {line}")))?;
            let first = done.lines.len().saturating_sub(LINES);
            let lines = done.lines.iter().skip(first);
            lines.into_iter().try_for_each(|line| printer.line(format!("       log: {line}")))?;
        }
        Ok(())
    }

    /// Whether there is anything to hold the suite against.
    async fn opens(self: Arc<Self>, suite: &Suite) -> Result<(), Failure> {
        let ear = Arc::new(Ear::default());
        let stage = self.stage(suite, &ear)?;
        let opened = stage.subject().await;
        stage.host.stop().await;
        opened.map(drop).while_doing(format!("the storage backend does not open in suite {:?}", suite.name))
    }

    async fn case(&self, suite: &Suite, case: &'static str) -> Result<Done, Failure> {
        let _turn = self.turns.acquire().await?;
        let ear = Arc::new(Ear::default());
        let stage = self.stage(suite, &ear)?;
        let began = Instant::now();
        let wrong = if case == conformance::WAITS {
            conformance::waits(&stage.backend()).await.err()
        } else {
            match stage.subject().await {
                Ok(subject) => conformance::verdict(case, subject).await.err(),
                Err(failure) => Some(failure.render()),
            }
        };
        let wall = began.elapsed();
        stage.host.stop().await;
        Ok(Done { wall, wrong, lines: ear.heard() })
    }

    /// A host with nothing in it but the plugin, and a place nobody has used.
    fn stage(&self, suite: &Suite, ear: &Arc<Ear>) -> Result<Stage, Failure> {
        let mut fresh = [0; 8];
        SystemRandom.fill(&mut fresh);
        let fresh = format!("{:016x}", u64::from_be_bytes(fresh));
        let manifest = &self.staged.manifest;
        let secrets = secret::gather(manifest, &suite.name, &suite.secrets, self.secrets.iter())?;
        let leave = Leave {
            all: true,
            hosts: suite.hosts.clone(),
            private: suite.private || self.private,
            config: suite.config(&fresh),
            secrets,
            ..Leave::default()
        };
        leave
            .check_config(manifest, "in a test that is `config` of the suite")
            .while_doing(format!("the storage backend does not open in suite {:?}", suite.name))?;
        let outside: Arc<dyn Outside> = ear.clone();
        let kept = suite.kv.iter().map(|(key, value)| (key.clone(), value.clone().into_bytes())).collect();
        let moved = (suite.expiry == Expiry::Plugin).then(|| StageClock::new(BEGIN));
        let rehearsal = Rehearsal { time: moved.clone().map(StageTime::Moved), kept: Some(kept), outside };
        let host = trial::host(&self.staged, &self.place, &leave, rehearsal, trial::Look::Outcome)?;
        Ok(Stage { host, name: self.staged.manifest.name.clone(), moved })
    }
}

/// Where one case plays.
struct Stage {
    host: Arc<plugin_host::PluginHost>,
    name: domain::plugin::PluginName,
    moved: Option<StageClock>,
}

impl Stage {
    fn backend(&self) -> plugin_host::StoragePlugin {
        self.host.storage(self.name.clone())
    }

    async fn subject(&self) -> Result<Subject, Failure> {
        let backend = Arc::new(self.backend());
        let clock: Arc<dyn Clock> = match &self.moved {
            Some(clock) => Arc::new(clock.clone()),
            None => Arc::new(SystemClock),
        };
        let moved = self.moved.clone();
        let advance = move |by| match &moved {
            Some(clock) => clock.advance(by),
            None => wait(by),
        };
        Ok(Subject::over(backend, clock, Box::new(advance)).await?)
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "the time of somebody else's server is waited for, on a thread of this"
)]
fn wait(by: Duration) {
    tokio::task::block_in_place(|| std::thread::sleep(by));
}
