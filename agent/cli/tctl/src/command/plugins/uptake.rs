//! What the daemon of this host makes of a plugin that was just installed or removed: it looks at its directory by
//! itself, a moment later, and compiles what is new.

use std::path::{Path, PathBuf};
use std::time::Duration;

use api::control::{Answer, Known, Plugin, Question};
use client::control::{self, ControlError};
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
    /// The digest that is served, or that was refused.
    digest: Option<String>,
}

/// What one question came to.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Heard {
    /// This is how the plugin is.
    How(How),
    /// There is a daemon, and it has much to do.
    Late,
    /// No daemon that runs plugins answers.
    Nobody,
}

/// A daemon that is watched.
pub(super) struct Watched {
    data_dir: PathBuf,
    name: PluginName,
    /// How the plugin was before.
    before: Heard,
}

impl Watched {
    /// Looks how the plugin is, before it is installed.
    pub(super) async fn begin(data_dir: PathBuf, name: PluginName) -> Self {
        let before = ask(&data_dir, &name).await;
        Self { data_dir, name, before }
    }

    /// Waits until the daemon has made up its mind about these bytes.
    pub(super) async fn end(self, digest: Digest) -> Uptake {
        let Self { data_dir, name, before } = self;
        watch(before, &digest.to_string(), async || ask(&data_dir, &name).await).await
    }
}

/// Asks until the daemon has made up its mind. One that has answered and is late now is there all the same, so it
/// is asked again; one that was late before is believed from its first answer on.
async fn watch(before: Heard, digest: &str, ask: impl AsyncFn() -> Heard) -> Uptake {
    let (began, mut since) = (Instant::now(), Instant::now());
    let mut before = match before {
        Heard::How(how) => Some(how),
        Heard::Late => None,
        Heard::Nobody => return Uptake::NoDaemon,
    };
    let mut last = before.clone();
    while began.elapsed() < WAIT {
        let now = match ask().await {
            Heard::How(now) => now,
            Heard::Late => continue,
            Heard::Nobody => return Uptake::NoDaemon,
        };
        if last.as_ref() != Some(&now) {
            since = Instant::now();
        }
        let is_new = *before.get_or_insert_with(|| now.clone()) != now;
        match now.state.as_str() {
            "Ready" if now.digest.as_deref() == Some(digest) => return Uptake::Served,
            "Disabled" => return Uptake::Off(now.reason),
            // What is in its directory is listed at once, so that is another one: it reads its configuration when it
            // starts.
            "" if since.elapsed() >= SETTLED => return Uptake::NotYet,
            // It has not been looked at.
            "" | "Not loaded" => {}
            state if is_new && since.elapsed() >= SETTLED => {
                return Uptake::Not(format!("{state}: {}", now.reason));
            }
            _ => {}
        }
        last = Some(now);
        sleep(EVERY).await;
    }
    Uptake::NotYet
}

/// How the plugin is now.
async fn ask(data_dir: &Path, name: &PluginName) -> Heard {
    let plugins = match timeout(ANSWER, control::ask(data_dir, &Question::List)).await {
        Ok(Ok(Answer::Plugins(plugins))) => plugins,
        Ok(_) => return Heard::Nobody,
        Err(_) => return Heard::Late,
    };
    let plugin = plugins.into_iter().find(|plugin| plugin.name == name.as_str());
    let how = plugin.map(|plugin| How {
        // Of one that was refused, too: the next file may be refused for the same reason.
        digest: plugin.known.map(|known| known.digest),
        state: plugin.state,
        reason: plugin.reason.unwrap_or_default(),
    });
    Heard::How(how.unwrap_or_default())
}

/// The plugin as the daemon serves it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Served {
    /// From where, and which bytes.
    From { source: String, digest: String },
    /// It is not served, or no daemon is there to serve it.
    Not,
    /// There is a daemon, and it has not said.
    Unsaid,
}

/// What is served under this name.
pub(super) async fn served(data_dir: &Path, name: &PluginName) -> Served {
    let plugins = match timeout(ANSWER, control::ask(data_dir, &Question::List)).await {
        Ok(Ok(Answer::Plugins(plugins))) => plugins,
        Ok(Err(ControlError::Nobody { .. })) => return Served::Not,
        // There is somebody, whatever keeps them from saying it.
        Ok(_) | Err(_) => return Served::Unsaid,
    };
    let plugin = plugins.into_iter().find(|plugin| plugin.name == name.as_str());
    match plugin.as_ref().and_then(served_of) {
        Some(known) => Served::From { source: known.source.clone(), digest: known.digest.clone() },
        None => Served::Not,
    }
}

/// What is served, or will be when it is called for. Of what was refused all kinds of things may be known.
fn served_of(plugin: &Plugin) -> Option<&Known> {
    plugin.known.as_ref().filter(|_| plugin.state != "Refused")
}

