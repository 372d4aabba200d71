//! The whole daemon, killed with SIGKILL fifty times while many write through its API: what was
//! acknowledged is there afterwards, and so is its audit event.
//!
//! Killing takes a process, so this one test starts `teleport` itself.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use client::AuthClient;
use domain::identity::SystemRole;
use domain::resource::Kind;
use domain::token::{JoinMethod, Token, TokenSpec};
use domain::traits::Traits;
use domain::user::{LOGINS, User, UserSpec};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

const ROUNDS: usize = 50;
const WRITERS: usize = 8;
/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// What was written: its kind and its name.
type Written = (Kind, String);

fn teleport() -> PathBuf {
    let path = teleport_tests_cluster::session_child().with_file_name("teleport");
    assert!(path.exists(), "{} is missing; run: cargo xtask test", path.display());
    path
}

/// A data folder, and what its daemons have acknowledged.
struct Victim {
    folder: tempfile::TempDir,
    acknowledged: BTreeSet<Written>,
}

impl Victim {
    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn start(&self) -> Child {
        let config = self.folder.path().join("teleport.yaml");
        let yaml = format!(
            "version: v3\nteleport:\n  nodename: auth-1\n  data_dir: {}\n\
             auth_service:\n  enabled: yes\n  cluster_name: main\n  listen_addr: 127.0.0.1:0\n\
             proxy_service:\n  enabled: no\nssh_service:\n  enabled: no\n",
            self.data().display()
        );
        std::fs::write(&config, yaml).unwrap();
        let log = std::fs::File::create(self.folder.path().join("log")).unwrap();
        // Where the last daemon listened says nothing about the next.
        let _ = std::fs::remove_file(self.data().join(process::AUTH_ADDRESS));
        let mut command = Command::new(teleport());
        command.args(["start", "-c"]).arg(&config).stdin(Stdio::null());
        command.stdout(log.try_clone().unwrap()).stderr(log).kill_on_drop(true);
        command.spawn().unwrap()
    }

    /// A client, as soon as the daemon answers.
    async fn client(&self, child: &mut Child) -> AuthClient {
        let asking = async {
            loop {
                if self.data().join(process::AUTH_ADDRESS).exists() {
                    let client = teleport_tests_cluster::admin(&self.data());
                    if client.status().await.is_ok() {
                        return client;
                    }
                }
                if let Some(status) = child.try_wait().unwrap() {
                    panic!("a daemon that was not killed ended with {status}:\n{}", self.log());
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE, asking).await.unwrap_or_else(|_| panic!("it does not answer:\n{}", self.log()))
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Lets many write, and kills the daemon in the midst of it.
    async fn kill(&mut self, round: usize, draw: u64) {
        let mut child = self.start();
        if draw % 8 == 7 {
            // Some die before they answer anybody.
            tokio::time::sleep(Duration::from_millis(draw % 90)).await;
        } else {
            let client = self.client(&mut child).await;
            self.write(client, round, draw, &mut child).await;
        }
        let _ = child.start_kill();
        let status = child.wait().await.unwrap();
        assert_eq!(status.code(), None, "it was killed, and had not failed before:\n{}", self.log());
    }

    async fn write(&mut self, client: AuthClient, round: usize, draw: u64, child: &mut Child) {
        let (sender, mut acks) = mpsc::channel(1024);
        let mut writers = JoinSet::new();
        for writer in 0..WRITERS {
            writers.spawn(write_until_killed(client.clone(), format!("{round}-{writer}"), sender.clone()));
        }
        drop(sender);
        for _ in 0..=draw % 60 {
            let written = timeout(PATIENCE, acks.recv()).await.expect("writes are acknowledged").unwrap();
            self.acknowledged.insert(written);
        }
        child.start_kill().unwrap();
        // What was acknowledged until its death counts.
        while let Some(written) = timeout(PATIENCE, acks.recv()).await.expect("calls end with the daemon") {
            self.acknowledged.insert(written);
        }
    }

    /// Starts the daemon once more and asks for everything.
    async fn check(&self) {
        let mut child = self.start();
        let client = self.client(&mut child).await;
        let mut there: BTreeSet<Written> = BTreeSet::new();
        for user in client.list::<UserSpec>().await.unwrap() {
            there.insert((Kind::User, user.name().to_owned()));
        }
        for token in client.list::<TokenSpec>().await.unwrap() {
            there.insert((Kind::Token, token.name().to_owned()));
        }
        let lost: Vec<_> = self.acknowledged.difference(&there).collect();
        assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
        let (created, tokens) = created(&self.data().join("log"));
        let silent: Vec<_> = self
            .acknowledged
            .iter()
            .filter(|(kind, name)| *kind == Kind::User && !created.contains(name))
            .collect();
        assert!(silent.is_empty(), "written without an audit event: {silent:?}");
        let made = self.acknowledged.iter().filter(|(kind, _)| *kind == Kind::Token).count();
        assert!(tokens >= made, "{made} tokens and {tokens} events of them");
        // The store is whole as SQLite sees it, and new writes work.
        client.put(&user("after-all"), true).await.unwrap();
        child.start_kill().unwrap();
        child.wait().await.unwrap();
    }
}

fn user(name: &str) -> User {
    let traits = Traits([(LOGINS.to_owned(), vec!["root".to_owned()])].into());
    User::new(name, UserSpec { roles: vec!["access".to_owned()], traits, ..UserSpec::default() })
}

fn token(name: &str) -> Token {
    let spec = TokenSpec {
        roles: vec![SystemRole::Node],
        join_method: JoinMethod::Token,
        suggested_labels: domain::label::Labels::default(),
        invites_user: None,
    };
    Token::new(name, spec)
}

/// Makes users and tokens by turns until the daemon is gone.
async fn write_until_killed(client: AuthClient, prefix: String, acks: mpsc::Sender<Written>) {
    for count in 0.. {
        let name = format!("record-{prefix}-{count}");
        let (kind, outcome) = if count % 2 == 0 {
            (Kind::User, client.put(&user(&name), false).await)
        } else {
            (Kind::Token, client.put(&token(&name), false).await)
        };
        if outcome.is_err() || acks.send((kind, name)).await.is_err() {
            return;
        }
    }
}

/// The names of users that were made and how many tokens, by the audit log, of which every line is
/// whole. The names of tokens are secrets.
fn created(folder: &Path) -> (BTreeSet<String>, usize) {
    let (mut names, mut tokens) = (BTreeSet::new(), 0);
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    for file in files.filter(|path| path.extension().is_some_and(|extension| extension == "log")) {
        let text = std::fs::read_to_string(&file).unwrap();
        for line in text.lines() {
            let event: serde_json::Value =
                serde_json::from_str(line).unwrap_or_else(|error| panic!("half a line: {error}: {line}"));
            match event["event"].as_str().unwrap() {
                "user.create" => drop(names.insert(event["name"].as_str().unwrap().to_owned())),
                "join_token.create" => tokens += 1,
                _ => {}
            }
        }
    }
    (names, tokens)
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_over_fifty_kills() {
    net::install_crypto();
    let mut victim = Victim { folder: tempfile::tempdir().unwrap(), acknowledged: BTreeSet::new() };
    let random = RandomState::new();
    for round in 0..ROUNDS {
        victim.kill(round, random.hash_one(round)).await;
        if round % 10 == 9 {
            victim.check().await;
        }
    }
    let survived = victim.acknowledged.len();
    assert!(survived > 500, "too few writes ({survived}) to have proven anything");
}
