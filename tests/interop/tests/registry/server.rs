//! A registry of one test's own, on loopback, ended by its number.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use teleport_tests_interop::{Port, eventually};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

/// What Debian installs.
const PROGRAM: &str = "/usr/bin/docker-registry";

/// The user `joe` with the password `s3cret`, as htpasswd writes it.
const JOE: &str = "joe:$2y$05$abcdefghijklmnopqrstuuLK7U1u6pVRmL7L1BBM2aS35PSZnDXlK\n";

/// A running registry. Dropping it kills it.
pub(crate) struct Registry {
    _child: Child,
    pub(crate) port: Port,
    root: PathBuf,
}

impl Registry {
    /// A registry that lets everybody in.
    pub(crate) async fn open(folder: &Path) -> Self {
        Self::start(folder, "").await
    }

    /// One that lets in `joe` alone.
    pub(crate) async fn closed(folder: &Path) -> Self {
        let passwords = folder.join("htpasswd");
        std::fs::write(&passwords, JOE).unwrap();
        let auth = format!("auth: {{htpasswd: {{realm: tests, path: {}}}}}\n", passwords.display());
        Self::start(folder, &auth).await
    }

    /// One that speaks TLS, with a certificate by an authority of its own, which is in the file.
    pub(crate) async fn with_tls(folder: &Path) -> (Self, PathBuf) {
        let key = rcgen::KeyPair::generate().unwrap();
        let names = vec!["127.0.0.1".to_owned()];
        let certificate = rcgen::CertificateParams::new(names).unwrap().self_signed(&key).unwrap();
        let write = |name: &str, text: String| {
            let path = folder.join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let certificate = write("registry.pem", certificate.pem());
        let key = write("registry.key", key.serialize_pem());
        let tls = format!(", tls: {{certificate: {}, key: {}}}", certificate.display(), key.display());
        (Self::start_with(folder, &tls, "").await, certificate)
    }

    async fn start(folder: &Path, more: &str) -> Self {
        Self::start_with(folder, "", more).await
    }

    async fn start_with(folder: &Path, http: &str, more: &str) -> Self {
        let (port, root) = (Port::free(), folder.join("registry"));
        let yaml = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: \"{}\"{http}}}\n{more}",
            root.display(),
            port.address()
        );
        let config = folder.join("registry.yml");
        std::fs::write(&config, yaml).unwrap();
        let mut command = Command::new(PROGRAM);
        command.arg("serve").arg(&config).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child =
            command.kill_on_drop(true).spawn().expect("docker-registry starts; run: cargo xtask test");
        eventually("the registry answers", || async { TcpStream::connect(port.address()).await.ok() }).await;
        Self { _child: child, port, root }
    }

    /// A place in it.
    pub(crate) fn place(&self, rest: &str) -> String {
        format!("oci://{}/{rest}", self.port.address())
    }

    /// The file it keeps a blob in.
    pub(crate) fn blob(&self, digest: &str) -> PathBuf {
        let hex = digest.strip_prefix("sha256:").unwrap();
        self.root.join(format!("docker/registry/v2/blobs/sha256/{}/{hex}/data", &hex[..2]))
    }
}
