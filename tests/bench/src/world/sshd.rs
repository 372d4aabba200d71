//! OpenSSH's server, as target and as bastion: it shows a certificate of the cluster's host authority
//! and takes those of its user authority, so its clients check what ours check.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use client::AuthClient;
use domain::authority::{AuthoritySpec, AuthorityType};
use terminal::{Explain, Failure};

/// A running sshd; killed when dropped.
pub(crate) struct Sshd {
    child: Child,
    pub(crate) port: u16,
}

impl Sshd {
    pub(crate) async fn start(
        folder: &Path,
        name: &str,
        admin: &AuthClient,
        authorities: &[AuthoritySpec],
    ) -> Result<Self, Failure> {
        let [address] = super::free_ports()?;
        let file = |suffix: &str| folder.join(format!("{name}{suffix}"));
        let host_key = file("_key");
        let made =
            Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&host_key).status();
        made.while_doing("cannot run ssh-keygen")?;
        std::fs::write(file("_key-cert.pub"), host_certificate(admin, &host_key).await?)?;
        let user = authorities.iter().find(|spec| spec.r#type == AuthorityType::User);
        let key =
            user.and_then(|spec| spec.active_keys.first()).map(|keys| keys.ssh.clone()).unwrap_or_default();
        std::fs::write(file("_ca"), key + "\n")?;
        let config = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {key}\nHostCertificate {key}-cert.pub\nTrustedUserCAKeys {ca}\nAuthorizedKeysFile none\n\
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
        let sshd = Self { child, port: address.port() };
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
}

async fn host_certificate(admin: &AuthClient, key: &Path) -> Result<String, Failure> {
    let request = api::auth::SignHostRequest {
        hosts: vec!["127.0.0.1".to_owned()],
        ssh_public_key: std::fs::read_to_string(key.with_extension("pub"))?,
        tls_public_key: certs::x509::KeyPair::generate()?.public_der(),
        ..Default::default()
    };
    Ok(admin.sign_host(request).await?.ssh)
}

impl Drop for Sshd {
    fn drop(&mut self) {
        // Already gone is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
