//! `teleport plugin run`: calls a plugin once, through the daemon's own host, and says what it took.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use domain::label::DynamicLabel;
use domain::plugin::{Argv, Capability, ContractKind, Destination, PluginName, size};
use parking_lot::Mutex;
use plugin_host::rehearsal::{Outside, Rehearsal};
use plugin_host::{CallReport, Outcome, PluginHost};
use port::backend::Backend as _;
use terminal::{Explain as _, Failure, FormatArgs, Printer, Screen};
use tokio::time::Instant;

use super::project::Project;
use super::trial::{self, Leave, Place};
use super::world::World;

/// Time is told as time on the clock, as processor time, and as fuel: nearly one for each WebAssembly
/// instruction the plugin executed, which does not depend on the machine. The daemon does not count it: there a
/// call takes a little less time.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The contract the plugin is expected to be made for [default: the one it names].
    #[arg(long, value_enum)]
    world: Option<World>,
    /// Write the key of the label that is computed [default: the plugin's name].
    #[arg(long, value_name = "NAME")]
    label: Option<String>,
    /// A value of its configuration; a key that is given again makes a list.
    #[arg(long, value_name = "KEY=VALUE", value_parser = trial::pair)]
    config: Vec<(String, String)>,
    /// A secret: LABEL=env:NAME or LABEL=file:PATH. It may be sent to the hosts the manifest asks for.
    #[arg(long, value_name = "LABEL=FROM", value_parser = trial::secret)]
    secret: Vec<trial::GivenSecret>,
    /// Grant what the manifest asks for of this kind: process, http, kv, secret_reveal.
    #[arg(long, value_name = "CAPABILITY", value_parser = capability)]
    grant: Vec<Capability>,
    /// Grant everything the manifest asks for, also limits. Secrets have to be given all the same.
    #[arg(long)]
    grant_all: bool,
    /// A place for its requests, such as https://api.example.com, where its manifest leaves that to the operator; may
    /// be given several times.
    #[arg(long, value_name = "URL", value_parser = Destination::parse)]
    host: Vec<Destination>,
    /// A command it may run, such as "uptime -p", where its manifest leaves that to the operator; may be given several
    /// times. What stands after `--` it may run in any case.
    #[arg(long, value_name = "COMMAND", value_parser = program)]
    program: Vec<Argv>,
    /// Let requests go to private networks and to this machine.
    #[arg(long)]
    private: bool,
    /// A limit of the call, such as memory=64MiB or cpu=200ms.
    #[arg(long, value_name = "KEY=VALUE", value_parser = trial::pair)]
    limit: Vec<(String, String)>,
    #[command(flatten)]
    format: FormatArgs,
    /// The component, or the folder of its project.
    #[arg(value_name = "PLUGIN")]
    plugin: PathBuf,
    /// What the operator would write beside the label.
    #[arg(last = true, value_name = "ARGS")]
    command: Vec<String>,
}

/// What stands here for the operator's grants.
const INSTEAD: &str = "here that is --host=URL or --program=COMMAND where plugin.toml leaves places or commands to the operator, and --private for private networks";

/// Reads a command word by word; no shell does.
fn program(text: &str) -> Result<Argv, String> {
    let words: Argv = text.split_whitespace().map(str::to_owned).collect();
    if words.is_empty() { Err("it names no program".to_owned()) } else { Ok(words) }
}

fn capability(text: &str) -> Result<Capability, String> {
    let known = || format!("{text:?} is no capability; there are {}", Capability::keys());
    Capability::parse(text).filter(|capability| *capability != Capability::Secret).ok_or_else(known)
}

/// What is told of a call.
#[derive(serde::Serialize)]
struct Told {
    plugin: String,
    version: String,
    /// The label's value, or what the backend says of itself.
    value: String,
    wall_us: u128,
    /// Nothing where no instance is left to be looked at.
    cpu_us: Option<u128>,
    memory_bytes: Option<u64>,
    fuel: Option<u64>,
    log: Vec<String>,
    log_dropped: u64,
}

/// Lines the plugin logs.
#[derive(Default)]
pub(super) struct Ear(Mutex<Vec<String>>);

impl Ear {
    /// What was logged so far, which is forgotten here.
    pub(super) fn heard(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock())
    }
}

impl Outside for Ear {
    fn line(&self, level: &'static str, text: &str) {
        self.0.lock().push(format!("{level}: {text}"));
    }
}

