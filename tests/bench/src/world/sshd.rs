//! OpenSSH's server, as target and as bastion.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use domain::authority::{AuthoritySpec, AuthorityType};
use terminal::{Explain, Failure};

/// A running sshd; killed when dropped.
pub(crate) struct Sshd {
    child: Child,
    pub(crate) port: u16,
    host_key: PathBuf,
}

impl Sshd {
    pub(crate) fn start(folder: &Path, name: &str, authorities: &[AuthoritySpec]) -> Result<Self, Failure> {
        let [address] = super::free_ports()?;
        let file = |suffix: &str| folder.join(format!("{name}{suffix}"));
        let host_key = file("_key");
        let made =
            Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&host_key).status();
        made.while_doing("cannot run ssh-keygen")?;
        let user = authorities.iter().find(|spec| spec.r#type == AuthorityType::User);
        let key =
            user.and_then(|spec| spec.active_keys.first()).map(|keys| keys.ssh.clone()).unwrap_or_default();
        std::fs::write(file("_ca"), key + "\n")?;
        let config = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {key}\nTrustedUserCAKeys {ca}\nAuthorizedKeysFile none\n\
             PermitRootLogin yes\nPasswordAuthentication no\nUsePAM no\nMaxStartups 200:30:400\nMaxSessions 1000\n\
             PidFile none\nPrintMotd no\nAllowTcpForwarding yes\n",
            port = address.port(),
            key = host_key.display(),
            ca = file("_ca").display(),
        );
        std::fs::write(file("_config"), config)?;
        std::fs::create_dir_all("/run/sshd")?;
        let log = std::fs::File::create(file(".log"))?;
        let child = Command::new("/usr/sbin/sshd")
            .args(["-D", "-e", "-f"])
            .arg(file("_config"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .while_doing("cannot start sshd")
            .hint("install openssh-server, the peer of these benchmarks")?;
        let sshd = Self { child, port: address.port(), host_key };
        sshd.wait()?;
        Ok(sshd)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    fn wait(&self) -> Result<(), Failure> {
        for _ in 0..200 {
            if std::net::TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
                return Ok(());
            }
            std::thread::park_timeout(std::time::Duration::from_millis(25));
        }
        Err(Failure::new("sshd does not answer"))
    }

    /// Its line of `known_hosts`.
    pub(crate) fn known_host(&self) -> Result<String, Failure> {
        let key = std::fs::read_to_string(self.host_key.with_extension("pub"))?;
        Ok(format!("[127.0.0.1]:{} {key}", self.port))
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        // Already gone is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
