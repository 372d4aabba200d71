//! Every plugin the program carries, loaded for the first time and from the cache.

use domain::plugin::configuration::Written;
use domain::plugin::{Destination, Grant, PluginName};
use plugin_host::{PluginHost, PluginSettings, Refusal, Settings};
use terminal::Failure;
use tokio::time::Instant;

use crate::measure::{Scale, median, millis};
use crate::table::{Report, below};

/// What the storage plugins must be told to be loaded; nobody is asked there.
const NOWHERE: &str = "https://127.0.0.1:1";

fn settings(folder: &std::path::Path) -> Result<Settings, Failure> {
    let mut settings = Settings::new(folder);
    let one = |text: &str| Written::One(text.to_owned());
    let etcd = vec![("peers", Written::Many(vec![NOWHERE.to_owned()]))];
    let dynamodb = vec![("endpoint", one(NOWHERE)), ("table_name", one("teleport"))];
    for (name, config) in [("storage-etcd", etcd), ("storage-dynamodb", dynamodb)] {
        let plugin = PluginSettings {
            grants: vec![Grant::http(Destination::parse(NOWHERE)?, true)],
            config: config.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
            ..PluginSettings::default()
        };
        settings.plugins.insert(PluginName::new(name)?, plugin);
    }
    Ok(settings)
}

pub(crate) async fn run(scale: Scale, report: &mut Report) -> Result<(), Failure> {
    let (mut fresh, mut cached) = (Vec::new(), Vec::new());
    let mut loaded = String::new();
    let refusal = |refused: Vec<Refusal>| match refused.into_iter().next() {
        Some(Refusal { name, reason }) => Err(Failure::new(format!("{name} does not load: {reason}"))),
        None => Ok(()),
    };
    for _ in 0..scale.rounds(16).min(5) {
        let folder = tempfile::tempdir()?;
        let settings = settings(folder.path())?;
        let names: Vec<String> =
            PluginHost::new(settings.clone())?.list().iter().map(|one| one.name.to_string()).collect();
        for times in [&mut fresh, &mut cached] {
            let host = PluginHost::new(settings.clone())?;
            let began = Instant::now();
            let refused = host.check(names.clone()).await;
            times.push(millis(began.elapsed()));
            refusal(refused)?;
            loaded = names.join(", ");
        }
    }
    report.add(below("carried plugins: loaded from the cache, all", median(&mut cached), 50.0, "ms", loaded));
    report.add(below("  without it", median(&mut fresh) / 1000.0, 5.0, "s", String::new()));
    Ok(())
}
