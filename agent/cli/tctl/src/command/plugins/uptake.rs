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

/// How a plugin is.
#[derive(Debug, Clone, PartialEq, Eq)]
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
    /// How the plugin was before, where a daemon answered; inside, where it knew the plugin.
    before: Option<Option<How>>,
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
        let Some(mut last) = self.before.clone() else { return Uptake::NoDaemon };
        while began.elapsed() < WAIT {
            let Some(now) = self.how().await else { return Uptake::NoDaemon };
            if now != last {
                since = Instant::now();
            }
            let is_settled = Some(&now) != self.before.as_ref() && since.elapsed() >= SETTLED;
            match &now {
                Some(how) if how.state == "Ready" && how.served.as_ref() == Some(&digest) => {
                    return Uptake::Served;
                }
                Some(how) if how.state == "Disabled" => return Uptake::Off(how.reason.clone()),
                // Not loaded: it has not been looked at.
                Some(how) if is_settled && how.state != "Not loaded" => {
                    return Uptake::Not(format!("{}: {}", how.state, how.reason));
                }
                _ => {}
            }
            last = now;
            sleep(EVERY).await;
        }
        Uptake::NotYet
    }

    /// Nothing where no daemon answers; inside, nothing where it does not know the plugin.
    async fn how(&self) -> Option<Option<How>> {
        let asking = control::ask(&self.data_dir, &Question::List);
        let Ok(Ok(Answer::Plugins(plugins))) = timeout(ANSWER, asking).await else { return None };
        let plugin = plugins.into_iter().find(|plugin| plugin.name == self.name.as_str());
        Some(plugin.map(|Plugin { state, reason, known, .. }| How {
            state,
            reason: reason.unwrap_or_default(),
            served: known.map(|known| known.digest),
        }))
    }
}
