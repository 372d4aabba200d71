//! The deeds, one function each.

use std::hint::black_box;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use teleport_plugin_sdk::label_provider::Failure;

/// How often this instance was called.
pub fn count() -> String {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    (CALLS.fetch_add(1, Ordering::Relaxed) + 1).to_string()
}

/// Never comes back.
pub fn spin() -> Result<String, Failure> {
    let mut turns = 0u64;
    loop {
        turns = black_box(turns.wrapping_add(1));
    }
}

/// Takes memory until there is none, and dies of it.
pub fn allocate() -> Result<String, Failure> {
    let mut held = Vec::new();
    loop {
        held.push(black_box(vec![1u8; 1 << 20]));
    }
}

/// Asks for memory, politely.
pub fn try_to_allocate(bytes: usize) -> String {
    let mut held: Vec<u8> = Vec::new();
    match held.try_reserve_exact(bytes) {
        Ok(()) => "given".to_owned(),
        Err(_) => "refused".to_owned(),
    }
}

/// Calls itself without end.
#[allow(unconditional_recursion, reason = "that is the deed")]
pub fn recurse(depth: u64) -> u64 {
    black_box([depth; 16]);
    black_box(recurse(black_box(depth + 1))) + 1
}

/// Waits for an hour.
pub fn sleep() -> String {
    std::thread::sleep(Duration::from_secs(3600));
    "woke up".to_owned()
}

/// Logs so many lines.
pub fn log(lines: usize) -> String {
    for line in 0..lines {
        teleport_plugin_sdk::log::info(&format!("line {line}"));
    }
    "logged".to_owned()
}

/// Logs without end.
pub fn log_for_ever() -> Result<String, Failure> {
    loop {
        teleport_plugin_sdk::log::warn("again");
    }
}

/// Prints so many lines.
pub fn print(lines: usize) -> String {
    for line in 0..lines {
        println!("line {line}");
    }
    "printed".to_owned()
}

/// Passes so many bytes to the host in one call.
pub fn tell_much(bytes: usize) -> String {
    teleport_plugin_sdk::log::info(&"x".repeat(bytes));
    "told".to_owned()
}

/// Text that is none.
pub fn no_text() -> String {
    // SAFETY: there is none; the host must not believe it.
    unsafe { String::from_utf8_unchecked(vec![0xff, 0xfe]) }
}

/// Holds so many handles of the host at one time.
pub fn hold_handles(number: usize) -> String {
    for _ in 0..number {
        std::mem::forget(wasip2::cli::stdout::get_stdout());
    }
    "held".to_owned()
}

/// What there is to see of the host.
pub fn look_around() -> String {
    format!(
        "variables {}, arguments {}, input {}, passwd {}, root {}",
        std::env::vars().count(),
        std::env::args().count(),
        std::io::read_to_string(std::io::stdin()).map_or(0, |text| text.len()),
        std::fs::read("/etc/passwd").is_ok(),
        std::fs::read_dir("/").is_ok(),
    )
}
