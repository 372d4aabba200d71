//! Answers of other machines, written down beside the cases: `tests/recorded/*.toml`, made by `--record` and
//! read ever after.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use terminal::{Explain as _, Failure};

use super::case::Exchange;

/// What was heard in one case, in its order.
pub(super) type Recording = Vec<Exchange>;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    case: Vec<Recorded>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Recorded {
    name: String,
    http: Recording,
}

/// Where what belongs to a file of cases is.
fn beside(cases: &Path) -> PathBuf {
    let name = cases.file_name().unwrap_or_default();
    let folder = cases.parent().unwrap_or(Path::new("."));
    let tests = if folder.ends_with("tests") { folder.to_owned() } else { folder.join("tests") };
    tests.join("recorded").join(name)
}

/// What was recorded for a file of cases, by the names of cases; nothing when there is no recording.
///
/// # Errors
/// When it cannot be read.
pub(super) fn read(cases: &Path) -> Result<BTreeMap<String, Recording>, Failure> {
    let path = beside(cases);
    if !path.exists() {
        return Ok(BTreeMap::new());
    }
    let doing = || format!("the recording {} cannot be used", path.display());
    let text = std::fs::read_to_string(&path).while_doing(doing())?;
    let file: File = toml::from_str(&text).while_doing(doing()).hint("make it anew with --record")?;
    Ok(file.case.into_iter().map(|recorded| (recorded.name, recorded.http)).collect())
}

/// Writes what was heard in the place of what was there.
///
/// # Errors
/// When it cannot be written.
pub(super) fn write(cases: &Path, heard: &BTreeMap<String, Recording>) -> Result<PathBuf, Failure> {
    let path = beside(cases);
    let doing = || format!("cannot write {}", path.display());
    let recorded = |(name, http): (&String, &Recording)| Recorded { name: name.clone(), http: http.clone() };
    let text = toml::to_string(&File { case: heard.iter().map(recorded).collect() }).while_doing(doing())?;
    let head = "# Made by `teleport plugin test --record`; secrets are left out.\n";
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).while_doing(doing())?;
    }
    std::fs::write(&path, format!("{head}{text}")).while_doing(doing())?;
    Ok(path)
}
