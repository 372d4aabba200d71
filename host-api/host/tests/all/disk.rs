//! A disk that does not answer: who waits for it ends at its deadline, and nobody else waits.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use domain::plugin::Grant;
use plugin_host::{Outcome, PlaceSettings, PluginHost, ServerAuthority};
use port::label::LabelProvider as _;

use crate::alone::{alone_with_mounts, run};
use crate::bed::{Bed, LONG, call, guest, label, manifest};
use crate::sending::{Fetch, fetch};
use crate::serving::{Authority, Server};

fn does(program: &str, args: &[&str], at: &Path) -> bool {
    Command::new(program).args(args).arg(at).status().unwrap().success()
}

/// A small disk of its own at a folder; nothing where this machine gives none.
fn mount(image: &Path, folder: &Path) -> Option<()> {
    std::fs::create_dir_all(folder).unwrap();
    std::fs::File::create(image).unwrap().set_len(32 << 20).unwrap();
    assert!(does("mkfs.ext4", &["-q"], image));
    let options = ["-o", "loop,noatime", image.to_str().unwrap()];
    does("mount", &options, folder).then(|| {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        std::fs::set_permissions(folder, mode).unwrap();
    })
}

/// A disk on which nothing can be written until this is dropped, or this process is gone, or a minute has
/// passed: what waits for a frozen disk cannot be killed.
struct Frozen(Child);

impl Frozen {
    fn now(disk: &Path) -> Self {
        // In a session of its own: what ends this process may end its whole group.
        let thaw = ["sh", "-c", "timeout 60 cat; exec fsfreeze --unfreeze \"$0\""];
        let mut command = Command::new("setsid");
        let frozen = Self(command.arg("--wait").args(thaw).arg(disk).stdin(Stdio::piped()).spawn().unwrap());
        assert!(does("fsfreeze", &["--freeze"], disk));
        frozen
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let thawed = self.0.wait().unwrap().success();
        assert!(thawed || std::thread::panicking());
    }
}

/// A disk in the network, as far as this machine can tell: a folder that another program serves. Both are gone with
/// this process.
struct Served {
    server: Child,
    client: Child,
}