/// Waits until what was served is served no more; whether that has come. What the program carries under the same name
/// may have taken its place. Where it was not said what was served, nothing may be.
pub(super) async fn gone(before: &Served, ask: impl AsyncFn() -> Served) -> bool {
    let began = Instant::now();
    loop {
        match (ask().await, before) {
            (Served::Not, _) => return true,
            // What was loaded meanwhile may be what was removed.
            (Served::From { .. }, Served::Not | Served::Unsaid) | (Served::Unsaid, _) => {}
            (now, before) if now != *before => return true,
            _ => {}
        }
        if began.elapsed() >= WAIT {
            return false;
        }
        sleep(EVERY).await;
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use super::*;

    fn how(state: &str, digest: Option<&str>) -> Heard {
        let (state, digest) = (state.to_owned(), digest.map(str::to_owned));
        Heard::How(How { state, reason: "why".to_owned(), digest })
    }

    /// Watches a daemon that answers so, one after another and the last over and over; a late answer takes its
    /// time.
    async fn watched(before: Heard, answers: &[Heard]) -> Uptake {
        let left = RefCell::new(answers.iter());
        let ask = async || {
            let next = {
                let mut left = left.borrow_mut();
                let next = if left.len() > 1 { left.next() } else { left.clone().next() };
                next.unwrap().clone()
            };
            if next == Heard::Late {
                sleep(ANSWER).await;
            }
            next
        };
        watch(before, "new", ask).await
    }

    #[tokio::test(start_paused = true)]
    async fn a_daemon_that_is_late_once_is_asked_again() {
        let (old, new) = (how("Ready", Some("old")), how("Ready", Some("new")));
        let late = Heard::Late;
        let answers = [old.clone(), late.clone(), late.clone(), new.clone()];
        assert_eq!(watched(old.clone(), &answers).await, Uptake::Served);
        assert_eq!(watched(late.clone(), &[late.clone(), old.clone(), new]).await, Uptake::Served);
        let refused = how("Refused", None);
        let said = watched(old.clone(), &[old.clone(), late.clone(), refused]).await;
        assert_eq!(said, Uptake::Not("Refused: why".to_owned()));
        let began = Instant::now();
        assert_eq!(watched(old.clone(), &[old, late]).await, Uptake::NotYet);
        assert!(began.elapsed() >= WAIT, "the whole time is waited for");
    }

    #[tokio::test(start_paused = true)]
    async fn where_no_daemon_is_or_it_has_left_that_is_said() {
        let old = how("Ready", Some("old"));
        assert_eq!(watched(Heard::Nobody, std::slice::from_ref(&old)).await, Uptake::NoDaemon);
        assert_eq!(watched(old.clone(), &[old, Heard::Nobody]).await, Uptake::NoDaemon);
    }

    #[tokio::test(start_paused = true)]
    async fn a_removed_plugin_is_waited_for_until_it_is_served_no_more() {
        let of = |source: &str| Served::From { source: source.to_owned(), digest: "sha256:0".to_owned() };
        let before = of("/plugins/x");
        for last in [Served::Not, of("this program")] {
            let asked = Cell::new(0);
            let ask = async || {
                asked.set(asked.get() + 1);
                match asked.get() {
                    // No word is no word of its being gone.
                    3 => Served::Unsaid,
                    5 => last.clone(),
                    _ => of("/plugins/x"),
                }
            };
            assert!(gone(&before, ask).await);
            assert_eq!(asked.get(), 5);
        }
        assert!(!gone(&before, async || of("/plugins/x")).await);
        assert!(gone(&Served::Not, async || Served::Not).await, "nothing was served");
        for before in [Served::Unsaid, Served::Not] {
            assert!(!gone(&before, async || of("/plugins/x")).await, "it may be the one that was removed");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_refused_before_is_no_word_about_the_new_bytes() {
        let refused = how("Refused", None);
        assert_eq!(watched(refused.clone(), std::slice::from_ref(&refused)).await, Uptake::NotYet);
        assert_eq!(watched(refused, &[how("Disabled", None)]).await, Uptake::Off("why".to_owned()));
    }

    #[tokio::test(start_paused = true)]
    async fn the_next_file_that_is_refused_for_the_same_reason_is_heard_of() {
        let (old, new) = (how("Refused", Some("old")), how("Refused", Some("new")));
        let said = watched(old.clone(), &[old, new]).await;
        assert_eq!(said, Uptake::Not("Refused: why".to_owned()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_daemon_that_runs_on_another_directory_is_not_waited_for() {
        let began = Instant::now();
        assert_eq!(watched(how("", None), &[how("", None)]).await, Uptake::NotYet);
        assert!(began.elapsed() < WAIT, "{:?}", began.elapsed());
        // One that lists it has it.
        let answers = [how("", None), how("Not loaded", None), how("Refused", Some("new"))];
        assert_eq!(watched(how("", None), &answers).await, Uptake::Not("Refused: why".to_owned()));
    }
}
