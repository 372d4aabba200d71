//! A user of OpenSSH: keys, a configuration and a `known_hosts` with nothing but the cluster's authority.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use tokio::process::Command;

use crate::command::{Output, run};
use crate::world::login;

/// Everything a client reads, in one folder.
#[derive(Debug, Clone)]
pub struct Home {
    folder: PathBuf,
}

impl Home {
    /// A home whose user signs in with the key `id` in this folder, trusts the authority in `authority`
    /// and calls the proxy at `proxy` by the name `proxy`.
    ///
    /// The user's real home is never looked at: OpenSSH takes that from the system's users and not from
    /// `HOME`, so every file is named.
    pub fn new(folder: &Path, authority: &str, proxy: SocketAddr) -> Self {
        std::fs::create_dir_all(folder).unwrap();
        std::fs::write(folder.join("known_hosts"), authority).unwrap();
        let home = folder.display();
        let config = format!(
            "Host proxy\n  HostName {}\n  Port {}\n\
             Host *\n  StrictHostKeyChecking yes\n  UserKnownHostsFile {home}/known_hosts\n  \
             GlobalKnownHostsFile /dev/null\n  IdentityFile {home}/id\n  IdentitiesOnly yes\n  \
             IdentityAgent none\n  ControlPath none\n  User {}\n  ConnectTimeout 30\n  LogLevel INFO\n",
            proxy.ip(),
            proxy.port(),
            login(),
        );
        std::fs::write(folder.join("config"), config).unwrap();
        Self { folder: folder.to_owned() }
    }

    /// Where its files are.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A file of this home.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// One of OpenSSH's programs, with this home's configuration and nothing else around it.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin").env("HOME", &self.folder);
        command.arg("-F").arg(self.folder.join("config")).current_dir(&self.folder);
        command
    }

    /// `ssh` with these arguments, run to its end.
    pub async fn ssh(&self, arguments: &[&str]) -> Output {
        run(self.command("ssh").args(arguments)).await
    }

    /// Trusts the authority for these names, a pattern of `known_hosts`.
    pub fn trust(&self, pattern: &str, authority: &str) {
        let rest = authority.splitn(3, ' ').nth(2).expect("marker, names, key");
        std::fs::write(self.file("known_hosts"), format!("@cert-authority {pattern} {rest}")).unwrap();
    }

    /// A command line on a node, through the proxy.
    pub async fn on(&self, node: &str, command: &str) -> Output {
        self.ssh(&["-J", "proxy", node, command]).await
    }
}
