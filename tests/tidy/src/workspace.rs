//! The crates of the repository: what they are called, where they are, what they depend on.

use std::process::Command;

use serde_json::Value;

use crate::tree::root;

/// The manifests of the three workspaces: what runs on hosts, plugins, plugins that misbehave.
const MANIFESTS: [&str; 3] = ["Cargo.toml", "plugins/Cargo.toml", "tests/guests/Cargo.toml"];

/// A crate of ours.
#[derive(Debug, Clone)]
pub struct Crate {
    /// Its folder as seen from the top of the repository, which is also how rules name it.
    pub folder: String,
    /// The crates of ours that its code uses: their folders.
    pub rooms: Vec<String>,
    /// The same, of its tests alone.
    pub test_rooms: Vec<String>,
    /// The crates of others that its code uses.
    pub foreign: Vec<String>,
    /// Where its libraries, programs and test programs begin: paths as seen from the top.
    pub targets: Vec<String>,
}

/// Every crate of every workspace.
///
/// # Errors
/// When cargo cannot be run or says something that is not understood.
pub fn crates() -> Result<Vec<Crate>, String> {
    let mut crates = Vec::new();
    for manifest in MANIFESTS {
        let metadata = metadata(manifest)?;
        let packages = metadata.get("packages").and_then(Value::as_array).ok_or("cargo names no packages")?;
        for package in packages {
            crates.push(read(package).ok_or_else(|| format!("{manifest}: a package cannot be read"))?);
        }
    }
    Ok(crates)
}

/// Without dependencies: what the manifests say is enough, and needs neither a network nor a lock.
fn metadata(manifest: &str) -> Result<Value, String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["metadata", "--format-version=1", "--no-deps", "--offline", "--manifest-path", manifest]);
    let output =
        command.current_dir(root()).output().map_err(|error| format!("cargo cannot be run: {error}"))?;
    if !output.status.success() {
        return Err(format!("{manifest}: {}", String::from_utf8_lossy(&output.stderr)));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| format!("{manifest}: {error}"))
}

fn read(package: &Value) -> Option<Crate> {
    let folder = shown(package.get("manifest_path")?.as_str()?.strip_suffix("/Cargo.toml")?)?;
    let (mut rooms, mut test_rooms, mut foreign) = (Vec::new(), Vec::new(), Vec::new());
    for dependency in package.get("dependencies")?.as_array()? {
        let for_tests = dependency.get("kind")?.as_str() == Some("dev");
        let path = dependency.get("path").and_then(Value::as_str);
        match (path, for_tests) {
            (Some(path), false) => rooms.push(shown(path)?),
            (Some(path), true) => test_rooms.push(shown(path)?),
            (None, false) => foreign.push(dependency.get("name")?.as_str()?.to_owned()),
            (None, true) => {}
        }
    }
    let targets = package.get("targets")?.as_array()?.iter();
    let targets = targets.map(|target| shown(target.get("src_path")?.as_str()?)).collect::<Option<_>>()?;
    Some(Crate { folder, rooms, test_rooms, foreign, targets })
}

/// A path as seen from the top of the repository.
fn shown(path: &str) -> Option<String> {
    let path = std::path::Path::new(path).canonicalize().ok()?;
    Some(path.strip_prefix(root()).ok()?.to_string_lossy().into_owned())
}
