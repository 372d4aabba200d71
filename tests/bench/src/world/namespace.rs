//! A mount namespace in which the login's home is an empty folder and its shell a small one.

use std::os::unix::process::CommandExt;
use std::process::Command;

use terminal::Failure;

/// Set in the second life of the program.
const INSIDE: &str = "TELEPORT_BENCH_INSIDE";

/// Runs the program again in a namespace where `/etc/passwd` gives the login an empty home; returns
/// and `sh` for a shell there. The start of bash, and root's start-up files, may cost more than
/// everything that is measured, on both sides.
pub(crate) fn enter_namespace() -> Result<(), Failure> {
    if std::env::var_os(INSIDE).is_some() {
        return Ok(());
    }
    let home = tempfile::tempdir()?.keep();
    let passwd = home.join("passwd");
    let entry = format!("root:x:0:0:root:{}:/bin/sh", home.display());
    let old = std::fs::read_to_string("/etc/passwd")?;
    let lines = old.lines().map(|line| if line.starts_with("root:") { entry.as_str() } else { line });
    std::fs::write(&passwd, lines.collect::<Vec<_>>().join("\n") + "\n")?;
    let script = "mount --bind \"$0\" /etc/passwd && exec \"$@\"";
    let error = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "sh", "-c", script])
        .arg(&passwd)
        .arg(std::env::current_exe()?)
        .args(std::env::args_os().skip(1))
        .env(INSIDE, "1")
        .exec();
    Err(Failure::new(format!("cannot make a mount namespace: {error}")).hint("run the benchmark as root"))
}
