//! The socket by which the administrator of this host asks about plugins and switches them.
//!
//! It lies in the data folder, mode 0600 in a folder of mode 0700, and whoever connects is looked at once
//! more: only this user and root get an answer. One line is asked, one is answered, and that within a
//! time; a daemon that cannot listen there says so and goes on without.

use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use api::control::{
    ANSWER_MAX, Answer, Explained, Item, Known, Line, Plugin, QUESTION_MAX, Question, SOCKET, Used,
};
use domain::Timestamp;
use domain::plugin::{ContractKind, PluginName};
use plugin_host::{LoadError, PluginHost, PluginListing, PluginState};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// How long a question, and the taking of an answer, may take.
const LINE_TIME: Duration = Duration::from_secs(5);

/// How long an answer may take to be found: a plugin may have to be compiled for it.
const ANSWER_TIME: Duration = Duration::from_secs(320);

/// Questions that are answered at one time; more wait.
const AT_ONCE: usize = 8;

/// How often it is looked whether the socket is where it was put.
const LOOK: Duration = Duration::from_secs(5);

/// How long accepting rests after it has failed.
const REST: Duration = Duration::from_millis(100);

/// The socket, open.
pub(super) struct Control {
    listener: UnixListener,
    path: PathBuf,
    /// Which file it is: a daemon that starts later puts its own there.
    inode: u64,
    /// Who this is.
    uid: u32,
}

/// What questions are answered with.
pub(super) struct Answering {
    host: Arc<PluginHost>,
    started: Timestamp,
}

impl Answering {
    pub(super) fn new(host: Arc<PluginHost>, started: Timestamp) -> Self {
        Self { host, started }
    }
}

impl Control {
    /// Opens the socket in the place of one that an earlier daemon left. Whoever looks at it sees when this daemon
    /// started, also where it was opened later.
    pub(super) fn open(data_dir: &Path, started: Timestamp) -> io::Result<Self> {
        let path = data_dir.join(SOCKET);
        let folder = path.parent().unwrap_or(data_dir);
        sys::file::make_private_dir(folder).map_err(io::Error::other)?;
        // Under another name first: it is never there with another mode than its own.
        let draft = folder.join(format!(".control.{}", std::process::id()));
        let _ = std::fs::remove_file(&draft);
        let listener = UnixListener::bind(&draft)?;
        std::fs::set_permissions(&draft, std::fs::Permissions::from_mode(0o600))?;
        sys::file::set_modified(&draft, started.into())?;
        let found = std::fs::metadata(&draft)?;
        std::fs::rename(&draft, &path)?;
        Ok(Self { listener, path, inode: found.ino(), uid: found.uid() })
    }

    /// Answers until told to stop, or until something else has taken this socket's place.
    pub(super) async fn serve(self, answering: Arc<Answering>, stop: &CancellationToken) {
        let turns = Arc::new(Semaphore::new(AT_ONCE));
        let ours = self.uid;
        let accepting = async {
            loop {
                let Ok(turn) = Arc::clone(&turns).acquire_owned().await else { return };
                let stream = match self.listener.accept().await {
                    Ok((stream, _)) => stream,
                    Err(error) => {
                        tracing::warn!(%error, "a question about plugins could not be taken");
                        tokio::time::sleep(REST).await;
                        continue;
                    }
                };
                let (answering, stop) = (Arc::clone(&answering), stop.clone());
                tokio::spawn(async move {
                    tokio::select! {
                        () = answering.talk(stream, ours) => {}
                        () = stop.cancelled() => {}
                    }
                    drop(turn);
                });
            }
        };
        tokio::select! {
            () = accepting => {}
            () = self.replaced() => {}
            () = stop.cancelled() => {}
        }
    }