impl Served {
    /// Serves one folder at another; nothing where this machine has no such disks.
    async fn mount(served: &Path, at: &Path) -> Option<Self> {
        std::fs::File::open("/dev/fuse").ok()?;
        let child = |words: &[&str]| {
            let mut command = Command::new("setpriv");
            command.args(["--pdeathsig", "KILL"]).args(words);
            command
        };
        std::fs::create_dir_all(at).unwrap();
        let mut server = child(&["/usr/lib/openssh/sftp-server"]);
        let mut server = server.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (to, from) = (server.stdin.take().unwrap(), server.stdout.take().unwrap());
        // Nothing is remembered of files, as where somebody else may change them.
        let options = "passive,dir_cache=no,attr_timeout=0,entry_timeout=0,negative_timeout=0";
        let mut client = child(&["sshfs", "-f", "-o", options]);
        client.arg(format!(":{}", served.display())).arg(at).stdin(from).stdout(to);
        let mut served = Self { server, client: client.spawn().unwrap() };
        let is_mounted =
            || std::fs::read_to_string("/proc/self/mounts").unwrap().contains(at.to_str().unwrap());
        let began = tokio::time::Instant::now();
        while !is_mounted() {
            assert!(
                served.client.try_wait().unwrap().is_none() && began.elapsed() < LONG,
                "it is not mounted"
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Some(served)
    }

    /// Whether it answers from now on.
    fn answers(&self, does: bool) {
        let pid = rustix::process::Pid::from_child(&self.server);
        let signal = if does { rustix::process::Signal::CONT } else { rustix::process::Signal::STOP };
        rustix::process::kill_process(pid, signal).unwrap();
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        for child in [&mut self.client, &mut self.server] {
            // It may have ended.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Two plugins that keep things, the first for at most two seconds at a time.
fn bed() -> Bed {
    let mut bed = Bed::new();
    let needs = "[[needs]]\ncapability = \"kv\"\nreason = \"keeps things\"\n";
    for name in ["hostile", "other"] {
        bed.install(name, &guest("hostile"), &format!("{}{needs}", manifest(name)));
        bed.pin(name);
        bed.plugin(name).grants.push(Grant::kv());
    }
    bed.limit("hostile", "wall", "2s");
    bed
}

/// Calls of the first end at their deadline, and the other goes on.
async fn only_who_waits_is_ended(host: &PluginHost) {
    for turn in 0..3 {
        let report = call(host, "keep-much 20").await;
        assert_eq!(report.outcome(), Outcome::Timeout, "{turn}: {report:?}");
        let other = host.evaluate(&label("other", "echo meanwhile")).await;
        assert_eq!(other.as_deref(), Ok("meanwhile"), "{turn}");
    }
}

async fn both_work(host: &PluginHost) {
    assert_eq!(call(host, "keep-much 10").await.result.unwrap(), "kept");
    assert_eq!(host.evaluate(&label("other", "echo before")).await.as_deref(), Ok("before"));
}

#[test]
fn a_call_that_waits_for_a_disk_ends_at_its_deadline_and_other_plugins_go_on() {
    if !alone_with_mounts("disk::a_call_that_waits_for_a_disk_ends_at_its_deadline_and_other_plugins_go_on") {
        return;
    }
    run(async {
        let bed = bed();
        let disk = bed.settings.data_dir.clone();
        if mount(&disk.with_file_name("disk"), &disk).is_none() {
            eprintln!("nothing was tested: this machine gives no disk to freeze");
            return;
        }
        let host = bed.host();
        both_work(&host).await;
        let frozen = Frozen::now(&disk);
        only_who_waits_is_ended(&host).await;
        drop(frozen);
        assert_eq!(call(&host, "keep-much 30").await.result.unwrap(), "kept");
    });
}

#[test]
fn a_disk_in_the_network_whose_server_is_gone_is_waited_for_beside_the_calls() {
    if !alone_with_mounts("disk::a_disk_in_the_network_whose_server_is_gone_is_waited_for_beside_the_calls") {
        return;
    }
    run(async {
        let bed = bed();
        let kept = bed.settings.data_dir.join("plugins/kv");
        let away = bed.settings.data_dir.with_file_name("away");
        for folder in [kept.parent().unwrap(), &kept, &away] {
            DirBuilder::new().mode(0o700).create(folder).unwrap();
        }
        let Some(served) = Served::mount(&away, &kept).await else {
            eprintln!("nothing was tested: this machine has no file systems that programs serve");
            return;
        };
        let host = bed.host();
        both_work(&host).await;
        served.answers(false);
        only_who_waits_is_ended(&host).await;
        served.answers(true);
        assert_eq!(call(&host, "keep-much 30").await.result.unwrap(), "kept");
        assert!(away.join("hostile.json").exists(), "it is there that it is kept");
    });
}

#[test]
fn requests_go_on_with_what_is_known_while_the_disk_of_their_certificates_is_gone() {
    if !alone_with_mounts(
        "disk::requests_go_on_with_what_is_known_while_the_disk_of_their_certificates_is_gone",
    ) {
        return;
    }
    run(async {
        let authority = Authority::new();
        let server = Server::tls(authority.server("api.test", None, &[])).await;
        let url = format!("https://api.test:{}", server.port);
        let mut bed = Fetch::new();
        let destination = bed.grant(&url, true);
        let folder = tempfile::tempdir().unwrap();
        let (away, here) = (folder.path().join("away"), folder.path().join("here"));
        std::fs::create_dir(&away).unwrap();
        std::fs::write(away.join("ca.pem"), authority.pem()).unwrap();
        let Some(served) = Served::mount(&away, &here).await else {
            eprintln!("nothing was tested: this machine has no file systems that programs serve");
            return;
        };
        let authority = ServerAuthority::File(here.join("ca.pem"));
        bed.plugin().http.push(PlaceSettings { destination, authority, certificate: None, sign: None });
        let host = bed.host();
        let request = format!("GET {url}/hello");
        assert_eq!(fetch(&host, &request).await, "200 hello");
        served.answers(false);
        assert_eq!(fetch(&host, &request).await, "200 hello");
        // Whatever time it has for connecting; and who has waited once waits no more.
        let began = tokio::time::Instant::now();
        for _ in 0..20 {
            assert_eq!(fetch(&host, &format!("{request} connect:4000")).await, "200 hello");
        }
        assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
        served.answers(true);
        assert_eq!(fetch(&host, &request).await, "200 hello");
    });
}
