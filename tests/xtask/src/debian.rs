//! What tests and benchmarks need of the operating system, and how a Debian gets it.
//!
//! Packages are installed only when something is missing and this user may install. A new sshd is not
//! started: tests start their own, and nobody asked for a door into this machine.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::failure::Failure;
use crate::run::Runner;
use crate::say;

/// How long apt may take.
const APT: Duration = Duration::from_secs(1200);

/// A thing that must be there.
struct Need {
    /// The package that brings it.
    package: &'static str,
    /// The programs it is needed for.
    programs: &'static [&'static str],
    /// What else must be true.
    works: fn(&Runner<'_>) -> bool,
}

impl Need {
    /// Programs, and nothing to ask of them but that they are there.
    const fn of(package: &'static str, programs: &'static [&'static str]) -> Self {
        Self { package, programs, works: |_| true }
    }

    fn present(&self, runner: &Runner<'_>) -> bool {
        all_found(self.programs) && (self.works)(runner)
    }
}

/// What is needed, a row per package.
const NEEDS: [Need; 13] = [
    Need::of("openssh-client", &["ssh", "scp", "sftp", "ssh-keygen", "ssh-agent", "ssh-add"]),
    Need { package: "openssh-server", programs: &["sshd"], works: |_| sftp_server() },
    Need::of("curl", &["curl"]),
    // What other people sign plugins with.
    Need::of("minisign", &["minisign"]),
    Need::of("etcd-server", &["etcd"]),
    // Where plugins are pushed to and installed from.
    Need::of("docker-registry", &["docker-registry"]),
    Need::of("procps", &["ps", "uptime"]),
    // Sessions of other users are tested with a list of users that only the test sees.
    Need::of("mount", &["mount"]),
    // A disk that does not answer is one that is frozen.
    Need::of("e2fsprogs", &["mkfs.ext4"]),
    // One in the network is one that a program serves.
    Need::of("sshfs", &["sshfs"]),
    // Debian parts Python from what makes virtual environments.
    Need { package: "python3-venv", programs: &["python3"], works: python },
    // What runs DynamoDB's stand-in, and builds plugins in JavaScript.
    Need::of("nodejs", &["node"]),
    Need::of("npm", &["npm"]),
];

/// What `etcd-client` is built with, the native peer of one benchmark; nothing else here needs it.
const PROTOC: [Need; 2] = [
    Need::of("protobuf-compiler", &["protoc"]),
    // What its descriptions include. `protoc` finds it beside itself.
    Need {
        package: "libprotobuf-dev",
        programs: &[],
        works: |_| beside_protoc("include/google/protobuf/descriptor.proto"),
    },
];

/// As root: keeps services from starting (the interface of invoke-rc.d(8)), installs, and takes the bar
/// away again.
const SCRIPT: &str = r#"
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' > "$policy"
    chmod 755 "$policy"
    trap 'rm -f "$policy"' EXIT
    # dash runs the line above when it exits, but not when a signal ends it.
    trap 'exit 130' HUP INT TERM
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -q
apt-get install -q -y --no-install-recommends "$@"
"#;

/// Makes sure that everything needed is there.
pub(crate) fn packages(runner: &Runner<'_>, may_install: bool) -> Result<(), Failure> {
    provide(runner, may_install, &NEEDS)
}

/// Makes sure, where that can be done, that protocol descriptions can be compiled. Whether they can.
pub(crate) fn protoc(runner: &Runner<'_>, may_install: bool) -> bool {
    match provide(runner, may_install, &PROTOC) {
        Ok(()) => true,
        Err(failure) => {
            say::step(format_args!("going on without etcd-client, the native peer of etcd's row: {failure}"));
            false
        }
    }
}

fn provide(runner: &Runner<'_>, may_install: bool, needs: &[Need]) -> Result<(), Failure> {
    let missing = missing(runner, needs);
    if missing.is_empty() {
        return Ok(());
    }
    let root = rustix::process::geteuid().is_root();
    let sudo = !root && runner.succeeds(Command::new("sudo").args(["-n", "true"]));
    if !may_install || !found("apt-get") || !(root || sudo) {
        return Err(Failure::new(format!("these packages are missing: {}", missing.join(", ")))
            .next(format!("as root, run: apt-get install {}", missing.join(" ")))
            .next("on another system, install what brings the same programs"));
    }
    say::step(format_args!("installing with apt: {}", missing.join(" ")));
    let mut command = Command::new(if root { "sh" } else { "sudo" });
    if sudo {
        command.args(["-n", "sh"]);
    }
    // The words behind the script are its $0 and its arguments.
    command.args(["-ec", SCRIPT, "install"]).args(&missing);
    runner.visibly(&mut command, APT)?;
    match self::missing(runner, needs) {
        missing if missing.is_empty() => Ok(()),
        missing => {
            Err(Failure::new(format!("apt installed, yet this is still missing: {}", missing.join(", "))))
        }
    }
}

fn missing(runner: &Runner<'_>, needs: &[Need]) -> Vec<&'static str> {
    needs.iter().filter(|need| !need.present(runner)).map(|need| need.package).collect()
}

fn python(runner: &Runner<'_>) -> bool {
    runner.succeeds(Command::new("python3").args(["-c", "import ensurepip, venv"]))
}

/// Whether a file is where the `protoc` that would be run looks for it.
fn beside_protoc(file: &str) -> bool {
    let folder = folder_of("protoc");
    folder.and_then(|bin| Some(bin.parent()?.join(file))).is_some_and(|path| path.is_file())
}

fn sftp_server() -> bool {
    ["/usr/lib/openssh/sftp-server", "/usr/libexec/sftp-server", "/usr/libexec/openssh/sftp-server"]
        .iter()
        .any(|path| Path::new(path).is_file())
}

fn all_found(programs: &[&str]) -> bool {
    programs.iter().all(|program| found(program))
}

/// Whether a program is there. Those of the administrator are not in everybody's PATH.
pub(crate) fn found(program: &str) -> bool {
    folder_of(program).is_some()
}

fn folder_of(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let own = std::env::split_paths(&path);
    let administrators = ["/usr/sbin", "/sbin", "/usr/local/sbin"].map(Into::into);
    own.chain(administrators).find(|folder| folder.join(program).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interrupt::Interrupts;
    use crate::place::Place;

    #[test]
    fn programs_are_found_by_name() {
        assert!(all_found(&["sh", "cat"]));
        assert!(!all_found(&["sh", "no-such-program"]));
        assert!(folder_of("sh").unwrap().join("sh").is_file());
        assert!(!beside_protoc("no/such/file"));
    }

    #[test]
    fn what_the_steps_and_the_tests_start_has_a_row() {
        for program in
            ["node", "npm", "python3", "ssh-add", "sshd", "curl", "etcd", "docker-registry", "minisign"]
        {
            let rows = NEEDS.iter().filter(|need| need.programs.contains(&program));
            assert_eq!(rows.count(), 1, "{program}");
        }
    }

    #[test]
    fn what_is_missing_and_may_not_be_installed_comes_with_the_command() {
        let needs = [
            Need::of("coreutils", &["cat"]),
            Need::of("never-packaged", &["no-such-program"]),
            Need { package: "broken", programs: &["sh"], works: |_| false },
        ];
        let folder = tempfile::tempdir().unwrap();
        let place = Place { root: folder.path().to_owned(), target: folder.path().to_owned() };
        let interrupts = Interrupts::default();
        let runner = Runner::new(&interrupts, &place).unwrap();
        let failure = provide(&runner, false, &needs).unwrap_err().to_string();
        assert!(failure.contains("missing: never-packaged, broken\n"), "{failure}");
        assert!(failure.contains("run: apt-get install never-packaged broken\n"), "{failure}");
    }

    #[test]
    fn the_script_is_one_a_shell_can_read() {
        let checked = Command::new("sh").args(["-n", "-c", SCRIPT]).status().unwrap();
        assert!(checked.success());
    }
}
