//! A server that keeps DynamoDB's rules (dynalite, from npm), on loopback, killed by number when a test
//! ends.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use teleport_tests_interop::{PATIENCE, Port};

/// A running server.
pub(crate) struct Dynamo {
    port: Port,
    running: Child,
}

impl Dynamo {
    /// Starts one and waits until it takes connections.
    pub(crate) fn start() -> Self {
        let port = Port::free();
        let number = port.address().port().to_string();
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/node/node_modules/dynalite/cli.js");
        let running = Command::new("node")
            .args([folder, "--host", "127.0.0.1", "--port", &number, "--createTableMs", "20"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("dynalite cannot be started ({error}); run: cargo xtask test"));
        let server = Self { port, running };
        let end = tokio::time::Instant::now() + PATIENCE;
        while std::net::TcpStream::connect(server.port.address()).is_err() {
            assert!(tokio::time::Instant::now() < end, "dynalite does not come up; run: cargo xtask test");
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
