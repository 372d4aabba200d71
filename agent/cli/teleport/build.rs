//! Puts into the program: the commit it is built from, where that is known, and what projects for new plugins
//! are made of, the SDK and the contracts as they are in this repository.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The SDK, the contracts, and where the versions of what the SDK uses are written.
const SDK: &str = "../../../host-api/sdk";
const WIT: &str = "../../../wit";
const WORKSPACE: &str = "../../../Cargo.toml";

/// Contracts plugins can be written for, and the host's own.
const PACKAGES: [&str; 4] = ["host", "label-provider", "storage-backend", "storage-backend-1.1"];

/// What the SDK is built with.
const NEEDED: [&str; 3] = ["talc", "wasip2", "wit-bindgen"];

#[allow(clippy::disallowed_methods, reason = "cargo hands a build script its input as variables")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-env-changed=TELEPORT_REVISION");
    let revision = std::env::var("TELEPORT_REVISION").ok().or_else(revision).unwrap_or_default();
    println!("cargo:rustc-env=TELEPORT_REVISION={revision}");
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("carried.rs"), carried()?)?;
    Ok(())
}

fn revision() -> Option<String> {
    // Git writes there whatever moves the commit: a commit, a pull, another branch.
    if let Some(log) = git(&["rev-parse", "--git-path", "logs/HEAD"]).filter(|log| Path::new(log).exists()) {
        println!("cargo:rerun-if-changed={log}");
    }
    git(&["rev-parse", "--short=12", "HEAD"])
}

fn git(words: &[&str]) -> Option<String> {
    let output = Command::new("git").args(words).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Three constants: the SDK's files, its dependencies as the workspace has them, the contracts' files.
fn carried() -> Result<String, Box<dyn std::error::Error>> {
    let sdk = Path::new(SDK).canonicalize()?;
    let mut files = vec![sdk.join("README.md")];
    collect(&sdk.join("src"), &mut files)?;
    let sdk_files = listed(&sdk, &files)?;
    let wit = Path::new(WIT).canonicalize()?;
    let mut files = Vec::new();
    for package in PACKAGES {
        collect(&wit.join(package), &mut files)?;
    }
    let wit_files = listed(&wit, &files)?;
    println!("cargo:rerun-if-changed={WORKSPACE}");
    let workspace = std::fs::read_to_string(WORKSPACE)?;
    let needed = |line: &&str| NEEDED.iter().any(|name| line.split(" = ").next() == Some(name));
    let dependencies: Vec<_> = workspace.lines().filter(needed).collect();
    Ok(format!(
        "pub(super) const SDK: &[(&str, &str)] = &[{sdk_files}];\n\
         pub(super) const WIT: &[(&str, &str)] = &[{wit_files}];\n\
         pub(super) const SDK_DEPENDENCIES: &str = {:?};\n",
        dependencies.join("\n")
    ))
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    println!("cargo:rerun-if-changed={}", folder.display());
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else {
            files.push(path);
        }
    }
    files.sort();
    Ok(())
}

fn listed(root: &Path, files: &[PathBuf]) -> Result<String, Box<dyn std::error::Error>> {
    let mut text = String::new();
    for file in files {
        let name = file.strip_prefix(root)?.display().to_string();
        write!(text, "({name:?}, include_str!({:?})), ", file.display().to_string())?;
    }
    Ok(text)
}
