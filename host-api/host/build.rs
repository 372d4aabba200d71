//! Builds the plugins this program carries, so that a fresh clone needs no second command.
//!
//! A nested cargo builds `plugins/` for wasm32-wasip2 into this crate's own output folder: it never
//! waits for the outer build's lock. The manifest goes into each component as a custom section, as
//! it does in every released plugin.

#![allow(clippy::print_stdout, reason = "how a build script speaks to cargo")]
#![allow(clippy::print_stderr, reason = "how a build script reports why it failed")]

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::{env, fs};

const TARGET: &str = "wasm32-wasip2";

/// The same name as `domain::plugin::manifest::SECTION`; a test compares what is carried with it.
const SECTION: &str = "teleport:manifest";

/// Folder under `plugins/`, and the file cargo makes of it.
const CARRIED: [(&str, &str); 3] = [
    ("label-command", "label_command.wasm"),
    ("storage-dynamodb", "storage_dynamodb.wasm"),
    ("storage-etcd", "storage_etcd.wasm"),
];

fn main() -> ExitCode {
    match build() {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("the plugins this program carries could not be built: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn build() -> Result<(), String> {
    let root = folder("CARGO_MANIFEST_DIR")?.join("../..");
    let out = folder("OUT_DIR")?;
    for changed in ["plugins/Cargo.toml", "plugins/Cargo.lock", "host-api/sdk", "wit"] {
        println!("cargo::rerun-if-changed={}", root.join(changed).display());
    }
    check_target()?;
    for (name, file) in CARRIED {
        let source = root.join("plugins").join(name);
        println!("cargo::rerun-if-changed={}", source.display());
        let wasm = compile(&root, &out, name, file)?;
        let manifest = read(&source.join("plugin.toml"))?;
        let path = out.join(format!("{name}.wasm"));
        fs::write(&path, with_section(wasm, &manifest)).map_err(|e| format!("{}: {e}", path.display()))?;
    }
    Ok(())
}

/// The target's standard library must be there; cargo's own message about it does not say how to
/// get it.
fn check_target() -> Result<(), String> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| OsString::from("rustc"));
    let found = Command::new(rustc)
        .args(["--print", "target-libdir", "--target", TARGET])
        .output()
        .ok()
        .and_then(|output| String::from_utf8(output.stdout).ok())
        .is_some_and(|folder| Path::new(folder.trim()).is_dir());
    if found {
        return Ok(());
    }
    Err(format!("the target {TARGET} is not installed; run: rustup target add {TARGET}"))
}

fn compile(root: &Path, out: &Path, name: &str, file: &str) -> Result<Vec<u8>, String> {
    let target_dir = out.join("plugins");
    let cargo = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(cargo);
    command.args(["build", "--release", "--locked", "--package", name, "--target", TARGET]);
    command.arg("--manifest-path").arg(root.join("plugins/Cargo.toml"));
    command.arg("--target-dir").arg(&target_dir);
    // Flags and wrappers meant for the host's build (clippy, coverage) do not fit the plugins'.
    for foreign in [
        "CARGO_BUILD_RUSTFLAGS",
        "CARGO_BUILD_TARGET",
        "CARGO_ENCODED_RUSTFLAGS",
        "CARGO_TARGET_DIR",
        "CLIPPY_ARGS",
        "RUSTC_WORKSPACE_WRAPPER",
        "RUSTFLAGS",
    ] {
        command.env_remove(foreign);
    }
    let output = command.output().map_err(|error| format!("cargo could not be started: {error}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("plugin {name}: cargo ended with {}\n{said}", output.status));
    }
    read(&target_dir.join(TARGET).join("release").join(file))
}

/// The component with one more custom section at its end (WebAssembly core specification 5.5.3).
fn with_section(mut wasm: Vec<u8>, content: &[u8]) -> Vec<u8> {
    let mut body = leb128(SECTION.len());
    body.extend_from_slice(SECTION.as_bytes());
    body.extend_from_slice(content);
    wasm.push(0);
    wasm.extend(leb128(body.len()));
    wasm.extend(body);
    wasm
}

fn leb128(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn folder(variable: &str) -> Result<PathBuf, String> {
    env::var_os(variable).map(PathBuf::from).ok_or_else(|| format!("cargo did not set {variable}"))
}
