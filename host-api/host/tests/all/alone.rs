//! Tests that change or measure their whole process: each runs again in a process of its own.

use std::future::Future;
use std::process::Command;

/// Set in that process.
const INSIDE: &str = "TELEPORT_TEST_ALONE";

/// Whether this is the process of its own. If not, the test of this name is run in one and has succeeded
/// when this returns.
pub(crate) fn alone(test: &str) -> bool {
    alone_by(test, Command::new(std::env::current_exe().unwrap()))
}

/// The same in a mount namespace of its own, where it may mount things.
pub(crate) fn alone_with_mounts(test: &str) -> bool {
    let mut unshare = Command::new("unshare");
    if !rustix::process::geteuid().is_root() {
        unshare.args(["--user", "--map-root-user"]);
    }
    unshare.args(["--mount", "--propagation", "private"]).arg(std::env::current_exe().unwrap());
    alone_by(test, unshare)
}

fn alone_by(test: &str, mut command: Command) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let output = command.args(["--exact", test, "--nocapture"]).env(INSIDE, "1").output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && out.contains("1 passed"), "{}:\n{out}\n{err}", output.status);
    false
}

/// Runs the body of a test.
pub(crate) fn run(body: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(body);
}

/// Resident memory of this process, in bytes.
pub(crate) fn resident() -> u64 {
    field("VmRSS:") << 10
}

/// The most there ever was.
pub(crate) fn most_resident() -> u64 {
    field("VmHWM:") << 10
}

/// Threads of this process.
pub(crate) fn threads() -> u64 {
    field("Threads:")
}

fn field(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}
