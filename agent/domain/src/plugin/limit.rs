//! How much of the host one call of a plugin may use: one table, with the default of each contract.
//!
//! The manifest may wish for other limits and the operator may set them. A wish for less than the
//! default is taken; a wish for more needs the operator's word, like any other thing a plugin asks
//! for.

use std::time::Duration;

use super::{ContractKind, size};
use crate::duration;

mod resolve;

pub use resolve::{Author, LimitError, resolve};

/// The limits of one call. Every limit is enforced by the host; a breach ends the call, and only it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Linear memory, summed over all memories of the call, in bytes.
    pub memory: u64,
    /// Table elements, summed over all tables of the call.
    pub tables: u64,
    /// Core instances a component may be made of.
    pub instances: u64,
    /// Time on the clock, in milliseconds, with all host calls in it.
    pub wall: u64,
    /// Processor time, in milliseconds.
    pub cpu: u64,
    /// Bytes of the plugin's answer.
    pub output: u64,
    /// Log lines; more are dropped and counted.
    pub log_lines: u64,
    /// Bytes of one log line; more are cut.
    pub log_line: u64,
    /// Log lines per second, over all calls of the plugin.
    pub log_rate: u64,
    /// Handles held at one time.
    pub handles: u64,
    /// Bytes the plugin may pass to the host in one host call.
    pub host_call: u64,
    /// Bytes read of each stream of a program it runs.
    pub process_output: u64,
    /// Time a program it runs may take, in milliseconds.
    pub process_time: u64,
    /// HTTP requests of one call.
    pub http_requests: u64,
    /// HTTP requests under way at one time, over all calls of the plugin.
    pub http_concurrency: u64,
    /// Bytes of all HTTP bodies of one call, sent and received.
    pub http_bytes: u64,
    /// Time from the beginning of an HTTP request to the head of its answer, in milliseconds. The body
    /// may come for as long as the call lasts.
    pub http_time: u64,
    /// Bytes of keys and values kept for the plugin on this host.
    pub kv_bytes: u64,
    /// Bytes of stack for the plugin's code. The same for all plugins.
    pub stack: u64,
    /// Calls that wait for their turn at one time; more are refused.
    pub queue: u64,
}

/// How a limit is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Like `32MiB`.
    Bytes,
    /// Like `5s`; kept in milliseconds.
    Time,
    /// A plain number.
    Count,
}

/// One line of the table.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// Its key in manifests and in `teleport.yaml`.
    pub key: &'static str,
    /// How it is written.
    pub unit: Unit,
    /// The most an operator may set it to.
    pub ceiling: u64,
    /// Whether it is the same for all plugins, so that nobody may set it.
    pub fixed: bool,
    /// What it bounds, for people.
    pub what: &'static str,
    field: fn(&mut Limits) -> &mut u64,
}

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const MINUTE: u64 = 60_000;

/// The largest linear memory the host sets address space aside for.
pub const MEMORY_CEILING: u64 = 128 * MIB;

/// Stack for the code of any plugin, in bytes; deeper recursion traps.
pub const STACK: u64 = 512 * KIB;

/// The defaults of each contract.
const fn defaults(kind: ContractKind) -> Limits {
    match kind {
        ContractKind::LabelProvider => Limits {
            memory: 32 * MIB,
            tables: 20_000,
            instances: 32,
            wall: 10_000,
            cpu: 50,
            output: 4 * KIB,
            log_lines: 100,
            log_line: KIB,
            log_rate: 20,
            handles: 256,
            host_call: MIB,
            process_output: 64 * KIB,
            // Less than the time on the clock, so that a program that hangs is a typed error
            // and not the end of the call.
            process_time: 9_000,
            http_requests: 8,
            http_concurrency: 4,
            http_bytes: MIB,
            http_time: 9_000,
            kv_bytes: 64 * KIB,
            stack: STACK,
            // As many as a node may have labels.
            queue: 256,
        },
        // Records of up to 1 MiB, in pages and transactions of several, all of it copied twice.
        ContractKind::StorageBackend => Limits {
            memory: 128 * MIB,
            tables: 20_000,
            instances: 32,
            wall: 30_000,
            cpu: 2_000,
            output: 64 * MIB,
            log_lines: 1_000,
            log_line: KIB,
            log_rate: 20,
            handles: 1_000,
            host_call: 64 * MIB,
            process_output: 64 * KIB,
            process_time: 9_000,
            http_requests: 64,
            http_concurrency: 64,
            http_bytes: 256 * MIB,
            http_time: 30_000,
            kv_bytes: 64 * KIB,
            stack: STACK,
            queue: 16_384,
        },
    }
}

