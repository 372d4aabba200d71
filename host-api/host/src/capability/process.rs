//! `teleport:host/process`: runs a program the operator granted, word for word, without a shell.
//!
//! Whether it may run is decided here, by [`domain::plugin::Effective`]; running it, bounding it
//! and ending it with all it started is [`run`]'s.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use domain::plugin::capability::check_argv;
use domain::plugin::grant::{Use, process_line};
use domain::plugin::{Effective, Limits, PluginName};

use super::v1::teleport::host::process::{Ending, Failure, Host, Outcome};
use crate::call::CallState;
use crate::rehearsal::{ProcessFault, ProcessStand};

mod run;

/// The variables a program gets, where the daemon has them.
pub const PASSED_ON: [&str; 3] = ["PATH", "LANG", "HOME"];

/// Where programs are looked for when the daemon has no `PATH`.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The environment of every program: of what the daemon has, what is passed on.
pub(crate) fn environment(daemon: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut passed: BTreeMap<_, _> = PASSED_ON
        .iter()
        .filter_map(|name| daemon.get(*name).map(|value| ((*name).to_owned(), value.clone())))
        .collect();
    passed.entry("PATH".to_owned()).or_insert_with(|| DEFAULT_PATH.to_owned());
    passed
}

/// What one call may run.
pub(crate) struct Access {
    plugin: PluginName,
    effective: Arc<Effective>,
    configured: Vec<String>,
    environment: Arc<BTreeMap<String, String>>,
    output_max: usize,
    time: Duration,
    denied: Option<String>,
}

impl Access {
    /// For a call on behalf of a label with this command.
    pub(crate) fn new(
        plugin: PluginName,
        effective: Arc<Effective>,
        configured: Vec<String>,
        environment: Arc<BTreeMap<String, String>>,
        limits: &Limits,
    ) -> Self {
        let output_max = usize::try_from(limits.process_output).unwrap_or(usize::MAX);
        let time = limits.process_time();
        Self { plugin, effective, configured, environment, output_max, time, denied: None }
    }

    /// Begins the next call of an instance that is kept.
    pub(crate) fn renew(&mut self) {
        self.denied = None;
    }

    /// What was refused in this call, if anything was: the text the plugin got.
    pub(crate) fn denied(&self) -> Option<&str> {
        self.denied.as_deref()
    }

    fn check(&mut self, argv: &[String]) -> Result<(), Failure> {
        check_argv(argv).map_err(|error| Failure::Invalid(error.to_string()))?;
        if self.effective.may_run(argv, &self.configured) {
            return Ok(());
        }
        let words = domain::plugin::capability::argv_text(argv);
        let line = process_line(&self.plugin, argv);
        // A plugin that asks for none and was granted one would not load.
        let also = if self.effective.may_run_any() { "" } else { ", and to its manifest a need of process" };
        let text = format!("plugin {} is not granted to run {words}; if it may, {line}{also}", self.plugin);
        self.denied.get_or_insert_with(|| text.clone());
        Err(Failure::Denied(text))
    }
}

impl Host for CallState {
    async fn run(&mut self, argv: Vec<String>, time_limit: Option<u64>) -> Result<Outcome, Failure> {
        let access = &mut self.process;
        access.check(&argv)?;
        self.provisions.diary.used(&Use::Process(argv.clone()));
        let time = time_limit.map_or(access.time, |millis| Duration::from_millis(millis).min(access.time));
        let bounds = run::Bounds { output_max: access.output_max, time };
        let outside = self.provisions.rehearsal.as_ref().map(|rehearsal| &rehearsal.outside);
        match outside.map_or(ProcessStand::Live, |outside| outside.run(&argv)) {
            ProcessStand::Live => {}
            stand => return rehearsed(stand, &argv, bounds),
        }
        run::run(&argv, &access.environment, bounds).await
    }
}

