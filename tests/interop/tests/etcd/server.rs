//! etcd servers on loopback, each in a folder of its own, killed by number when a test ends.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use teleport_plugin_sdk::http::{Method, Request, Response};
use teleport_tests_interop::storage::MovedClock;
use teleport_tests_interop::{PATIENCE, Port};
use tempfile::TempDir;

use crate::native::Native;
use storage_etcd::outside::Outside;

/// A member of a cluster.
pub(crate) struct Member {
    name: String,
    client: Port,
    peer: Port,
    folder: TempDir,
    running: Option<Child>,
}

impl Member {
    fn new(number: usize) -> Self {
        Self {
            name: format!("m{number}"),
            client: Port::free(),
            peer: Port::free(),
            folder: tempfile::tempdir().unwrap(),
            running: None,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.client.address())
    }

    fn peer_url(&self) -> String {
        format!("http://{}", self.peer.address())
    }

    fn start(&mut self, cluster: &str, folder: &Path, more: &[&str]) {
        let (client, peer) = (self.url(), self.peer_url());
        let log = std::fs::File::create(folder.join("log")).unwrap();
        let child = Command::new("etcd")
            .args(["--name", &self.name, "--data-dir", folder.join("data").to_str().unwrap()])
            .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
            .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
            .args(["--initial-cluster", cluster, "--heartbeat-interval", "50", "--election-timeout", "500"])
            .args(more)
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("etcd cannot be started ({error}); run: cargo xtask test"));
        self.running = Some(child);
    }

    /// Kills it as a power cut would.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.running.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A cluster.
pub(crate) struct Etcd {
    pub(crate) members: Vec<Member>,
    native: Native,
    more: Vec<&'static str>,
}

impl Etcd {
    /// A running cluster of so many members.
    pub(crate) fn start(count: usize) -> Self {
        Self::start_with(count, &[])
    }

    /// The same with further flags.
    pub(crate) fn start_with(count: usize, more: &[&'static str]) -> Self {
        let members = (0..count).map(Member::new).collect();
        let mut etcd = Self { members, native: Native::new(&MovedClock::default()), more: more.to_vec() };
        for number in 0..count {
            etcd.launch(number);
        }
        etcd.ready();
        etcd
    }

    /// Starts a member that does not run.
    pub(crate) fn launch(&mut self, number: usize) {
        let all: Vec<_> =
            self.members.iter().map(|member| format!("{}={}", member.name, member.peer_url())).collect();
        let member = &mut self.members[number];
        let folder = member.folder.path().to_owned();
        member.start(&all.join(","), &folder, &self.more);
    }

    /// Waits until a majority takes writes.
    pub(crate) fn ready(&self) {
        let native = self.native.clone();
        let end = native.monotonic() + PATIENCE;
        let body = json!({ "key": "L3JlYWR5" });
        loop {
            let up = |member: &Member| {
                self.ask(member, "/v3/kv/range", &body).is_ok_and(|answer| answer.status == 200)
            };
            if self.members.iter().filter(|member| member.running.is_some()).all(up) {
                return;
            }
            assert!(native.monotonic() < end, "etcd does not come up: {}", self.logs());
            #[allow(
                clippy::disallowed_methods,
                reason = "another process is waited for, outside any runtime"
            )]
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn logs(&self) -> String {
        let log =
            |member: &Member| std::fs::read_to_string(member.folder.path().join("log")).unwrap_or_default();
        self.members.iter().map(log).collect()
    }

    fn ask(
        &self,
        member: &Member,
        path: &str,
        body: &Value,
    ) -> Result<Response, teleport_plugin_sdk::http::Error> {
        let (url, body) = (format!("{}{path}", member.url()), body.to_string());
        self.native.clone().send(&request(&url, body.as_bytes()))
    }

    /// One call at the first member, for what the plugin does not do.
    pub(crate) fn call(&self, path: &str, body: &Value) -> Value {
        let answer = self.ask(&self.members[0], path, body).unwrap();
        serde_json::from_slice(&answer.body).unwrap()
    }

    /// Its own revision.
    pub(crate) fn now(&self) -> u64 {
        let answer = self.call("/v3/kv/range", &json!({ "key": "AA==" }));
        answer["header"]["revision"].as_str().unwrap().parse().unwrap()
    }

    /// Forgets everything before now.
    pub(crate) fn compact(&self) {
        self.compact_at(self.now());
    }

    /// Forgets everything before a revision of its own.
    pub(crate) fn compact_at(&self, revision: u64) {
        self.call("/v3/kv/compaction", &json!({ "revision": revision.to_string() }));
    }

    pub(crate) fn urls(&self) -> String {
        self.members.iter().map(Member::url).collect::<Vec<_>>().join("\n")
    }
}

fn request<'a>(url: &'a str, body: &'a [u8]) -> Request<'a> {
    Request {
        method: Method::Post,
        url,
        headers: &[],
        body,
        connect: PATIENCE,
        timeout: PATIENCE,
        answer_max: usize::MAX,
    }
}
