//! What the daemon of this host makes of a plugin that was just installed: it looks at its directory by itself, a moment
//! later, and compiles what is new.

use std::path::PathBuf;
use std::time::Duration;

use api::control::{Answer, Plugin, Question};
use client::control;
use domain::plugin::{Digest, PluginName};
use tokio::time::{Instant, sleep, timeout};

/// How long the daemon is waited for: compiling a plugin of many megabytes takes a while.
const WAIT: Duration = Duration::from_secs(30);
/// How long one answer of it is waited for.
const ANSWER: Duration = Duration::from_secs(2);
/// How long it must have said the same before that is believed: a label may call for a plugin of which half is there.
const SETTLED: Duration = Duration::from_secs(2);
/// How often it is asked.
const EVERY: Duration = Duration::from_millis(100);

/// What has become of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Uptake {
    /// It is served.
    Served,
    /// It is not, in words of the daemon.
    Not(String),
    /// It is switched off, and how to switch it on.
    Off(String),
    /// The daemon has not come to it yet.
    NotYet,
    /// No daemon that runs plugins answers here.
    NoDaemon,
}

/// How a plugin is; without a state where the daemon does not know it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct How {
    state: String,
    reason: String,
    /// The digest that is served.
    served: Option<String>,
}

/// A daemon that is watched.
pub(super) struct Watched {
    data_dir: PathBuf,
    name: PluginName,
    /// How the plugin was before, where a daemon answered.
    before: Option<How>,
}

impl Watched {
    /// Looks how the plugin is, before it is installed.
    pub(super) async fn begin(data_dir: PathBuf, name: PluginName) -> Self {
        let mut watched = Self { data_dir, name, before: None };
        watched.before = watched.how().await;
        watched
    }

    /// Waits until the daemon has made up its mind about these bytes.
    pub(super) async fn end(self, digest: Digest) -> Uptake {
        let digest = digest.to_string();
        let (began, mut since) = (Instant::now(), Instant::now());
        let Some(before) = &self.before else { return Uptake::NoDaemon };
        let mut last = before.clone();
        while began.elapsed() < WAIT {
            let Some(now) = self.how().await else { return Uptake::NoDaemon };
            if now != last {
                since = Instant::now();
            }
            let is_settled = now != *before && since.elapsed() >= SETTLED;
            match now.state.as_str() {
                "Ready" if now.served.as_ref() == Some(&digest) => return Uptake::Served,
                "Disabled" => return Uptake::Off(now.reason),
                // It has not been looked at.
                "" | "Not loaded" => {}
                state if is_settled => return Uptake::Not(format!("{state}: {}", now.reason)),
                _ => {}
            }
            last = now;
            sleep(EVERY).await;
        }
        Uptake::NotYet
    }

    /// How it is now, where a daemon answers.
    async fn how(&self) -> Option<How> {
        let asking = control::ask(&self.data_dir, &Question::List);
        let Ok(Ok(Answer::Plugins(plugins))) = timeout(ANSWER, asking).await else { return None };
        let plugin = plugins.into_iter().find(|plugin| plugin.name == self.name.as_str());
        let how = plugin.map(|Plugin { state, reason, known, .. }| How {
            state,
            reason: reason.unwrap_or_default(),
            served: known.map(|known| known.digest),
        });
        Some(how.unwrap_or_default())
    }
}
