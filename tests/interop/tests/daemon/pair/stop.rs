//! A daemon whose records a plugin keeps, stopped while it writes, or while members of etcd are lost: what it
//! acknowledged is there, and what happened until the end is on record.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::Value;
use teleport_tests_interop::{Home, Output, Port, Signal, eventually};
use tempfile::TempDir;
use tokio::task::{JoinHandle, JoinSet};

use super::etcd::Etcd;
use super::{Auth, session, ssh, try_tctl, user};

/// Writers at one time.
const WRITERS: usize = 4;
/// Acknowledged writes before the daemon is told to end.
const BEFORE: usize = 12;

/// What writes without end, each write through the whole daemon.
struct Writers {
    tasks: JoinSet<Vec<String>>,
    acknowledged: Arc<AtomicUsize>,
    over: Arc<AtomicBool>,
}

impl Writers {
    fn start(auth: &Auth) -> Self {
        let (acknowledged, over) = (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
        let mut tasks = JoinSet::new();
        for writer in 0..WRITERS {
            let (data, acknowledged, over) =
                (auth.data.clone(), Arc::clone(&acknowledged), Arc::clone(&over));
            tasks.spawn(async move {
                let (mut sure, mut number) = (Vec::new(), 0);
                while !over.load(Ordering::SeqCst) {
                    number += 1;
                    let role = format!("role-{writer}-{number}");
                    let yaml = format!("kind: role\nversion: v7\nmetadata:\n  name: {role}\nspec: {{}}\n");
                    let output = try_tctl(&data, &["create"], &yaml).await;
                    if output.code() == Some(0) {
                        sure.push(role);
                        acknowledged.fetch_add(1, Ordering::SeqCst);
                    }
                }
                sure
            });
        }
        Self { tasks, acknowledged, over }
    }

    /// Waits until so many more were acknowledged.
    async fn more(&self, count: usize) {
        let goal = self.acknowledged.load(Ordering::SeqCst) + count;
        eventually("writes are acknowledged", || async {
            (self.acknowledged.load(Ordering::SeqCst) >= goal).then_some(())
        })
        .await;
    }

    /// Everything that was acknowledged.
    async fn end(self) -> Vec<String> {
        self.over.store(true, Ordering::SeqCst);
        self.tasks.join_all().await.concat()
    }
}

/// A daemon with auth and node in one process, on etcd, with writers at work and a session whose command
/// ends when a file appears.
struct Bed {
    folder: TempDir,
    etcd: Etcd,
    auth: Auth,
    node: Port,
    home: Home,
    session: JoinHandle<Output>,
    writers: Option<Writers>,
}

impl Bed {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (etcd, node) = (Etcd::start(folder.path()).await, Port::free());
        let mut auth = Auth::spawn_with(&folder, "auth-1", &etcd.storage("client", "ca"), |yaml| {
            let on = format!("ssh_service:\n  enabled: yes\n  listen_addr: {}\n", node.address());
            yaml.replace("ssh_service:\n  enabled: no\n", &on)
        });
        auth.daemon.ready().await;
        let home = user(folder.path(), "joe", [&auth, &auth]).await;
        let finish = folder.path().join("finish");
        let command = format!("while [ ! -e {} ]; do sleep 0.05; done; echo finished", finish.display());
        let session = session(folder.path(), &node, &home, &command).await;
        let writers = Writers::start(&auth);
        writers.more(BEFORE).await;
        Self { folder, etcd, auth, node, home, session, writers: Some(writers) }
    }

    /// The events so far, in the order they were written. Every line is whole.
    fn events(&self) -> Vec<Value> {
        let log = std::fs::read_to_string(self.auth.data.join("log/events.log")).unwrap();
        log.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// After the daemon has ended by itself: nothing is lost, and the end of the session is on record.
    async fn check(mut self) {
        let sure = self.writers.take().unwrap().end().await;
        assert!(sure.len() >= BEFORE);
        let events = self.events();
        let made =
            |role: &str| events.iter().any(|event| event["event"] == "role.created" && event["name"] == role);
        for role in &sure {
            assert!(made(role), "{role} was acknowledged and is not on record");
        }
        let ended = events.iter().any(|event| event["event"] == "exec" && event["user"] == "joe");
        assert!(ended, "the end of the session is on record: {events:?}");
        let auth = &mut self.auth;
        let log = auth.daemon.log();
        assert!(!log.contains("panicked") && !log.contains("is lost"), "{log}");
        assert!(log.trim_end().lines().last().is_some_and(|line| line.contains("stopped")), "{log}");
        auth.daemon.respawn();
        auth.daemon.ready().await;
        let roles = auth.json(&["get", "roles"]).await.to_string();
        for role in &sure {
            assert!(roles.contains(&format!("\"{role}\"")), "{role} was acknowledged and is lost");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn term_during_writes_loses_nothing_that_was_acknowledged() {
    let mut bed = Bed::start().await;
    bed.auth.daemon.signal(Signal::TERM);
    assert_eq!(bed.auth.daemon.ended().await.code(), Some(0), "{}", bed.auth.daemon.log());
    assert_ne!((&mut bed.session).await.unwrap().code(), Some(0), "it was cut short");
    bed.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn members_of_etcd_are_lost_during_writes_and_nothing_that_was_acknowledged_is() {
    let mut bed = Bed::start().await;
    for member in 0..3 {
        bed.etcd.kill(member).await;
        bed.writers.as_ref().unwrap().more(BEFORE).await;
        bed.etcd.launch(member);
        bed.etcd.ready(member).await;
        bed.writers.as_ref().unwrap().more(BEFORE).await;
    }
    assert!(!bed.session.is_finished());
    std::fs::write(bed.folder.path().join("finish"), "").unwrap();
    assert_eq!((&mut bed.session).await.unwrap().good(), "finished\n");
    bed.auth.daemon.signal(Signal::TERM);
    assert_eq!(bed.auth.daemon.ended().await.code(), Some(0), "{}", bed.auth.daemon.log());
    bed.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn quit_waits_for_the_session_while_writes_go_on() {
    let mut bed = Bed::start().await;
    bed.auth.daemon.signal(Signal::QUIT);
    bed.auth.daemon.logged("draining: no new connections").await;
    assert_eq!(ssh(&bed.node, &bed.home, "echo no").await.code(), Some(255), "nobody new is let in");
    // Whoever drains still is the cluster's auth server.
    bed.writers.as_ref().unwrap().more(BEFORE).await;
    assert!(!bed.session.is_finished());
    std::fs::write(bed.folder.path().join("finish"), "").unwrap();
    assert_eq!((&mut bed.session).await.unwrap().good(), "finished\n");
    assert_eq!(bed.auth.daemon.ended().await.code(), Some(0), "{}", bed.auth.daemon.log());
    bed.check().await;
}