pub(crate) fn run(arguments: Arguments, out: &mut dyn Write) -> Result<(), Failure> {
    let staged = Project::find(&arguments.plugin)?.stage()?;
    World::check(arguments.world, &staged)?;
    let leave = Leave {
        all: arguments.grant_all,
        capabilities: arguments.grant.iter().copied().collect(),
        hosts: arguments.host,
        programs: arguments.program,
        private: arguments.private,
        config: trial::configuration(&arguments.config),
        secrets: arguments.secret.into_iter().collect(),
        limits: arguments.limit.into_iter().collect(),
    };
    leave.check(&staged)?;
    let place = Place::open()?;
    let ear = Arc::new(Ear::default());
    let outside: Arc<dyn Outside> = ear.clone();
    let rehearsal = Rehearsal { time: None, kept: Some(Default::default()), outside };
    let host = trial::host(&staged, &place, &leave, rehearsal, trial::Look::Fuel)?;
    let name = staged.manifest.name.clone();
    let runtime = trial::runtime()?;
    let mut told = runtime.block_on(async {
        let told = match staged.kind {
            ContractKind::LabelProvider => {
                let label = trial::label(&name, arguments.label, arguments.command);
                evaluate(&host, &label).await
            }
            ContractKind::StorageBackend => open(&host, &name, &staged.manifest.version).await,
        };
        host.stop().await;
        told
    });
    let log = ear.heard();
    match &mut told {
        Ok(told) => told.log = log,
        // What the plugin said is often the reason.
        Err(_) => {
            let mut printer = Printer::new(out, Screen::pipe());
            log.iter().try_for_each(|line| printer.line(line))?;
        }
    }
    Printer::new(out, Screen::pipe()).record(arguments.format.format, &told?, text)?;
    Ok(())
}

async fn evaluate(host: &PluginHost, label: &DynamicLabel) -> Result<Told, Failure> {
    let report = host.call(label).await?;
    let outcome = report.outcome();
    let CallReport { plugin, version, result, wall, cpu, fuel, memory, log_dropped, .. } = report;
    let spent = format!("it took {wall:.1?}, {cpu:.1?} of processor time, {}", size::format(memory));
    let value = result.map_err(|error| {
        let failure = Failure::from(error).while_doing("the plugin has no value").hint(spent);
        // The error names lines of `teleport.yaml`.
        match outcome {
            Outcome::Denied => failure.hint(INSTEAD),
            Outcome::Memory | Outcome::Timeout => failure.hint(trial::LIMITS),
            _ => failure,
        }
    })?;
    Ok(Told {
        plugin: plugin.to_string(),
        version,
        value,
        wall_us: wall.as_micros(),
        cpu_us: Some(cpu.as_micros()),
        memory_bytes: Some(memory),
        fuel,
        log: Vec::new(),
        log_dropped,
    })
}

/// A storage backend is opened, as the daemon does first.
async fn open(host: &Arc<PluginHost>, name: &PluginName, version: &str) -> Result<Told, Failure> {
    // Compiling is not part of the call.
    if let Some(refusal) = host.check([name.as_str()]).await.into_iter().next() {
        return Err(refusal.into());
    }
    let began = Instant::now();
    let backend = host.storage(name.clone());
    let about = backend.open().await.while_doing("the storage backend does not open")?;
    let (wall, taken) = (began.elapsed(), backend.taken());
    Ok(Told {
        plugin: name.to_string(),
        version: version.to_owned(),
        value: format!("{}; values of at most {}", about.description, size::format(about.value_max as u64)),
        wall_us: wall.as_micros(),
        cpu_us: taken.map(|taken| taken.cpu.as_micros()),
        memory_bytes: taken.map(|taken| taken.memory),
        fuel: taken.and_then(|taken| taken.fuel),
        log: Vec::new(),
        log_dropped: 0,
    })
}

fn text(told: &Told) -> String {
    let time =
        |micros: u128| format!("{:.1?}", Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX)));
    let mut lines = vec![
        format!("{:<9}{} {}", "plugin", told.plugin, told.version),
        format!("{:<9}{}", "value", told.value),
        format!("{:<9}{} on the clock", "time", time(told.wall_us)),
    ];
    if let Some(cpu) = told.cpu_us {
        lines.push(format!("{:<9}{} of processor time", "cpu", time(cpu)));
    }
    if let Some(memory) = told.memory_bytes {
        lines.push(format!("{:<9}{} at its highest", "memory", size::format(memory)));
    }
    if let Some(fuel) = told.fuel {
        lines.push(format!("{:<9}{fuel} executed", "fuel"));
    }
    lines.extend(told.log.iter().map(|line| format!("{:<9}{line}", "log")));
    if told.log_dropped > 0 {
        lines.push(format!("{:<9}{} more lines were dropped", "log", told.log_dropped));
    }
    lines.join("\n")
}