/// What the plugin is told instead of what a program would have done.
fn rehearsed(stand: ProcessStand, argv: &[String], bounds: run::Bounds) -> Result<Outcome, Failure> {
    let words = || domain::plugin::capability::argv_text(argv);
    match stand {
        ProcessStand::Ended { exit, mut stdout, mut stderr } => {
            let ending = Ending::Exited(exit);
            let (stdout_truncated, stderr_truncated) =
                (stdout.len() > bounds.output_max, stderr.len() > bounds.output_max);
            stdout.truncate(bounds.output_max);
            stderr.truncate(bounds.output_max);
            Ok(Outcome { ending, stdout, stderr, stdout_truncated, stderr_truncated })
        }
        ProcessStand::Fault(ProcessFault::NotFound) => {
            Err(Failure::NotFound(format!("there is no program for {}", words())))
        }
        ProcessStand::Fault(ProcessFault::TimedOut) => {
            Err(Failure::TimedOut(u64::try_from(bounds.time.as_millis()).unwrap_or(u64::MAX)))
        }
        ProcessStand::Fault(ProcessFault::Unavailable) | ProcessStand::Live => {
            Err(Failure::Unavailable(format!("{} could not be started", words())))
        }
    }
}

#[cfg(test)]
mod tests {
    use domain::plugin::{Contract, ContractKind, Grant, Manifest, Need, effective};

    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    fn access(grants: &[Grant], configured: &str) -> Access {
        let manifest = Manifest {
            name: PluginName::new("label-x").unwrap(),
            version: "1".to_owned(),
            contract: Contract::parse("teleport:label-provider@1.0.0").unwrap(),
            description: "x".to_owned(),
            homepage: None,
            needs: vec![Need {
                capability: "process".to_owned(),
                argv: None,
                hosts: Vec::new(),
                label: None,
                reason: "x".to_owned(),
            }],
            limits: BTreeMap::new(),
            config: domain::plugin::configuration::Schema::default(),
        };
        let effective = Arc::new(effective(&manifest, grants).unwrap());
        let limits = Limits::of(ContractKind::LabelProvider);
        Access::new(manifest.name, effective, words(configured), Arc::default(), &limits)
    }

    #[test]
    fn another_command_is_denied_with_the_line_to_add() {
        let mut access = access(&[Grant::process_configured()], "uptime -p");
        assert_eq!(access.check(&words("uptime -p")), Ok(()));
        assert_eq!(access.denied(), None);
        let denied = r#"plugin label-x is not granted to run ["id"]; if it may, add under teleport.plugins.load.label-x.grants: process: [["id"]]"#;
        assert_eq!(access.check(&words("id")), Err(Failure::Denied(denied.to_owned())));
        assert_eq!(access.denied(), Some(denied));
    }

    #[test]
    fn one_that_asks_for_no_command_is_to_ask_too() {
        let (effective, limits) = (Arc::default(), Limits::of(ContractKind::LabelProvider));
        let name = PluginName::new("label-x").unwrap();
        let mut access = Access::new(name, effective, Vec::new(), Arc::default(), &limits);
        let Err(Failure::Denied(text)) = access.check(&words("id")) else { panic!("it is denied") };
        assert!(text.ends_with("process: [[\"id\"]], and to its manifest a need of process"), "{text}");
    }

    #[test]
    fn a_command_nobody_can_run_is_invalid_and_not_denied() {
        let mut access = access(&[Grant::process_configured()], "uptime");
        assert!(matches!(access.check(&[]), Err(Failure::Invalid(_))));
        assert_eq!(access.denied(), None);
    }

    #[test]
    fn secrets_of_the_daemons_environment_stay_there() {
        let daemon = [("HOME", "/root"), ("AWS_SECRET_ACCESS_KEY", "x"), ("LD_PRELOAD", "/x.so")];
        let passed = environment(&daemon.map(|(k, v)| (k.to_owned(), v.to_owned())).into());
        let expected = [("HOME", "/root"), ("PATH", DEFAULT_PATH)];
        assert_eq!(passed, expected.map(|(k, v)| (k.to_owned(), v.to_owned())).into());
    }
}
