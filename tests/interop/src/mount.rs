//! Programs that see a file of a test's own where the system has another.

use std::path::Path;

use tokio::process::Command;

use crate::{login, run};

/// Whether this machine lets root make a mount namespace; containers may not.
pub async fn can_mount() -> bool {
    login() == "root" && run(Command::new("unshare").args(["--mount", "true"])).await.status.success()
}

/// A command that runs the program in its arguments, which sees `file` in the place of `place`.
pub fn seeing(file: &Path, place: &str) -> Command {
    let mut command = Command::new("unshare");
    let script = format!("mount --bind \"$0\" {place} && exec \"$@\"");
    command.args(["--mount", "--propagation", "private", "sh", "-c", &script]).arg(file);
    command
}