    /// Waits until the socket is no longer where it was put.
    async fn replaced(&self) {
        loop {
            tokio::time::sleep(LOOK).await;
            let found = tokio::fs::symlink_metadata(&self.path).await;
            if !found.is_ok_and(|found| found.ino() == self.inode) {
                return;
            }
        }
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        if std::fs::symlink_metadata(&self.path).is_ok_and(|found| found.ino() == self.inode) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

impl Answering {
    async fn talk(&self, stream: UnixStream, ours: u32) {
        let Ok(peer) = stream.peer_cred() else { return };
        if peer.uid() != ours && peer.uid() != 0 {
            tracing::warn!(uid = peer.uid(), "another user asked about plugins and got no answer");
            return;
        }
        let (read, mut write) = stream.into_split();
        let mut line = String::new();
        let mut reader = BufReader::new(read.take(QUESTION_MAX as u64));
        if !matches!(timeout(LINE_TIME, reader.read_line(&mut line)).await, Ok(Ok(_))) {
            return;
        }
        let by = format!("user id {} of this host", peer.uid());
        let answer = match serde_json::from_str(&line) {
            Ok(question) => timeout(ANSWER_TIME, self.answer(question, &by))
                .await
                .unwrap_or_else(|_| Answer::Refused("it took too long".to_owned())),
            Err(error) => Answer::Refused(format!("the question is not understood: {error}")),
        };
        let too_long = || br#"{"refused":"the answer is too long"}"#.to_vec();
        let mut bytes = serde_json::to_vec(&answer).unwrap_or_else(|_| too_long());
        if bytes.len() >= ANSWER_MAX {
            bytes = too_long();
        }
        bytes.push(b'\n');
        // Whoever asked may have left.
        let _ = timeout(LINE_TIME, write.write_all(&bytes)).await;
    }

    async fn answer(&self, question: Question, by: &str) -> Answer {
        let answer = match question {
            Question::List => Ok(Answer::Plugins(self.host.list().into_iter().map(plugin).collect())),
            Question::Explain { name } => self.explain(&name).await,
            Question::Logs { name, after } => self.lines(&name, after),
            Question::Enable { name } => self.switch(&name, true, by).await,
            Question::Disable { name } => self.switch(&name, false, by).await,
        };
        answer.unwrap_or_else(|error| Answer::Refused(ssh::refuse::chain(&error)))
    }

    async fn explain(&self, name: &str) -> Result<Answer, LoadError> {
        let account = self.host.account(&PluginName::new(name)?).await?;
        let used = |index: &usize| {
            let (what, times) = account.uses.get(*index)?;
            Some(Used { what: what.to_string(), times: *times })
        };
        let is_unneeded = idle_storage(&account.listing).is_some();
        let item = |item: &domain::plugin::grant::Item| Item {
            what: item.what.clone(),
            reason: item.reason.clone(),
            meeting: item.meeting.key().to_owned(),
            granted: item.granted.clone(),
            // The storage section grants what it needs.
            change: item.change.clone().filter(|_| !is_unneeded),
            used: item.uses.iter().filter_map(used).collect(),
        };
        Ok(Answer::Explained(Box::new(Explained {
            items: account.items.iter().map(item).collect(),
            plugin: plugin(account.listing),
            asking_version: account.version,
            asking_other: account.is_other,
            since: self.started,
            further_uses: account.further,
        })))
    }

    fn lines(&self, name: &str, after: u64) -> Result<Answer, LoadError> {
        let lines = self.host.lines(&PluginName::new(name)?, after)?.into_iter();
        let line = |line: plugin_host::LoggedLine| Line {
            number: line.number,
            time: line.time,
            level: line.level.to_owned(),
            text: line.text,
        };
        Ok(Answer::Lines(lines.map(line).collect()))
    }

    async fn switch(&self, name: &str, on: bool, by: &str) -> Result<Answer, LoadError> {
        let name = PluginName::new(name)?;
        let changed =
            if on { self.host.enable(&name, by).await? } else { self.host.disable(&name, by).await? };
        let listing = self.host.list().into_iter().find(|listing| listing.name == name);
        let listing = listing.unwrap_or(PluginListing { name, state: PluginState::NotLoaded, known: None });
        Ok(Answer::Switched { changed, plugin: Box::new(plugin(listing)) })
    }
}

/// Why a storage backend that this program carries is not loaded.
fn idle_storage(listing: &PluginListing) -> Option<String> {
    let known = listing.known.as_ref().filter(|_| listing.state == PluginState::NotLoaded)?;
    let of_storage = known.contract.to_string().starts_with(ContractKind::StorageBackend.package());
    of_storage
        .then(|| "no auth server of this daemon keeps its records with it (teleport.storage.type)".to_owned())
}

fn plugin(listing: PluginListing) -> Plugin {
    let unneeded = idle_storage(&listing);
    let name = listing.name.to_string();
    let (state, reason) = match listing.state {
        PluginState::Ready => ("Ready", None),
        PluginState::Behind(reason) => ("Behind", Some(reason)),
        PluginState::Quarantined(reason) => ("Quarantined", Some(reason)),
        PluginState::NotLoaded => ("Not loaded", unneeded),
        PluginState::Disabled => {
            ("Disabled", Some(format!("by teleport.plugins.load.{name}.enabled in the configuration")))
        }
        PluginState::SwitchedOff => {
            ("Disabled", Some(format!("on this host; to use it, run: tctl plugins enable {name}")))
        }
        PluginState::Refused(reason) => ("Refused", Some(reason)),
    };
    let known = listing.known.map(|known| Known {
        version: known.version,
        description: known.description,
        contract: known.contract.to_string(),
        source: known.source,
        digest: known.digest.to_string(),
        publisher: known.publisher,
        grants: known.grants,
    });
    Plugin { name, state: state.to_owned(), reason, known }
}

#[cfg(test)]
mod tests;
