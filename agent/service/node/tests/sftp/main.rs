//! The SFTP server as a process: with OpenSSH's own clients, with garbage, and as another user.
//!
//! The clients start the server themselves (`sftp -D`), so no SSH is needed. It is the example
//! `sftp-server`, which is built with the tests.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test that cannot go on has failed, and one that is skipped says so"
)]

mod garbage;
mod openssh;
mod user;

use std::path::PathBuf;

/// The server's program.
fn server() -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let path = tests.parent().unwrap().parent().unwrap().join("examples/sftp-server");
    assert!(
        path.exists(),
        "{path:?} is missing; run: cargo build -p teleport-service-node --example sftp-server"
    );
    path
}

/// Bytes in which an error at any place shows.
fn pattern(length: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let words = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.flatten().take(length).collect()
}
