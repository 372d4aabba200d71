//! Looks into components and compiles them, in a child process that lives for one of the two.
//!
//! A component is somebody else's file, and parsing and compiling it are the largest pieces of code
//! it meets; a compiler also keeps megabytes the daemon would never give back. So both happen in a
//! short-lived child ([`child_main`]) that holds no descriptor, may make no file or socket, and has
//! bounded memory, time and output. What comes back is data: an inspection, or code for the
//! cache to seal.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;

use crate::engine::config;

pub mod child;
mod inspect;
mod parent;

pub use child::child_main;
pub(crate) use inspect::{Inspection, manifest_of};

/// The hidden first argument by which the program knows that it is the child.
pub const CHILD_ARGUMENT: &str = "plugin-compiler";

/// The largest component, in bytes.
pub const WASM_MAX: u64 = 64 << 20;

/// The largest compiled component, in bytes. Code grows three- to fourfold.
pub const CODE_MAX: u64 = 512 << 20;

/// The largest inspection, in bytes.
pub const INSPECTION_MAX: u64 = 1 << 20;

/// What the child is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Task {
    /// Say what the component imports, exports and carries.
    Inspect,
    /// Compile it.
    Compile,
    /// Compile it to code that counts what it executes.
    Counting,
}

impl Task {
    const ALL: [Self; 3] = [Self::Inspect, Self::Compile, Self::Counting];

    fn argument(self) -> &'static str {
        match self {
            Self::Inspect => "inspect",
            Self::Compile => "compile",
            Self::Counting => "compile-counting",
        }
    }

    /// Does the task: bytes in, bytes out.
    pub(crate) fn run(self, wasm: &[u8]) -> Result<Vec<u8>, String> {
        match self {
            Self::Inspect => inspect::inspect(wasm).and_then(|found| found.to_json()),
            Self::Compile => compile(&config::sync_contracts(), wasm),
            Self::Counting => compile(&config::counting(), wasm),
        }
    }
}

fn compile(config: &wasmtime::Config, wasm: &[u8]) -> Result<Vec<u8>, String> {
    let engine = wasmtime::Engine::new(config).map_err(|error| format!("{error:#}"))?;
    engine.precompile_component(wasm).map_err(|error| format!("{error:#}"))
}

/// What compiles.
#[derive(Debug, Clone)]
pub enum Compiler {
    /// A child process: a program and the arguments that make it call [`child_main`].
    Child {
        /// The program.
        program: PathBuf,
        /// The arguments before the task's.
        arguments: Vec<OsString>,
    },
    /// This very process, on a thread of its own. For tests that are about something else.
    InProcess,
}

impl Compiler {
    /// The running program, executed again. Its `main` must hand over to [`child_main`] when the
    /// first argument is [`CHILD_ARGUMENT`]. The file that was started is meant, even when it has
    /// been replaced since.
    pub fn this_program() -> Self {
        Self::Child {
            program: PathBuf::from("/proc/self/exe"),
            arguments: vec![OsString::from(CHILD_ARGUMENT)],
        }
    }
}

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// The child could not be started.
    #[error("the compiler {program} could not be started", program = program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// The reason.
        #[source]
        source: std::io::Error,
    },
    /// Speaking with it failed.
    #[error("the compiler could not be spoken to")]
    Talk(#[source] std::io::Error),
    /// It was still at it when its time was up.
    #[error("compiling took longer than {0:?} and was stopped; a smaller plugin compiles faster")]
    TimedOut(Duration),
    /// It refused the component.
    #[error("{0}")]
    Refused(String),
    /// It died: out of memory or time, or by a defect.
    #[error("the compiler ended with {status} and said: {said}")]
    Died {
        /// How it ended.
        status: String,
        /// The end of its standard error.
        said: String,
    },
    /// It wrote more than a result can be.
    #[error("the compiler wrote more than {0} bytes")]
    TooLarge(u64),
    /// What it wrote is no inspection.
    #[error("the compiler's account of the component cannot be read")]
    Account(#[source] serde_json::Error),
}

impl Compiler {
    /// What a component says of itself.
    ///
    /// # Errors
    /// [`CompileError::Refused`] for what is no component; the others when the machine is at fault.
    pub(crate) async fn inspect(&self, wasm: Bytes, time: Duration) -> Result<Inspection, CompileError> {
        let json = match self {
            Self::Child { program, arguments } => {
                parent::Child { program, arguments, time }.inspect(wasm).await?
            }
            Self::InProcess => here(Task::Inspect, wasm).await?,
        };
        Inspection::from_json(&json).map_err(CompileError::Account)
    }

    /// Compiles a component into an empty file; to code that counts what it executes, if that is asked for.
    ///
    /// # Errors
    /// As for [`Compiler::inspect`].
    pub(crate) async fn compile(
        &self,
        wasm: Bytes,
        code: std::fs::File,
        counting: bool,
        time: Duration,
    ) -> Result<(), CompileError> {
        let task = if counting { Task::Counting } else { Task::Compile };
        match self {
            Self::Child { program, arguments } => {
                parent::Child { program, arguments, time }.compile(task, wasm, code).await
            }
            Self::InProcess => {
                use std::io::Write as _;
                let bytes = here(task, wasm).await?;
                let mut code = code;
                code.write_all(&bytes).map_err(CompileError::Talk)
            }
        }
    }
}

async fn here(task: Task, wasm: Bytes) -> Result<Vec<u8>, CompileError> {
    match tokio::task::spawn_blocking(move || task.run(&wasm)).await {
        Ok(result) => result.map_err(CompileError::Refused),
        Err(panic) => Err(CompileError::Died { status: "a panic".to_owned(), said: panic.to_string() }),
    }
}
