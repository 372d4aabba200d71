//! What every build needs: a C compiler, the standard library of the plugins' target, and for checks
//! clippy and rustfmt. Installs what rustup can install; never asks for root.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::failure::{During, Failure};
use crate::run::Runner;
use crate::say;

/// What plugins are built for.
const WASM: &str = "wasm32-wasip2";
/// How long a download may take.
const DOWNLOAD: Duration = Duration::from_secs(900);

/// Makes sure that the product can be built.
pub(crate) fn for_building(runner: &Runner<'_>) -> Result<(), Failure> {
    c_compiler(runner)?;
    wasm_target(runner)
}

/// Makes sure that the product can be checked.
pub(crate) fn for_checking(runner: &Runner<'_>) -> Result<(), Failure> {
    for (name, component) in [("clippy", "clippy"), ("fmt", "rustfmt")] {
        if runner.succeeds(&mut runner.place.cargo([name, "--version"])) {
            continue;
        }
        rustup(runner, &["component", "add", component])?;
    }
    Ok(())
}

/// A compiler without the C library's headers is as good as none, so something is compiled.
fn c_compiler(runner: &Runner<'_>) -> Result<(), Failure> {
    let source = runner.place.target.join("xtask/probe.c");
    std::fs::write(&source, "#include <stdio.h>\nint main(void) { return 0; }\n")
        .during(format!("cannot write {}", source.display()))?;
    let program = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
    let mut command = Command::new(program);
    command.arg(&source).args(["-o", "/dev/null"]);
    let lacking = |failure: Failure| {
        failure.next(
            "install a C compiler, on Debian: apt-get install gcc libc6-dev; on Fedora: dnf install gcc",
        )
    };
    let output = runner.quietly(&mut command, Duration::from_secs(60)).map_err(lacking)?;
    if output.status.success() {
        return Ok(());
    }
    Err(lacking(
        Failure::new("the C compiler does not work").attach(crate::run::shown(&command), &output.stderr),
    ))
}

fn wasm_target(runner: &Runner<'_>) -> Result<(), Failure> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let mut command = Command::new(rustc);
    command.args(["--print", "target-libdir", "--target", WASM]).current_dir(&runner.place.root);
    let output = runner.quietly(&mut command, Duration::from_secs(60))?;
    if output.status.success() && Path::new(output.stdout.trim()).is_dir() {
        return Ok(());
    }
    rustup(runner, &["target", "add", WASM])
}

fn rustup(runner: &Runner<'_>, words: &[&str]) -> Result<(), Failure> {
    say::step(format_args!("installing: {}", words.join(" ")));
    let mut command = Command::new("rustup");
    // In the repository: its toolchain file says which toolchain is meant.
    command.args(words).current_dir(&runner.place.root).stdout(Stdio::from(std::io::stderr()));
    runner.visibly(&mut command, DOWNLOAD).map_err(|failure| {
        let advice =
            "with rustup and a network, run the command above; a Rust from elsewhere needs the same part";
        failure.next(advice)
    })
}
