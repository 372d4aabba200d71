//! WASI 0.2 as every language's standard library expects it, with nothing in it: no file, no
//! variable, no argument, no input, no socket; output goes to the log.
//!
//! Sockets are refused in every use, by [`super::sockets`]; HTTP is linked where it is granted, by
//! [`super::http`]. Clocks and random numbers are the machine's own.

use bytes::Bytes;
use domain::plugin::Limits;
use std::sync::Arc;
use tokio::io::AsyncWrite;
use wasmtime::component::{Linker, ResourceTable};
use wasmtime_wasi::cli::{IsTerminal, StdoutStream, WasiCli, WasiCliView as _};
use wasmtime_wasi::filesystem::{WasiFilesystem, WasiFilesystemView as _};
use wasmtime_wasi::p2::bindings::{cli, filesystem, random};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult, add_to_linker_proxy_interfaces_async};
use wasmtime_wasi::random::{WasiRandom, WasiRandomView as _};
use wasmtime_wasi::{Deterministic, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};

use super::log::{Sink, Stream};
use crate::call::CallState;
use crate::rehearsal::{StageClock, StageTime};

/// What a guest may hand to a standard stream in one write, in bytes.
const WRITE_MAX: usize = 4096;

/// The most random bytes for one call of `get-random-bytes`.
const RANDOM_MAX: u64 = 64 * 1024;

/// Packages of WASI 0.2 a component may import. `tests` in `load/import.rs` keep the closed list.
pub(crate) const PACKAGES: [&str; 5] =
    ["wasi:cli", "wasi:clocks", "wasi:filesystem", "wasi:io", "wasi:random"];

/// One call's WASI.
pub(crate) struct Wasi {
    context: WasiCtx,
    table: ResourceTable,
}

impl Wasi {
    /// With nothing in it but the way to the log, and the machine's clock and random numbers, unless others
    /// are given.
    pub(crate) fn new(log: &Arc<Sink>, limits: &Limits, time: Option<StageTime>) -> Self {
        let mut context = WasiCtxBuilder::new();
        context
            .stdout(Output { log: Arc::clone(log), stream: Stream::Out })
            .stderr(Output { log: Arc::clone(log), stream: Stream::Err })
            .max_random_size(RANDOM_MAX);
        match time {
            None => {}
            Some(StageTime::Still(time)) => {
                context.wall_clock(StageClock::new(time)).insecure_random_seed(0);
                context.secure_random(repeating()).insecure_random(repeating());
            }
            Some(StageTime::Moved(clock)) => {
                context.wall_clock(clock);
            }
        }
        let context = context.build();
        let mut table = ResourceTable::new();
        table.set_max_capacity(usize::try_from(limits.handles).unwrap_or(usize::MAX));
        Self { context, table }
    }
}

impl Wasi {
    /// The handles the instance holds.
    pub(crate) fn table(&self) -> &ResourceTable {
        &self.table
    }

    /// The handles the instance holds, to add or remove.
    pub(crate) fn table_mut(&mut self) -> &mut ResourceTable {
        &mut self.table
    }
}

impl WasiView for CallState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi.context, table: &mut self.wasi.table }
    }
}

/// Numbers that are the same in every run.
fn repeating() -> Deterministic {
    Deterministic::new((0..=u8::MAX).collect())
}

/// Links the packages above, interface by interface: what is not named here is not there.
///
/// # Errors
/// wasmtime's, for an interface defined twice.
pub(crate) fn link(linker: &mut Linker<CallState>) -> wasmtime::Result<()> {
    // Clocks, streams, secure random numbers and the three standard streams.
    add_to_linker_proxy_interfaces_async(linker)?;
    random::insecure::add_to_linker::<_, WasiRandom>(linker, |state| state.random())?;
    random::insecure_seed::add_to_linker::<_, WasiRandom>(linker, |state| state.random())?;
    cli::exit::add_to_linker::<_, WasiCli>(linker, |state| state.cli())?;
    cli::environment::add_to_linker::<_, WasiCli>(linker, |state| state.cli())?;
    cli::terminal_input::add_to_linker::<_, WasiCli>(linker, |state| state.cli())?;
    cli::terminal_output::add_to_linker::<_, WasiCli>(linker, |state| state.cli())?;
    cli::terminal_stdin::add_to_linker::<_, WasiCli>(linker, |state| state.cli())?;
    cli::terminal_stdout::add_to_linker::<_, WasiCli>(linker, |state| state.cli())?;
    cli::terminal_stderr::add_to_linker::<_, WasiCli>(linker, |state| state.cli())?;
    // There to be linked; no folder is opened, so every path is refused.
    filesystem::preopens::add_to_linker::<_, WasiFilesystem>(linker, |state| state.filesystem())?;
    filesystem::types::add_to_linker::<_, WasiFilesystem>(linker, |state| state.filesystem())
}

/// A standard stream that ends in the log. It takes everything at once: the log's limits say what
/// of it stays.
#[derive(Clone)]
struct Output {
    log: Arc<Sink>,
    stream: Stream,
}

impl IsTerminal for Output {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Output {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        // Asked for by WASI 0.3 only, which is not linked.
        Box::new(tokio::io::sink())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[async_trait::async_trait]
impl Pollable for Output {
    async fn ready(&mut self) {}
}

impl OutputStream for Output {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.log.stream(self.stream, &bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(WRITE_MAX)
    }
}
