//! Servers that keep DynamoDB's rules, on loopback, killed by number when a test ends.
//!
//! dynalite (npm) keeps those of items: conditions, pages, sizes. moto (PyPI) has what dynalite lacks,
//! transactions and a table's settings (time to live, backups), but looks at a condition in one moment and
//! writes in another: what is about several writers is no test there.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use teleport_tests_interop::{PATIENCE, Port};

/// A running server.
pub(crate) struct Dynamo {
    port: Port,
    running: Child,
}

/// What `cargo xtask test` installs things in.
fn installed(path: &str) -> String {
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target");
    target.join(path).display().to_string()
}

impl Dynamo {
    /// Starts dynalite.
    pub(crate) fn start() -> Self {
        let script = installed("node/node_modules/dynalite/cli.js");
        Self::serve("node", |port| {
            vec![
                script,
                "--host".to_owned(),
                "127.0.0.1".to_owned(),
                "--port".to_owned(),
                port.to_owned(),
                "--createTableMs".to_owned(),
                "20".to_owned(),
            ]
        })
    }

    /// Starts moto.
    pub(crate) fn moto() -> Self {
        Self::serve(&installed("venv/bin/moto_server"), |port| {
            vec!["-H".to_owned(), "127.0.0.1".to_owned(), "-p".to_owned(), port.to_owned()]
        })
    }

    /// Starts one and waits until it takes connections.
    fn serve(program: &str, arguments: impl FnOnce(&str) -> Vec<String>) -> Self {
        let port = Port::free();
        let running = Command::new(program)
            .args(arguments(&port.number().to_string()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{program} cannot be started ({error}); run: cargo xtask test"));
        let server = Self { port, running };
        let end = tokio::time::Instant::now() + PATIENCE;
        while std::net::TcpStream::connect(server.port.address()).is_err() {
            assert!(tokio::time::Instant::now() < end, "{program} does not come up; run: cargo xtask test");
            #[allow(
                clippy::disallowed_methods,
                reason = "another process is waited for, on a thread that may block"
            )]
            std::thread::sleep(Duration::from_millis(20));
        }
        server
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.port.address())
    }
}

impl Drop for Dynamo {
    fn drop(&mut self) {
        let _ = self.running.kill();
        let _ = self.running.wait();
    }
}
