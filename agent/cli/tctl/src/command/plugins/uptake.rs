//! What the daemon of this host makes of a plugin that was just installed: it looks at its directory by itself, a moment
//! later, and compiles what is new.

use std::path::PathBuf;
use std::time::Duration;

use api::control::{Answer, Plugin, Question};
use client::control;
use domain::plugin::{Digest, PluginName};
use tokio::time::{Instant, sleep};

/// How long the daemon is waited for: compiling a plugin of many megabytes takes longer.
const WAIT: Duration = Duration::from_secs(10);
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
    /// The daemon has not come to it yet.
    NotYet,
    /// No daemon that runs plugins answers here.
    NoDaemon,
}

/// How a plugin is: state, reason, and the digest that is served.
type How = Option<(String, Option<String>, Option<String>)>;

/// A daemon that is watched.
pub(super) struct Watched {
    data_dir: PathBuf,
    name: PluginName,
    /// How the plugin was before.
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
        let Some(mut last) = self.before.clone() else { return Uptake::NoDaemon };
        while began.elapsed() < WAIT {
            let Some(now) = self.how().await else { return Uptake::NoDaemon };
            if now != last {
                since = Instant::now();
            }
            match &now {
                Some((state, _, Some(served))) if state == "Ready" && *served == digest => {
                    return Uptake::Served;
                }
                Some((state, reason, _))
                    if Some(&now) != self.before.as_ref() && since.elapsed() >= SETTLED =>
                {
                    let reason = reason.as_deref().unwrap_or("it does not say why");
                    return Uptake::Not(format!("{state}: {reason}"));
                }
                _ => {}
            }
            last = now;
            sleep(EVERY).await;
        }
        Uptake::NotYet
    }

    /// Nothing where no daemon answers; inside, nothing where it does not know the plugin.
    async fn how(&self) -> Option<How> {
        let Ok(Answer::Plugins(plugins)) = control::ask(&self.data_dir, &Question::List).await else {
            return None;
        };
        let plugin = plugins.into_iter().find(|plugin| plugin.name == self.name.as_str());
        let how = |Plugin { state, reason, known, .. }| (state, reason, known.map(|known| known.digest));
        Some(plugin.map(how))
    }
}