#[rustfmt::skip]
const TABLE: [Row; 20] = [
    row("memory", Unit::Bytes, MEMORY_CEILING, "linear memory of one call, all memories together", |l| &mut l.memory),
    row("tables", Unit::Count, 20_000, "table elements of one call, all tables together", |l| &mut l.tables),
    row("instances", Unit::Count, 64, "core instances one component may be made of", |l| &mut l.instances),
    row("wall", Unit::Time, 15 * MINUTE, "time on the clock of one call", |l| &mut l.wall),
    row("cpu", Unit::Time, MINUTE, "processor time of one call", |l| &mut l.cpu),
    row("output", Unit::Bytes, 64 * MIB, "bytes of the answer", |l| &mut l.output),
    row("log_lines", Unit::Count, 10_000, "log lines of one call", |l| &mut l.log_lines),
    row("log_line", Unit::Bytes, 64 * KIB, "bytes of one log line", |l| &mut l.log_line),
    row("log_rate", Unit::Count, 1_000, "log lines per second, all calls together", |l| &mut l.log_rate),
    row("handles", Unit::Count, 10_000, "handles held at one time", |l| &mut l.handles),
    row("host_call", Unit::Bytes, 64 * MIB, "bytes passed to the host in one host call", |l| &mut l.host_call),
    row("process_output", Unit::Bytes, 8 * MIB, "bytes read of each stream of a program it runs", |l| &mut l.process_output),
    row("process_time", Unit::Time, 15 * MINUTE, "time a program it runs may take", |l| &mut l.process_time),
    row("http_requests", Unit::Count, 10_000, "HTTP requests of one call", |l| &mut l.http_requests),
    row("http_concurrency", Unit::Count, 256, "HTTP requests at one time, all calls together", |l| &mut l.http_concurrency),
    row("http_bytes", Unit::Bytes, 1024 * MIB, "bytes of all HTTP bodies of one call; of bodies being sent at one time, all calls together", |l| &mut l.http_bytes),
    row("http_time", Unit::Time, 15 * MINUTE, "time from an HTTP request to the head of its answer", |l| &mut l.http_time),
    row("kv_bytes", Unit::Bytes, 16 * MIB, "bytes kept for the plugin from call to call", |l| &mut l.kv_bytes),
    Row { fixed: true, ..row("stack", Unit::Bytes, STACK, "stack of the plugin's code; the same for all plugins", |l| &mut l.stack) },
    row("queue", Unit::Count, 65_536, "calls that wait for their turn at one time, all calls together", |l| &mut l.queue),
];

const fn row(
    key: &'static str,
    unit: Unit,
    ceiling: u64,
    what: &'static str,
    field: fn(&mut Limits) -> &mut u64,
) -> Row {
    Row { key, unit, ceiling, fixed: false, what, field }
}

/// The table, for documents and for whoever lists it.
pub fn table() -> &'static [Row] {
    static ROWS: [Row; 20] = TABLE;
    &ROWS
}

impl Limits {
    /// The defaults of a contract.
    pub const fn of(kind: ContractKind) -> Self {
        defaults(kind)
    }

    /// Time on the clock.
    pub fn wall(&self) -> Duration {
        Duration::from_millis(self.wall)
    }

    /// Processor time.
    pub fn cpu(&self) -> Duration {
        Duration::from_millis(self.cpu)
    }

    /// Time from an HTTP request to the head of its answer.
    pub fn http_time(&self) -> Duration {
        Duration::from_millis(self.http_time)
    }

    /// Time a program may take.
    pub fn process_time(&self) -> Duration {
        Duration::from_millis(self.process_time)
    }

    /// The value of the limit of this key, as it is written; nothing for a key that is none.
    pub fn written(&self, key: &str) -> String {
        let row = table().iter().find(|row| row.key == key);
        row.map(|row| row.text(row.value(self))).unwrap_or_default()
    }
}

impl Row {
    /// This limit's value, as it is kept: bytes, milliseconds or a count.
    pub fn value(&self, limits: &Limits) -> u64 {
        let mut copy = *limits;
        *(self.field)(&mut copy)
    }

    /// A value as it is written.
    pub fn text(&self, value: u64) -> String {
        match self.unit {
            Unit::Bytes => size::format(value),
            // The common way of writing durations leaves out what is less than a second.
            Unit::Time if !value.is_multiple_of(1000) => format!("{value}ms"),
            Unit::Time => duration::format(Duration::from_millis(value)),
            Unit::Count => value.to_string(),
        }
    }

    fn parse(&self, text: &str) -> Option<u64> {
        match self.unit {
            Unit::Bytes => size::parse(text).ok(),
            Unit::Time => u64::try_from(duration::parse(text).ok()?.as_millis()).ok(),
            Unit::Count => text.trim().parse().ok(),
        }
    }

    fn form(&self) -> &'static str {
        match self.unit {
            Unit::Bytes => "a size like 32MiB",
            Unit::Time => "a duration like 5s",
            Unit::Count => "a number like 100",
        }
    }
}

#[cfg(test)]
mod tests;
