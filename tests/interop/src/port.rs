//! Ports nobody else uses, also not another test that runs at the same time.
//!
//! A port that is bound and released again may be given to an outgoing connection the next moment, so
//! ports are taken below the range the system draws those from, and each is held by a lock on a file
//! for as long as the test process lives.

use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::fs::{FlockOperation, flock};

/// Below `net.ipv4.ip_local_port_range`, above what services use.
const FIRST: u32 = 15_000;
const COUNT: u32 = 15_000;

/// A port of this test.
#[derive(Debug)]
pub struct Port {
    number: u16,
    _held: File,
}

impl Port {
    /// A port that is free and stays this test's.
    ///
    /// # Panics
    /// When there is none.
    pub fn free() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let folder = std::env::temp_dir().join("teleport-test-ports");
        std::fs::create_dir_all(&folder).unwrap();
        let start = std::process::id().wrapping_mul(97);
        for _ in 0..COUNT {
            let step = NEXT.fetch_add(1, Ordering::Relaxed);
            let number = u16::try_from(FIRST + start.wrapping_add(step) % COUNT).unwrap();
            let held = File::create(folder.join(number.to_string())).unwrap();
            let locked = flock(&held, FlockOperation::NonBlockingLockExclusive).is_ok();
            if locked && TcpListener::bind(("127.0.0.1", number)).is_ok() {
                return Self { number, _held: held };
            }
        }
        panic!("no free port")
    }

    /// Its number.
    pub fn number(&self) -> u16 {
        self.number
    }

    /// On loopback.
    pub fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.number).into()
    }
}
