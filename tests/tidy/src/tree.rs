//! The files of the repository, without what is built.

use std::path::{Path, PathBuf};

/// A text file of the repository.
#[derive(Debug, Clone)]
pub struct File {
    /// Its path as seen from the top of the repository.
    pub path: String,
    /// What it holds.
    pub text: String,
}

impl File {
    /// The last part of the path.
    pub fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    /// Whether it is Rust.
    pub fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }
}

/// The top of the repository.
pub fn root() -> PathBuf {
    let below = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    below.canonicalize().unwrap_or(below)
}

/// Every text file, sorted by path. What is not UTF-8 is no text.
pub fn files() -> Vec<File> {
    let root = root();
    let mut files = Vec::new();
    collect(&root, &root, &mut files);
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

fn collect(root: &Path, folder: &Path, files: &mut Vec<File>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.filter_map(Result::ok) {
        let (name, path) = (entry.file_name(), entry.path());
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_dir() && name != "target" && name != ".git" {
            collect(root, &path, files);
        }
        if !kind.is_file() {
            continue;
        }
        if let (Ok(text), Ok(shown)) = (std::fs::read_to_string(&path), path.strip_prefix(root)) {
            files.push(File { path: shown.to_string_lossy().into_owned(), text });
        }
    }
}
